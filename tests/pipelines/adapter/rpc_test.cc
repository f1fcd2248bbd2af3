#include <algorithm>
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

}  // namespace
}  // namespace slipring
