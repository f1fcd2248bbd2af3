#include "pipelines/adapter/rpc_client.h"

#include <algorithm>
#include <utility>

#include "core/cpu/relax.h"
#include "core/error/check.h"
#include "platform/process/peer.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

// Holders that follow each other more quickly than this are looked at with the next call.
constexpr int kLookAttempts = 8;
constexpr int kPausesAtHeels = 32;
constexpr Error kNoServer{ErrorCode::kClosed, 0, "call a service that has no server"};

// At the heels of a server that is answering a batch: to look at the line that it is writing would
// cost both a transfer of that line for every answer.
void let_server_run() noexcept {
  for (int i = 0; i < kPausesAtHeels; ++i) relax();
}

}  // namespace

RpcClient::RpcClient(LinkWriter requests, LinkWriter cancellations, LinkReader replies,
                     const WaiterOptions& waiter) noexcept
    : requests_(std::move(requests)),
      cancellations_(std::move(cancellations)),
      replies_(std::move(replies)),
      waiter_(waiter) {}

Result<RpcClient> RpcClient::attach(const SegmentDirectory& directory, std::string_view name,
                                    const WaiterOptions& waiter) noexcept {
  Result<LinkWriter> requests = LinkWriter::attach(directory, name);
  if (!requests) return requests.error();
  Result<LinkWriter> cancellations = LinkWriter::attach(directory, cancel_name(name));
  if (!cancellations) return cancellations.error();
  Result<LinkReader> replies = LinkReader::attach(directory, reply_name(name, requests->lane()));
  if (!replies) return replies.error();
  return RpcClient(std::move(requests).value(), std::move(cancellations).value(),
                   std::move(replies).value(), waiter);
}

std::optional<pid_t> RpcClient::server_pid() const noexcept {
  return server_ ? std::optional(server_->pid()) : std::nullopt;
}

// The lock's holder, a handle on it, and the lock again: then the handle is the holder's.
Status RpcClient::look_for_server() noexcept {
  if (server_ && !server_->has_died()) return {};
  server_.reset();
  requests_.look_for_news();
  for (int attempt = 0; attempt < kLookAttempts; ++attempt) {
    Result<bool> held = requests_.has_reader();
    if (!held) return held.error();
    if (!*held) return kNoServer;
    const LinkPeer before = requests_.look_at_reader();
    if (!before.is_known) continue;  // attaching just now
    Result<Peer> process = Peer::open(before.process_id);
    if (!process) continue;
    const LinkPeer after = requests_.look_at_reader();
    if (!after.is_known || after.process_id != before.process_id) continue;
    Result<DeathWatch> watch = DeathWatch::start(std::move(process).value());
    if (!watch) return watch.error();
    server_.emplace(std::move(watch).value());
    return {};
  }
  return kNoServer;
}

RpcClient::Pending* RpcClient::find(std::uint64_t number) noexcept {
  Pending& call = calls_[number % kMaxPendingCalls];
  return call.state == State::kPending && call.number == number ? &call : nullptr;
}

Result<std::uint64_t> RpcClient::send(std::span<const std::byte> request,
                                      std::uint64_t deadline_ns) noexcept {
  std::uint64_t number = 0;
  Result<std::size_t> sent = send_many({&request, 1}, {&number, 1}, deadline_ns);
  if (!sent) return sent.error();
  return number;
}

Result<std::size_t> RpcClient::send_many(std::span<const std::span<const std::byte>> requests,
                                         std::span<std::uint64_t> numbers,
                                         std::uint64_t deadline_ns) noexcept {
  check(numbers.size() >= requests.size(), "no place for the numbers of calls");
  if (server_ && server_->has_died()) end_all_of_dead_server();
  if (Status found = look_for_server(); !found) return found.error();
  std::size_t count = 0;
  for (const std::span<const std::byte> request : requests) {
    Result<std::uint64_t> number = put(request, deadline_ns);
    if (!number && count == 0) return number.error();
    if (!number) break;
    numbers[count++] = *number;
  }
  if (count != 0) requests_.wake_reader();
  return count;
}

// Publishes a call, and wakes nobody.
Result<std::uint64_t> RpcClient::put(std::span<const std::byte> request,
                                     std::uint64_t deadline_ns) noexcept {
  check(request.size() <= max_request_bytes(), "a request larger than the lane's");
  Pending& call = calls_[next_count_ % kMaxPendingCalls];
  if (call.state != State::kFree) {
    return Error{ErrorCode::kBusy, 0, "send one more call than may be pending", pending_count_,
                 kMaxPendingCalls};
  }
  std::span<std::byte> place;
  const Transfer answer = requests_.try_reserve(sizeof(RpcRequest) + request.size(), place);
  if (answer == Transfer::kCorruptPeer) {
    return Error{ErrorCode::kCorruptPeer, 0, "the server wrote impossible values into its cursor"};
  }
  if (answer == Transfer::kBlocked) {
    return Error{ErrorCode::kBusy, 0, "send a call while our lane is full", pending_count_};
  }
  const std::uint64_t number = call_number(lane(), requests_.incarnation(), next_count_);
  const RpcRequest header{number, deadline_ns};
  std::memcpy(place.data(), &header, sizeof header);
  if (!request.empty()) std::memcpy(place.data() + sizeof header, request.data(), request.size());
  requests_.commit_quietly(sizeof header + request.size());
  call = {number, requests_.position(), deadline_ns, State::kPending, RpcStatus::kOk};
  if (++next_count_ == 0) next_count_ = 1;
  ++pending_count_;
  ++counts_.sent;
  next_deadline_ns_ = std::min(next_deadline_ns_, deadline_ns);
  return number;
}

