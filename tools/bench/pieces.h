// Records of one size over whatever writes and reads some bytes at a time, copied in and out.
//
// Io is copyable, and has write_some(span) and read_some(span), which answer how many bytes were
// moved: 0 when none can be now.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace slipring::bench {

template <typename Io>
class PieceProducer {
 public:
  PieceProducer(Io io, std::size_t size_bytes) : io_(std::move(io)), buffer_(size_bytes) {}

  // What was filled once and not yet written whole is written on, whatever is asked meanwhile: the
  // caller repeats the same message until it is done.
  template <typename Fill>
  [[nodiscard]] bool try_send(std::size_t, Fill&& fill) {
    if (written_ == 0 && !filled_) {
      fill(std::span<std::byte>(buffer_));
      filled_ = true;
    }
    written_ += io_.write_some(std::span<const std::byte>(buffer_).subspan(written_));
    if (written_ < buffer_.size()) return false;
    written_ = 0;
    filled_ = false;
    return true;
  }

 private:
  Io io_;
  std::vector<std::byte> buffer_;
  std::size_t written_ = 0;
  bool filled_ = false;
};

template <typename Io>
class PieceConsumer {
 public:
  // Where bounds are kept, a message is read at a time; elsewhere a buffer.
  PieceConsumer(Io io, std::size_t size_bytes, bool keeps_bounds)
      : io_(std::move(io)),
        size_bytes_(size_bytes),
        buffer_(keeps_bounds ? size_bytes : std::max(2 * size_bytes, kReadBytes)) {}

  template <typename Look>
  [[nodiscard]] bool try_receive(Look&& look) {
    if (end_ - begin_ < size_bytes_) {
      if (begin_ != 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
      }
      end_ += io_.read_some(std::span<std::byte>(buffer_).subspan(end_));
      if (end_ < size_bytes_) return false;
    }
    look(std::span<const std::byte>(buffer_.data() + begin_, size_bytes_));
    begin_ += size_bytes_;
    return true;
  }

 private:
  static constexpr std::size_t kReadBytes = 65536;
  Io io_;
  std::size_t size_bytes_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace slipring::bench
