#include "pipelines/adapter/datagram_messages.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <poll.h>

#include <algorithm>
#include <utility>

#include "pipelines/adapter/descriptor_wait.h"

namespace slipring {
namespace {

// Memory for one batch of messages, as far as one alone does not take more.
constexpr std::uint64_t kBatchBytes = 2U << 20;

}  // namespace

DatagramSource::DatagramSource(Descriptor input, DatagramKind kind,
                               std::uint64_t max_message_bytes) noexcept
    : input_(std::move(input)), kind_(kind), max_message_bytes_(max_message_bytes) {
  if (kind == DatagramKind::kUdp) limit(kMaxUdpBytes);
  const int on = 1;
  if (kind == DatagramKind::kSeqpacket) {
    // Fails for no socket of this kind.
    static_cast<void>(setsockopt(input_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  }
}

void DatagramSource::limit(std::uint64_t max_message_bytes) noexcept {
  max_message_bytes_ = std::min(max_message_bytes_, max_message_bytes);
}

bool DatagramSource::is_end(std::size_t index) const noexcept {
  return kind_ == DatagramKind::kSeqpacket && headers_[index].msg_len == 0 &&
         headers_[index].msg_hdr.msg_controllen == 0;
}

Result<Passage> DatagramSource::try_take(std::span<const std::byte>& message) noexcept {
  for (;;) {
    while (next_ != received_) {
      const std::size_t index = next_++;
      if ((headers_[index].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
        ++truncated_count_;
        continue;
      }
      if (is_end(index)) return end(PumpEnd::kEndOfInput);
      message = {static_cast<const std::byte*>(places_[index].iov_base), headers_[index].msg_len};
      is_held_ = true;
      return Passage::kDone;
    }
    if (is_held_) return Passage::kBlocked;
    Result<Passage> received = receive();
    if (!received || *received != Passage::kDone) return received;
  }
}

Result<Passage> DatagramSource::receive() noexcept {
  const std::size_t size = std::max<std::size_t>(max_message_bytes_, 1);
  if (!bytes_) {
    batch_size_ = std::clamp<std::size_t>(kBatchBytes / size, 1, kMaxBatch);
    bytes_ = std::make_unique_for_overwrite<std::byte[]>(batch_size_ * size);
  }
  for (std::size_t i = 0; i < batch_size_; ++i) {
    places_[i] = {bytes_.get() + i * size, size};
    headers_[i] = {};
    headers_[i].msg_hdr.msg_iov = &places_[i];
    headers_[i].msg_hdr.msg_iovlen = 1;
    headers_[i].msg_hdr.msg_control = &controls_[i];
    headers_[i].msg_hdr.msg_controllen = sizeof controls_[i];
  }
  const int got = recvmmsg(input_.get(), headers_.data(), static_cast<unsigned>(batch_size_),
                           MSG_DONTWAIT | MSG_CMSG_CLOEXEC, nullptr);
  if (got < 0) {
    if (is_worth_waiting(errno)) return Passage::kBlocked;
    if (errno == ECONNRESET) return end(PumpEnd::kEndOfInput);
    return Error{ErrorCode::kSystem, errno, "receive messages", 0, 0};
  }
  next_ = 0;
  received_ = static_cast<std::size_t>(got);
  return Passage::kDone;
}

Result<Passage> DatagramSource::wait(int alarm_fd) noexcept {
  wait_for_descriptor(input_.get(), POLLIN, alarm_fd);
  return Passage::kDone;
}

void DatagramSource::add_to(PumpReport& report) const noexcept {
  report.truncated_messages += truncated_count_;
  std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t size = sizeof memory;
  if (kind_ == DatagramKind::kUdp &&
      getsockopt(input_.get(), SOL_SOCKET, SO_MEMINFO, memory.data(), &size) == 0) {
    report.overrun_messages += memory[SK_MEMINFO_DROPS];
  }
}

DatagramSink::DatagramSink(Descriptor output, DatagramKind kind) noexcept
    : output_(std::move(output)), max_message_bytes_(kMaxUdpBytes) {
  if (kind == DatagramKind::kUdp) return;
  // What the socket holds decides; the kernel keeps 32 bytes of it.
  int wanted = 1 << 20;
  static_cast<void>(setsockopt(output_.get(), SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted));
  int granted = 0;
  socklen_t size = sizeof granted;
  if (getsockopt(output_.get(), SOL_SOCKET, SO_SNDBUF, &granted, &size) == 0 && granted > 32) {
    max_message_bytes_ = static_cast<std::uint64_t>(granted) - 32;
  }
}

Result<Passage> DatagramSink::put(std::span<const std::byte> message) noexcept {
  if (count_ == kBatch) return Passage::kBlocked;
  places_[count_] = {const_cast<std::byte*>(message.data()), message.size()};
  headers_[count_] = {};
  headers_[count_].msg_hdr.msg_iov = &places_[count_];
  headers_[count_].msg_hdr.msg_iovlen = 1;
  ++count_;
  return Passage::kDone;
}

Result<Passage> DatagramSink::flush() noexcept {
  while (first_ != count_) {
    const int sent = sendmmsg(output_.get(), headers_.data() + first_,
                              static_cast<unsigned>(count_ - first_), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      first_ += static_cast<std::size_t>(sent);
      continue;
    }
    if (errno == EPIPE || errno == ECONNRESET) return end(PumpEnd::kOutputClosed);
    // What was sent before met nobody; that is UDP's way, and this one is not sent yet.
    if (errno == ECONNREFUSED) {
      ++unheard_count_;
      continue;
    }
    if (is_worth_waiting(errno) || errno == ENOBUFS) return Passage::kBlocked;
    return Error{ErrorCode::kSystem, errno, "send a message", places_[first_].iov_len,
                 max_message_bytes_};
  }
  first_ = count_ = 0;
  return Passage::kDone;
}

Result<Passage> DatagramSink::wait() noexcept {
  wait_for_descriptor(output_.get(), POLLOUT, -1);
  return Passage::kDone;
}

void DatagramSink::add_to(PumpReport& report) const noexcept {
  report.unheard_messages += unheard_count_;
}

}  // namespace slipring
