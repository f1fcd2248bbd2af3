// A guarded link against a process that keeps to no rule, with the descriptors that it is given and
// with what the kernel offers to look into others.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <doctest/doctest.h>

#include <cerrno>
#include <string>

#include "pipelines/link/guarded_broker.h"
#include "platform/memory/sealed_memory.h"
#include "platform/process/inspection.h"
#include "tests/hostile/hostile_fixture.h"
#include "tests/hostile/raw_client.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring::hostile {
namespace {

using test::attach_when_free;
using test::BrokerProcess;
using test::Directory;
using test::must;

constexpr std::size_t kMostAttacks = 64;

// What became of each attack, told by the process that tried it.
struct Outcomes {
  struct One {
    char name[48] = {};
    bool is_contained = false;
    int os_errno = 0;
  };
  std::size_t count = 0;
  One all[kMostAttacks];

  void add(const std::string& name, bool is_contained, int os_errno) {
    if (count == kMostAttacks) std::abort();
    One& one = all[count++];
    name.copy(one.name, sizeof one.name - 1);
    one.is_contained = is_contained;
    one.os_errno = os_errno;
  }
  // An attack that a system call must refuse.
  void refused(const std::string& name, long result) {
    add(name, result < 0, result < 0 ? errno : 0);
  }
};

// Tries everything that could change sealed memory behind a descriptor.
void attack_memory(int fd, const std::string& prefix, Outcomes& outcomes) {
  struct stat facts {};
  if (::fstat(fd, &facts) != 0) std::abort();
  const auto size = static_cast<std::size_t>(facts.st_size);
  const auto refused = [&](const char* name, long result) {
    outcomes.refused(prefix + name, result);
  };
  refused("truncate", ::ftruncate(fd, 0));
  refused("grow", ::ftruncate(fd, facts.st_size * 2));
  refused("punch a hole",
          ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, facts.st_size));
  refused("zero a range", ::fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, facts.st_size));
  refused("fallocate beyond", ::fallocate(fd, 0, 0, facts.st_size * 2));
  refused("pwrite", ::pwrite(fd, "x", 1, 0));
  refused("more seals", ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  void* writable = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  refused("map writable", writable == MAP_FAILED ? -1 : 0);
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) std::abort();
  refused("mprotect up", ::mprotect(mapped, size, PROT_READ | PROT_WRITE));
  refused("madvise remove", ::madvise(mapped, size, MADV_REMOVE));
  refused("read(2) into it", ::pread(fd, mapped, 1, 0));
  const iovec from{outcomes.all[0].name, 1};
  const iovec to{mapped, 1};
  refused("process_vm_writev", ::process_vm_writev(::getpid(), &from, 1, &to, 1, 0));
  const int memory = ::open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  refused("/proc/self/mem", ::pwrite(memory, "x", 1, reinterpret_cast<off_t>(mapped)));
  ::close(memory);
  void* moved = ::mremap(mapped, size, 2 * size, MREMAP_MAYMOVE);
  catch_faults();
  if (moved != MAP_FAILED) mapped = moved;
  outcomes.add(prefix + "store after mremap",
               !may_store(static_cast<volatile unsigned char*>(mapped)), EFAULT);
  static_cast<void>(::fchmod(fd, 0777));
  const int again = ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR | O_CLOEXEC);
  if (again < 0) {
    refused("reopen for writing", -1);
  } else {
    refused("reopen, then pwrite", ::pwrite(again, "x", 1, 0));
    refused("reopen, then truncate", ::ftruncate(again, 0));
    writable = ::mmap(nullptr, size, PROT_WRITE, MAP_SHARED, again, 0);
    refused("reopen, then map writable", writable == MAP_FAILED ? -1 : 0);
  }
  // Its own view is its own: others see nothing of it.
  void* over =
      ::mmap(mapped, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (over == MAP_FAILED) std::abort();
  std::memset(over, 0xff, size);
  outcomes.add(prefix + "remap MAP_FIXED, scribble", true, 0);
}

[[nodiscard]] std::uint64_t hash_of_own_memory() {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (const SharedRange& range : shared_ranges()) {
    if (!range.is_writable) continue;
    for (const unsigned char* at = range.begin; at != range.end; ++at) {
      hash = (hash ^ *at) * 0x100'0000'01b3;
    }
  }
  return hash;
}

