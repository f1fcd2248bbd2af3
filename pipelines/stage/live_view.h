// The live view: a block of lines at the terminal's bottom that is drawn again and again, with the
// log scrolling by above it.
//
// Plain cursor movement (up, erase below), nothing else of the terminal is touched, so that a
// killed run leaves it usable.  Lines are cut to the terminal's width and the block to its height,
// because a wrapped line could not be erased.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/stage/live_state.h"

namespace slipring {

// The block's lines, each at most `width` columns, in ASCII and without colours.
[[nodiscard]] std::vector<std::string> render(const LiveState& state, std::size_t width);

// The numbers of a pipeline that people look for, in one line: latency, frames, copies.  Empty when
// no board has any of them.
[[nodiscard]] std::string headline(const LiveState& state);

// "-> tcp://backup:7070, connected, 3 connections so far".
[[nodiscard]] std::string words_of(const WireState& wire);

// "1234", "12.3k", "4.5M": at most six columns.
[[nodiscard]] std::string short_number(std::uint64_t number);
// "0 B", "12.3 KiB", "4.0 MiB".
[[nodiscard]] std::string short_bytes(std::uint64_t size_bytes);
// "850 us", "12.3 ms", "4.0 s".
[[nodiscard]] std::string short_duration(std::uint64_t duration_ns);

// Text of others, safe to show: control characters and broken UTF-8 become '?'.
[[nodiscard]] std::string printable(std::string_view text);

// Draws on one terminal; on anything else it only passes lines on.  One thread.
class LiveView {
 public:
  // `fd` stays the caller's.  Requires: nobody else writes to it while a block stands.
  LiveView(int fd, bool wanted);

  // Whether a block is shown at all: wanted, a terminal, and not a dumb one.
  [[nodiscard]] bool is_shown() const noexcept { return is_shown_; }
  // Whether colours are welcome: a terminal, and NO_COLOR is not set.
  [[nodiscard]] bool has_colours() const noexcept { return has_colours_; }

  // A line above the block.
  void line(std::string_view text);
  // The block's new content.
  void show(const LiveState& state);
  // Takes the block away.
  void clear();

 private:
  [[nodiscard]] std::string erased() const;
  [[nodiscard]] std::string drawn() const;
  void write_out(const std::string& text) const;

  int fd_;
  bool is_shown_ = false;
  bool has_colours_ = false;
  std::vector<std::string> block_;
};

}  // namespace slipring
