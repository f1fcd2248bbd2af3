// RLIMIT_MEMLOCK, page by page, as a user without CAP_IPC_LOCK.
#include <grp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "pipelines/link/link_writer.h"
#include "platform/memory/mapping.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

constexpr int kNotRun = 77;
constexpr int kSegmentPages = 6;  // of the link below, its header's included

bool become_somebody() {
  if (::geteuid() != 0) return true;
  return ::setgroups(0, nullptr) == 0 && ::setgid(12345) == 0 && ::setuid(12345) == 0;
}

std::uint64_t locked_bytes() {
  Result<MemlockBudget> budget = memlock_budget();
  return budget.ok() ? budget->in_use_bytes : UINT64_MAX;
}

// 0: refused; 1: locked; 2: attached without; else what is wrong.
int attach(const SegmentDirectory& directory, std::uint64_t limit_bytes, MemoryLock policy) {
  Result<LinkWriter> writer = LinkWriter::attach(directory, "l", policy);
  if (!writer.ok()) {
    const Error& error = writer.error();
    if (policy != MemoryLock::kRequire || error.code != ErrorCode::kLockLimit) return 20;
    if (error.found != limit_bytes || error.wanted <= limit_bytes) return 21;
    return locked_bytes() == 0 ? 0 : 22;
  }
  if (writer->is_locked()) return locked_bytes() > 0 ? 1 : 23;
  return policy == MemoryLock::kTry ? 2 : 24;
}

int sweep(Line) {
  Result<MemlockBudget> budget = memlock_budget();
  if (!become_somebody() || !budget.ok()) return kNotRun;
  Result<MemlockBudget> now = memlock_budget();
  if (!now.ok() || now->has_ipc_lock) return kNotRun;
  char path[] = "/dev/shm/slipring-faults-XXXXXX";
  if (::mkdtemp(path) == nullptr) return kNotRun;
  int answer = 0;
  int refused = 0;
  int locked = 0;
  int unlocked = 0;
  {
    Result<SegmentDirectory> directory = SegmentDirectory::open_at(path);
    LinkShape shape;
    shape.kind = SegmentKind::kRecordLink;
    shape.capacity_bytes = 4 * 4096;
    if (!directory.ok() || !create_link(*directory, "l", shape).ok()) answer = 30;
    for (int pages = kSegmentPages + 4; pages >= 0 && answer == 0; --pages) {
      const struct rlimit limit = {static_cast<rlim_t>(pages) * 4096,
                                   static_cast<rlim_t>(pages) * 4096};
      if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) answer = 31;
      const int strict = attach(*directory, limit.rlim_cur, MemoryLock::kRequire);
      const int tried = attach(*directory, limit.rlim_cur, MemoryLock::kTry);
      if (strict > 2) answer = strict;
      if (tried > 2 || tried == 0) answer = 100 + tried;
      if ((strict == 1) != (tried == 1)) answer = 33;
      if (strict == 1 && refused != 0) answer = 34;  // less room, and yet a yes
      if (strict == 0) ++refused;
      if (strict == 1) ++locked;
      if (tried == 2) ++unlocked;
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
  std::printf("limits of 0 to %d pages: %d locked, %d refused, %d attached without\n",
              kSegmentPages + 4, locked, refused, unlocked);
  std::fflush(stdout);
  if (answer == 0 && (refused < 3 || locked < 3)) answer = 35;
  return answer;
}

}  // namespace

TEST_CASE("memlock limit: every number of pages") {
  OtherProcess child(sweep);
  const int answer = child.wait();
  if (answer == kNotRun) {
    MESSAGE("not run: becoming another user needs root");
    return;
  }
  CHECK(answer == 0);
}

}  // namespace slipring
