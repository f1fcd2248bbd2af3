// The answering end of a service.  The protocol: rpc_protocol.h.
//
// Take, execute, reply: as many calls in hand at a time as the server wants, replied to in any
// order.  Callers are served fairly, a lane each; requests that nobody wants any more (cancelled,
// past their deadline, of a dead caller) are dropped before they are executed, and counted.  A
// caller that does not read its replies loses them, and harms nobody else.
//
// Order of finishing.  A lane's requests are finished in the order in which they came: one that was
// replied to before an earlier one stays taken until that is replied to as well.  If the server
// dies meanwhile, its successor answers "may have been executed" to both, and the caller, who has
// the reply, drops that as late.
//
// Batches.  With batches_replies, callers are woken, and requests finished, by flush(), by a
// try_take() that finds nothing, or after kMaxBatchedReplies: a caller is then woken once for all
// of its replies, and a server that is never idle keeps nobody waiting.
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "pipelines/adapter/rpc_protocol.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_writer.h"

namespace slipring {

struct RpcServerOptions {
  // A call that a dead predecessor had taken is executed again.  For calls that do the same however
  // often they are executed.
  bool repeats_calls = false;
  std::uint32_t calls_in_hand_max = 1;  // 1 to kMaxCallsInHand
  bool batches_replies = false;         // callers are woken once for many replies
};

inline constexpr std::uint32_t kMaxCallsInHand = 256;
inline constexpr std::uint32_t kMaxBatchedReplies = 32;

struct RpcCall {
  std::uint64_t number = 0;
  std::span<const std::byte> request;  // in place, until the reply
  LinkPeer caller;                     // as LaneMessage::sender
  std::uint64_t deadline_ns = 0;       // CLOCK_MONOTONIC; UINT64_MAX: none
  bool redelivered = false;            // a dead server had it
};

struct RpcServerCounts {
  std::uint64_t answered = 0;
  std::uint64_t cancelled = 0;      // dropped before they were executed
  std::uint64_t expired = 0;        // likewise
  std::uint64_t orphaned = 0;       // likewise: their caller was dead
  std::uint64_t repeated = 0;       // answered with kMaybeExecuted
  std::uint64_t malformed = 0;      // no request of ours, or with a number of another's
  std::uint64_t undeliverable = 0;  // replies for which a caller had no room
};

class RpcServer {
 public:
  // Takes the service's roles.  Errors: kBusy (a living server; its pid in `found`), kNotFound, and
  // as LaneReader::attach(), LinkWriter::attach().
  static Result<RpcServer> attach(const SegmentDirectory& directory, std::string_view name,
                                  const RpcServerOptions& options = {}) noexcept;

  // The next call.  kBlocked when there is none.  kCorruptPeer once for a caller that was cut off;
  // the others go on.  Requires: fewer than calls_in_hand_max are in hand.
  [[nodiscard]] Transfer try_take(RpcCall& call) noexcept;
  // Whether its caller has given the call up meanwhile: to be asked while executing for long.
  [[nodiscard]] bool is_unwanted(const RpcCall& call) noexcept;
  // Answers a call that is in hand.  False when the answer could not be delivered: the caller has
  // no room for it, or is gone.  Requires: status is kOk or kFailed; reply.size() <=
  // max_reply_bytes().
  bool reply(const RpcCall& call, RpcStatus status, std::span<const std::byte> reply) noexcept;

  // Wakes whom we have replied to, and finishes these requests.
  void flush() noexcept;

  [[nodiscard]] std::uint32_t in_hand_count() const noexcept { return in_hand_count_; }
  [[nodiscard]] std::uint64_t max_reply_bytes() const noexcept;
  // Whether try_take() might not answer kBlocked.
  [[nodiscard]] bool has_call() const noexcept { return requests_.has_message(); }
  // What to sleep on; valid until the next call.
  [[nodiscard]] std::span<const WaitPoint> call_points() noexcept {
    return requests_.message_points();
  }
  [[nodiscard]] const RpcServerCounts& counts() const noexcept { return counts_; }

 private:
  // Remembered at its call's lane and number modulo kMaxPendingCalls: pending calls do not share
  // a place.
  struct Cancellation {
    std::uint64_t number = 0;
    pid_t process_id = 0;
  };

  // A request that was taken and is not finished: in hand, or behind one that is.
  struct Taken {
    LaneMessage message;
    std::uint64_t number = 0;
    bool is_done = false;
  };

  RpcServer(LaneReader requests, LaneReader cancellations, std::vector<LinkWriter> replies,
            const RpcServerOptions& options) noexcept;
  void note_caller(std::uint64_t number, std::uint32_t lane) noexcept;
  void hear_cancellations() noexcept;
  [[nodiscard]] Cancellation* place_of(std::uint64_t number) noexcept;
  [[nodiscard]] bool is_cancelled(const RpcCall& call) noexcept;
  [[nodiscard]] bool is_wanted(const RpcCall& call, std::uint32_t lane) noexcept;
  [[nodiscard]] Taken* find(const RpcCall& call) noexcept;
  void drop(const LaneMessage& message) noexcept;
  void finish(std::uint32_t lane) noexcept;
  void flush(std::uint32_t lane) noexcept;
  bool send(const RpcCall& call, RpcStatus status, std::span<const std::byte> reply) noexcept;

  LaneReader requests_;
  LaneReader cancellations_;
  std::vector<LinkWriter> replies_;  // by lane
  RpcServerOptions options_;
  RpcServerCounts counts_;
  std::vector<std::vector<Taken>> taken_;  // by lane, in order
  std::uint32_t in_hand_count_ = 0;
  std::uint32_t unflushed_ = 0;      // a bit a lane
  std::uint32_t batched_count_ = 0;  // replies since flush()
  std::uint32_t lane_seen_alive_ = UINT32_MAX;
  std::uint32_t taken_since_look_ = 0;
  // Whoever called from each lane last, by its calls' numbers; and the lanes of cancellations that
  // had a writer when the last newcomer was seen, its own among them.
  std::vector<std::uint32_t> callers_;
  std::uint32_t cancel_lanes_ = 0;
  std::vector<Cancellation> cancelled_;
  bool has_cancelled_ = false;  // anybody, ever
};

}  // namespace slipring
