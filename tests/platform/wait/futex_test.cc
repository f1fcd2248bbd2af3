#include "platform/wait/futex.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <array>
#include <thread>

#include "platform/wait/clock.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using Word = std::atomic<std::uint32_t>;

// One page twice: to store through, and to sleep through without the right to store.
struct TwoViews {
  TwoViews() {
    const int fd = ::memfd_create("futex_test", MFD_CLOEXEC);
    if (fd < 0 || ::ftruncate(fd, 4096) != 0) std::abort();
    writable = static_cast<Word*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    readable = static_cast<const Word*>(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0));
    ::close(fd);
    if (writable == MAP_FAILED || readable == MAP_FAILED) std::abort();
  }
  ~TwoViews() {
    ::munmap(writable, 4096);
    ::munmap(const_cast<Word*>(readable), 4096);
  }

  Word* writable;
  const Word* readable;
};

TEST_CASE("futex: a changed word is not slept on") {
  Word word{5};
  CHECK(futex_wait(word, 4, kNoDeadline) == FutexAnswer::kChanged);
}

TEST_CASE("futex: a sleep ends at its deadline and not before") {
  Word word{5};
  const std::uint64_t deadline_ns = deadline_after(2'000'000);
  CHECK(futex_wait(word, 5, deadline_ns) == FutexAnswer::kTimedOut);
  CHECK(monotonic_ns() >= deadline_ns);
  CHECK(futex_wait(word, 5, 0) == FutexAnswer::kTimedOut);
}

TEST_CASE("futex: a read-only view of another process is slept on and woken") {
  TwoViews views;
  OtherProcess sleeper([&](Line line) {
    line.say('s');
    while (views.readable[0].load(std::memory_order_acquire) == 0) {
      futex_wait(views.readable[0], 0, kNoDeadline);
    }
    return 0;
  });
  REQUIRE(sleeper.line().hear() == 's');
  // Wakes until it meets the sleeper asleep: then the wake was what ended the sleep.
  while (futex_wake(*views.writable, 1) == 0) {
  }
  views.writable->store(1, std::memory_order_release);
  futex_wake(*views.writable, 1);
  CHECK(sleeper.wait() == 0);
}

TEST_CASE("futex: several words are slept on at once, any of them wakes") {
  if (!futex_wait_any_is_available()) {
    MESSAGE("not run: futex_waitv needs Linux 5.16");
    return;
  }
  TwoViews views;
  for (std::size_t which = 0; which < 3; ++which) {
    std::thread waker([&, which] {
      while (futex_wake(views.writable[which * 32], 1) == 0) {
      }
    });
    const std::array<FutexWord, 3> words = {
        FutexWord{&views.readable[0], 0}, {&views.readable[32], 0}, {&views.readable[64], 0}};
    CHECK(futex_wait_any(words, kNoDeadline) == FutexAnswer::kWoken);
    waker.join();
  }
  views.writable[64].store(9);
  const std::array<FutexWord, 3> stale = {
      FutexWord{&views.readable[0], 0}, {&views.readable[32], 0}, {&views.readable[64], 0}};
  CHECK(futex_wait_any(stale, kNoDeadline) == FutexAnswer::kChanged);
  const std::array<FutexWord, 1> one = {FutexWord{&views.readable[0], 0}};
  CHECK(futex_wait_any(one, deadline_after(1'000'000)) == FutexAnswer::kTimedOut);
}

TEST_CASE("futex: nobody to wake is no error") {
  Word word{0};
  CHECK(futex_wake(word, UINT32_MAX) == 0);
}

}  // namespace
}  // namespace slipring
