// Several calls in a server's hands, batches of calls, and services whose ends do not trust each
// other.

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/adapter/guarded_service.h"
#include "pipelines/adapter/rpc_client.h"
#include "pipelines/adapter/rpc_server.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::Directory;
using test::must;

constexpr const char* kName = "t.sums";
constexpr std::uint64_t kPatienceNs = 30'000'000'000;

std::uint64_t number_in(std::span<const std::byte> bytes) {
  std::uint64_t number = 0;
  if (bytes.size() == sizeof number) std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

struct Service {
  Service() : directory(folder.open()) {
    REQUIRE(create_service(directory, kName, {4, 4096, 4096}).ok());
  }
  Directory folder;
  SegmentDirectory directory;
};

RpcServerOptions with_hands(std::uint32_t count, bool batches = false) {
  RpcServerOptions options;
  options.calls_in_hand_max = count;
  options.batches_replies = batches;
  return options;
}

// Numbers from `first` on, sent together; answers their calls.
std::vector<std::uint64_t> send_numbers(RpcClient& client, std::uint64_t first, std::size_t count,
                                        std::uint64_t deadline_ns = UINT64_MAX) {
  std::vector<std::uint64_t> numbers(count);
  std::vector<std::span<const std::byte>> requests;
  for (std::size_t i = 0; i < count; ++i) {
    numbers[i] = first + i;
    requests.push_back(std::as_bytes(std::span(&numbers[i], 1)));
  }
  std::vector<std::uint64_t> calls(count);
  calls.resize(must(client.send_many(requests, calls, deadline_ns)));
  return calls;
}

bool take(RpcServer& server, RpcCall& call) {
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  for (;;) {
    if (server.try_take(call) == Transfer::kDone) return true;
    if (monotonic_ns() >= deadline_ns) return false;
    sched_yield();
  }
}

std::vector<RpcCall> take_many(RpcServer& server, std::size_t count) {
  std::vector<RpcCall> calls(count);
  for (RpcCall& call : calls) REQUIRE(take(server, call));
  return calls;
}

bool answer(RpcServer& server, const RpcCall& call) {
  const std::uint64_t sum = number_in(call.request) * 3 + 1;
  return server.reply(call, RpcStatus::kOk, std::as_bytes(std::span(&sum, 1)));
}

template <typename End, typename... More>
Result<End> attach_when_free(const SegmentDirectory& directory, const More&... more) {
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  for (;;) {
    Result<End> end = End::attach(directory, kName, more...);
    const bool may_pass =
        !end && (end.error().code == ErrorCode::kBusy || end.error().code == ErrorCode::kNoSpace);
    if (!may_pass || monotonic_ns() >= deadline_ns) return end;
    sched_yield();
  }
}

TEST_CASE("rpc: several calls in hand are answered in any order, and finished in theirs") {
  const Service service;
  RpcServer server = must(RpcServer::attach(service.directory, kName, with_hands(8)));
  RpcClient one = must(RpcClient::attach(service.directory, kName));
  RpcClient other = must(RpcClient::attach(service.directory, kName));
  for (std::uint64_t round = 0; round < 60; ++round) {  // several times round the lanes
    std::map<std::uint64_t, std::uint64_t> asked;
    for (RpcClient* client : {&one, &other}) {
      const std::vector<std::uint64_t> calls = send_numbers(*client, 100 * round, 4);
      REQUIRE(calls.size() == 4);
      for (std::uint64_t i = 0; i < 4; ++i) asked[calls[i]] = 100 * round + i;
    }
    std::vector<RpcCall> calls = take_many(server, 8);
    CHECK(server.in_hand_count() == 8);
    const std::size_t step = 2 * (round % 4) + 1;  // odd: every call once, in another order
    for (std::size_t i = 0; i < 8; ++i) CHECK(answer(server, calls[(5 + i * step) % 8]));
    CHECK(server.in_hand_count() == 0);
    RpcAnswer got;
    for (RpcClient* client : {&one, &other}) {
      while (client->wait_finish(got, deadline_after(kPatienceNs))) {
        REQUIRE(asked.contains(got.call));
        CHECK(got.status == RpcStatus::kOk);
        CHECK(number_in(got.reply) == 3 * asked[got.call] + 1);
        asked.erase(got.call);
      }
    }
    CHECK(asked.empty());
  }
  CHECK(server.counts().answered == 480);
}

TEST_CASE("rpc: a call in hand is cancelled or past its deadline alone; queued ones are dropped") {
  const Service service;
  RpcServer server = must(RpcServer::attach(service.directory, kName, with_hands(4)));
  RpcClient client = must(RpcClient::attach(service.directory, kName));
  const std::vector<std::uint64_t> first = send_numbers(client, 0, 2);
  const std::vector<std::uint64_t> late = send_numbers(client, 2, 1, monotonic_ns() + 1);
  const std::vector<std::uint64_t> last = send_numbers(client, 3, 3);
  std::vector<RpcCall> calls = take_many(server, 4);
  CHECK(server.counts().expired == 1);  // between two that are in hand
  client.cancel(first[1]);
  client.cancel(last[2]);
  CHECK_FALSE(server.is_unwanted(calls[0]));
  CHECK(server.is_unwanted(calls[1]));
  CHECK_FALSE(server.is_unwanted(calls[2]));
  CHECK(answer(server, calls[3]));
  CHECK(answer(server, calls[1]));
  CHECK(answer(server, calls[2]));
  RpcCall call;
  CHECK(server.try_take(call) == Transfer::kBlocked);
  CHECK(server.counts().cancelled == 1);
  CHECK(answer(server, calls[0]));
  std::map<std::uint64_t, RpcStatus> ends;
  RpcAnswer got;
  while (client.wait_finish(got, deadline_after(kPatienceNs))) ends[got.call] = got.status;
  CHECK(ends == std::map<std::uint64_t, RpcStatus>{{first[0], RpcStatus::kOk},
                                                   {first[1], RpcStatus::kCancelled},
                                                   {late[0], RpcStatus::kDeadline},
                                                   {last[0], RpcStatus::kOk},
                                                   {last[1], RpcStatus::kOk},
                                                   {last[2], RpcStatus::kCancelled}});
  CHECK(client.counts().late_replies == 1);
}

TEST_CASE("rpc: a server killed with calls in hand: each ends at once with what became of it") {
  const Service service;
  RpcClient client = must(RpcClient::attach(service.directory, kName));
  OtherProcess server([&](Line line) {
    Result<RpcServer> own = RpcServer::attach(service.directory, kName, with_hands(3));
    if (!own) return 1;
    line.say('y');
    std::vector<RpcCall> calls(3);
    for (RpcCall& call : calls) {
      if (!take(*own, call)) return 2;
    }
    if (!answer(*own, calls[2])) return 3;
    line.say('t');
    line.hear();
    return 0;
  });
  REQUIRE(server.line().hear() == 'y');
  const std::vector<std::uint64_t> calls = send_numbers(client, 0, 4);
  REQUIRE(server.line().hear() == 't');
  server.kill_now();
  std::map<std::uint64_t, RpcStatus> ends;
  RpcAnswer got;
  while (client.wait_finish(got, deadline_after(kPatienceNs))) ends[got.call] = got.status;
  CHECK(ends == std::map<std::uint64_t, RpcStatus>{{calls[0], RpcStatus::kMaybeExecuted},
                                                   {calls[1], RpcStatus::kMaybeExecuted},
                                                   {calls[2], RpcStatus::kOk},
                                                   {calls[3], RpcStatus::kNotExecuted}});
  server.wait();
  RpcServer successor = must(attach_when_free<RpcServer>(service.directory, with_hands(3)));
  const std::vector<std::uint64_t> next = send_numbers(client, 9, 1);
  RpcCall call;
  REQUIRE(take(successor, call));
  CHECK(call.number == next[0]);
  CHECK(answer(successor, call));
  CHECK(client.wait_finish(got, deadline_after(kPatienceNs)));
  CHECK(number_in(got.reply) == 28);
}

TEST_CASE("rpc: a batch is as many calls as the lane takes; replies in a batch come by flush") {
  const Service service;
  RpcServer server = must(RpcServer::attach(service.directory, kName, with_hands(256, true)));
  RpcClient client = must(RpcClient::attach(service.directory, kName));
  const std::vector<std::uint64_t> calls = send_numbers(client, 0, 200);
  CHECK(calls.size() < 200);  // of 4 KiB
  CHECK(calls.size() > 50);
  CHECK(client.pending_count() == calls.size());
  std::uint64_t one = 1;
  const Result<std::uint64_t> refused = client.send(std::as_bytes(std::span(&one, 1)));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kBusy);
  const std::vector<RpcCall> taken = take_many(server, calls.size());
  for (std::size_t i = 0; i + 1 < kMaxBatchedReplies; ++i) CHECK(answer(server, taken[i]));
  // Nothing is finished yet.
  CHECK(client.send(std::as_bytes(std::span(&one, 1))).error().code == ErrorCode::kBusy);
  // A batch is full, though the server has never been idle.
  CHECK(answer(server, taken[kMaxBatchedReplies - 1]));
  CHECK(client.send(std::as_bytes(std::span(&one, 1))).ok());
  for (std::size_t i = kMaxBatchedReplies; i < taken.size(); ++i) CHECK(answer(server, taken[i]));
  server.flush();
  RpcAnswer got;
  for (const std::uint64_t number : calls) {
    REQUIRE(client.wait_finish(got, deadline_after(kPatienceNs)));
    CHECK(got.call == number);
  }
  CHECK(client.send(std::as_bytes(std::span(&one, 1))).ok());
  CHECK(RpcServer::attach(service.directory, kName, with_hands(0)).error().code ==
        ErrorCode::kInvalidArgument);
}

