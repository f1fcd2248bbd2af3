// Clocks that differ: a process in a time namespace, whose CLOCK_MONOTONIC is days ahead of ours,
// meets us in a link.  Nobody is taken for dead, no deadline is missed or comes early.
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include <doctest/doctest.h>

#include "pipelines/link/link_observer.h"
#include "platform/wait/waiter.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::Directory;
using test::must;
using test::number_in;
using test::put;

constexpr int kNotRun = 77;
constexpr int kNewTime = 0x80;  // CLONE_NEWTIME
constexpr std::uint64_t kRounds = 200;
constexpr std::uint64_t kLongNs = 30'000'000'000;
constexpr std::uint64_t kShortNs = 5'000'000;

WaitOutcome await(LinkReader& reader, Waiter& waiter, std::uint64_t duration_ns) {
  const WaitPoint point = reader.message_point();
  return waiter.wait(
      {&point, 1}, [&] { return reader.has_message(); }, deadline_after(duration_ns));
}

// In the other time: answers each number, and lets a deadline pass now and then.
int echo(const SegmentDirectory& directory, std::uint64_t their_ns) {
  // The clock is another one: days ahead of what it was.
  if (monotonic_ns() < their_ns + 500'000'000'000'000) return 1;
  Result<LinkReader> from = LinkReader::attach(directory, "there");
  Result<LinkWriter> to = LinkWriter::attach(directory, "back");
  if (!from.ok() || !to.ok()) return 2;
  Waiter waiter({.strategy = WaitStrategy::kSleep});
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    if (await(*from, waiter, kLongNs) != WaitOutcome::kReady) return 3;
    Message message;
    if (from->try_peek(message) != Transfer::kDone || number_in(message) != round) return 4;
    from->release(message);
    if (round % 50 == 0) {
      const std::uint64_t start_ns = monotonic_ns();
      if (await(*from, waiter, kShortNs) != WaitOutcome::kDeadline) return 5;
      if (monotonic_ns() - start_ns < kShortNs) return 6;
    }
    if (!put(*to, round)) return 7;
  }
  return 0;
}

// Forks into a namespace of its own time.
int in_another_time(const SegmentDirectory& directory, Line) {
  const std::uint64_t now_ns = monotonic_ns();
  if (::unshare(kNewTime) != 0) return kNotRun;
  FILE* offsets = std::fopen("/proc/self/timens_offsets", "w");
  if (offsets == nullptr) return kNotRun;
  const bool is_set = std::fputs("monotonic 1000000 0\n", offsets) >= 0;
  if (std::fclose(offsets) != 0 || !is_set) return kNotRun;
  const pid_t pid = ::fork();
  if (pid < 0) return 30;
  if (pid == 0) ::_exit(echo(directory, now_ns));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 31;
}

}  // namespace

TEST_CASE("clock: a peer whose clock is 11 days ahead") {
  const Directory folder;
  const SegmentDirectory directory = folder.open();
  for (const char* name : {"there", "back"}) {
    REQUIRE(create_link(directory, name, test::records(4096)).ok());
  }
  LinkWriter to = must(LinkWriter::attach(directory, "there"));
  LinkReader from = must(LinkReader::attach(directory, "back"));
  LinkObserver observer = must(LinkObserver::attach(directory, "back"));
  OtherProcess child([&](Line line) { return in_another_time(directory, line); });
  Waiter waiter({.strategy = WaitStrategy::kSleep});
  std::uint64_t round = 0;
  int false_deaths = 0;
  for (; round < kRounds; ++round) {
    REQUIRE(put(to, round));
    // A child that could not have its namespace is gone by now.
    while (await(from, waiter, 50'000'000) != WaitOutcome::kReady) {
      siginfo_t ended = {};
      if (::waitid(P_PID, static_cast<id_t>(child.pid()), &ended, WEXITED | WNOWAIT | WNOHANG) ==
              0 &&
          ended.si_pid != 0) {
        break;
      }
    }
    if (!from.has_message()) break;
    if (round + 1 < kRounds && observer.report().writer.holder == Holder::kNobody) ++false_deaths;
    Message message;
    REQUIRE(from.try_peek(message) == Transfer::kDone);
    CHECK(number_in(message) == round);
    from.release(message);
  }
  const int answer = child.wait();
  if (answer == kNotRun) {
    MESSAGE("not run: a time namespace needs root and CONFIG_TIME_NS");
    return;
  }
  CHECK(answer == 0);
  CHECK(round == kRounds);
  CHECK(false_deaths == 0);
  MESSAGE(kRounds << " rounds with a clock 1000000 s ahead: 0 deadlines missed, 0 false deaths");
}

}  // namespace slipring
