#include "pipelines/adapter/lane_messages.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "pipelines/adapter/other_end.h"

namespace slipring {

LaneSource::LaneSource(LaneReader set, const PumpOptions& options) noexcept
    : set_(std::move(set)),
      options_(options),
      waiter_(options.waiter),
      had_sender_(!options.awaits_sender) {}

Result<Passage> LaneSource::try_take(std::span<const std::byte>& message) noexcept {
  while (taken_count_ != taken_.size()) {
    LaneMessage& next = taken_[taken_count_];
    const Transfer answer = set_.try_peek(next);
    if (answer == Transfer::kBlocked) return Passage::kBlocked;
    if (answer == Transfer::kCorruptPeer) {
      ++counts_.corrupt_lanes;
      continue;
    }
    had_sender_ = true;
    ++taken_count_;
    if (next.message.aborted) {
      ++counts_.aborted_messages;
      continue;
    }
    if (next.message.redelivered) {
      ++counts_.repeated_messages;
      counts_.repeated_bytes += next.message.bytes.size();
    }
    message = next.message.bytes;
    return Passage::kDone;
  }
  return Passage::kBlocked;
}

void LaneSource::finish_taken() noexcept {
  for (std::uint32_t i = 0; i < taken_count_; ++i) set_.release(taken_[i]);
  taken_count_ = 0;
}

Result<Passage> LaneSource::wait(int) noexcept {
  finish_taken();  // aborted ones, perhaps
  const WaitOutcome outcome = waiter_.wait(
      set_.message_points(), [&] { return set_.has_message() || is_stopped(options_); },
      deadline_after(kLookAtPeerNs));
  if (outcome == WaitOutcome::kReady || options_.stays) return Passage::kDone;
  Result<std::uint32_t> senders = set_.count_writers();
  if (!senders) return senders.error();
  if (*senders != 0) had_sender_ = true;
  // What the last of them published before it went is seen after its certificate.
  if (*senders != 0 || !had_sender_ || set_.has_message()) return Passage::kDone;
  return end(PumpEnd::kEndOfInput);
}

void LaneSource::add_to(PumpReport& report) const noexcept {
  report.repeated_messages += counts_.repeated_messages;
  report.repeated_bytes += counts_.repeated_bytes;
  report.aborted_messages += counts_.aborted_messages;
  report.corrupt_lanes += counts_.corrupt_lanes;
}

LaneSink::LaneSink(LinkWriter lane, const PumpOptions& options) noexcept
    : lane_(std::move(lane)), options_(options), waiter_(options.waiter) {}

Result<Passage> LaneSink::put(std::span<const std::byte> message) noexcept {
  std::span<std::byte> place;
  const Transfer answer = lane_.try_reserve(message.size(), place);
  if (answer == Transfer::kCorruptPeer) return end(PumpEnd::kCorruptPeer);
  if (answer == Transfer::kBlocked) {
    wanted_bytes_ = message.size();
    if (room_deadline_ns_ == kNoDeadline && options_.room_wait_ns != 0) {
      room_deadline_ns_ = deadline_after(options_.room_wait_ns);
    }
    return Passage::kBlocked;
  }
  room_deadline_ns_ = kNoDeadline;
  if (!message.empty()) std::memcpy(place.data(), message.data(), message.size());
  lane_.commit(message.size());
  return Passage::kDone;
}

Result<Passage> LaneSink::wait() noexcept {
  std::array<WaitPoint, 2> points{lane_.space_point()};
  std::size_t count = 1;
  if (const std::optional<WaitPoint> news = lane_.news_point()) points[count++] = *news;
  static_cast<void>(waiter_.wait(
      std::span<const WaitPoint>(points.data(), count),
      [&] {
        return lane_.has_space(wanted_bytes_) || lane_.is_peer_closed() || is_stopped(options_);
      },
      std::min(deadline_after(kLookAtPeerNs), room_deadline_ns_)));
  const bool is_late = room_deadline_ns_ != kNoDeadline && monotonic_ns() >= room_deadline_ns_;
  if (is_late && !lane_.has_space(wanted_bytes_)) {
    return Error{ErrorCode::kBusy, 0, "put more than our share of a lane set holds unread",
                 lane_.shape().credit_count, lane_.shape().capacity_bytes};
  }
  return look();
}

Result<Passage> LaneSink::look() noexcept {
  // A reader that said by itself that nobody will read on.
  return lane_.is_peer_closed() ? end(PumpEnd::kOutputClosed) : Passage::kDone;
}

}  // namespace slipring