// ---- guarded services ----

struct Guarded {
  Guarded()
      : directory(folder.open()), maker([this](Line line) {
          GuardedServiceOptions options;
          options.shape = {3, 4096, 4096};
          Result<GuardedService> service = GuardedService::create(directory, kName, options);
          line.say(service.ok() ? 'y' : 'n');
          if (!service) return 1;
          for (;;) {
            pollfd watched[2] = {{service->poll_fd(), POLLIN, 0}, {line.fd(), POLLIN, 0}};
            ::poll(watched, 2, 50);
            service->turn();
            if (watched[1].revents != 0) return 0;
          }
        }) {
    REQUIRE(maker.line().hear() == 'y');
  }
  Directory folder;
  SegmentDirectory directory;
  OtherProcess maker;
};

int serve_forever(const SegmentDirectory& directory, const Line& line) {
  Result<RpcServer> server = attach_when_free<RpcServer>(directory, with_hands(4));
  if (!server) return 1;
  line.say('y');
  for (RpcCall call; take(*server, call);) {
    if (!call.caller.is_known) return 2;
    static_cast<void>(answer(*server, call));
  }
  return 0;
}

TEST_CASE(
    "rpc: a guarded service serves, is served by a successor, and its server's death is told") {
  const Guarded service;
  RpcClient client = must(RpcClient::attach(service.directory, kName));
  std::uint64_t one = 1;
  CHECK(client.send(std::as_bytes(std::span(&one, 1))).error().code == ErrorCode::kClosed);
  for (std::uint64_t round = 0; round < 5; ++round) {
    OtherProcess server([&](Line line) { return serve_forever(service.directory, line); });
    REQUIRE(server.line().hear() == 'y');
    for (std::uint64_t number = 0; number < 100; ++number) {
      const RpcAnswer got = must(client.call(std::as_bytes(std::span(&number, 1))));
      CHECK(got.status == RpcStatus::kOk);
      CHECK(number_in(got.reply) == 3 * number + 1);
    }
    CHECK(client.server_pid() == server.pid());
    REQUIRE(kill(server.pid(), SIGSTOP) == 0);
    const std::vector<std::uint64_t> calls = send_numbers(client, 0, 2);
    server.kill_now();
    RpcAnswer got;
    std::size_t ended = 0;
    while (client.wait_finish(got, deadline_after(kPatienceNs))) {
      ++ended;
      CHECK((got.status == RpcStatus::kMaybeExecuted || got.status == RpcStatus::kNotExecuted));
    }
    CHECK(ended == calls.size());
    CHECK(client.counts().server_deaths == round + 1);
    server.wait();
  }
}

