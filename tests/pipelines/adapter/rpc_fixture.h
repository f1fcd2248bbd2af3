// A service that answers each number with another one.
#pragma once

#include <sched.h>

#include <cstdint>
#include <cstring>

#include <doctest/doctest.h>

#include "pipelines/adapter/rpc_client.h"
#include "pipelines/adapter/rpc_server.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {

inline constexpr const char* kName = "t.sums";
inline constexpr std::uint64_t kPatienceNs = 30'000'000'000;

inline std::span<const std::byte> bytes_of(const std::uint64_t& number) {
  return std::as_bytes(std::span<const std::uint64_t, 1>(&number, 1));
}
inline std::uint64_t number_in(std::span<const std::byte> bytes) {
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
  test::Directory folder;
  SegmentDirectory directory;
};

// Takes the next call, waiting for it.
inline bool take(RpcServer& server, RpcCall& call) {
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

inline void answer(RpcServer& server, const RpcCall& call) {
  const std::uint64_t sum = answer_to(number_in(call.request));
  server.reply(call, RpcStatus::kOk, bytes_of(sum));
}

// Answers calls until it is killed.
inline int serve_forever(const SegmentDirectory& directory, const Line* line = nullptr) {
  Result<RpcServer> server = RpcServer::attach(directory, kName);
  if (!server) return 1;
  if (line != nullptr) line->say('y');
  for (RpcCall call; take(*server, call);) answer(*server, call);
  return 0;
}

// Attaches as soon as the predecessor's death has come through.
inline Result<RpcServer> attach_server(const SegmentDirectory& directory,
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

}  // namespace slipring
