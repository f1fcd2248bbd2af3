#include "platform/wait/doorbell.h"

#include <doctest/doctest.h>
#include <sched.h>
#include <sys/mman.h>

#include <array>
#include <thread>
#include <vector>

#include "core/cpu/relax.h"
#include "platform/process/affinity.h"
#include "platform/wait/membarrier.h"
#include "platform/wait/waiter.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

// What one side writes and the other reads.
struct Page {
  BellLine bells;
  ArmLine arms;
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> published;
};

// Two pages; each process writes its own and maps the other's read-only.
struct Shared {
  Shared() {
    for (int& fd : fds) {
      fd = ::memfd_create("doorbell_test", MFD_CLOEXEC);
      if (fd < 0 || ::ftruncate(fd, 4096) != 0) std::abort();
    }
  }
  ~Shared() {
    for (const int fd : fds) ::close(fd);
  }
  Page* own(std::size_t side) const { return map(fds[side], PROT_READ | PROT_WRITE); }
  const Page* other(std::size_t side) const { return map(fds[1 - side], PROT_READ); }

  static Page* map(int fd, int protection) {
    void* address = ::mmap(nullptr, 4096, protection, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED) std::abort();
    return static_cast<Page*>(address);
  }

  std::array<int, 2> fds = {-1, -1};
};

TEST_CASE("doorbell: it does not ring for a sleeper that is not armed") {
  BellLine bells{};
  ArmLine arms{};
  Doorbell doorbell(bells, arms);
  doorbell.ring_if_armed();
  arms.armed.store(2);
  doorbell.ring_if_armed();
  CHECK(bells.bell.load() == 0);
  doorbell.ring_always();
  CHECK(bells.bell.load() == 1);
}

TEST_CASE("doorbell: it rings once an arming, however much is published") {
  BellLine bells{};
  ArmLine arms{};
  Doorbell doorbell(bells, arms);
  arms.armed.store(1);
  for (int i = 0; i < 10; ++i) doorbell.ring_if_armed();
  CHECK(bells.bell.load() == 1);
  arms.armed.store(3);
  for (int i = 0; i < 10; ++i) doorbell.ring_if_armed();
  CHECK(bells.bell.load() == 2);
}

TEST_CASE("doorbell: a restarted waker rings for a sleeper that it has never seen") {
  BellLine bells{};
  ArmLine arms{};
  arms.armed.store(41);
  bells.bell.store(UINT32_MAX);
  Doorbell doorbell(bells, arms);
  doorbell.ring_if_armed();
  CHECK(bells.bell.load() == 0);
}

TEST_CASE("doorbell: the promise in the waker's page is the waker's way of ordering") {
  BellLine bells{};
  ArmLine arms{};
  const Doorbell doorbell(bells, arms);
  CHECK(doorbell.is_fence_free() == membarrier_is_available());
  CHECK(bells.waker_registered.load() == (membarrier_is_available() ? 1 : 0));
  const Doorbell fenced(bells, arms, BellOrder::kFence);
  CHECK_FALSE(fenced.is_fence_free());
  CHECK(bells.waker_registered.load() == 0);
}

TEST_CASE("doorbell: a successor of a sleeper that died armed starts disarmed") {
  ArmLine arms{};
  arms.armed.store(7);
  disarm(arms.armed);
  CHECK(arms.armed.load() == 8);
  disarm(arms.armed);
  CHECK(arms.armed.load() == 8);
}

// Spins, and gives the processor away where another thread wants it.
void meet(const std::atomic<std::uint64_t>& word, std::uint64_t value) {
  for (std::uint32_t turn = 1; word.load(std::memory_order_acquire) < value; ++turn) {
    if (turn % 512 == 0) ::sched_yield();
  }
}

