#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

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

std::span<const std::byte> bytes_of(const std::uint64_t& number) {
  return std::as_bytes(std::span<const std::uint64_t, 1>(&number, 1));
}
std::uint64_t number_in(std::span<const std::byte> bytes) {
  std::uint64_t number = 0;
  if (bytes.size() == sizeof number) std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}
constexpr std::uint64_t answer_to(std::uint64_t number) {
  return number * 3 + 1;
}

struct Service {
  explicit Service(const RpcShape& shape = {4, 4096, 4096}) : directory(folder.open()) {
    REQUIRE(create_service(directory, kName, shape).ok());
  }
  Directory folder;
  SegmentDirectory directory;
};

// Takes the next call, waiting for it.
bool take(RpcServer& server, RpcCall& call) {
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  Waiter waiter;
  for (;;) {
    const Transfer answer = server.try_take(call);
    if (answer == Transfer::kDone) return true;
    if (waiter.wait(
            server.call_points(), [&] { return server.has_call(); }, deadline_ns) ==
        WaitOutcome::kDeadline) {
      return false;
    }
  }
}

void answer(RpcServer& server, const RpcCall& call) {
  const std::uint64_t sum = answer_to(number_in(call.request));
  server.reply(call, RpcStatus::kOk, bytes_of(sum));
}

// Answers calls until it is killed.
int serve_forever(const SegmentDirectory& directory, const Line* line = nullptr) {
  Result<RpcServer> server = RpcServer::attach(directory, kName);
  if (!server) return 1;
  if (line != nullptr) line->say('y');
  for (RpcCall call; take(*server, call);) answer(*server, call);
  return 0;
}

// Attaches as soon as the predecessor's death has come through.
Result<RpcServer> attach_server(const SegmentDirectory& directory,
                                const RpcServerOptions& options = {}) {
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  for (;;) {
    Result<RpcServer> server = RpcServer::attach(directory, kName, options);
    if (server || server.error().code != ErrorCode::kBusy || monotonic_ns() >= deadline_ns) {
      return server;
    }
    sched_yield();
  }
}

TEST_CASE("rpc: many callers, many calls at a time, each answered once and rightly") {
  const Service service;
  OtherProcess server([&](Line line) { return serve_forever(service.directory, &line); });
  REQUIRE(server.line().hear() == 'y');
  std::vector<pid_t> children;
  for (std::uint64_t caller = 0; caller < 4; ++caller) {
    children.push_back(test::in_child([&] {
      Result<RpcClient> client = RpcClient::attach(service.directory, kName);
      if (!client) return 1;
      if (client->server_pid()) return 2;  // nobody has looked yet
      std::map<std::uint64_t, std::uint64_t> asked;
      std::uint64_t next = caller * 1'000'000;
      for (int ended = 0; ended < 3000; ++ended) {
        // Batches: as many as the lane takes.
        while (asked.size() < 32) {
          Result<std::uint64_t> number = client->send(bytes_of(next));
          if (!number) break;
          if (!asked.emplace(*number, next++).second) return 3;
        }
        RpcAnswer got;
        if (!client->wait_finish(got, deadline_after(kPatienceNs))) return 4;
        const auto found = asked.find(got.call);
        if (found == asked.end() || got.status != RpcStatus::kOk) return 5;
        if (number_in(got.reply) != answer_to(found->second)) return 6;
        asked.erase(found);
      }
      return client->counts().late_replies + client->counts().wrong_replies == 0 ? 0 : 7;
    }));
  }
  for (const pid_t child : children) CHECK(WEXITSTATUS(test::reap(child)) == 0);
}

TEST_CASE("rpc: without a server a call is an error at once, and nothing was sent") {
  const Service service;
  RpcClient client = must(RpcClient::attach(service.directory, kName));
  const std::uint64_t one = 1;
  const Result<std::uint64_t> refused = client.send(bytes_of(one));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kClosed);
  CHECK(client.pending_count() == 0);
  CHECK(RpcClient::attach(service.directory, "t.none").error().code == ErrorCode::kNotFound);
  RpcServer server = must(RpcServer::attach(service.directory, kName));
  CHECK_FALSE(server.has_call());
  CHECK(RpcServer::attach(service.directory, kName).error().code == ErrorCode::kBusy);
}

