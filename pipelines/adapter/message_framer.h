// Cuts a stream of bytes into messages, as it comes.  The format: FRAMING.md.
//
// The bytes are read into the framer's own buffer and handed out in place.  It holds what has come
// of one unfinished message, and what a read brought beyond a finished one; it grows with what has
// come, and never by what a header claims.
//
// One thread at a time.  All input is hostile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/error/result.h"

namespace slipring {

enum class Framing : std::uint8_t {
  kBytes,   // no boundaries; as an output: message after message with nothing in between
  kLines,   // each ends with a line feed
  kFrames,  // each begins with its length
};

inline constexpr std::size_t kFrameHeaderBytes = 4;
// What --max-message says if nobody says anything.
inline constexpr std::uint64_t kDefaultMaxMessageBytes = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kMaxFrameBytes = UINT32_MAX;

class MessageFramer {
 public:
  enum class Cut : std::uint8_t { kMessage, kNeedsMore };

  // Requires: framing is not kBytes; max_message_bytes <= kMaxFrameBytes.
  // `read_bytes`: how much room to offer at least, as long as no message needs more.
  MessageFramer(Framing framing, std::uint64_t max_message_bytes,
                std::size_t read_bytes = 65536) noexcept;

  // Lowers the cap.
  void limit(std::uint64_t max_message_bytes) noexcept {
    if (max_message_bytes < max_message_bytes_) max_message_bytes_ = max_message_bytes;
  }

  // Where the next bytes of the stream belong, never empty.  Moves what is unfinished to the front
  // of the buffer: messages handed out before are no longer valid.
  [[nodiscard]] std::span<std::byte> room() noexcept;
  // So many of them have come.  Requires: no more than room() offered.
  void add(std::size_t byte_count) noexcept { end_ += byte_count; }

  // The next whole message, in place until room() is called.  Errors: kDamagedData (longer than a
  // message may be; `found` is the length, of a line what has come of it, and `wanted` the cap):
  // from then on always.
  Result<Cut> next(std::span<const std::byte>& message) noexcept;

  // The stream has ended and next() needs more: the line that no line feed ended, once, or
  // kNeedsMore when nothing is left.  Errors: kDamagedData (the stream ended inside a frame, with
  // `found` bytes of `wanted`).
  Result<Cut> finish(std::span<const std::byte>& message) noexcept;

  // Bytes that have come and are in no message handed out.
  [[nodiscard]] std::size_t pending_bytes() const noexcept { return end_ - begin_; }
  [[nodiscard]] std::size_t buffer_bytes() const noexcept { return capacity_; }
  // Gives back all of the buffer that holds nothing pending.  Messages handed out before are no
  // longer valid.
  void shrink() noexcept;

 private:
  Result<Cut> next_line(std::span<const std::byte>& message) noexcept;
  Result<Cut> next_frame(std::span<const std::byte>& message) noexcept;
  [[nodiscard]] std::span<const std::byte> take(std::size_t skip, std::size_t size,
                                                std::size_t behind) noexcept;
  void move_to(std::size_t capacity) noexcept;

  Framing framing_;
  std::uint64_t max_message_bytes_;
  std::size_t read_bytes_;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;    // of what is pending
  std::size_t end_ = 0;      // of what has come
  std::size_t scanned_ = 0;  // from begin_ to here there is no line feed
};

// The length that a header of kFrameHeaderBytes bytes says, and the other way round.
[[nodiscard]] constexpr std::uint32_t frame_length(std::span<const std::byte> header) noexcept {
  return std::to_integer<std::uint32_t>(header[0]) |
         std::to_integer<std::uint32_t>(header[1]) << 8 |
         std::to_integer<std::uint32_t>(header[2]) << 16 |
         std::to_integer<std::uint32_t>(header[3]) << 24;
}
constexpr void write_frame_length(std::span<std::byte> header, std::uint64_t bytes) noexcept {
  for (std::size_t i = 0; i < kFrameHeaderBytes; ++i) {
    header[i] = static_cast<std::byte>(bytes >> (8 * i));
  }
}

}  // namespace slipring
