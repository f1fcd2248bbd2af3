// Certificates where process numbers mean nothing: across PID namespaces, in both directions, and
// after a number has been given to another process.

#include "platform/process/certificate.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "platform/process/certificate_wait.h"
#include "platform/wait/clock.h"
#include "tests/platform/other_process.h"
#include "tests/platform/scratch.h"

namespace slipring {
namespace {

constexpr std::uint32_t kByte = 3;
constexpr std::uint64_t kPatienceNs = 20'000'000'000;
constexpr int kForbidden = 77;  // no namespaces here

// A lock file that processes meet in by name.
class LockPlace {
 public:
  LockPlace() : directory_(open(scratch_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    close(openat(directory_, "lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  }
  LockPlace(const LockPlace&) = delete;
  LockPlace& operator=(const LockPlace&) = delete;
  ~LockPlace() { close(directory_); }
  [[nodiscard]] LockFile open_lock() const {
    return std::move(LockFile::open(directory_, "lock")).value();
  }

 private:
  Scratch scratch_;
  int directory_;
};

// Forks into a PID namespace of its own, as its process 1 and with a /proc of its own, and answers
// what `body` answers there.
template <typename Body>
int in_new_pid_namespace(Body body) {
  if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return kForbidden;
  const pid_t pid = fork();
  if (pid < 0) return 99;
  if (pid == 0) {
    static_cast<void>(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
    static_cast<void>(mount("proc", "/proc", "proc", 0, nullptr));
    _exit(body());
  }
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) return 99;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool is_forbidden(int answer) {
  if (answer != kForbidden) return false;
  MESSAGE("skipped: this process may not make PID namespaces");
  return true;
}

TEST_CASE("certificate: a holder inside a PID namespace is seen from outside, and its death") {
  const LockPlace place;
  OtherProcess outside([&](Line line) {
    return in_new_pid_namespace([&]() -> int {
      const LockFile lock = place.open_lock();
      Result<Certificate> held = Certificate::acquire(lock, kByte);
      if (!held || getpid() != 1) return 1;
      line.say('h');
      for (;;) pause();
    });
  });
  if (outside.line().hear() != 'h') {
    if (is_forbidden(outside.wait())) return;
    FAIL("the holder did not come up");
  }
  const LockFile lock = place.open_lock();
  Result<Probe> probe = lock.probe(kByte);
  REQUIRE(probe.ok());
  CHECK(probe->holder == Holder::kAnother);
  // Its number as we have it, which is not the 1 that it has itself.
  CHECK(probe->pid > 1);
  CHECK(probe->pid != outside.pid());
  CHECK(Certificate::acquire(lock, kByte).error().code == ErrorCode::kBusy);
  REQUIRE(kill(probe->pid, SIGKILL) == 0);
  Result<bool> is_free = wait_until_free(lock, kByte, deadline_after(kPatienceNs));
  REQUIRE(is_free.ok());
  CHECK(*is_free);
  CHECK(Certificate::acquire(lock, kByte).ok());
  outside.wait();
}

TEST_CASE("certificate: a holder outside is seen from within a PID namespace that hides it") {
  const LockPlace place;
  OtherProcess holder([&](Line line) -> int {
    const LockFile lock = place.open_lock();
    Result<Certificate> held = Certificate::acquire(lock, kByte);
    line.say(held ? 'h' : 'x');
    for (;;) pause();
  });
  REQUIRE(holder.line().hear() == 'h');
  OtherProcess prober([&](Line line) {
    return in_new_pid_namespace([&] {
      const LockFile lock = place.open_lock();
      Result<Probe> probe = lock.probe(kByte);
      if (!probe || probe->holder != Holder::kAnother) return 1;
      if (probe->pid != 0) return 2;  // it has no number here
      Result<Certificate> refused = Certificate::acquire(lock, kByte);
      if (refused || refused.error().code != ErrorCode::kBusy || refused.error().found != 0) {
        return 3;
      }
      // Not by a number, and not by a time: it lives, however long one waits.
      Result<bool> is_free = wait_until_free(lock, kByte, deadline_after(20'000'000));
      if (!is_free || *is_free) return 4;
      line.say('k');
      Result<bool> is_freed = wait_until_free(lock, kByte, deadline_after(kPatienceNs));
      if (!is_freed || !*is_freed) return 5;
      return Certificate::acquire(lock, kByte).ok() ? 0 : 6;
    });
  });
  if (prober.line().hear() == 'k') holder.kill_now();
  const int answer = prober.wait();
  if (is_forbidden(answer)) return;
  CHECK(answer == 0);
}

// Gives the next process of this PID namespace the number `pid`; false where that is forbidden.
bool choose_next_pid(pid_t pid) {
  const int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[16];
  const int size = std::snprintf(text, sizeof text, "%d", pid - 1);
  const bool written = write(fd, text, static_cast<std::size_t>(size)) == size;
  close(fd);
  return written;
}

// In a namespace of its own: a holder dies, and its number is given to a process that has nothing
// to do with the lock; then the number is held by a holder again.
int reuse_numbers(const LockPlace& place, int rounds) {
  const LockFile lock = place.open_lock();
  for (int round = 0; round < rounds; ++round) {
    pid_t number = 0;
    {
      OtherProcess holder([&](Line line) -> int {
        const LockFile own = place.open_lock();
        Result<Certificate> held = Certificate::acquire(own, kByte);
        line.say(held ? 'h' : 'x');
        for (;;) pause();
      });
      if (holder.line().hear() != 'h') return 2;
      number = holder.pid();
      Result<Probe> probe = lock.probe(kByte);
      if (!probe || probe->pid != number) return 3;
      holder.kill_now();
      holder.wait();
    }
    if (!choose_next_pid(number)) return kForbidden;
    OtherProcess stranger([](Line line) -> int {
      line.say('s');
      for (;;) pause();
    });
    if (stranger.pid() != number) return 4;  // the number was not given again
    if (stranger.line().hear() != 's') return 5;
    // A living process has the dead holder's number, and the role is free nevertheless.
    Result<Probe> probe = lock.probe(kByte);
    if (!probe || probe->holder != Holder::kNobody) return 6;
    Result<bool> is_free = wait_until_free(lock, kByte, monotonic_ns());
    if (!is_free || !*is_free) return 7;
    if (!Certificate::acquire(lock, kByte)) return 8;
  }
  return 0;
}

TEST_CASE("certificate: a number that was given again is not taken for the dead holder") {
  const LockPlace place;
  constexpr int kRounds = 200;
  OtherProcess outside(
      [&](Line) { return in_new_pid_namespace([&] { return reuse_numbers(place, kRounds); }); });
  const int answer = outside.wait();
  if (is_forbidden(answer)) return;
  CHECK(answer == 0);
  MESSAGE("numbers given again: " << kRounds << ", mistaken: 0");
}

}  // namespace
}  // namespace slipring