TEST_CASE("rpc: a server's death ends each call with what may have become of it") {
  const Service service;
  RpcClient client = must(RpcClient::attach(service.directory, kName));
  OtherProcess server([&](Line line) {
    Result<RpcServer> own = RpcServer::attach(service.directory, kName);
    if (!own) return 1;
    line.say('y');
    RpcCall call;
    if (!take(*own, call)) return 2;
    answer(*own, call);
    if (!take(*own, call)) return 3;
    line.say('t');  // the second is in hand
    line.hear();
    return 0;
  });
  REQUIRE(server.line().hear() == 'y');
  std::vector<std::uint64_t> calls;
  for (std::uint64_t number = 0; number < 4; ++number) {
    calls.push_back(must(client.send(bytes_of(number))));
  }
  CHECK(client.server_pid() == server.pid());
  REQUIRE(server.line().hear() == 't');
  server.kill_now();
  std::map<std::uint64_t, RpcStatus> ends;
  RpcAnswer got;
  // No deadline of theirs: it is the death that wakes.
  while (client.wait_finish(got, deadline_after(kPatienceNs))) ends[got.call] = got.status;
  CHECK(ends.size() == 4);
  CHECK(ends[calls[0]] == RpcStatus::kOk);
  CHECK(ends[calls[1]] == RpcStatus::kMaybeExecuted);
  CHECK(ends[calls[2]] == RpcStatus::kNotExecuted);
  CHECK(ends[calls[3]] == RpcStatus::kNotExecuted);
  CHECK(client.counts().server_deaths == 1);
  server.wait();

  // The successor does not execute what was withdrawn, nor what its predecessor had; then it
  // serves.
  RpcServer successor = must(attach_server(service.directory));
  const std::uint64_t five = 5;
  const std::uint64_t fifth = must(client.send(bytes_of(five)));
  RpcCall call;
  REQUIRE(take(successor, call));
  CHECK(call.number == fifth);
  answer(successor, call);
  REQUIRE(client.wait_finish(got, deadline_after(kPatienceNs)));
  CHECK(got.call == fifth);
  CHECK(number_in(got.reply) == answer_to(5));
  CHECK(successor.counts().cancelled == 3);
}

TEST_CASE("rpc: cancellations pass by what is queued, and late replies are dropped and counted") {
  const Service service;
  RpcServer server = must(RpcServer::attach(service.directory, kName));
  RpcClient client = must(RpcClient::attach(service.directory, kName));
  std::vector<std::uint64_t> calls;
  for (std::uint64_t number = 0; number < 6; ++number) {
    calls.push_back(must(client.send(bytes_of(number))));
  }
  RpcCall call;
  REQUIRE(take(server, call));
  CHECK_FALSE(server.is_unwanted(call));
  client.cancel(calls[0]);
  client.cancel(calls[4]);
  client.cancel(calls[4]);  // once is enough
  client.cancel(12345);     // nobody's
  CHECK(server.is_unwanted(call));
  answer(server, call);  // too late
  for (const std::size_t wanted : {1U, 2U, 3U, 5U}) {
    REQUIRE(take(server, call));
    CHECK(call.number == calls[wanted]);
    answer(server, call);
  }
  CHECK(server.try_take(call) == Transfer::kBlocked);
  CHECK(server.counts().cancelled == 1);
  std::map<std::uint64_t, RpcStatus> ends;
  RpcAnswer got;
  while (client.try_finish(got)) ends[got.call] = got.status;
  CHECK(ends.size() == 6);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    CHECK(ends[calls[i]] == (i == 0 || i == 4 ? RpcStatus::kCancelled : RpcStatus::kOk));
  }
  CHECK(client.counts().late_replies == 1);
}

TEST_CASE("rpc: no cancellation of a pending call is forgotten, however many there are") {
  const Service service({4, 65536, 65536});
  RpcServer server = must(RpcServer::attach(service.directory, kName));
  RpcClient first = must(RpcClient::attach(service.directory, kName));
  RpcClient second = must(RpcClient::attach(service.directory, kName));
  constexpr std::uint64_t kCalls = 200;
  for (RpcClient* client : {&first, &second}) {
    std::vector<std::uint64_t> calls;
    for (std::uint64_t number = 0; number < kCalls; ++number) {
      calls.push_back(must(client->send(bytes_of(number))));
    }
    for (const std::uint64_t number : calls) client->cancel(number);
  }
  const std::uint64_t wanted = must(first.send(bytes_of(7)));
  RpcCall call;
  REQUIRE(take(server, call));
  CHECK(call.number == wanted);
  answer(server, call);
  CHECK(server.try_take(call) == Transfer::kBlocked);
  CHECK(server.counts().cancelled == 2 * kCalls);
}

