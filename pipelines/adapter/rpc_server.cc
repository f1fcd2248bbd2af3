#include "pipelines/adapter/rpc_server.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "core/error/check.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

// A caller's life is asked of the kernel when its turn begins, and after so many calls of it.
constexpr std::uint32_t kCallsPerLook = 16;

}  // namespace

RpcServer::RpcServer(LaneReader requests, LaneReader cancellations, std::vector<LinkWriter> replies,
                     const RpcServerOptions& options) noexcept
    : requests_(std::move(requests)),
      cancellations_(std::move(cancellations)),
      replies_(std::move(replies)),
      options_(options),
      taken_(replies_.size()),
      callers_(replies_.size()),
      cancelled_(replies_.size() * kMaxPendingCalls) {
  // Between two calls in hand what was dropped is one; what was replied to is in the batch.
  for (std::vector<Taken>& lane : taken_) {
    lane.reserve(2 * options.calls_in_hand_max + 1 + kMaxBatchedReplies);
  }
}

Result<RpcServer> RpcServer::attach(const SegmentDirectory& directory, std::string_view name,
                                    const RpcServerOptions& options) noexcept {
  if (options.calls_in_hand_max == 0 || options.calls_in_hand_max > kMaxCallsInHand) {
    return Error{ErrorCode::kInvalidArgument, 0, "have 1 to 256 calls in hand",
                 options.calls_in_hand_max, kMaxCallsInHand};
  }
  // The requests last: whoever holds their role holds all.
  Result<LaneReader> cancellations = LaneReader::attach(directory, cancel_name(name));
  if (!cancellations) return cancellations.error();
  std::vector<LinkWriter> replies;
  for (std::uint32_t lane = 0; lane < cancellations->lane_count(); ++lane) {
    Result<LinkWriter> reply = LinkWriter::attach(directory, reply_name(name, lane));
    if (!reply) return reply.error();
    replies.push_back(std::move(reply).value());
  }
  Result<LaneReader> requests = LaneReader::attach(directory, name);
  if (!requests) return requests.error();
  if (requests->lane_count() != replies.size()) {
    return Error{ErrorCode::kCorruptPeer, 0, "a service has not as many replies as requests",
                 replies.size(), requests->lane_count()};
  }
  return RpcServer(std::move(requests).value(), std::move(cancellations).value(),
                   std::move(replies), options);
}

std::uint64_t RpcServer::max_reply_bytes() const noexcept {
  return replies_.front().max_message_bytes() - sizeof(RpcReply);
}

// Nothing for a number that is no call's.
RpcServer::Cancellation* RpcServer::place_of(std::uint64_t number) noexcept {
  const std::uint64_t lane = number >> 56;
  if (number == 0 || lane >= replies_.size()) return nullptr;
  return &cancelled_[lane * kMaxPendingCalls + number % kMaxPendingCalls];
}

// A caller attaches to its cancellations before it sends anything, and looking at all lanes before
// each call would cost more than the rest of it.
void RpcServer::note_caller(std::uint64_t number, std::uint32_t lane) noexcept {
  const auto caller = static_cast<std::uint32_t>(number >> 32);
  if (callers_[lane] == caller) return;
  callers_[lane] = caller;
  cancel_lanes_ = cancellations_.lanes_with_writers();
}

void RpcServer::hear_cancellations() noexcept {
  LaneMessage message;
  for (;;) {
    const Transfer answer = cancellations_.try_peek(message);
    if (answer == Transfer::kBlocked) return;
    if (answer == Transfer::kCorruptPeer) continue;  // told once a lane, and cut off
    const auto number = rpc_header<std::uint64_t>(message.message.bytes);
    if (Cancellation* const place = number ? place_of(*number) : nullptr) {
      *place = {*number, message.sender.process_id};
      has_cancelled_ = true;
    }
    cancellations_.release(message);
  }
}

bool RpcServer::is_cancelled(const RpcCall& call) noexcept {
  if (cancellations_.has_message(cancel_lanes_)) hear_cancellations();
  if (!has_cancelled_) return false;
  const Cancellation* const cancelled = place_of(call.number);
  // Nobody cancels another's call.
  return cancelled != nullptr && cancelled->number == call.number &&
         cancelled->process_id == call.caller.process_id;
}

// Not any more: why, is counted.
bool RpcServer::is_wanted(const RpcCall& call, std::uint32_t lane) noexcept {
  if (is_cancelled(call)) {
    ++counts_.cancelled;
    return false;
  }
  if (call.deadline_ns != UINT64_MAX && monotonic_ns() >= call.deadline_ns) {
    ++counts_.expired;
    return false;
  }
  if (lane != lane_seen_alive_ || ++taken_since_look_ == kCallsPerLook) {
    lane_seen_alive_ = lane;
    taken_since_look_ = 0;
    Result<bool> alive = requests_.has_writer(lane);
    if (alive && !*alive) {
      lane_seen_alive_ = UINT32_MAX;
      ++counts_.orphaned;
      return false;
    }
  }
  return true;
}

