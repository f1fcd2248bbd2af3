// The calling end of a service.  The protocol: rpc_protocol.h.
//
// Calls are sent, as many at a time as kMaxPendingCalls, and end in any order, each exactly once:
// with the server's answer, or with the reason why there is none.  Calls that are sent together
// wake the server once.  A dead server wakes whoever waits, at once.
//
// One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "pipelines/adapter/rpc_protocol.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "platform/process/death_watch.h"
#include "platform/wait/waiter.h"

namespace slipring {

// How a call has ended.
struct RpcAnswer {
  std::uint64_t call = 0;
  RpcStatus status = RpcStatus::kOk;
  std::span<const std::byte> reply;  // kOk, kFailed: in place, until the next call of the client's
};

struct RpcClientCounts {
  std::uint64_t sent = 0;
  std::uint64_t late_replies = 0;   // to calls that had ended before, or to a predecessor's
  std::uint64_t wrong_replies = 0;  // with numbers or words that no correct server writes
  std::uint64_t server_deaths = 0;
};

class RpcClient {
 public:
  // Takes a caller's lane.  A server need not be there yet.  Errors: kBusy (all callers' lanes are
  // held), kNoSpace (the free ones hold calls of dead callers that no server has dropped yet),
  // kNotFound, kSystem, and as LinkWriter::attach().
  static Result<RpcClient> attach(const SegmentDirectory& directory, std::string_view name,
                                  const WaiterOptions& waiter = {}) noexcept;

  // Starts a call and answers its number.  Errors: kClosed (no server is there: nothing was sent),
  // kBusy (our lane is full, or as many calls as may be are pending: take answers first),
  // kCorruptPeer, kSystem.  Requires: request.size() <= max_request_bytes().
  Result<std::uint64_t> send(std::span<const std::byte> request,
                             std::uint64_t deadline_ns = UINT64_MAX) noexcept;
  // The same for many: as many as there is room for, in this order, with one wake-up; their numbers
  // go to `numbers`, and how many they are is answered, 0 only of none.  Errors: as send(), when
  // not even the first could be sent.  Requires: numbers.size() >= requests.size(); each as send().
  Result<std::size_t> send_many(std::span<const std::span<const std::byte>> requests,
                                std::span<std::uint64_t> numbers,
                                std::uint64_t deadline_ns = UINT64_MAX) noexcept;
  // Gives a call up.  It ends with kCancelled, its reply will be dropped, and a server that has not
  // begun it will not.  Without effect on one that has ended.
  void cancel(std::uint64_t call) noexcept;

  // A call that has ended; nothing when all that are pending still are.
  [[nodiscard]] bool try_finish(RpcAnswer& answer) noexcept;
  // Sleeps until one has ended.  False at the deadline (CLOCK_MONOTONIC), or when none is pending.
  [[nodiscard]] bool wait_finish(RpcAnswer& answer, std::uint64_t deadline_ns) noexcept;
  // One call, from beginning to end.  Requires: no other is pending.  Errors: as send().
  Result<RpcAnswer> call(std::span<const std::byte> request,
                         std::uint64_t deadline_ns = UINT64_MAX) noexcept;

  [[nodiscard]] std::uint32_t pending_count() const noexcept { return pending_count_; }
  [[nodiscard]] std::uint64_t max_request_bytes() const noexcept {
    return requests_.max_message_bytes() - sizeof(RpcRequest);
  }
  [[nodiscard]] const RpcClientCounts& counts() const noexcept { return counts_; }
  [[nodiscard]] std::uint32_t lane() const noexcept { return requests_.lane(); }
  // The server, if one was there when we last looked.
  [[nodiscard]] std::optional<pid_t> server_pid() const noexcept;

 private:
  enum class State : std::uint8_t { kFree, kPending, kEnded };
  struct Pending {
    std::uint64_t number = 0;
    std::uint64_t end_position = 0;  // of its request in our lane
    std::uint64_t deadline_ns = UINT64_MAX;
    State state = State::kFree;
    RpcStatus status = RpcStatus::kOk;
  };

  RpcClient(LinkWriter requests, LinkWriter cancellations, LinkReader replies,
            const WaiterOptions& waiter) noexcept;
  [[nodiscard]] Pending* find(std::uint64_t number) noexcept;
  Status look_for_server() noexcept;
  Result<std::uint64_t> put(std::span<const std::byte> request, std::uint64_t deadline_ns) noexcept;
  void end(Pending& call, RpcStatus status) noexcept;
  void end_expired() noexcept;
  void end_all_of_dead_server() noexcept;
  [[nodiscard]] bool take_ended(RpcAnswer& answer) noexcept;
  [[nodiscard]] bool take_reply(RpcAnswer& answer) noexcept;
  [[nodiscard]] bool has_news() const noexcept;

  LinkWriter requests_;
  LinkWriter cancellations_;
  LinkReader replies_;
  Waiter waiter_;
  std::optional<DeathWatch> server_;
  RpcClientCounts counts_;
  std::array<Pending, kMaxPendingCalls> calls_{};  // call n at n % kMaxPendingCalls
  std::uint32_t next_count_ = 1;
  std::uint32_t pending_count_ = 0;
  std::uint32_t ended_count_ = 0;
  std::uint64_t next_deadline_ns_ = UINT64_MAX;  // no pending call's is earlier
  std::optional<Message> in_hand_;               // of the reply that was given out last
};

}  // namespace slipring