TEST_CASE("rpc: a caller that comes later is heard when it cancels") {
  const Service service;
  RpcServer server = must(RpcServer::attach(service.directory, kName));
  RpcClient resident = must(RpcClient::attach(service.directory, kName));
  std::vector<RpcClient> all;  // a lane each
  all.reserve(3);
  for (std::uint64_t newcomer = 1; newcomer <= 3; ++newcomer) {
    RpcClient& client = all.emplace_back(must(RpcClient::attach(service.directory, kName)));
    const std::uint64_t given_up = must(client.send(bytes_of(1)));
    client.cancel(given_up);
    const std::uint64_t wanted = must(resident.send(bytes_of(2)));
    RpcCall call;
    REQUIRE(take(server, call));
    CHECK(call.number == wanted);
    answer(server, call);
    CHECK(server.try_take(call) == Transfer::kBlocked);
    CHECK(server.counts().cancelled == newcomer);
  }
}

TEST_CASE("rpc: a call ends at its deadline, and one that is past it is not begun") {
  const Service service;
  RpcServer server = must(RpcServer::attach(service.directory, kName));
  RpcClient client = must(RpcClient::attach(service.directory, kName));
  const std::uint64_t number = 7;
  const std::uint64_t call = must(client.send(bytes_of(number), monotonic_ns()));
  RpcAnswer got;
  REQUIRE(client.wait_finish(got, deadline_after(kPatienceNs)));
  CHECK(got.call == call);
  CHECK(got.status == RpcStatus::kDeadline);
  RpcCall taken;
  CHECK(server.try_take(taken) == Transfer::kBlocked);
  CHECK(server.counts().expired == 1);
}

TEST_CASE("rpc: a dead caller's calls are dropped, and its lane goes on") {
  const Service service({1, 4096, 4096});
  RpcServer server = must(RpcServer::attach(service.directory, kName));
  OtherProcess caller([&](Line line) {
    Result<RpcClient> client = RpcClient::attach(service.directory, kName);
    if (!client) return 1;
    for (std::uint64_t number = 0; number < 5; ++number) {
      if (!client->send(bytes_of(number))) return 2;
    }
    line.say('s');
    line.hear();
    return 0;
  });
  REQUIRE(caller.line().hear() == 's');
  caller.kill_now();
  caller.wait();
  CHECK(RpcClient::attach(service.directory, kName).error().code == ErrorCode::kNoSpace);
  RpcCall call;
  CHECK(server.try_take(call) == Transfer::kBlocked);
  CHECK(server.counts().orphaned == 5);
  RpcClient next = must(RpcClient::attach(service.directory, kName));
  const std::uint64_t number = 9;
  static_cast<void>(must(next.send(bytes_of(number))));
  REQUIRE(take(server, call));
  answer(server, call);
  RpcAnswer got;
  REQUIRE(next.wait_finish(got, deadline_after(kPatienceNs)));
  CHECK(number_in(got.reply) == answer_to(9));
}