void RpcClient::end(Pending& call, RpcStatus status) noexcept {
  call.state = State::kEnded;
  call.status = status;
  ++ended_count_;
}

void RpcClient::cancel(std::uint64_t number) noexcept {
  Pending* call = find(number);
  if (call == nullptr) return;
  end(*call, RpcStatus::kCancelled);
  std::span<std::byte> place;
  // Where there is no room the server executes it, perhaps; the caller has given it up anyhow.
  if (cancellations_.try_reserve(sizeof number, place) != Transfer::kDone) return;
  std::memcpy(place.data(), &number, sizeof number);
  cancellations_.commit(sizeof number);
}

void RpcClient::end_expired() noexcept {
  if (next_deadline_ns_ == UINT64_MAX) return;
  const std::uint64_t now_ns = monotonic_ns();
  if (now_ns < next_deadline_ns_) return;
  next_deadline_ns_ = UINT64_MAX;
  for (Pending& call : calls_) {
    if (call.state != State::kPending) continue;
    if (call.deadline_ns <= now_ns) {
      end(call, RpcStatus::kDeadline);
    } else {
      next_deadline_ns_ = std::min(next_deadline_ns_, call.deadline_ns);
    }
  }
}

// Requires: what the dead server replied has been taken, or will be dropped.
void RpcClient::end_all_of_dead_server() noexcept {
  ++counts_.server_deaths;
  server_.reset();
  // Withdrawn first.  If nobody has the role after that, any successor's certificate, and with it
  // all that it reads, comes later: it finds them withdrawn, and the cursor is the dead one's last.
  requests_.abort_published();
  const Result<bool> held = requests_.has_reader();
  const bool is_certain = held.ok() && !held.value();
  const std::uint64_t looked_at = requests_.taken_by_reader();
  for (Pending& call : calls_) {
    if (call.state != State::kPending) continue;
    const bool is_untouched = is_certain && looked_at < call.end_position;
    end(call, is_untouched ? RpcStatus::kNotExecuted : RpcStatus::kMaybeExecuted);
  }
}

bool RpcClient::take_ended(RpcAnswer& answer) noexcept {
  if (ended_count_ == 0) return false;
  for (Pending& call : calls_) {
    if (call.state != State::kEnded) continue;
    answer = {call.number, call.status, {}};
    call.state = State::kFree;
    --ended_count_;
    --pending_count_;
    return true;
  }
  return false;
}

bool RpcClient::take_reply(RpcAnswer& answer) noexcept {
  Message message;
  while (replies_.try_peek(message) == Transfer::kDone) {
    const auto header = rpc_header<RpcReply>(message.bytes);
    const bool is_sound =
        header && header->status <= static_cast<std::uint32_t>(RpcStatus::kMaybeExecuted);
    Pending* call = is_sound ? find(header->call) : nullptr;
    if (call == nullptr) {
      const bool is_ours = is_sound && header->call >> 56 == lane();
      ++(is_ours ? counts_.late_replies : counts_.wrong_replies);
      replies_.release(message);
      continue;
    }
    answer = {call->number, static_cast<RpcStatus>(header->status),
              message.bytes.subspan(sizeof(RpcReply))};
    call->state = State::kFree;
    --pending_count_;
    in_hand_ = message;
    return true;
  }
  return false;
}

bool RpcClient::try_finish(RpcAnswer& answer) noexcept {
  if (in_hand_) replies_.release(*in_hand_);
  in_hand_.reset();
  // Before the replies are looked at: what a dead server replied is found then.
  const bool has_died = server_ && server_->has_died();
  if (take_reply(answer)) return true;
  if (has_died) end_all_of_dead_server();
  end_expired();
  return take_ended(answer);
}

bool RpcClient::has_news() const noexcept {
  return ended_count_ != 0 || replies_.has_message() || (server_ && server_->has_died());
}

bool RpcClient::wait_finish(RpcAnswer& answer, std::uint64_t deadline_ns) noexcept {
  const bool is_at_heels = in_hand_ && pending_count_ > 1;
  if (try_finish(answer)) return true;
  if (is_at_heels) let_server_run();
  while (!try_finish(answer)) {
    if (pending_count_ == 0) return false;
    std::array<WaitPoint, 3> points{replies_.message_point()};
    std::size_t count = 1;
    if (server_) points[count++] = server_->death_point();
    if (const std::optional<WaitPoint> news = replies_.news_point()) points[count++] = *news;
    const std::uint64_t until_ns = std::min(deadline_ns, next_deadline_ns_);
    static_cast<void>(waiter_.wait(
        {points.data(), count}, [&] { return has_news(); }, until_ns));
    if (deadline_ns != UINT64_MAX && monotonic_ns() >= deadline_ns) return try_finish(answer);
  }
  return true;
}

Result<RpcAnswer> RpcClient::call(std::span<const std::byte> request,
                                  std::uint64_t deadline_ns) noexcept {
  check(pending_count_ == 0, "a call of its own while others are pending");
  if (in_hand_) replies_.release(*in_hand_);
  in_hand_.reset();
  Result<std::uint64_t> number = send(request, deadline_ns);
  if (!number) return number.error();
  RpcAnswer answer;
  check(wait_finish(answer, UINT64_MAX), "a pending call ends");
  return answer;
}

}  // namespace slipring
