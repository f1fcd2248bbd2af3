#include "pipelines/adapter/rpc_server.h"

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
      cancelled_(replies_.size() * kMaxPendingCalls) {}

Result<RpcServer> RpcServer::attach(const SegmentDirectory& directory, std::string_view name,
                                    const RpcServerOptions& options) noexcept {
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
  if (cancellations_.has_message()) hear_cancellations();
  if (!has_cancelled_) return false;
  const Cancellation* const cancelled = place_of(call.number);
  // Nobody cancels another's call.
  return cancelled != nullptr && cancelled->number == call.number &&
         cancelled->process_id == call.caller.process_id;
}

// Not any more: why, is counted.
bool RpcServer::is_wanted(const RpcCall& call) noexcept {
  if (is_cancelled(call)) {
    ++counts_.cancelled;
    return false;
  }
  if (call.deadline_ns != UINT64_MAX && monotonic_ns() >= call.deadline_ns) {
    ++counts_.expired;
    return false;
  }
  if (in_hand_.lane != lane_seen_alive_ || ++taken_since_look_ == kCallsPerLook) {
    lane_seen_alive_ = in_hand_.lane;
    taken_since_look_ = 0;
    Result<bool> alive = requests_.has_writer(in_hand_.lane);
    if (alive && !*alive) {
      lane_seen_alive_ = UINT32_MAX;
      ++counts_.orphaned;
      return false;
    }
  }
  return true;
}

Transfer RpcServer::try_take(RpcCall& call) noexcept {
  check(!has_call_in_hand_, "taking a call before the last was replied to");
  for (;;) {
    const Transfer answer = requests_.try_peek(in_hand_);
    if (answer != Transfer::kDone) return answer;
    const Message& message = in_hand_.message;
    const auto header = rpc_header<RpcRequest>(message.bytes);
    const bool is_of_lane = header && header->call >> 56 == in_hand_.lane;
    if (!is_of_lane || message.aborted) {
      if (!message.aborted) ++counts_.malformed;
      if (message.aborted) ++counts_.cancelled;
      requests_.release(in_hand_);
      continue;
    }
    call = {header->call, message.bytes.subspan(sizeof(RpcRequest)), in_hand_.sender,
            header->deadline_ns, message.redelivered};
    if (!is_wanted(call)) {
      requests_.release(in_hand_);
      continue;
    }
    if (message.redelivered && !options_.repeats_calls) {
      ++counts_.repeated;
      send(call.number, RpcStatus::kMaybeExecuted, {});
      requests_.release(in_hand_);
      continue;
    }
    has_call_in_hand_ = true;
    return Transfer::kDone;
  }
}

bool RpcServer::is_unwanted(const RpcCall& call) noexcept {
  check(has_call_in_hand_, "asking about a call that is not in hand");
  if (is_cancelled(call)) return true;
  if (call.deadline_ns != UINT64_MAX && monotonic_ns() >= call.deadline_ns) return true;
  Result<bool> alive = requests_.has_writer(in_hand_.lane);
  return alive && !*alive;
}

bool RpcServer::send(std::uint64_t number, RpcStatus status,
                     std::span<const std::byte> reply) noexcept {
  LinkWriter& link = replies_[in_hand_.lane];
  std::span<std::byte> place;
  if (link.try_reserve(sizeof(RpcReply) + reply.size(), place) != Transfer::kDone) {
    ++counts_.undeliverable;
    return false;
  }
  const RpcReply header{number, static_cast<std::uint32_t>(status), 0};
  std::memcpy(place.data(), &header, sizeof header);
  if (!reply.empty()) std::memcpy(place.data() + sizeof header, reply.data(), reply.size());
  link.commit(sizeof header + reply.size());
  return true;
}

bool RpcServer::reply(const RpcCall& call, RpcStatus status,
                      std::span<const std::byte> reply) noexcept {
  check(has_call_in_hand_, "a reply to a call that is not in hand");
  check(reply.size() <= max_reply_bytes(), "a reply larger than the link's");
  // First the reply: a death in between makes a second one, which the caller drops.
  const bool is_sent = send(call.number, status, reply);
  requests_.release(in_hand_);
  has_call_in_hand_ = false;
  ++counts_.answered;
  return is_sent;
}

}  // namespace slipring