TEST_CASE("rpc: a reply whose status no server may give is dropped and counted, and ends no call") {
  const Service service;
  LaneReader requests = must(LaneReader::attach(service.directory, kName));
  LinkWriter replies = must(LinkWriter::attach(service.directory, reply_name(kName, 0)));
  RpcClient client = must(RpcClient::attach(service.directory, kName));
  const std::uint64_t call = must(client.send(bytes_of(std::uint64_t{1})));
  const auto reply = [&](std::uint32_t status) {
    const RpcReply header{call, status, 0};
    std::span<std::byte> place;
    REQUIRE(replies.try_reserve(sizeof header, place) == Transfer::kDone);
    std::memcpy(place.data(), &header, sizeof header);
    replies.commit(sizeof header);
  };
  // What a caller finds by itself, and what is no status at all.
  std::uint64_t sent = 0;
  for (const std::uint32_t status :
       {static_cast<std::uint32_t>(RpcStatus::kNotExecuted),
        static_cast<std::uint32_t>(RpcStatus::kDeadline),
        static_cast<std::uint32_t>(RpcStatus::kCancelled), 6U, 0x100U, 0x8000'0000U, UINT32_MAX}) {
    CAPTURE(status);
    reply(status);
    RpcAnswer got;
    CHECK_FALSE(client.try_finish(got));
    CHECK(client.counts().wrong_replies == ++sent);
    CHECK(client.pending_count() == 1);
  }
  reply(static_cast<std::uint32_t>(RpcStatus::kFailed));
  RpcAnswer got;
  REQUIRE(client.try_finish(got));
  CHECK(got.call == call);
  CHECK(got.status == RpcStatus::kFailed);
}

TEST_CASE("rpc: whatever stands in replies and requests, nobody is misled") {
  const Service service;
  std::mt19937_64 random(11);
  const auto put = [&](LinkWriter& writer, std::size_t size, std::uint64_t first) {
    std::span<std::byte> place;
    if (writer.try_reserve(size, place) != Transfer::kDone) return false;
    for (std::byte& byte : place.first(size)) byte = static_cast<std::byte>(random());
    std::memcpy(place.data(), &first, std::min(size, sizeof first));
    writer.commit(size);
    return true;
  };
  // A hostile server: replies to whatever it likes.
  {
    LaneReader requests = must(LaneReader::attach(service.directory, kName));
    LinkWriter replies = must(LinkWriter::attach(service.directory, reply_name(kName, 0)));
    RpcClient client = must(RpcClient::attach(service.directory, kName));
    const std::uint64_t number = 1;
    const std::uint64_t call = must(client.send(bytes_of(number)));
    std::uint64_t sent = 0;
    for (int i = 0; i < 2000; ++i) {
      // Once in a while with our call's lane and incarnation, never its number.
      const std::uint64_t said = i % 3 == 0 ? call + 1 + random() % 1000 : random() | 1ULL << 63;
      sent += put(replies, random() % 60, said) ? 1U : 0U;
      RpcAnswer got;
      CHECK_FALSE(client.try_finish(got));
    }
    CHECK(sent > 1000);
    CHECK(client.counts().wrong_replies + client.counts().late_replies == sent);
    CHECK(client.pending_count() == 1);
  }
  // A hostile caller: requests and cancellations of whatever it likes.
  RpcServer server = must(RpcServer::attach(service.directory, kName));
  LinkWriter requests = must(LinkWriter::attach(service.directory, kName));
  LinkWriter cancels = must(LinkWriter::attach(service.directory, cancel_name(kName)));
  std::uint64_t sent = 0;
  std::uint64_t taken = 0;
  for (int i = 0; i < 2000; ++i) {
    sent += put(requests, random() % 60, random()) ? 1U : 0U;
    put(cancels, random() % 20, random());
    for (RpcCall call; server.try_take(call) == Transfer::kDone; ++taken) {
      CHECK((call.number >> 56) == requests.lane());
      server.reply(call, RpcStatus::kFailed, {});
    }
  }
  CHECK(sent > 1500);
  const RpcServerCounts& counts = server.counts();
  CHECK(taken + counts.malformed + counts.expired + counts.cancelled >= sent);
}

// ---- deaths ----

// How often each of our calls was executed, whoever did it.
class Executions {
 public:
  static constexpr std::size_t kCalls = 1U << 16;

  Executions()
      : counts_(static_cast<std::atomic<std::uint8_t>*>(
            mmap(nullptr, kCalls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    REQUIRE(static_cast<void*>(counts_) != MAP_FAILED);
  }
  Executions(const Executions&) = delete;
  Executions& operator=(const Executions&) = delete;
  ~Executions() { munmap(static_cast<void*>(counts_), kCalls); }

  void add(std::uint64_t number) const {
    if (number < kCalls) counts_[number].fetch_add(1);
  }
  [[nodiscard]] unsigned of(std::uint64_t number) const { return counts_[number].load(); }

 private:
  std::atomic<std::uint8_t>* counts_;
};

// Whether a call's end is true of what was done.
bool is_true(RpcStatus status, unsigned executions) {
  if (status == RpcStatus::kOk) return executions == 1;
  if (status == RpcStatus::kNotExecuted) return executions == 0;
  return executions <= 1;
}

TEST_CASE("rpc: the judge sees a call that was executed twice, or although it was said not to be") {
  CHECK_FALSE(is_true(RpcStatus::kNotExecuted, 1));
  CHECK_FALSE(is_true(RpcStatus::kMaybeExecuted, 2));
  CHECK_FALSE(is_true(RpcStatus::kOk, 0));
  // A server that executes again what its dead predecessor had.
  const Service service;
  const Executions executions;
  LinkWriter requests = must(LinkWriter::attach(service.directory, kName));
  std::span<std::byte> place;
  REQUIRE(requests.try_reserve(24, place) == Transfer::kDone);
  const RpcRequest header{call_number(0, 1, 1), UINT64_MAX};
  const std::uint64_t number = 77;
  std::memcpy(place.data(), &header, sizeof header);
  std::memcpy(place.data() + sizeof header, &number, sizeof number);
  requests.commit(24);
  const auto execute_and_die = [&] {
    OtherProcess server([&](Line line) {
      Result<RpcServer> own = attach_server(service.directory, {.repeats_calls = true});
      RpcCall call;
      if (!own || !take(*own, call)) return 1;
      executions.add(number_in(call.request));
      line.say('e');
      line.hear();
      return 0;
    });
    CHECK(server.line().hear() == 'e');
    server.kill_now();
    server.wait();
  };
  execute_and_die();
  execute_and_die();
  CHECK(executions.of(77) == 2);
  CHECK_FALSE(is_true(RpcStatus::kMaybeExecuted, executions.of(77)));
}

int execute_forever(const SegmentDirectory& directory, const Executions& executions) {
  Result<RpcServer> server = attach_server(directory);
  if (!server) return 1;
  for (RpcCall call; take(*server, call);) {
    executions.add(number_in(call.request));
    answer(*server, call);
  }
  return 0;
}

// Numbers that are not ours.
int call_forever(const SegmentDirectory& directory) {
  for (;;) {
    Result<RpcClient> client = RpcClient::attach(directory, kName);
    if (!client) {
      sched_yield();
      continue;
    }
    for (std::uint64_t number = Executions::kCalls;; ++number) {
      if (!client->send(bytes_of(number))) sched_yield();
      for (RpcAnswer got; client->try_finish(got);) {
      }
    }
  }
}

// Our own calls, and what became of them.
struct OwnCalls {
  OwnCalls(const SegmentDirectory& directory, const Executions& all)
      : client(must(RpcClient::attach(directory, kName))), executions(all) {}

  void send_some() {
    while (asked.size() < 24) {
      Result<std::uint64_t> number = client.send(bytes_of(next));
      if (!number) return;
      REQUIRE(asked.emplace(*number, next++).second);
    }
  }
  // False when none has ended within the time.
  bool finish_one(std::uint64_t within_ns) {
    RpcAnswer got;
    if (!client.wait_finish(got, deadline_after(within_ns))) return false;
    const auto found = asked.find(got.call);
    REQUIRE(found != asked.end());
    if (got.status == RpcStatus::kOk) REQUIRE(number_in(got.reply) == answer_to(found->second));
    REQUIRE(is_true(got.status, executions.of(found->second)));
    if (got.status == RpcStatus::kNotExecuted) withdrawn.push_back(found->second);
    asked.erase(found);
    ++ends[got.status];
    return true;
  }

  RpcClient client;
  const Executions& executions;
  std::map<std::uint64_t, std::uint64_t> asked;
  std::map<RpcStatus, std::uint64_t> ends;
  std::vector<std::uint64_t> withdrawn;
  std::uint64_t next = 0;
};

TEST_CASE("rpc: servers and callers killed at random: no call ends twice, wrongly, or never") {
  const Executions executions;
  const Service service;
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto start_server = [&] {
    return test::in_child([&] { return execute_forever(service.directory, executions); });
  };
  const auto start_caller = [&] {
    return test::in_child([&] { return call_forever(service.directory); });
  };
  const auto kill_now = [](pid_t child) {
    REQUIRE(kill(child, SIGKILL) == 0);
    static_cast<void>(test::reap(child));
  };
  pid_t server = start_server();
  pid_t caller = start_caller();
  OwnCalls own(service.directory, executions);
  int server_kills = 0;
  int caller_kills = 0;
  for (int round = 0; round < 60; ++round) {
    const std::uint64_t enough = own.ends[RpcStatus::kOk] + 10 + random() % 100;
    const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
    while (own.ends[RpcStatus::kOk] < enough) {
      REQUIRE(monotonic_ns() < deadline_ns);
      own.send_some();
      static_cast<void>(own.finish_one(10'000'000));
    }
    const bool is_server = random() % 2 == 0;
    kill_now(is_server ? server : caller);
    if (is_server) server = start_server();
    if (!is_server) caller = start_caller();
    ++(is_server ? server_kills : caller_kills);
  }
  kill_now(server);
  kill_now(caller);
  while (own.finish_one(kPatienceNs)) {
  }
  CHECK(own.asked.empty());
  CHECK(own.next < Executions::kCalls);
  // Nor later, by a successor.
  for (const std::uint64_t number : own.withdrawn) REQUIRE(executions.of(number) == 0);
  CHECK(own.ends[RpcStatus::kDeadline] == 0);
  CHECK(own.client.counts().wrong_replies == 0);
  MESSAGE(server_kills << " servers and " << caller_kills << " callers killed; "
                       << own.ends[RpcStatus::kOk] << " answered, "
                       << own.ends[RpcStatus::kMaybeExecuted] << " maybe executed, "
                       << own.ends[RpcStatus::kNotExecuted] << " not");
}

}  // namespace
}  // namespace slipring
