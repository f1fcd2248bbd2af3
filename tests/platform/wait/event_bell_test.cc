#include "platform/wait/event_bell.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "core/cpu/relax.h"
#include "platform/wait/arming.h"
#include "platform/wait/waiter.h"
#include "tests/platform/other_process.h"
#include "tests/platform/two_pages.h"

namespace slipring {
namespace {

constexpr std::uint64_t kFarBoundNs = 5'000'000'000;
constexpr int kFarBoundMs = 5'000;

EventBell made() {
  Result<EventBell> bell = EventBell::create();
  if (!bell.ok()) std::abort();
  return std::move(bell).value();
}

bool is_readable(int fd) {
  struct pollfd polled = {fd, POLLIN, 0};
  return ::poll(&polled, 1, 0) == 1;
}

Descriptor watching(int fd) {
  Descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  struct epoll_event event = {};
  event.events = EPOLLIN;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) std::abort();
  return epoll;
}

TEST_CASE("event bell: it is readable from the first signal until the next drain") {
  const EventBell bell = made();
  CHECK_FALSE(is_readable(bell.fd()));
  bell.signal();
  bell.signal();
  CHECK(is_readable(bell.fd()));
  CHECK(is_readable(bell.fd()));
  bell.drain();
  CHECK_FALSE(is_readable(bell.fd()));
  bell.drain();
}

TEST_CASE("event bell: a full one stays readable and holds up nobody") {
  const EventBell bell = made();
  const std::uint64_t nearly_full = UINT64_MAX - 2;
  REQUIRE(::write(bell.fd(), &nearly_full, sizeof(nearly_full)) == sizeof(nearly_full));
  for (int i = 0; i < 5; ++i) bell.signal();
  CHECK(is_readable(bell.fd()));
  bell.drain();
  CHECK_FALSE(is_readable(bell.fd()));
}

TEST_CASE("event bell: only a nonblocking eventfd is adopted") {
  CHECK(EventBell::adopt(Descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC))).ok());
  CHECK(EventBell::adopt(Descriptor(::eventfd(0, EFD_CLOEXEC))).error().code ==
        ErrorCode::kCorruptPeer);
  CHECK(EventBell::adopt(Descriptor(::open("/dev/null", O_RDWR | O_CLOEXEC))).error().code ==
        ErrorCode::kCorruptPeer);
  CHECK(EventBell::adopt(Descriptor()).error().code == ErrorCode::kSystem);
}

TEST_CASE("event bell: a doorbell signals it once an arming, and not while nobody is armed") {
  BellLine bells{};
  ArmLine arms{};
  const EventBell event = made();
  Doorbell doorbell(bells, arms);
  doorbell.attach_event(event.fd());
  doorbell.ring_if_armed();
  CHECK_FALSE(is_readable(event.fd()));
  arms.armed.store(1);
  for (int i = 0; i < 3; ++i) doorbell.ring_if_armed();
  std::uint64_t signals = 0;
  REQUIRE(::read(event.fd(), &signals, sizeof(signals)) == sizeof(signals));
  CHECK(signals == 1);
  doorbell.ring_always();
  CHECK(is_readable(event.fd()));
  doorbell.attach_event(-1);
  event.drain();
  doorbell.ring_always();
  CHECK_FALSE(is_readable(event.fd()));
}

TEST_CASE("arming: it drains what an earlier arming left, and keeps what comes for this one") {
  BellLine bells{};
  ArmLine arms{};
  const EventBell event = made();
  Doorbell doorbell(bells, arms);
  doorbell.attach_event(event.fd());
  const WaitPoint point = WaitPoint::of(bells, arms, true);
  event.signal();
  {
    const Arming arming({&point, 1}, &event);
    CHECK_FALSE(is_readable(event.fd()));
    CHECK((arms.armed.load() & 1u) == 1);
    CHECK_FALSE(arming.is_blind());
    CHECK(arming.bound_ms(100) == 100);
    CHECK(arming.bound_ms(-1) == -1);
    doorbell.ring_if_armed();
    CHECK(is_readable(event.fd()));
  }
  CHECK((arms.armed.load() & 1u) == 0);
  CHECK(is_readable(event.fd()));
}

TEST_CASE("arming: a waker that does not signal the event makes the sleep a short one") {
  BellLine bells{};
  ArmLine arms{};
  const EventBell event = made();
  const WaitPoint point = WaitPoint::of(bells, arms);
  CHECK_FALSE(Arming({&point, 1}).is_blind());
  const Arming arming({&point, 1}, &event);
  CHECK(arming.is_blind());
  CHECK(arming.bound_ms(100) == 1);
  CHECK(arming.bound_ms(-1) == 1);
  CHECK(arming.bound_ms(0) == 0);
}

