// A guarded link with its broker in a process of its own.
#pragma once

#include <poll.h>

#include <cstdint>
#include <string>

#include <doctest/doctest.h>

#include "pipelines/link/guarded_broker.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring::test {

inline constexpr std::uint64_t kPatienceNs = 30'000'000'000;

// Turns a broker until the line is closed.
template <typename Broker>
int serve(Broker& broker, const Line& line) {
  for (;;) {
    pollfd watched[2] = {{broker.poll_fd(), POLLIN, 0}, {line.fd(), POLLIN, 0}};
    ::poll(watched, 2, 50);
    broker.turn();
    if (watched[1].revents != 0) return 0;
  }
}

class BrokerProcess {
 public:
  BrokerProcess(const SegmentDirectory& directory, const LinkShape& shape,
                const GuardOptions& options = {}, const char* name = "t.link")
      : process_([&](Line line) {
          Result<GuardedBroker> broker = GuardedBroker::create(directory, name, shape, options);
          line.say(broker.ok() ? 'y' : 'n');
          return broker.ok() ? serve(*broker, line) : 1;
        }) {
    REQUIRE(process_.line().hear() == 'y');
  }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  void kill_now() {
    process_.kill_now();
    process_.wait();
  }

 private:
  OtherProcess process_;
};

// attach() until the predecessor's death has come through.
template <typename End>
[[nodiscard]] Result<End> attach_when_free(const SegmentDirectory& directory,
                                           const char* name = "t.link") {
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  for (;;) {
    Result<End> end = End::attach(directory, name);
    if (end || end.error().code != ErrorCode::kBusy || monotonic_ns() >= deadline_ns) return end;
    ::sched_yield();
  }
}

// Looks until something is there.
[[nodiscard]] inline bool peek(LinkReader& reader, Message& message) {
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  for (;;) {
    const Transfer answer = reader.try_peek(message);
    if (answer == Transfer::kDone) return true;
    if (answer == Transfer::kCorruptPeer || monotonic_ns() >= deadline_ns) return false;
    ::sched_yield();
  }
}

}  // namespace slipring::test
