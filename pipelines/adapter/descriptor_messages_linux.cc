#include "pipelines/adapter/descriptor_messages.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "pipelines/adapter/descriptor_wait.h"

namespace slipring {
namespace {

constexpr char kLineFeed = '\n';

}  // namespace

DescriptorSource::DescriptorSource(Descriptor input, Framing framing,
                                   std::uint64_t max_message_bytes) noexcept
    : input_(std::move(input)), framer_(framing, max_message_bytes) {}

Result<Passage> DescriptorSource::try_take(std::span<const std::byte>& message) noexcept {
  for (;;) {
    Result<MessageFramer::Cut> cut = has_ended_ ? framer_.finish(message) : framer_.next(message);
    if (!cut) return cut.error();
    if (*cut == MessageFramer::Cut::kMessage) {
      is_held_ = true;
      return Passage::kDone;
    }
    if (has_ended_) return end(PumpEnd::kEndOfInput);
    if (is_held_) return Passage::kBlocked;
    Result<Passage> read = read_more();
    if (!read || *read == Passage::kBlocked) return read;
  }
}

Result<Passage> DescriptorSource::read_more() noexcept {
  if (!is_ready(input_.get(), POLLIN)) return Passage::kBlocked;
  const std::span<std::byte> room = framer_.room();
  const ssize_t got = read(input_.get(), room.data(), room.size());
  if (got < 0) {
    if (is_worth_waiting(errno)) return Passage::kBlocked;
    return Error{ErrorCode::kSystem, errno, "read the input", 0, 0};
  }
  has_ended_ = got == 0;
  framer_.add(static_cast<std::size_t>(got));
  return Passage::kDone;
}

Result<Passage> DescriptorSource::wait(int alarm_fd) noexcept {
  wait_for_descriptor(input_.get(), POLLIN, alarm_fd);
  return Passage::kDone;
}

DescriptorSink::DescriptorSink(Descriptor output, Framing framing,
                               std::uint64_t max_message_bytes) noexcept
    : output_(std::move(output)), framing_(framing), max_message_bytes_(max_message_bytes) {}

void DescriptorSink::add_part(const void* bytes, std::size_t size) noexcept {
  if (size != 0) parts_[part_count_++] = {const_cast<void*>(bytes), size};
}

Result<Passage> DescriptorSink::put(std::span<const std::byte> message) noexcept {
  if (part_count_ + 2 > kParts || header_count_ == kPumpBatch) return Passage::kBlocked;
  if (framing_ == Framing::kFrames) {
    auto& header = headers_[header_count_++];
    write_frame_length(header, message.size());
    add_part(header.data(), header.size());
  }
  add_part(message.data(), message.size());
  if (framing_ == Framing::kLines) {
    if (!message.empty() && std::memchr(message.data(), kLineFeed, message.size()) != nullptr) {
      ++ambiguous_count_;
    }
    add_part(&kLineFeed, 1);
  }
  return Passage::kDone;
}

Result<Passage> DescriptorSink::flush() noexcept {
  while (first_part_ != part_count_) {
    const ssize_t put = writev(output_.get(), parts_.data() + first_part_,
                               static_cast<int>(part_count_ - first_part_));
    if (put < 0) {
      if (errno == EPIPE || errno == ECONNRESET) return end(PumpEnd::kOutputClosed);
      if (is_worth_waiting(errno)) return Passage::kBlocked;
      const bool is_full = errno == ENOSPC || errno == EDQUOT;
      return Error{is_full ? ErrorCode::kNoSpace : ErrorCode::kSystem, errno, "write the output", 0,
                   0};
    }
    auto left = static_cast<std::size_t>(put);
    while (left != 0) {
      iovec& part = parts_[first_part_];
      const std::size_t count = std::min(left, part.iov_len);
      part.iov_base = static_cast<std::byte*>(part.iov_base) + count;
      part.iov_len -= count;
      left -= count;
      if (part.iov_len == 0) ++first_part_;
    }
  }
  first_part_ = part_count_ = header_count_ = 0;
  return Passage::kDone;
}

Result<Passage> DescriptorSink::wait() noexcept {
  wait_for_descriptor(output_.get(), POLLOUT, -1);
  return Passage::kDone;
}

void DescriptorSink::add_to(PumpReport& report) const noexcept {
  report.ambiguous_messages += ambiguous_count_;
}

}  // namespace slipring