// A few processor cycles a turn, so that the two sides' steps meet in every order.
void stagger(std::uint64_t turns) {
  for (std::uint64_t turn = 0; turn < turns; ++turn) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

// Runs both sides at the same moment, again and again, and counts the rounds in which neither saw
// the other: the sleeper looked after arming and found nothing, and the waker did not ring.
std::uint64_t rounds_missed(std::uint64_t rounds, BellOrder order) {
  Page waker_page{};
  Page sleeper_page{};
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> started{0};
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> waker_done{0};
  // Before the thread starts, so that the promise stands before the first arming.
  Doorbell doorbell(waker_page.bells, sleeper_page.arms, order);
  std::thread waker([&] {
    for (std::uint64_t i = 1; i <= rounds; ++i) {
      meet(started, i);
      stagger(i % 97);
      waker_page.published.store(i, std::memory_order_release);
      doorbell.ring_if_armed();
      waker_done.store(i, std::memory_order_release);
    }
  });
  Waiter waiter({.strategy = WaitStrategy::kSleep});
  const WaitPoint point = WaitPoint::of(waker_page.bells, sleeper_page.arms);
  std::uint64_t missed = 0;
  for (std::uint64_t i = 1; i <= rounds; ++i) {
    const std::uint32_t rings = waker_page.bells.bell.load();
    bool seen = false;
    int looks = 0;
    // The first look starts the round, the second one is that of the armed sleeper.
    const auto look = [&] {
      if (++looks == 1) {
        started.store(i, std::memory_order_release);
        stagger(i % 1009);
        return false;
      }
      seen = waker_page.published.load(std::memory_order_acquire) == i;
      meet(waker_done, i);  // Armed for as long as a sleeper would be.
      return true;
    };
    static_cast<void>(waiter.wait({&point, 1}, look, kNoDeadline));
    missed += !seen && waker_page.bells.bell.load() == rings;
  }
  waker.join();
  return missed;
}

TEST_CASE("doorbell: a publication and an arming at one moment never miss each other") {
  if (allowed_cpu_count() == 1) {
    MESSAGE("not run: with one processor nothing happens at one moment");
    return;
  }
  CHECK(rounds_missed(100'000, BellOrder::kMembarrier) == 0);
  CHECK(rounds_missed(100'000, BellOrder::kFence) == 0);
}

// One meeting of a waker and a sleeper, each word on a line of its own.
struct Cell {
  BellLine bells;
  ArmLine arms;
  alignas(kAbiLineBytes) std::atomic<std::uint32_t> published;
  std::array<ArmLine, 6> payload;
  bool seen;
};
constexpr std::size_t kCells = 512;

// Goes through the cells side by side with the other thread.
template <typename Step>
void walk(std::atomic<std::uint64_t>& own, const std::atomic<std::uint64_t>& other,
          std::uint64_t seed, Step step) {
  for (std::size_t c = 0; c < kCells; ++c) {
    own.store(c + 1, std::memory_order_release);
    meet(other, c + 1);
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    stagger(seed >> 56);
    step(c);
  }
}

// The waker's order alone, at its worst: the payload's lines are in the other processor's cache, so
// that the publication waits behind them in the store buffer, and armed is in the waker's own, so
// that its load need not wait.  The sleeper arms, orders, and looks, as platform/wait/waiter.h
// does. Counts the cells in which neither saw the other.
std::uint64_t cells_missed(int walks, BellOrder order) {
  std::vector<Cell> cells(kCells);
  std::vector<Doorbell> doorbells;
  for (Cell& cell : cells) doorbells.emplace_back(cell.bells, cell.arms, order);
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> waker_at{0};
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> sleeper_at{0};
  const bool by_membarrier = doorbells[0].is_fence_free();
  std::uint64_t missed = 0;
  for (int w = 0; w < walks; ++w) {
    const auto armed = static_cast<std::uint32_t>(2 * w + 1);
    const auto number = static_cast<std::uint32_t>(w + 1);
    waker_at.store(0);
    sleeper_at.store(0);
    std::vector<std::uint32_t> rings;
    for (const Cell& cell : cells) rings.push_back(cell.bells.bell.load());
    std::thread waker([&] {
      for (const Cell& cell : cells) cell.arms.armed.load(std::memory_order_relaxed);
      walk(waker_at, sleeper_at, number, [&](std::size_t c) {
        for (ArmLine& line : cells[c].payload) line.armed.store(number, std::memory_order_relaxed);
        cells[c].published.store(number, std::memory_order_release);
        doorbells[c].ring_if_armed();
      });
    });
    walk(sleeper_at, waker_at, ~std::uint64_t{number}, [&](std::size_t c) {
      cells[c].arms.armed.store(armed, std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (by_membarrier) membarrier_all_registered();
      cells[c].seen = cells[c].published.load(std::memory_order_acquire) == number;
    });
    waker.join();
    for (std::size_t c = 0; c < kCells; ++c) {
      missed += !cells[c].seen && cells[c].bells.bell.load() == rings[c];
      cells[c].arms.armed.store(armed + 1);
      for (const ArmLine& line : cells[c].payload) line.armed.load();
    }
  }
  return missed;
}

TEST_CASE("doorbell: the waker's order holds where store buffers would break it") {
  CHECK(cells_missed(200, BellOrder::kMembarrier) == 0);
  CHECK(cells_missed(200, BellOrder::kFence) == 0);
}

// A sleep that ends by this bound, and then finds a publication, has lost its wake-up: no ring
// comes so long after its publication.
constexpr std::uint64_t kFarBoundNs = 5'000'000'000;

struct Tally {
  std::uint64_t sleeps = 0;
  bool lost = false;
};

// Publishes i and waits for the other side's i, `rounds` times.  The pause before publishing sweeps
// the publication over the other side's way into its sleep.
Tally play(const Shared& shared, std::size_t side, std::uint64_t rounds, WaitStrategy strategy,
           BellOrder order) {
  Page* own = shared.own(side);
  const Page* other = shared.other(side);
  Doorbell doorbell(own->bells, other->arms, order);
  Waiter waiter({.strategy = strategy, .sleep_bound_ns = kFarBoundNs});
  const WaitPoint point = WaitPoint::of(other->bells, own->arms);
  Tally tally;
  for (std::uint64_t i = 1; i <= rounds; ++i) {
    const auto publish = [&] {
      for (std::uint64_t pause = 0; pause < (i * 7 + side) % 61; ++pause) relax();
      own->published.store(i, std::memory_order_release);
      doorbell.ring_if_armed();
    };
    const auto seen = [&] { return other->published.load(std::memory_order_acquire) >= i; };
    if (side == 0) publish();
    // A poller has no bound; the other side that has given up is its only reason to stop.
    const WaitOutcome outcome = waiter.wait({&point, 1}, seen, deadline_after(4 * kFarBoundNs));
    if (side == 1) publish();
    // One lost wake-up is enough; the rest of the rounds would take as long each.
    if (outcome == WaitOutcome::kDeadline || waiter.counts().late_finds != 0) {
      tally.lost = true;
      break;
    }
  }
  tally.sleeps = waiter.counts().sleeps;
  return tally;
}

// Side 1 always sleeps; side 0 polls or sleeps.
void ping_pong(std::uint64_t rounds, WaitStrategy strategy_of_0, BellOrder order) {
  Shared shared;
  OtherProcess second([&](Line) {
    const Tally tally = play(shared, 1, rounds, WaitStrategy::kSleep, order);
    return !tally.lost && tally.sleeps > 0 ? 0 : 1;
  });
  const Tally first = play(shared, 0, rounds, strategy_of_0, order);
  CHECK_FALSE(first.lost);
  if (first.lost) second.kill_now();
  CHECK(second.wait() == 0);
  if (strategy_of_0 == WaitStrategy::kPoll) CHECK(first.sleeps == 0);
}

TEST_CASE("doorbell: two sleeping processes lose no wake-up, ordered by membarrier") {
  ping_pong(50'000, WaitStrategy::kSleep, BellOrder::kMembarrier);
}

TEST_CASE("doorbell: two sleeping processes lose no wake-up, ordered by fences") {
  ping_pong(50'000, WaitStrategy::kSleep, BellOrder::kFence);
}

TEST_CASE("doorbell: a poller loses no wake-up of a sleeper, ordered by membarrier") {
  ping_pong(50'000, WaitStrategy::kPoll, BellOrder::kMembarrier);
}

TEST_CASE("doorbell: a poller loses no wake-up of a sleeper, ordered by fences") {
  ping_pong(50'000, WaitStrategy::kPoll, BellOrder::kFence);
}

TEST_CASE("doorbell: a waker killed before it rings delays the sleeper by the bound at most") {
  Shared shared;
  Page* own = shared.own(1);
  const Page* other = shared.other(1);
  OtherProcess waker([&](Line line) {
    Page* page = shared.own(0);
    const Page* sleeper = shared.other(0);
    const Doorbell doorbell(page->bells, sleeper->arms);
    line.say('r');
    // Publishes once the sleeper is armed, and is gone before it rings.
    while ((sleeper->arms.armed.load(std::memory_order_relaxed) & 1u) == 0) relax();
    page->published.store(1, std::memory_order_release);
    return 0;
  });
  REQUIRE(waker.line().hear() == 'r');
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = 1'000'000});
  const WaitPoint point = WaitPoint::of(other->bells, own->arms);
  const auto seen = [&] { return other->published.load(std::memory_order_acquire) == 1; };
  CHECK(waiter.wait({&point, 1}, seen, kNoDeadline) == WaitOutcome::kReady);
  CHECK(waker.wait() == 0);
}

TEST_CASE("doorbell: a sleeper on several bells is woken by each of them") {
  constexpr std::size_t kWakers = 4;
  constexpr std::uint64_t kRounds = 5'000;
  auto* pages =
      static_cast<Page*>(::mmap(nullptr, (2 * kWakers) * sizeof(Page), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(pages != MAP_FAILED);
  OtherProcess sleeper([&](Line) {
    // Answers whichever number comes in; the wakers' process goes through them in turn.
    Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = kFarBoundNs});
    std::array<WaitPoint, kWakers> points;
    for (std::size_t w = 0; w < kWakers; ++w) {
      points[w] = WaitPoint::of(pages[w].bells, pages[kWakers + w].arms);
    }
    Doorbell back(pages[kWakers].bells, pages[0].arms);
    std::uint64_t expected = 0;
    while (expected < kRounds) {
      const auto& page = pages[expected % kWakers];
      const auto seen = [&] { return page.published.load(std::memory_order_acquire) > expected; };
      if (waiter.wait(points, seen, deadline_after(4 * kFarBoundNs)) != WaitOutcome::kReady)
        return 2;
      ++expected;
      pages[kWakers].published.store(expected, std::memory_order_release);
      back.ring_if_armed();
    }
    return waiter.counts().late_finds == 0 && waiter.counts().sleeps > 0 ? 0 : 1;
  });
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = kFarBoundNs});
  const WaitPoint answers = WaitPoint::of(pages[kWakers].bells, pages[0].arms);
  for (std::uint64_t i = 0; i < kRounds; ++i) {
    const std::size_t w = i % kWakers;
    Doorbell doorbell(pages[w].bells, pages[kWakers + w].arms);
    pages[w].published.store(i + 1, std::memory_order_release);
    doorbell.ring_if_armed();
    const auto answered = [&] {
      return pages[kWakers].published.load(std::memory_order_acquire) > i;
    };
    REQUIRE(waiter.wait({&answers, 1}, answered, deadline_after(4 * kFarBoundNs)) ==
            WaitOutcome::kReady);
  }
  CHECK(sleeper.wait() == 0);
  CHECK(waiter.counts().late_finds == 0);
  ::munmap(pages, (2 * kWakers) * sizeof(Page));
}

}  // namespace
}  // namespace slipring
