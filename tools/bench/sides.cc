#include "tools/bench/sides.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "core/error/check.h"

namespace slipring::bench {
namespace {

// How long a consumer listens after the producer has ended before it calls the rest lost.
constexpr std::uint64_t kQuietNs = 50'000'000;

}  // namespace

// platform/process/affinity.h lets nobody leave a set that he was put into; here threads and
// processes that inherit one processor go to the other.
void pin_to(std::uint32_t cpu) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

void pin_to_both(const CellSettings& settings) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(settings.cpu_here, &set);
  CPU_SET(settings.cpu_there, &set);
  sched_setaffinity(0, sizeof set, &set);
}

void run_sides(Sides sides, const CellSettings& settings, const std::function<void()>& here,
               const std::function<void()>& there) {
  if (sides == Sides::kThreads) {
    std::thread other([&] {
      pin_to(settings.cpu_there);
      there();
    });
    pin_to(settings.cpu_here);
    here();
    other.join();
    return;
  }
  const pid_t child = fork();
  check(child >= 0, "no process for a measurement");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin_to(settings.cpu_there);
    there();
    _exit(0);
  }
  pin_to(settings.cpu_here);
  here();
  int status = 0;
  waitpid(child, &status, 0);
}

void Patience::yield() noexcept {
  sched_yield();
}

bool Patience::is_worth_waiting() noexcept {
  if (point_->gave_up.look() != 0) return false;
  const std::uint64_t now_ns = monotonic_ns();
  if (now_ns > deadline_ns_) {
    timed_out_ = true;
    return false;
  }
  if (point_->sent_and_one.look() == 0) return true;
  if (quiet_since_ns_ == 0) quiet_since_ns_ = now_ns;
  return now_ns - quiet_since_ns_ < kQuietNs;
}

}  // namespace slipring::bench
