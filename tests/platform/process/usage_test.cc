#include "platform/process/usage.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "tests/platform/other_process.h"

namespace slipring {
namespace {

TEST_CASE("usage: memory and processor time of this process are seen") {
  Result<ProcessUsage> before = read_usage(::getpid());
  REQUIRE(before.ok());
  CHECK(before->state == 'R');
  CHECK(before->thread_count >= 1);
  CHECK(before->resident_bytes > 0);
  CHECK(before->start_ticks > 0);

  constexpr std::size_t kSize = 16u << 20;
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  CHECK(read_usage(::getpid())->resident_bytes >= before->resident_bytes + kSize / 2);
  ::munmap(memory, kSize);

  // Works until a clock tick has been charged; the test's own time-out is the limit.
  while (read_usage(::getpid())->cpu_time_ns == before->cpu_time_ns) {
  }
  CHECK(read_usage(::getpid())->cpu_time_ns > before->cpu_time_ns);
}

TEST_CASE("usage: a process name full of parentheses and spaces does not confuse it") {
  OtherProcess other([](Line line) {
    ::prctl(PR_SET_NAME, ") Z 1 (x) 2 ");
    line.say('y');
    return static_cast<int>(line.hear());
  });
  REQUIRE(other.line().hear() == 'y');
  Result<ProcessUsage> usage = read_usage(other.pid());
  REQUIRE(usage.ok());
  CHECK(usage->state != 'Z');
  // A sanitizer may run a thread of its own.
  CHECK(usage->thread_count >= 1);
  CHECK(usage->thread_count <= 2);
  other.kill_now();
  other.wait_zombie();
  CHECK(read_usage(other.pid())->state == 'Z');
  const pid_t pid = other.pid();
  other.wait();
  CHECK(read_usage(pid).error().code == ErrorCode::kNotFound);
}

}  // namespace
}  // namespace slipring