// Answers `rounds` numbers out of an epoll loop of its own.  0, or what went wrong.
int answer_from_epoll(const SharedPages<2>& pages, const EventBell& event, int waker_event_fd,
                      std::uint64_t rounds, BellOrder order) {
  const Descriptor epoll = watching(event.fd());
  const WaitPoint point = WaitPoint::of(pages[0].bells, pages[1].arms, true);
  Doorbell back(pages[1].bells, pages[0].arms, order);
  back.attach_event(waker_event_fd);
  std::uint64_t sleeps = 0;
  for (std::uint64_t i = 1; i <= rounds; ++i) {
    const auto is_there = [&] { return pages[0].published.load(std::memory_order_acquire) >= i; };
    while (!is_there()) {
      const Arming arming({&point, 1}, &event);
      if (is_there()) break;
      struct epoll_event ready = {};
      ++sleeps;
      if (::epoll_wait(epoll.get(), &ready, 1, arming.bound_ms(kFarBoundMs)) == 0) return 2;
    }
    for (std::uint64_t pause = 0; pause < i * 5 % 61; ++pause) relax();
    pages[1].published.store(i, std::memory_order_release);
    back.ring_if_armed();
  }
  return sleeps > 0 ? 0 : 3;
}

// One side sleeps in epoll, the other in a Waiter: on its own event bell, or on a futex.
void ping_pong(BellOrder order, bool first_on_event, std::uint64_t rounds) {
  SharedPages<2> pages;
  const EventBell first_event = made();
  const EventBell second_event = made();
  OtherProcess second([&](Line) {
    return answer_from_epoll(pages, second_event, first_on_event ? first_event.fd() : -1, rounds,
                             order);
  });
  Doorbell doorbell(pages[0].bells, pages[1].arms, order);
  doorbell.attach_event(second_event.fd());
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = kFarBoundNs});
  const WaitPoint point = WaitPoint::of(pages[1].bells, pages[0].arms, first_on_event);
  const WaitAids aids{.event = first_on_event ? &first_event : nullptr};
  bool lost = false;
  for (std::uint64_t i = 1; i <= rounds && !lost; ++i) {
    for (std::uint64_t pause = 0; pause < i * 7 % 67; ++pause) relax();
    pages[0].published.store(i, std::memory_order_release);
    doorbell.ring_if_armed();
    const auto seen = [&] { return pages[1].published.load(std::memory_order_acquire) >= i; };
    lost = waiter.wait({&point, 1}, seen, deadline_after(2 * kFarBoundNs), aids) !=
               WaitOutcome::kReady ||
           waiter.counts().late_finds != 0;
  }
  CHECK_FALSE(lost);
  CHECK(waiter.counts().sleeps > 0);
  if (lost) second.kill_now();
  CHECK(second.wait() == 0);
}

TEST_CASE("event bell: two processes in epoll and poll lose no wake-up, ordered by membarrier") {
  ping_pong(BellOrder::kMembarrier, true, 20'000);
}

TEST_CASE("event bell: two processes in epoll and poll lose no wake-up, ordered by fences") {
  ping_pong(BellOrder::kFence, true, 20'000);
}

TEST_CASE("event bell: epoll on one side and a futex on the other lose no wake-up") {
  ping_pong(BellOrder::kMembarrier, false, 20'000);
}

TEST_CASE("event bell: a wait sleeps on a ring and a socket at once, and either ends it") {
  constexpr std::uint64_t kRounds = 2'000;
  SharedPages<2> pages;
  const EventBell event = made();
  OtherProcess other([&](Line line) {
    Doorbell doorbell(pages[0].bells, pages[1].arms);
    doorbell.attach_event(event.fd());
    // A number by the ring or a byte by the socket, each after the answer to the one before.
    for (std::uint64_t i = 1; i <= kRounds; ++i) {
      if (i % 3 == 0) {
        line.say('s');
      } else {
        pages[0].published.store(i, std::memory_order_release);
        doorbell.ring_if_armed();
      }
      if (line.hear() != 'a') return 1;
    }
    return 0;
  });
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = kFarBoundNs});
  const WaitPoint point = WaitPoint::of(pages[0].bells, pages[1].arms, true);
  std::array<WaitDescriptor, 1> descriptors = {WaitDescriptor{.fd = other.line().fd()}};
  const WaitAids aids{.event = &event, .descriptors = descriptors};
  bool as_sent = true;
  for (std::uint64_t i = 1; i <= kRounds && as_sent; ++i) {
    const auto seen = [&] { return pages[0].published.load(std::memory_order_acquire) >= i; };
    const WaitOutcome outcome = waiter.wait({&point, 1}, seen, deadline_after(kFarBoundNs), aids);
    if (i % 3 == 0) {
      as_sent = outcome == WaitOutcome::kDescriptor && descriptors[0].is_ready &&
                other.line().hear() == 's';
    } else {
      as_sent = outcome == WaitOutcome::kReady;
    }
    other.line().say('a');
  }
  CHECK(as_sent);
  CHECK(waiter.counts().late_finds == 0);
  if (!as_sent) other.kill_now();
  CHECK(other.wait() == 0);
}

TEST_CASE("event bell: every strategy notices a descriptor, also one that was closed") {
  for (const WaitStrategy strategy :
       {WaitStrategy::kPoll, WaitStrategy::kAdaptive, WaitStrategy::kSleep}) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const Descriptor own(ends[0]);
    Descriptor peer(ends[1]);
    Waiter waiter({.strategy = strategy, .sleep_bound_ns = kFarBoundNs});
    std::array<WaitDescriptor, 2> descriptors = {WaitDescriptor{.fd = own.get()},
                                                 WaitDescriptor{.fd = own.get()}};
    const auto wait = [&](std::uint64_t deadline_ns) {
      return waiter.wait({}, [] { return false; }, deadline_ns, {.descriptors = descriptors});
    };
    CHECK(wait(deadline_after(2'000'000)) == WaitOutcome::kDeadline);
    CHECK_FALSE(descriptors[0].is_ready);
    descriptors[1].wants_write = true;
    CHECK(wait(deadline_after(kFarBoundNs)) == WaitOutcome::kDescriptor);
    CHECK_FALSE(descriptors[0].is_ready);
    CHECK(descriptors[1].is_ready);
    CHECK(wait(0) == WaitOutcome::kDescriptor);
    descriptors[1].wants_write = false;
    peer.reset();
    CHECK(wait(deadline_after(kFarBoundNs)) == WaitOutcome::kDescriptor);
    CHECK(descriptors[0].is_ready);
  }
}

