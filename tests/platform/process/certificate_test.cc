#include "platform/process/certificate.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/platform/other_process.h"
#include "tests/platform/scratch.h"

namespace slipring {
namespace {

struct Locks {
  Locks() {
    directory = ::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int made = ::openat(directory, "lock", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    REQUIRE(directory >= 0);
    REQUIRE(made >= 0);
    ::close(made);
  }
  ~Locks() { ::close(directory); }

  LockFile open() const {
    Result<LockFile> file = LockFile::open(directory, "lock");
    if (!file.ok()) std::abort();
    return std::move(file).value();
  }

  Scratch scratch;
  int directory = -1;
};

// What a process without any certificate of its own sees.
Holder seen_by_another(const Locks& locks, std::uint32_t role_byte) {
  OtherProcess observer([&](Line) {
    const LockFile file = locks.open();
    Result<Probe> probe = file.probe(role_byte);
    return probe.ok() ? static_cast<int>(probe->holder) : 99;
  });
  return static_cast<Holder>(observer.wait());
}

TEST_CASE("certificate: a role held by a living process is busy and names the holder") {
  Locks locks;
  const LockFile file = locks.open();
  OtherProcess holder([&](Line line) {
    const LockFile mine = locks.open();
    Result<Certificate> certificate = Certificate::acquire(mine, 7);
    line.say(certificate.ok() ? 'y' : 'n');
    return static_cast<int>(line.hear());
  });
  REQUIRE(holder.line().hear() == 'y');

  Result<Probe> probe = file.probe(7);
  REQUIRE(probe.ok());
  CHECK(probe->holder == Holder::kAnother);
  CHECK(probe->pid == holder.pid());
  Result<Certificate> refused = Certificate::acquire(file, 7);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kBusy);
  CHECK(refused.error().found == static_cast<std::uint64_t>(holder.pid()));
  CHECK(file.probe(6)->holder == Holder::kNobody);
  CHECK(Certificate::acquire(file, 8).ok());
}

TEST_CASE("certificate: SIGKILL frees the role before the zombie is reaped") {
  Locks locks;
  const LockFile file = locks.open();
  OtherProcess holder([&](Line line) {
    const LockFile mine = locks.open();
    Result<Certificate> certificate = Certificate::acquire(mine, 0);
    line.say(certificate.ok() ? 'y' : 'n');
    return static_cast<int>(line.hear());
  });
  REQUIRE(holder.line().hear() == 'y');
  holder.kill_now();
  holder.wait_zombie();
  CHECK(file.probe(0)->holder == Holder::kNobody);
  CHECK(Certificate::acquire(file, 0).ok());
  CHECK(holder.wait() == -SIGKILL);
}

TEST_CASE("certificate: a stopped process still holds its role") {
  Locks locks;
  const LockFile file = locks.open();
  OtherProcess holder([&](Line line) {
    const LockFile mine = locks.open();
    Result<Certificate> certificate = Certificate::acquire(mine, 0);
    line.say(certificate.ok() ? 'y' : 'n');
    return static_cast<int>(line.hear());
  });
  REQUIRE(holder.line().hear() == 'y');
  ::kill(holder.pid(), SIGSTOP);
  siginfo_t info = {};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(holder.pid()), &info, WSTOPPED) == 0);
  CHECK(file.probe(0)->holder == Holder::kAnother);
  CHECK(Certificate::acquire(file, 0).error().code == ErrorCode::kBusy);
}

TEST_CASE("certificate: a free lock means that no later store comes") {
  Locks locks;
  const LockFile file = locks.open();
  auto* counters = static_cast<std::atomic<std::uint64_t>*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(counters != MAP_FAILED);
  constexpr int kRounds = 40;
  for (int round = 0; round < kRounds; ++round) {
    OtherProcess writer([&](Line line) {
      const LockFile mine = locks.open();
      Result<Certificate> certificate = Certificate::acquire(mine, 3);
      if (!certificate.ok()) return 1;
      std::thread second([&] {
        for (;;) counters[1].fetch_add(1, std::memory_order_relaxed);
      });
      line.say('y');
      for (;;) counters[0].fetch_add(1, std::memory_order_relaxed);
    });
    REQUIRE(writer.line().hear() == 'y');
    writer.kill_now();
    // The parent runs on while the child dies: the certificate is the only thing it goes by.
    while (file.probe(3)->holder != Holder::kNobody) {
    }
    const std::uint64_t first = counters[0].load();
    const std::uint64_t second = counters[1].load();
    CHECK(writer.wait() == -SIGKILL);
    CHECK(counters[0].load() == first);
    CHECK(counters[1].load() == second);
  }
  ::munmap(counters, 4096);
}

TEST_CASE("certificate: two roles of one process are held and laid down separately") {
  Locks locks;
  const LockFile file = locks.open();
  Result<Certificate> one = Certificate::acquire(file, 1);
  Result<Certificate> two = Certificate::acquire(file, 2);
  REQUIRE(one.ok());
  REQUIRE(two.ok());
  CHECK(file.probe(1)->holder == Holder::kUs);
  CHECK(seen_by_another(locks, 1) == Holder::kAnother);
  one->release();
  CHECK_FALSE(one->is_intact());
  CHECK(two->is_intact());
  CHECK(file.probe(1)->holder == Holder::kNobody);
  CHECK(seen_by_another(locks, 1) == Holder::kNobody);
  CHECK(seen_by_another(locks, 2) == Holder::kAnother);
}

