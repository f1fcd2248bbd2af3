#include "platform/machine/capabilities.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <optional>
#include <string_view>

#include "platform/machine/processor.h"
#include "platform/memory/mapping.h"
#include "platform/memory/memory_file.h"
#include "platform/memory/numa.h"
#include "platform/memory/page_size.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/affinity.h"
#include "platform/process/certificate.h"
#include "platform/process/descriptor.h"
#include "platform/process/peer.h"
#include "platform/process/proc_file.h"
#include "platform/wait/event_bell.h"
#include "platform/wait/futex.h"
#include "platform/wait/membarrier.h"
#include "platform/wait/processor_wait.h"

namespace slipring {

namespace {

constexpr std::uint64_t kMebibyte = 1024 * 1024;
constexpr std::uint64_t kComfortableBytes = 256 * kMebibyte;

// linux/memfd.h and linux/fcntl.h, newer than some headers.
constexpr unsigned kMfdNoexecSeal = 0x0008;
constexpr int kSealFutureWrite = 0x0010;

std::string mebibytes(std::uint64_t bytes) {
  return std::to_string(bytes / kMebibyte) + " MiB";
}

std::string file_text(const char* path) {
  Result<std::string> text = read_proc_file(path);
  if (!text.ok()) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return std::move(*text);
}

Capability judge(const char* name, bool good, Verdict otherwise, std::string found,
                 const char* remedy) {
  if (good) return {name, Verdict::kOk, std::move(found), {}};
  return {name, otherwise, std::move(found), remedy};
}

Capability kernel() {
  struct utsname names = {};
  if (::uname(&names) != 0) return {"kernel", Verdict::kWarn, "unknown", "allow uname"};
  return {"kernel", Verdict::kOk, std::string(names.release) + " " + names.machine, {}};
}

Capability memlock() {
  Result<MemlockBudget> budget = memlock_budget();
  if (!budget.ok()) {
    return {"memlock", Verdict::kWarn, "unknown: no /proc", "mount /proc"};
  }
  std::string found =
      budget->limit_bytes == UINT64_MAX ? "unlimited" : mebibytes(budget->limit_bytes) + " limit";
  if (budget->has_ipc_lock) found += ", CAP_IPC_LOCK lifts it";
  return judge("memlock", budget->allows(64 * kMebibyte), Verdict::kWarn, std::move(found),
               "raise it: ulimit -l, LimitMEMLOCK= in the unit, /etc/security/limits.conf, or "
               "setcap cap_ipc_lock+ep");
}

const char* file_system_name(std::uint64_t magic) noexcept {
  switch (magic) {
    case TMPFS_MAGIC:
      return "tmpfs";
    case HUGETLBFS_MAGIC:
      return "hugetlbfs";
    case RAMFS_MAGIC:
      return "ramfs";
    default:
      return "not a memory file system";
  }
}

void add_directory(std::vector<Capability>& all) {
  Result<SegmentDirectory> directory = SegmentDirectory::open();
  if (!directory.ok()) {
    all.push_back({"directory", Verdict::kFail,
                   SegmentDirectory::default_path() + ": cannot " + directory.error().doing,
                   "set SLIPRING_DIR to a directory of your own on a tmpfs"});
    return;
  }
  struct statfs system = {};
  if (::fstatfs(directory->fd(), &system) != 0) {
    all.push_back({"directory", Verdict::kFail, directory->path() + ": statfs fails",
                   "set SLIPRING_DIR to a directory of your own on a tmpfs"});
    return;
  }
  const auto magic = static_cast<std::uint64_t>(system.f_type);
  all.push_back(judge("directory", magic == TMPFS_MAGIC, Verdict::kWarn,
                      directory->path() + " on " + file_system_name(magic),
                      "set SLIPRING_DIR to a directory on a tmpfs such as /dev/shm"));
  const std::uint64_t free_bytes =
      static_cast<std::uint64_t>(system.f_bavail) * static_cast<std::uint64_t>(system.f_bsize);
  all.push_back(judge("directory_space", free_bytes >= kComfortableBytes, Verdict::kWarn,
                      mebibytes(free_bytes) + " free",
                      "mount it larger: mount -o remount,size=1G /dev/shm"));
  const Descriptor unnamed(::openat(directory->fd(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  all.push_back(judge("unnamed_files", unnamed.is_open(), Verdict::kFail,
                      unnamed.is_open() ? "O_TMPFILE works" : "no O_TMPFILE",
                      "set SLIPRING_DIR to a directory on a tmpfs"));
}

Capability certificates() {
  constexpr const char* kRemedy =
      "set SLIPRING_DIR to a local tmpfs; some network and stacked file "
      "systems have no locks";
  Result<SegmentDirectory> directory = SegmentDirectory::open();
  const int raw =
      directory.ok() ? ::openat(directory->fd(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
  if (raw < 0) return {"fcntl_locks", Verdict::kFail, "no file to try them on", kRemedy};
  Result<LockFile> file = LockFile::adopt(raw);
  if (!file.ok()) return {"fcntl_locks", Verdict::kFail, "no file to try them on", kRemedy};
  Result<Certificate> certificate = Certificate::acquire(*file, 0);
  const bool works = certificate.ok() && certificate->is_intact();
  return judge("fcntl_locks", works, Verdict::kFail, works ? "work" : "do not work", kRemedy);
}

// What merging gives in the segment directory: tried, since kernel, mount and policy all have a
// say.
Capability merged_huge_pages() {
  constexpr const char* kRemedy =
      "Linux 6.1 or later merges pages whatever the policy, unless "
      "/sys/kernel/mm/transparent_hugepage/shmem_enabled is deny; before that mount the directory "
      "with huge=advise";
  constexpr const char* kName = "huge_pages_shared";
  const std::uint64_t huge_bytes = huge_page_size_bytes();
  if (huge_bytes == 0) return {kName, Verdict::kWarn, "not in this kernel", kRemedy};
  Result<SegmentDirectory> directory = SegmentDirectory::open();
  const Descriptor file(
      directory.ok() ? ::openat(directory->fd(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1);
  if (!file.is_open() || ::ftruncate(file.get(), static_cast<off_t>(huge_bytes)) != 0) {
    return {kName, Verdict::kWarn, "no file to try them on", kRemedy};
  }
  MappingOptions options;
  options.access = Access::kReadWrite;
  options.memory_lock = MemoryLock::kOff;
  options.huge_pages = true;
  Result<Mapping> mapping = Mapping::map(file.get(), 0, huge_bytes, options);
  const bool works = mapping.ok() && mapping->huge_pages() == HugePages::kAll;
  return judge(
      kName, works, Verdict::kWarn,
      works ? "a segment gets them (" + mebibytes(huge_bytes) + " each)" : "a segment gets none",
      kRemedy);
}

void add_huge_pages(std::vector<Capability>& all) {
  all.push_back(merged_huge_pages());
  const std::string meminfo = file_text("/proc/meminfo");
  const auto pool = proc_field(meminfo, "HugePages_Total");
  const auto unused = proc_field(meminfo, "HugePages_Free");
  const std::uint64_t count = pool ? leading_number(*pool).value_or(0) : 0;
  const std::uint64_t free_count = unused ? leading_number(*unused).value_or(0) : 0;
  all.push_back({"huge_pages_pool",
                 Verdict::kOk,
                 std::to_string(count) + " reserved, " + std::to_string(free_count) + " free",
                 {}});
}

void add_placement(std::vector<Capability>& all) {
  MappingOptions options;
  options.access = Access::kReadWrite;
  options.memory_lock = MemoryLock::kOff;
  options.numa = {NumaPolicy::kLocal, 0};
  Result<MemoryFile> file = make_memory_file(page_size_bytes(), false);
  Result<Mapping> mapping = file.ok()
                                ? Mapping::map(file->descriptor.get(), 0, file->size_bytes, options)
                                : Result<Mapping>(file.error());
  const bool populates = mapping.ok() && mapping->report().prefault == Prefault::kPopulated;
  all.push_back(judge("prefault", populates, Verdict::kWarn,
                      populates ? "in one call" : "page by page: attaching takes longer",
                      "Linux 5.14 or later, and no filter on madvise"));
  const int node_count = std::popcount(numa_nodes());
  const bool places = mapping.ok() && mapping->report().numa.outcome != NumaOutcome::kUnavailable;
  all.push_back(judge("numa", places || node_count == 1, Verdict::kWarn,
                      (node_count == 1 ? "1 node" : std::to_string(node_count) + " nodes") +
                          (places ? "" : ", and memory cannot be placed"),
                      "allow mbind and set_mempolicy: a kernel with CONFIG_NUMA, and no filter"));
}

void add_seals(std::vector<Capability>& all) {
  Descriptor sealed(::memfd_create("slipring-doctor", MFD_CLOEXEC | kMfdNoexecSeal));
  const bool noexec = sealed.is_open();
  if (!noexec)
    sealed = Descriptor(::memfd_create("slipring-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const bool future_write =
      sealed.is_open() &&
      ::fcntl(sealed.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | kSealFutureWrite) == 0;
  all.push_back(judge("memfd_seals", future_write, Verdict::kWarn,
                      future_write ? "size and future-write seals" : "no future-write seal",
                      "Linux 5.1 or later is needed for guarded segments"));
  all.push_back(judge("memfd_noexec_seal", noexec, Verdict::kWarn, noexec ? "available" : "missing",
                      "Linux 6.3 or later"));
}

void add_waiting(std::vector<Capability>& all) {
  all.push_back(
      judge("membarrier", membarrier_is_available(), Verdict::kWarn,
            membarrier_is_available() ? "global expedited" : "missing: publishing costs a fence",
            "Linux 4.16 or later, and no filter on membarrier"));
  all.push_back(judge("futex_waitv", futex_wait_any_is_available(), Verdict::kWarn,
                      futex_wait_any_is_available()
                          ? "available"
                          : "missing: waiting on several links polls every millisecond",
                      "Linux 5.16 or later, and no filter on futex_waitv"));
  Result<Peer> ourselves = Peer::open(::getpid());
  all.push_back(judge("pidfd", ourselves.ok(), Verdict::kFail,
                      ourselves.ok() ? "available" : "missing: the runner cannot watch stages",
                      "Linux 5.3 or later, and no filter on pidfd_open"));
  const LineWait offered = offered_line_wait();
  const bool is_used = offered == usable_line_wait();
  std::string found = name_of(usable_line_wait());
  if (offered == LineWait::kNone) found = "pause: nothing better is offered to user space";
  if (!is_used) found = std::string(name_of(offered)) + " is offered but returns at once: pause";
  all.push_back(judge("processor_wait", is_used, Verdict::kWarn, std::move(found),
                      "the hypervisor lets it pass: give the guest the instruction (for KVM, "
                      "-overcommit cpu-pm=on), or hide it"));
  Result<EventBell> event = EventBell::create();
  all.push_back(judge("eventfd", event.ok(), Verdict::kWarn,
                      event.ok() ? "available" : "missing: no waiting on links in epoll",
                      "raise the limit of open files, and allow eventfd2"));
}

void add_processors(std::vector<Capability>& all) {
  const std::uint32_t online = online_cpu_count();
  const std::uint32_t allowed = allowed_cpu_count();
  all.push_back(judge("processors", allowed >= 2, Verdict::kWarn,
                      std::to_string(allowed) + " allowed of " + std::to_string(online),
                      "with one processor links sleep instead of spinning: allow more"));
  const std::string isolated = file_text("/sys/devices/system/cpu/isolated");
  all.push_back({"isolated_processors", Verdict::kOk, isolated.empty() ? "none" : isolated, {}});
  const std::string clock =
      file_text("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  const bool slow = clock == "hpet" || clock == "acpi_pm" || clock == "jiffies";
  all.push_back(judge("clocksource", !slow, Verdict::kWarn, clock.empty() ? "unknown" : clock,
                      "reading it is a system call: boot with tsc=reliable if the TSC is sound"));
  all.push_back(judge("hypervisor", !runs_under_hypervisor(), Verdict::kWarn,
                      runs_under_hypervisor() ? "virtual machine" : "none seen",
                      "latencies include the host's scheduling: pin the virtual processors"));
}

// The memory limit of this process's control group, version 2 or 1; nothing if there is none.
std::optional<std::uint64_t> cgroup_limit_bytes() {
  const std::string groups = file_text("/proc/self/cgroup");
  std::string_view rest = groups;
  std::optional<std::uint64_t> lowest;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    std::string path;
    if (controllers.empty()) {
      path = "/sys/fs/cgroup" + std::string(line.substr(second + 1)) + "/memory.max";
    } else if (controllers == "memory") {
      path =
          "/sys/fs/cgroup/memory" + std::string(line.substr(second + 1)) + "/memory.limit_in_bytes";
    } else {
      continue;
    }
    const std::string text = file_text(path.c_str());
    const auto limit = leading_number(text);
    // Version 1 says "no limit" by a number just below 2^63.
    if (limit && *limit < (std::uint64_t{1} << 62))
      lowest = std::min(lowest.value_or(*limit), *limit);
  }
  return lowest;
}

void add_memory(std::vector<Capability>& all) {
  const std::string overcommit = file_text("/proc/sys/vm/overcommit_memory");
  all.push_back(
      {"overcommit", Verdict::kOk, overcommit == "2" ? "strict (2)" : "mode " + overcommit, {}});
  const auto limit = cgroup_limit_bytes();
  all.push_back(judge("cgroup_memory", !limit || *limit >= kComfortableBytes, Verdict::kWarn,
                      limit ? mebibytes(*limit) + " limit" : "no limit",
                      "segments count against it, and beyond it the kernel kills instead of "
                      "refusing: raise memory.max"));
}

}  // namespace

std::vector<Capability> inspect_machine() {
  std::vector<Capability> all;
  all.push_back(kernel());
  all.push_back(memlock());
  add_directory(all);
  all.push_back(certificates());
  add_huge_pages(all);
  add_placement(all);
  add_seals(all);
  add_waiting(all);
  add_processors(all);
  add_memory(all);
  return all;
}

}  // namespace slipring
