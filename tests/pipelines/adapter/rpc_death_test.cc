// Servers and callers of a service die, and each call ends once, with the truth about itself.

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/adapter/rpc_client.h"
#include "pipelines/adapter/rpc_server.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/adapter/rpc_fixture.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::must;

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