TEST_CASE("certificate: one role is not given twice within a process") {
  Locks locks;
  const LockFile file = locks.open();
  Result<Certificate> one = Certificate::acquire(file, 1);
  REQUIRE(one.ok());
  Result<Certificate> again = Certificate::acquire(file, 1);
  REQUIRE_FALSE(again.ok());
  CHECK(again.error().code == ErrorCode::kBusy);
  CHECK(again.error().found == static_cast<std::uint64_t>(::getpid()));
  one->release();
  CHECK(Certificate::acquire(file, 1).ok());
}

TEST_CASE("certificate: closing another handle of the same inode keeps the lock") {
  Locks locks;
  Result<Certificate> held = Certificate::acquire(locks.open(), 4);
  REQUIRE(held.ok());
  {
    const LockFile second = locks.open();
    const LockFile third = locks.open();
    CHECK(second.probe(4)->holder == Holder::kUs);
  }
  CHECK(held->is_intact());
  CHECK(seen_by_another(locks, 4) == Holder::kAnother);
}

TEST_CASE("certificate: a lock dropped by foreign code is noticed") {
  Locks locks;
  Result<Certificate> held = Certificate::acquire(locks.open(), 4);
  REQUIRE(held.ok());
  CHECK(held->is_intact());
  ::close(::openat(locks.directory, "lock", O_RDONLY | O_CLOEXEC));
  CHECK_FALSE(held->is_intact());
  CHECK(seen_by_another(locks, 4) == Holder::kNobody);
}

// Runs in a forked child that copied a certificate: it must hold nothing, and hurt nothing.
int child_of_a_holder(const LockFile& file, Certificate& held, const Locks& locks) {
  if (held.is_intact()) return 1;
  if (file.probe(5).ok()) return 2;
  const LockFile mine = locks.open();
  if (mine.probe(5)->holder != Holder::kAnother) return 3;
  if (Certificate::acquire(mine, 5).ok()) return 4;
  if (!Certificate::acquire(mine, 6).ok()) return 5;
  held.release();
  return mine.probe(5)->holder == Holder::kAnother ? 0 : 6;
}

TEST_CASE("certificate: a forked child holds nothing and takes nothing away") {
  Locks locks;
  const LockFile file = locks.open();
  Result<Certificate> held = Certificate::acquire(file, 5);
  REQUIRE(held.ok());
  OtherProcess child([&](Line) { return child_of_a_holder(file, *held, locks); });
  CHECK(child.wait() == 0);
  CHECK(held->is_intact());
  CHECK(seen_by_another(locks, 5) == Holder::kAnother);
}

TEST_CASE("certificate: a fork that bypasses the fork handlers is noticed") {
  Locks locks;
  const LockFile file = locks.open();
  Result<Certificate> held = Certificate::acquire(file, 5);
  REQUIRE(held.ok());
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (pid == 0) ::_exit(child_of_a_holder(file, *held, locks));
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(held->is_intact());
}

TEST_CASE("certificate: exec ends the participant although the process lives on") {
  Locks locks;
  const LockFile file = locks.open();
  OtherProcess holder([&](Line line) {
    Result<Certificate> certificate = Certificate::acquire(locks.open(), 9);
    line.say(certificate.ok() ? 'y' : 'n');
    if (line.hear() != 'x') return 1;
    // cat copies its input to its output: the word that comes back comes from the new program.
    ::dup2(line.fd(), STDIN_FILENO);
    ::dup2(line.fd(), STDOUT_FILENO);
    ::execl("/bin/cat", "cat", static_cast<char*>(nullptr));
    return 2;
  });
  REQUIRE(holder.line().hear() == 'y');
  CHECK(file.probe(9)->holder == Holder::kAnother);
  holder.line().say('x');
  holder.line().say('e');
  REQUIRE(holder.line().hear() == 'e');
  CHECK(file.probe(9)->holder == Holder::kNobody);
}

TEST_CASE("certificate: threads that take roles at once each get their own") {
  Locks locks;
  const LockFile file = locks.open();
  std::atomic<int> winners{0};
  std::vector<std::thread> threads;
  std::atomic<bool> failed{false};
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        Result<Certificate> own = Certificate::acquire(file, 10 + t);
        if (!own.ok() || !own->is_intact()) failed = true;
        Result<Certificate> shared = Certificate::acquire(locks.open(), 20);
        if (!shared.ok()) continue;
        if (winners.fetch_add(1) != 0) failed = true;
        winners.fetch_sub(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(failed.load());
  for (std::uint32_t t = 0; t < 4; ++t) CHECK(file.probe(10 + t)->holder == Holder::kNobody);
}

TEST_CASE("certificate: what is no lock file is refused") {
  Locks locks;
  CHECK(LockFile::open(locks.directory, "missing").error().code == ErrorCode::kNotFound);
  REQUIRE(::symlinkat("lock", locks.directory, "link") == 0);
  CHECK(LockFile::open(locks.directory, "link").error().code == ErrorCode::kPermission);
  REQUIRE(::mkfifoat(locks.directory, "fifo", 0600) == 0);
  CHECK(LockFile::open(locks.directory, "fifo").error().code == ErrorCode::kPermission);
  const LockFile file = locks.open();
  CHECK(file.probe(kRoleByteCount).error().code == ErrorCode::kInvalidArgument);
  CHECK(Certificate::acquire(file, kRoleByteCount).error().code == ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace slipring
