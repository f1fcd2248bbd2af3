// The server's ends of one link, and who waits for what there.
//
// Roles are taken when a request first needs them and laid down once nobody has for a while: a
// living holder keeps everybody else out, so the server must not sit on links that nobody asks for.
//
// Records and slots: messages are handed to any number of takers (delivery_window.h).  A message
// stays in the ring, where its bytes are sent from, until its taker has confirmed it.
// Values: likewise, one a message; the ring does not say which of them a dead predecessor had
// handed out. Lane sets: likewise, of all lanes; what is put goes into one lane, the server's.  A
// set that was made in passing goes when the server was its last user. Streams: one taker at a
// time, and one putter: bytes of two would mix.
//
// One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "pipelines/http/delivery_window.h"
#include "pipelines/http/request_parser.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/stream_link.h"
#include "pipelines/link/value_bytes.h"
#include "platform/memory/segment_directory.h"

namespace slipring::http {

inline constexpr std::size_t kUnconfirmedMax = 256;  // messages of a link

enum class DeskAnswer : std::uint8_t {
  kDone,
  kBlocked,  // not now
  kOver,     // the writer has closed, and everything was delivered
  kRefused,  // for good; refusal() says why
};

// What is waited for.
enum class Wish : std::uint8_t {
  kMessage,  // one, or the turn and bytes of a stream
  kFollow,   // bytes behind those that are under way
  kSpace,    // for so many bytes; of a stream, for any
  kTurn,     // at putting into a stream
};

// What a taker gets: bytes in the ring, which stay until confirm() or give_back().
struct Taken {
  std::uint64_t number = 0;
  std::uint64_t position = 0;
  std::array<std::span<const std::byte>, 2> parts;
  bool redelivered = false;

  [[nodiscard]] std::uint64_t size_bytes() const noexcept {
    return parts[0].size() + parts[1].size();
  }
};

class LinkDesk {
 public:
  LinkDesk(const SegmentDirectory& directory, std::string name)
      : directory_(&directory), name_(std::move(name)) {}

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const Refusal& refusal() const noexcept { return refusal_; }

  // Looks what the name means now; ends on a link that was removed are dropped.
  [[nodiscard]] DeskAnswer open();
  [[nodiscard]] bool is_stream() const noexcept { return shape_.kind == SegmentKind::kStreamLink; }
  // The longest message that may be put; of a stream, any.
  [[nodiscard]] std::uint64_t message_bytes_max() const noexcept;

  // Takes the reading role if need be, and then the next message, or of a stream at most
  // `piece_bytes`.
  [[nodiscard]] DeskAnswer take(std::uint64_t piece_bytes, Taken& taken);
  void confirm(std::uint64_t number) noexcept;
  void give_back(std::uint64_t number) noexcept;

  // A stream, taken as it comes: bytes behind the `ahead_bytes` that are under way already.
  // Requires: begin_follow() was granted.
  [[nodiscard]] DeskAnswer begin_follow();
  [[nodiscard]] DeskAnswer follow(std::uint64_t ahead_bytes, Taken& taken);
  void consume(std::uint64_t count) noexcept;
  // `to_its_end`: everything was delivered, and the stream goes the way of one that was read.
  // Otherwise `ahead_bytes` were under way and come again.
  void end_follow(bool to_its_end, std::uint64_t ahead_bytes) noexcept;

  // Takes the writing role if need be, and enqueues a message; or, of a stream, what there is room
  // for (`count`).
  [[nodiscard]] DeskAnswer put(std::span<const std::byte> message, std::uint64_t& position);
  [[nodiscard]] DeskAnswer begin_stream_put();
  [[nodiscard]] DeskAnswer put_some(std::span<const std::byte> bytes, std::size_t& count);
  void end_stream_put() noexcept { has_putter_ = false; }
  // Nothing comes behind what was put.
  void close_writer() noexcept;

  // Whether it is worth looking again, for who waits.  Changes nothing.
  [[nodiscard]] bool has_news(Wish wish, std::uint64_t bytes) const;

  // Lays the roles down if nobody has used them since `before_ns`, and nothing is under way.
  // Answers whether there is nothing left to lay down.
  bool rest(std::uint64_t before_ns) noexcept;

 private:
  DeskAnswer refuse(int status, std::string what, std::string found, std::string remedy);
  DeskAnswer refuse(const char* doing, const Error& error);
  DeskAnswer refuse_corrupt(const char* who, const std::optional<LinkPeer>& offender);
  [[nodiscard]] DeskAnswer need_reader();
  [[nodiscard]] DeskAnswer need_writer();
  [[nodiscard]] DeskAnswer take_message(Taken& taken);
  [[nodiscard]] Transfer peek(LaneMessage& next) noexcept;
  [[nodiscard]] Transfer peek_value(Message& next) noexcept;
  void finish(const LaneMessage& message) noexcept;
  [[nodiscard]] DeskAnswer put_value(std::span<const std::byte> value, std::uint64_t& position);
  [[nodiscard]] bool is_values() const noexcept { return shape_.kind == SegmentKind::kValueLink; }
  [[nodiscard]] bool has_reader() const noexcept {
    return reader_ || lanes_ || value_reader_ || stream_reader_;
  }
  [[nodiscard]] bool has_writer() const noexcept {
    return writer_ || value_writer_ || stream_writer_;
  }
  [[nodiscard]] bool is_value_end() const noexcept {
    return value_reader_->is_peer_closed() && !value_reader_->has_value(next_value_);
  }
  void drop_ends() noexcept;
  [[nodiscard]] bool is_under_way() const noexcept {
    return window_.has_under_way() || has_taker_ || has_putter_;
  }
  void touch() noexcept;

  const SegmentDirectory* directory_;
  std::string name_;
  Refusal refusal_;
  LinkShape shape_;
  std::uint64_t inode_ = 0;  // of a named link that we hold an end of
  std::optional<LinkReader> reader_;
  std::optional<LaneReader> lanes_;
  std::optional<ValueBytesReader> value_reader_;
  std::optional<ValueBytesWriter> value_writer_;
  std::uint64_t next_value_ = 0;  // not in the window yet
  std::optional<LinkWriter> writer_;
  std::optional<StreamReader> stream_reader_;
  std::optional<StreamWriter> stream_writer_;
  DeliveryWindow<LaneMessage> window_{kUnconfirmedMax};
  bool has_taker_ = false;  // of a stream
  bool has_putter_ = false;
  std::uint64_t piece_bytes_ = 0;    // under way to the taker
  std::uint64_t repeat_before_ = 0;  // stream position: all below was under way once
  std::uint64_t used_ns_ = 0;
};

}  // namespace slipring::http