Transfer RpcServer::try_take(RpcCall& call) noexcept {
  check(in_hand_count_ < options_.calls_in_hand_max, "taking more calls than may be in hand");
  for (;;) {
    LaneMessage next;
    const Transfer answer = requests_.try_peek(next);
    if (answer == Transfer::kBlocked) flush();
    if (answer != Transfer::kDone) return answer;
    const Message& message = next.message;
    const auto header = rpc_header<RpcRequest>(message.bytes);
    const bool is_of_lane = header && header->call >> 56 == next.lane;
    if (!is_of_lane || message.aborted) {
      if (!message.aborted) ++counts_.malformed;
      if (message.aborted) ++counts_.cancelled;
      drop(next);
      continue;
    }
    call = {header->call, message.bytes.subspan(sizeof(RpcRequest)), next.sender,
            header->deadline_ns, message.redelivered};
    note_caller(call.number, next.lane);
    if (!is_wanted(call, next.lane)) {
      drop(next);
      continue;
    }
    if (message.redelivered && !options_.repeats_calls) {
      ++counts_.repeated;
      send(call, RpcStatus::kMaybeExecuted, {});
      drop(next);
      continue;
    }
    taken_[next.lane].push_back({next, call.number, false});
    ++in_hand_count_;
    return Transfer::kDone;
  }
}

// Finished, as soon as those before it are.
void RpcServer::drop(const LaneMessage& message) noexcept {
  std::vector<Taken>& lane = taken_[message.lane];
  if (!lane.empty() && lane.back().is_done) {
    lane.back().message = message;
  } else {
    lane.push_back({message, 0, true});
  }
  flush(message.lane);
}

// What stands at the front of a lane and is done.
void RpcServer::finish(std::uint32_t lane) noexcept {
  std::vector<Taken>& taken = taken_[lane];
  const auto open =
      std::find_if(taken.begin(), taken.end(), [](const Taken& one) { return !one.is_done; });
  if (open == taken.begin()) return;
  requests_.release(std::prev(open)->message);
  taken.erase(taken.begin(), open);
}

void RpcServer::flush(std::uint32_t lane) noexcept {
  const std::uint32_t bit = std::uint32_t{1} << lane;
  // First the replies: a death in between makes second ones, which the caller drops.
  if ((unflushed_ & bit) != 0) replies_[lane].wake_reader();
  unflushed_ &= ~bit;
  finish(lane);
}

void RpcServer::flush() noexcept {
  for (std::uint32_t lane = 0; unflushed_ != 0; ++lane) {
    if ((unflushed_ >> lane & 1) != 0) flush(lane);
  }
  batched_count_ = 0;
}

RpcServer::Taken* RpcServer::find(const RpcCall& call) noexcept {
  const std::uint64_t lane = call.number >> 56;
  if (lane >= taken_.size()) return nullptr;
  std::vector<Taken>& taken = taken_[lane];
  const auto found = std::find_if(taken.begin(), taken.end(), [&](const Taken& one) {
    return !one.is_done && one.number == call.number;
  });
  return found == taken.end() ? nullptr : &*found;
}

bool RpcServer::is_unwanted(const RpcCall& call) noexcept {
  const Taken* taken = find(call);
  check(taken != nullptr, "asking about a call that is not in hand");
  if (is_cancelled(call)) return true;
  if (call.deadline_ns != UINT64_MAX && monotonic_ns() >= call.deadline_ns) return true;
  Result<bool> alive = requests_.has_writer(taken->message.lane);
  return alive && !*alive;
}

bool RpcServer::send(const RpcCall& call, RpcStatus status,
                     std::span<const std::byte> reply) noexcept {
  const auto lane = static_cast<std::uint32_t>(call.number >> 56);
  LinkWriter& link = replies_[lane];
  link.look_for_news();
  // On guarded links the kernel says who reads: a reply is for who asked, and nobody else.
  const LinkPeer reader = link.receiver();
  const bool is_anothers =
      reader.is_known && call.caller.is_known &&
      (reader.process_id != call.caller.process_id || reader.user != call.caller.user);
  std::span<std::byte> place;
  if (is_anothers || link.try_reserve(sizeof(RpcReply) + reply.size(), place) != Transfer::kDone) {
    ++counts_.undeliverable;
    return false;
  }
  const RpcReply header{call.number, static_cast<std::uint32_t>(status), 0};
  std::memcpy(place.data(), &header, sizeof header);
  if (!reply.empty()) std::memcpy(place.data() + sizeof header, reply.data(), reply.size());
  link.commit_quietly(sizeof header + reply.size());
  unflushed_ |= std::uint32_t{1} << lane;
  return true;
}

bool RpcServer::reply(const RpcCall& call, RpcStatus status,
                      std::span<const std::byte> reply) noexcept {
  Taken* taken = find(call);
  check(taken != nullptr, "a reply to a call that is not in hand");
  check(reply.size() <= max_reply_bytes(), "a reply larger than the link's");
  const std::uint32_t lane = taken->message.lane;
  const bool is_sent = send(call, status, reply);
  taken->is_done = true;
  --in_hand_count_;
  ++counts_.answered;
  if (!options_.batches_replies || !is_sent) flush(lane);
  if (options_.batches_replies && ++batched_count_ == kMaxBatchedReplies) flush();
  return is_sent;
}

}  // namespace slipring
