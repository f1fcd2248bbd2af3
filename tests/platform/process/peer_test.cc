#include "platform/process/peer.h"

#include <doctest/doctest.h>
#include <poll.h>

#include "platform/wait/clock.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

TEST_CASE("peer: the death of a process that is not reaped yet is seen") {
  OtherProcess other([](Line line) { return static_cast<int>(line.hear()); });
  Result<Peer> peer = Peer::open(other.pid());
  REQUIRE(peer.ok());
  CHECK(peer->pid() == other.pid());
  CHECK_FALSE(peer->has_ended().value());
  struct pollfd watched = {peer->poll_fd(), POLLIN, 0};
  CHECK(::poll(&watched, 1, 0) == 0);
  other.kill_now();
  CHECK(peer->wait_ended(kNoDeadline).value());
  CHECK(::poll(&watched, 1, 0) == 1);
  CHECK(other.wait() == -SIGKILL);
  CHECK(peer->has_ended().value());
  CHECK(peer->send_signal(0).error().code == ErrorCode::kNotFound);
}

TEST_CASE("peer: a process that is no child of ours is waited for but not reaped") {
  Result<Peer> parent = Peer::open(::getppid());
  REQUIRE(parent.ok());
  CHECK_FALSE(parent->wait_ended(deadline_after(1'000'000)).value());
  CHECK(parent->try_reap().error().code == ErrorCode::kNotFound);
}

TEST_CASE("peer: a process that does not exist is not found") {
  OtherProcess other([](Line) { return 0; });
  const pid_t pid = other.pid();
  REQUIRE(other.wait() == 0);
  CHECK(Peer::open(pid).error().code == ErrorCode::kNotFound);
  CHECK(Peer::open(0).error().code == ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace slipring
