#include "pipelines/adapter/broadcast_messages.h"

#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "pipelines/adapter/other_end.h"

namespace slipring {

BroadcastSource::BroadcastSource(BroadcastReceiver link, const PumpOptions& options) noexcept
    : link_(std::move(link)), options_(options), waiter_(options.waiter) {}

Result<Passage> BroadcastSource::try_take(std::span<const std::byte>& message) noexcept {
  while (!has_taken_) {
    // Before the ring is looked at: what was published before closing is seen then.
    const bool is_closed = is_over();
    const Transfer answer = link_.try_receive(taken_);
    if (answer == Transfer::kCorruptPeer) return end(PumpEnd::kCorruptPeer);
    if (answer == Transfer::kBlocked && is_closed) return end(PumpEnd::kEndOfInput);
    if (answer == Transfer::kBlocked) return Passage::kBlocked;
    had_writer_ = true;
    if (taken_.aborted) {
      ++counts_.aborted_messages;
      link_.release(taken_);
      continue;
    }
    if (taken_.redelivered) {
      ++counts_.repeated_messages;
      counts_.repeated_bytes += taken_.bytes.size();
    }
    has_taken_ = true;
    message = taken_.bytes;
    return Passage::kDone;
  }
  return Passage::kBlocked;
}

void BroadcastSource::finish_taken() noexcept {
  if (has_taken_) link_.release(taken_);
  has_taken_ = false;
}

Result<Passage> BroadcastSource::wait(int) noexcept {
  std::array<WaitPoint, 2> points{link_.message_point()};
  std::size_t count = 1;
  if (const std::optional<WaitPoint> news = link_.news_point()) points[count++] = *news;
  const WaitOutcome outcome = waiter_.wait(
      std::span<const WaitPoint>(points.data(), count),
      [&] { return link_.has_message() || is_over() || is_stopped(options_); },
      deadline_after(kLookAtPeerNs));
  if (outcome == WaitOutcome::kReady || options_.stays) return Passage::kDone;
  Result<Probe> writer = link_.probe_writer();
  if (!writer) return writer.error();
  if (writer->holder != Holder::kNobody) had_writer_ = true;
  // What it published before its death is seen after its certificate.
  if (writer->holder != Holder::kNobody || !had_writer_ || link_.has_message() || is_over()) {
    return Passage::kDone;
  }
  return end(PumpEnd::kWriterDied);
}

void BroadcastSource::add_to(PumpReport& report) const noexcept {
  report.repeated_messages += counts_.repeated_messages;
  report.repeated_bytes += counts_.repeated_bytes;
  report.aborted_messages += counts_.aborted_messages;
  report.lost_messages += link_.lost_count();
}

BroadcastSink::BroadcastSink(BroadcastSender link, const PumpOptions& options) noexcept
    : link_(std::move(link)), options_(options), waiter_(options.waiter) {}

Result<Passage> BroadcastSink::put(std::span<const std::byte> message) noexcept {
  return link_.try_send(message) == Transfer::kDone ? Passage::kDone : Passage::kBlocked;
}

Result<Passage> BroadcastSink::wait() noexcept {
  const WaitOutcome outcome = waiter_.wait(
      link_.space_points(), [&] { return link_.has_space() || is_stopped(options_); },
      deadline_after(kLookAtPeerNs));
  if (outcome == WaitOutcome::kReady) return Passage::kDone;
  Result<std::uint32_t> dropped = link_.drop_dead_readers();
  if (!dropped) return dropped.error();
  return Passage::kDone;
}

}  // namespace slipring
