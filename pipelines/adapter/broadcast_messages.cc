#include "pipelines/adapter/broadcast_messages.h"

#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "pipelines/adapter/other_end.h"

namespace slipring {
namespace {

// A lane that came while there is always something to take is found by then.
constexpr std::uint32_t kMessagesBetweenLooks = 4096;

}  // namespace

BroadcastSource::BroadcastSource(TopicReader topic, const PumpOptions& options) noexcept
    : topic_(std::move(topic)), options_(options), waiter_(options.waiter) {}

Result<Passage> BroadcastSource::try_take(std::span<const std::byte>& message) noexcept {
  while (!has_taken_) {
    if (++taken_since_look_ > kMessagesBetweenLooks) {
      taken_since_look_ = 0;
      if (Result<bool> came = topic_.look_for_lanes(); !came) return came.error();
    }
    // Before the rings are looked at: what was published before closing is seen then.
    const bool is_closed = is_over();
    const Transfer answer = topic_.try_receive(taken_);
    if (answer == Transfer::kCorruptPeer) {
      if (++counts_.corrupt_lanes == topic_.lane_count()) return end(PumpEnd::kCorruptPeer);
      continue;
    }
    if (answer == Transfer::kBlocked && !is_closed) return Passage::kBlocked;
    if (answer == Transfer::kBlocked) {
      Result<bool> came = topic_.look_for_lanes();
      if (!came) return came.error();
      if (!*came) return end(PumpEnd::kEndOfInput);
      continue;
    }
    if (taken_.message.aborted) {
      ++counts_.aborted_messages;
      topic_.release(taken_);
      continue;
    }
    if (taken_.message.redelivered) {
      ++counts_.repeated_messages;
      counts_.repeated_bytes += taken_.message.bytes.size();
    }
    has_taken_ = true;
    message = taken_.message.bytes;
    return Passage::kDone;
  }
  return Passage::kBlocked;
}

void BroadcastSource::finish_taken() noexcept {
  if (has_taken_) topic_.release(taken_);
  has_taken_ = false;
}

Result<Passage> BroadcastSource::wait(int) noexcept {
  Result<bool> came = topic_.look_for_lanes();
  if (!came) return came.error();
  const WaitOutcome outcome = waiter_.wait(
      topic_.message_points(),
      [&] { return topic_.has_message() || is_over() || is_stopped(options_); },
      deadline_after(kLookAtPeerNs));
  if (outcome == WaitOutcome::kReady || options_.stays) return Passage::kDone;
  return end_or_go_on();
}

// After a sleep in which nothing came.
Result<Passage> BroadcastSource::end_or_go_on() noexcept {
  Result<std::uint32_t> publishers = topic_.count_publishers();
  if (!publishers) return publishers.error();
  if (*publishers != 0 || !topic_.had_publisher()) return Passage::kDone;
  // What they published before their deaths is seen after their certificates, as is a lane that
  // another made meanwhile.
  Result<bool> came = topic_.look_for_lanes();
  if (!came) return came.error();
  if (*came || topic_.has_message() || is_over()) return Passage::kDone;
  return end(topic_.has_unclosed() ? PumpEnd::kWriterDied : PumpEnd::kEndOfInput);
}

void BroadcastSource::add_to(PumpReport& report) const noexcept {
  report.repeated_messages += counts_.repeated_messages;
  report.repeated_bytes += counts_.repeated_bytes;
  report.aborted_messages += counts_.aborted_messages;
  report.corrupt_lanes += counts_.corrupt_lanes;
  report.lost_messages += topic_.lost_count();
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
