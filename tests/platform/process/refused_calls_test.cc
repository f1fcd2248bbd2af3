#include "platform/process/refused_calls.h"

#include <doctest/doctest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <thread>

#include "platform/process/inspection.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

// Nothing that is asked for so can be done, nor does harm.
int errno_of(int number) {
  errno = 0;
  return ::syscall(number, -1L, -1L, -1L, -1L, -1L, -1L) < 0 ? errno : 0;
}

int refused_count() {
  int count = 0;
  for (const int number : refused_calls()) count += errno_of(number) == EPERM ? 1 : 0;
  return count;
}

bool refuse() {
  return give_up_privilege_gains().ok() && refuse_calls().ok();
}

// How many calls are refused in a child that refuses them, or not.
template <typename Count>
int count_in_child(bool refuses, Count count) {
  OtherProcess child([&](Line) {
    if (refuses && !refuse()) return 255;
    return count();
  });
  return child.wait();
}

TEST_CASE("refused calls: each answers EPERM afterwards, and most did not before") {
  const int all = static_cast<int>(refused_calls().size());
  REQUIRE(all < 255);
  CHECK(count_in_child(true, refused_count) == all);
  const int before = count_in_child(false, refused_count);
  MESSAGE(all << " calls, refused before " << before);
  CHECK(before < all);
}

TEST_CASE("refused calls: in every thread, also in those that run already") {
  const int refused = count_in_child(true, [] { return 0; });
  REQUIRE(refused == 0);
  OtherProcess child([](Line) {
    std::atomic<int> step = 0;
    int count = 0;
    std::thread other([&] {
      step.wait(0);
      count = refused_count();
    });
    const bool is_done = refuse();
    step = 1;
    step.notify_one();
    other.join();
    return is_done ? count : 255;
  });
  CHECK(child.wait() == static_cast<int>(refused_calls().size()));
}

TEST_CASE("refused calls: a debugger's attempt on another process of its user") {
  OtherProcess victim([](Line line) {
    line.hear();
    return 0;
  });
  const auto attack = [&] {
    if (::ptrace(PTRACE_SEIZE, victim.pid(), nullptr, nullptr) != 0) return errno;
    return 0;
  };
  CHECK(count_in_child(true, attack) == EPERM);
  // Where ptrace is restricted as a whole (Yama), it fails anyway.
  MESSAGE("before: errno " << count_in_child(false, attack));
}

#if defined(__x86_64__)
TEST_CASE("refused calls: not by the numbers of 32-bit programs either, nor by those of x32") {
  const auto by_old_numbers = [] {
    long answer = 26;  // ptrace
    asm volatile("int $0x80" : "+a"(answer) : "b"(-1L), "c"(-1L), "d"(-1L), "S"(-1L) : "memory");
    return static_cast<int>(-answer & 0xff);
  };
  const auto by_x32 = [] { return errno_of(0x4000'0000 + 521); };  // ptrace
  CHECK(count_in_child(true, by_old_numbers) == EPERM);
  CHECK(count_in_child(false, by_old_numbers) != EPERM);
  CHECK(count_in_child(true, by_x32) == EPERM);
}
#endif

}  // namespace
}  // namespace slipring