TEST_CASE("rpc: a guarded service gives no reply to a thief of its caller's place") {
  const Guarded service;
  RpcServer server = must(RpcServer::attach(service.directory, kName, with_hands(2)));
  OtherProcess thief([&](Line line) {
    // The replies of the lane that the first caller will get.
    Result<LinkReader> replies = LinkReader::attach(service.directory, reply_name(kName, 0));
    line.say(replies.ok() ? 'y' : 'n');
    line.hear();
    Message message;
    return replies.ok() && replies->try_peek(message) == Transfer::kBlocked ? 0 : 1;
  });
  REQUIRE(thief.line().hear() == 'y');
  LinkWriter requests = must(LinkWriter::attach(service.directory, kName));
  REQUIRE(requests.lane() == 0);
  std::span<std::byte> place;
  REQUIRE(requests.try_reserve(sizeof(RpcRequest), place) == Transfer::kDone);
  const RpcRequest request{call_number(0, requests.incarnation(), 1), UINT64_MAX};
  std::memcpy(place.data(), &request, sizeof request);
  requests.commit(sizeof request);
  RpcCall call;
  REQUIRE(take(server, call));
  CHECK(call.caller.process_id == getpid());
  CHECK_FALSE(server.reply(call, RpcStatus::kOk, {}));
  CHECK(server.counts().undeliverable == 1);
  thief.line().say('e');
  CHECK(thief.wait() == 0);
}

}  // namespace
}  // namespace slipring