TEST_CASE("event bell: one waker with a bell and four sleepers in epoll wakes each of them") {
  constexpr std::size_t kSleepers = 4;
  constexpr std::uint64_t kRounds = 3'000;
  SharedPages<kSleepers + 1> pages;  // The last one is the waker's.
  SidePage& own = pages[kSleepers];
  const EventBell answers = made();
  std::array<std::optional<EventBell>, kSleepers> events;
  for (auto& event : events) event = made();
  std::array<std::optional<OtherProcess>, kSleepers> sleepers;
  for (std::size_t s = 0; s < kSleepers; ++s) {
    sleepers[s].emplace([&, s](Line) {
      const Descriptor epoll = watching(events[s]->fd());
      const WaitPoint point = WaitPoint::of(own.bells, pages[s].arms, true);
      Doorbell back(pages[s].bells, own.arms);
      back.attach_event(answers.fd());
      for (std::uint64_t i = 1; i <= kRounds; ++i) {
        const auto is_there = [&] { return own.published.load(std::memory_order_acquire) >= i; };
        while (!is_there()) {
          const Arming arming({&point, 1}, &*events[s]);
          if (is_there()) break;
          struct epoll_event ready = {};
          if (::epoll_wait(epoll.get(), &ready, 1, arming.bound_ms(kFarBoundMs)) == 0) return 2;
        }
        pages[s].published.store(i, std::memory_order_release);
        back.ring_if_armed();
      }
      return 0;
    });
  }
  std::array<std::optional<Doorbell>, kSleepers> doorbells;
  std::array<WaitPoint, kSleepers> points;
  std::array<ArmLine, kSleepers> unused{};
  for (std::size_t s = 0; s < kSleepers; ++s) {
    doorbells[s].emplace(own.bells, pages[s].arms);
    doorbells[s]->attach_event(events[s]->fd());
    // One armed word of ours for all of them: armed once is armed for each.
    points[s] = WaitPoint::of(pages[s].bells, s == 0 ? own.arms : unused[s], true);
  }
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = kFarBoundNs});
  bool lost = false;
  for (std::uint64_t i = 1; i <= kRounds && !lost; ++i) {
    own.published.store(i, std::memory_order_release);
    for (auto& doorbell : doorbells) doorbell->ring_if_armed();
    const auto all_answered = [&] {
      for (std::size_t s = 0; s < kSleepers; ++s) {
        if (pages[s].published.load(std::memory_order_acquire) < i) return false;
      }
      return true;
    };
    lost = waiter.wait(points, all_answered, deadline_after(2 * kFarBoundNs),
                       {.event = &answers}) != WaitOutcome::kReady ||
           waiter.counts().late_finds != 0;
  }
  CHECK_FALSE(lost);
  for (auto& sleeper : sleepers) {
    if (lost) sleeper->kill_now();
    CHECK(sleeper->wait() == 0);
  }
}

}  // namespace
}  // namespace slipring
