// A signal handler that calls into a link while the thread that it interrupts is in a call of
// another: send, wait, and receive go on as if nothing had happened.
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "platform/wait/waiter.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::Directory;
using test::must;
using test::number_in;
using test::put;

constexpr std::uint64_t kRounds = 3000;

// The handler's link, and nobody else's.
LinkWriter* handler_link = nullptr;
std::uint64_t handler_sent = 0;

void send_from_handler(int) {
  const int saved = errno;
  if (put(*handler_link, handler_sent)) ++handler_sent;
  errno = saved;
}

void every_200_microseconds(bool on) {
  const itimerval period{{0, on ? 200 : 0}, {0, on ? 200 : 0}};
  if (::setitimer(ITIMER_REAL, &period, nullptr) != 0) ::_exit(20);
}

// Answers each number; sleeps in between.
int echo(const SegmentDirectory& directory) {
  Result<LinkReader> from = LinkReader::attach(directory, "there");
  Result<LinkWriter> to = LinkWriter::attach(directory, "back");
  if (!from.ok() || !to.ok()) return 1;
  Waiter waiter({.strategy = WaitStrategy::kSleep});
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const WaitPoint point = from->message_point();
    if (waiter.wait(
            {&point, 1}, [&] { return from->has_message(); }, deadline_after(30'000'000'000)) !=
        WaitOutcome::kReady) {
      return 2;
    }
    Message message;
    if (from->try_peek(message) != Transfer::kDone || number_in(message) != round) return 3;
    from->release(message);
    if (!put(*to, round)) return 4;
  }
  return 0;
}

}  // namespace

TEST_CASE("re-entry: a handler sends on one link while the thread sends and sleeps on others") {
  const Directory folder;
  const SegmentDirectory directory = folder.open();
  for (const char* name : {"there", "back"}) {
    REQUIRE(create_link(directory, name, test::records(4096)).ok());
  }
  REQUIRE(create_link(directory, "signals", test::records(1 << 20)).ok());
  OtherProcess child([&](Line) { return echo(directory); });
  LinkWriter to = must(LinkWriter::attach(directory, "there"));
  LinkReader from = must(LinkReader::attach(directory, "back"));
  LinkWriter signals = must(LinkWriter::attach(directory, "signals"));
  LinkReader signalled = must(LinkReader::attach(directory, "signals"));
  handler_link = &signals;
  struct sigaction action = {};
  action.sa_handler = send_from_handler;  // no SA_RESTART: sleeps are interrupted
  struct sigaction before = {};
  REQUIRE(::sigaction(SIGALRM, &action, &before) == 0);
  every_200_microseconds(true);
  Waiter waiter({.strategy = WaitStrategy::kSleep});
  std::uint64_t round = 0;
  for (bool goes_on = true; goes_on && round < kRounds; ++round) {
    goes_on = put(to, round);
    const WaitPoint point = from.message_point();
    goes_on = goes_on && waiter.wait(
                             {&point, 1}, [&] { return from.has_message(); },
                             deadline_after(30'000'000'000)) == WaitOutcome::kReady;
    Message message;
    goes_on = goes_on && from.try_peek(message) == Transfer::kDone && number_in(message) == round;
    if (goes_on) from.release(message);
  }
  every_200_microseconds(false);
  ::sigaction(SIGALRM, &before, nullptr);
  CHECK(round == kRounds);
  CHECK(child.wait() == 0);
  std::uint64_t seen = 0;
  Message message;
  while (signalled.try_peek(message) == Transfer::kDone && number_in(message) == seen) {
    signalled.release(message);
    ++seen;
  }
  CHECK(seen == handler_sent);
  CHECK(handler_sent > 0);
  MESSAGE(kRounds << " rounds, " << handler_sent << " messages from the handler, 0 lost");
}

}  // namespace slipring
