#include "pipelines/adapter/link_messages.h"

#include <cstring>

namespace slipring {

// The watch and the end of the link are members, and OtherEnd refers to them: neither is moved.
LinkSource::LinkSource(LinkReader link, RoleWatch writer, const PumpOptions& options) noexcept
    : link_(std::move(link)),
      watch_(std::move(writer)),
      writer_(link_, watch_, options.stays),
      options_(options),
      waiter_(options.waiter) {}

Result<Passage> LinkSource::try_take(std::span<const std::byte>& message) noexcept {
  while (taken_count_ != taken_.size()) {
    // Before the ring is looked at: what was published before closing is seen then.
    const bool is_closed = is_over();
    Message next;
    const Transfer answer = link_.try_peek(next);
    if (answer == Transfer::kCorruptPeer) return end(PumpEnd::kCorruptPeer);
    if (answer == Transfer::kBlocked && is_closed) return end(PumpEnd::kEndOfInput);
    if (answer == Transfer::kBlocked) return Passage::kBlocked;
    writer_.was_there();
    taken_[taken_count_++] = next;
    if (next.aborted) {
      ++aborted_count_;
      continue;
    }
    if (next.redelivered) {
      ++repeated_count_;
      repeated_bytes_ += next.bytes.size();
    }
    message = next.bytes;
    return Passage::kDone;
  }
  return Passage::kBlocked;
}

void LinkSource::finish_taken() noexcept {
  for (std::uint32_t i = 0; i < taken_count_; ++i) link_.release(taken_[i]);
  taken_count_ = 0;
}

Result<Passage> LinkSource::wait(int) noexcept {
  finish_taken();  // aborted ones, perhaps
  const WaitPoint point = link_.message_point();
  const WaitOutcome outcome = waiter_.wait(
      std::span<const WaitPoint>(&point, 1),
      [&] { return link_.has_message() || is_over() || is_stopped(options_); },
      deadline_after(kLookAtPeerNs));
  if (outcome == WaitOutcome::kReady) return Passage::kDone;
  Result<bool> died = writer_.has_died();
  if (!died) return died.error();
  // What it published before its death is seen after its certificate.
  if (!*died || link_.has_message() || link_.is_peer_closed()) return Passage::kDone;
  return end(PumpEnd::kWriterDied);
}

void LinkSource::add_to(PumpReport& report) const noexcept {
  report.repeated_messages += repeated_count_;
  report.repeated_bytes += repeated_bytes_;
  report.aborted_messages += aborted_count_;
}

LinkSink::LinkSink(LinkWriter link, RoleWatch reader, const PumpOptions& options) noexcept
    : link_(std::move(link)),
      watch_(std::move(reader)),
      reader_(link_, watch_, options.stays),
      options_(options),
      waiter_(options.waiter) {}

Result<Passage> LinkSink::put(std::span<const std::byte> message) noexcept {
  if (link_.is_peer_closed()) return end(PumpEnd::kOutputClosed);
  std::span<std::byte> place;
  const Transfer answer = link_.try_reserve(message.size(), place);
  if (answer == Transfer::kCorruptPeer) return end(PumpEnd::kCorruptPeer);
  if (answer == Transfer::kBlocked) {
    wanted_bytes_ = message.size();
    return Passage::kBlocked;
  }
  if (!message.empty()) std::memcpy(place.data(), message.data(), message.size());
  link_.commit(message.size());
  return Passage::kDone;
}

Result<Passage> LinkSink::wait() noexcept {
  const WaitPoint point = link_.space_point();
  const WaitOutcome outcome = waiter_.wait(
      std::span<const WaitPoint>(&point, 1),
      [&] {
        return link_.has_space(wanted_bytes_) || link_.is_peer_closed() || is_stopped(options_);
      },
      deadline_after(kLookAtPeerNs));
  return outcome == WaitOutcome::kReady ? Passage::kDone : look();
}

Result<Passage> LinkSink::look() noexcept {
  if (link_.is_peer_closed()) return end(PumpEnd::kOutputClosed);
  Result<bool> died = reader_.has_died();
  if (!died) return died.error();
  if (!*died) return Passage::kDone;
  return end(link_.is_peer_closed() ? PumpEnd::kOutputClosed : PumpEnd::kReaderDied);
}

}  // namespace slipring