TEST_CASE("hostile process: the memory behind the descriptors of a guarded link stays as it is") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  Matrix matrix("guarded memory against who has its descriptor");
  BrokerProcess broker(directory, test::records(4096));
  LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
  for (std::uint64_t i = 0; i < 20; ++i) REQUIRE(test::put(writer, i));
  const std::uint64_t hash = hash_of_own_memory();
  for (const bool is_another_user : {false, true}) {
    Told<Outcomes> outcomes;
    OtherProcess hostile([&](Line line) {
      RawClient client(directory);
      if (!client.ask(Role::kReader) || client.descriptors().size() != 2) return 1;
      if (is_another_user && (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) return 2;
      attack_memory(client.descriptors()[0], "page: ", *outcomes);
      attack_memory(client.descriptors()[1], "ring: ", *outcomes);
      line.say('y');
      line.hear();
      return 0;
    });
    REQUIRE(hostile.line().hear() == 'y');
    for (std::size_t i = 0; i < outcomes->count; ++i) {
      const Outcomes::One& one = outcomes->all[i];
      matrix.add(is_another_user ? "guarded, uid 65534" : "guarded, same uid", one.name,
                 one.is_contained && hash_of_own_memory() == hash,
                 ::strerrorname_np(one.os_errno) != nullptr && one.os_errno != 0
                     ? ::strerrorname_np(one.os_errno)
                     : "its own view only");
    }
  }
  LinkReader reader = must(attach_when_free<LinkReader>(directory));
  for (std::uint64_t i = 0; i < 20; ++i) {
    Message message;
    REQUIRE(test::peek(reader, message));
    CHECK(test::number_in(message) == i);
    reader.release(message);
  }
  CHECK(matrix.row_count() >= 64);
}

// What a same-user process can do to another, and what dumpable 0 ends.
void attack_process(pid_t victim, void* place, int its_fd, const std::string& prefix,
                    Outcomes& outcomes) {
  const auto refused = [&](const char* name, long result) {
    outcomes.refused(prefix + name, result);
  };
  char byte = 'x';
  const iovec from{&byte, 1};
  const iovec to{place, 1};
  refused("process_vm_writev", ::process_vm_writev(victim, &from, 1, &to, 1, 0));
  refused("process_vm_readv", ::process_vm_readv(victim, &from, 1, &to, 1, 0));
  const std::string proc = "/proc/" + std::to_string(victim);
  refused("/proc/PID/mem", ::open((proc + "/mem").c_str(), O_RDWR | O_CLOEXEC));
  refused("/proc/PID/fd theft",
          ::open((proc + "/fd/" + std::to_string(its_fd)).c_str(), O_RDONLY | O_CLOEXEC));
  const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, victim, 0));
  refused("pidfd_getfd theft", ::syscall(SYS_pidfd_getfd, pidfd, its_fd, 0));
  const long attached = ::ptrace(PTRACE_ATTACH, victim, nullptr, nullptr);
  refused("ptrace attach", attached);
  if (attached == 0) ::ptrace(PTRACE_DETACH, victim, nullptr, nullptr);
}

TEST_CASE("hostile process: ptrace and its kin, of the same user and of another") {
  Matrix matrix("a process against a process");
  struct Case {
    bool forbids;
    uid_t attacker;
    const char* name;
  };
  for (const Case& now :
       {Case{true, kNobody, "same uid, dumpable 0"},
        Case{true, kNobody - 1, "other uid, dumpable 0"}, Case{false, kNobody - 1, "other uid"},
        Case{false, kNobody, "same uid"}}) {
    Told<std::array<std::uint64_t, 2>> told;
    OtherProcess victim([&](Line line) {
      if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return 1;
      Result<SealedMemory> memory = make_sealed_memory(4096, MemoryLock::kOff);
      if (!memory) return 2;
      // Changing users forbids inspection too; here as if it had been started so.
      ::prctl(PR_SET_DUMPABLE, 1);
      if (now.forbids && !forbid_inspection().ok()) return 2;
      (*told)[0] = reinterpret_cast<std::uint64_t>(memory->own.writable_bytes().data());
      (*told)[1] = static_cast<std::uint64_t>(memory->descriptor.get());
      line.say('y');
      line.hear();
      return memory->own.bytes()[0] == std::byte{0} ? 0 : 3;
    });
    REQUIRE(victim.line().hear() == 'y');
    Told<Outcomes> outcomes;
    OtherProcess attacker([&](Line line) {
      if (::setgid(now.attacker) != 0 || ::setuid(now.attacker) != 0) return 1;
      attack_process(victim.pid(), reinterpret_cast<void*>((*told)[0]),
                     static_cast<int>((*told)[1]), "", *outcomes);
      line.say('y');
      return 0;
    });
    REQUIRE(attacker.line().hear() == 'y');
    std::size_t contained_count = 0;
    for (std::size_t i = 0; i < outcomes->count; ++i) {
      const Outcomes::One& one = outcomes->all[i];
      if (one.is_contained) ++contained_count;
      const bool is_expected_through = !now.forbids && now.attacker == kNobody;
      if (is_expected_through) continue;
      matrix.add(now.name, one.name, one.is_contained, ::strerrorname_np(one.os_errno));
    }
    // GUARD.md says so: without dumpable 0 a process is open to its user.  And so these attacks are
    // seen to work where nothing stops them.
    if (!now.forbids && now.attacker == kNobody) CHECK(contained_count == 0);
  }
  CHECK(matrix.row_count() == 18);
}

}  // namespace
}  // namespace slipring::hostile
