// Waiting on kernels that lack what it would like to have.  What is available is asked once a
// process, so the parent of these children never asks.

#include <doctest/doctest.h>
#include <linux/membarrier.h>

#include <array>
#include <cerrno>

#include "platform/wait/arming.h"
#include "platform/wait/membarrier.h"
#include "platform/wait/waiter.h"
#include "tests/platform/other_process.h"
#include "tests/platform/seccomp.h"
#include "tests/platform/two_pages.h"

namespace slipring {
namespace {

constexpr long kFutexWaitvCall = 449;
constexpr int kNoFilters = 77;
constexpr std::uint64_t kFarNs = 20'000'000'000;
// Beyond any blind sleep, far below the deadline: a wake-up that only the bound brought shows.
constexpr std::uint64_t kFarBoundNs = 5'000'000'000;

const std::vector<ForbiddenCall> kNoWaitv{{kFutexWaitvCall, ENOSYS}};
const std::vector<ForbiddenCall> kWaitvFiltered{{kFutexWaitvCall, EPERM}};
const std::vector<ForbiddenCall> kNoMembarrier{{SYS_membarrier, ENOSYS}};
const std::vector<ForbiddenCall> kNeither{{kFutexWaitvCall, ENOSYS}, {SYS_membarrier, ENOSYS}};

// Answers numbers that come from either of two other sides in turn, `rounds` of them.
template <std::size_t kCount>
int answer_two(const SharedPages<kCount>& pages, std::uint64_t rounds, std::uint64_t& late_finds) {
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = kFarBoundNs});
  const std::array<WaitPoint, 2> points = {WaitPoint::of(pages[0].bells, pages[2].arms),
                                           WaitPoint::of(pages[1].bells, pages[3].arms)};
  Doorbell back(pages[2].bells, pages[0].arms);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    const auto& page = pages[i % 2];
    const auto seen = [&] { return page.published.load(std::memory_order_acquire) > i; };
    if (waiter.wait(points, seen, deadline_after(kFarNs)) != WaitOutcome::kReady) return 2;
    pages[2].published.store(i + 1, std::memory_order_release);
    back.ring_if_armed();
  }
  late_finds = waiter.counts().late_finds;
  return waiter.counts().sleeps > 0 ? 0 : 3;
}

// The two other sides, one process; waits for each answer.
template <std::size_t kCount>
bool ask_two(const SharedPages<kCount>& pages, std::uint64_t rounds) {
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = kFarBoundNs});
  Doorbell first(pages[0].bells, pages[2].arms);
  Doorbell second(pages[1].bells, pages[3].arms);
  const WaitPoint answers = WaitPoint::of(pages[2].bells, pages[0].arms);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    pages[i % 2].published.store(i + 1, std::memory_order_release);
    (i % 2 == 0 ? first : second).ring_if_armed();
    const auto seen = [&] { return pages[2].published.load(std::memory_order_acquire) > i; };
    if (waiter.wait({&answers, 1}, seen, deadline_after(kFarNs)) != WaitOutcome::kReady) {
      return false;
    }
  }
  return waiter.counts().late_finds == 0;
}

// Both ends in children, each with its own kernel.
void meet(const std::vector<ForbiddenCall>& sleeper_lacks,
          const std::vector<ForbiddenCall>& waker_lacks, std::uint64_t rounds) {
  SharedPages<4> pages;
  OtherProcess sleeper([&](Line) {
    if (!forbid_calls(sleeper_lacks)) return kNoFilters;
    std::uint64_t late_finds = 0;
    const int code = answer_two(pages, rounds, late_finds);
    return code == 0 && late_finds != 0 ? 4 : code;
  });
  OtherProcess waker([&](Line) {
    if (!forbid_calls(waker_lacks)) return kNoFilters;
    return ask_two(pages, rounds) ? 0 : 1;
  });
  const int woken = waker.wait();
  const int slept = sleeper.wait();
  if (woken == kNoFilters || slept == kNoFilters) {
    MESSAGE("not run: this process may not have a filter of system calls");
    return;
  }
  CHECK(woken == 0);
  CHECK(slept == 0);
}

TEST_CASE("fallback: a filter makes the calls look missing") {
  OtherProcess child([](Line) {
    if (!forbid_calls(kNeither)) return kNoFilters;
    if (futex_wait_any_is_available() || membarrier_is_available()) return 1;
    if (membarrier_register() || membarrier_all_registered()) return 2;
    const std::atomic<std::uint32_t> word{0};
    const FutexWord words[] = {{&word, 0}};
    return futex_wait_any(words, 1) == FutexAnswer::kUnsupported ? 0 : 3;
  });
  const int code = child.wait();
  if (code != kNoFilters) CHECK(code == 0);
}

TEST_CASE("fallback: without futex_waitv a sleeper on two bells hears both") {
  meet(kNoWaitv, {}, 400);
}

TEST_CASE("fallback: with futex_waitv filtered by EPERM a sleeper on two bells hears both") {
  meet(kWaitvFiltered, {}, 400);
}

TEST_CASE("fallback: without membarrier on either side fences lose no wake-up") {
  meet(kNoMembarrier, kNoMembarrier, 10'000);
}

TEST_CASE("fallback: a waker without membarrier fences for a sleeper that has it") {
  meet({}, kNoMembarrier, 10'000);
}

TEST_CASE("fallback: a sleeper without membarrier takes short sleeps under a waker that has it") {
  meet(kNoMembarrier, {}, 400);
}

TEST_CASE("fallback: with neither call everything is heard") {
  meet(kNeither, kNeither, 400);
}

TEST_CASE("fallback: a waker that promises a membarrier which the sleeper lacks makes it blind") {
  OtherProcess child([](Line) {
    if (!forbid_calls(kNoMembarrier)) return kNoFilters;
    BellLine bells{};
    ArmLine arms{};
    const WaitPoint point = WaitPoint::of(bells, arms);
    if (Arming({&point, 1}).is_blind()) return 1;
    bells.waker_registered.store(1);
    const Arming arming({&point, 1});
    return arming.is_blind() && arming.bound_ms(100) == 1 ? 0 : 2;
  });
  const int code = child.wait();
  if (code != kNoFilters) CHECK(code == 0);
}

}  // namespace
}  // namespace slipring
