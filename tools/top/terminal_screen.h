// The whole terminal, for a while (ncurses).
#pragma once

#include "tools/top/screen.h"

namespace slipring::tools {

enum class TopKey : unsigned char {
  kNone,  // none in time, or one without a meaning
  kQuit,
  kSort,
  kPause,
  kQuicker,
  kSlower,
  kUp,
  kDown,
  kPageUp,
  kPageDown,
  kResize,
};

// One at a time.  The terminal is as before once the object is gone, and also when the program is
// ended by a fault of its own.
class TerminalScreen {
 public:
  // Whether standard input and output are a terminal that can be drawn on.
  [[nodiscard]] static bool is_there() noexcept;

  TerminalScreen();
  ~TerminalScreen();
  TerminalScreen(const TerminalScreen&) = delete;
  TerminalScreen& operator=(const TerminalScreen&) = delete;

  [[nodiscard]] std::size_t columns() const noexcept;
  [[nodiscard]] std::size_t lines() const noexcept;
  void show(const Screen& screen);
  // The next key, waited for at most so long.
  [[nodiscard]] TopKey key(int timeout_ms);

 private:
  bool is_coloured_ = false;
};

}  // namespace slipring::tools
