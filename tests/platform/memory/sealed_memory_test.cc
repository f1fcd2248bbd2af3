#include "platform/memory/sealed_memory.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include <doctest/doctest.h>

#include "tests/platform/other_process.h"
#include "tests/platform/seccomp.h"

namespace slipring {
namespace {

constexpr std::uint64_t kSizeBytes = 64 * 1024;
constexpr int kNoFilters = 77;
constexpr uid_t kNobody = 65534;

SealedMemory made() {
  Result<SealedMemory> memory = make_sealed_memory(kSizeBytes, MemoryLock::kOff);
  REQUIRE(memory.ok());
  return std::move(memory).value();
}

// First, since the kernel's best is asked for once a process.
TEST_CASE("sealed memory: a kernel without the seal against writing is reported") {
  OtherProcess child([](Line) {
    if (!forbid_calls({{SYS_fcntl, EINVAL, 0x17, 2}})) return kNoFilters;
    Result<SealedMemory> memory = make_sealed_memory(kSizeBytes, MemoryLock::kOff);
    if (!memory.ok()) return 1;
    if (best_protection_level() != ProtectionLevel::kReadOnlyFd) return 2;
    if (memory->protection != ProtectionLevel::kReadOnlyFd) return 3;
    if ((::fcntl(memory->descriptor.get(), F_GETFL) & O_ACCMODE) != O_RDONLY) return 4;
    Result<MemoryFacts> facts = verify_memory(memory->descriptor.get(), geteuid(), kSizeBytes);
    if (!facts.ok() || facts->protection != ProtectionLevel::kReadOnlyFd) return 5;
    Result<Mapping> view = map_verified(memory->descriptor.get(), kSizeBytes, MemoryLock::kOff);
    return view.ok() ? 0 : 6;
  });
  const int code = child.wait();
  if (code != kNoFilters) CHECK(code == 0);
}

TEST_CASE("sealed memory: its writer goes on writing, and whoever has the descriptor reads it") {
  SealedMemory memory = made();
  CHECK(memory.protection == best_protection_level());
  Result<MemoryFacts> facts = verify_memory(memory.descriptor.get(), geteuid(), kSizeBytes);
  REQUIRE(facts.ok());
  CHECK(facts->owner == geteuid());
  Result<Mapping> other =
      map_verified(memory.descriptor.get(), facts->size_bytes, MemoryLock::kOff);
  REQUIRE(other.ok());
  for (std::size_t at = 0; at < kSizeBytes; at += 997) {
    memory.own.writable_bytes()[at] = std::byte{0x5a};
    CHECK(other->bytes()[at] == std::byte{0x5a});
  }
}

// Every way to change the memory from outside that the kernel has; answers how many succeeded.
int attack(int fd) {
  int successes = 0;
  const auto attempt = [&](bool succeeded, const char* how) {
    if (!succeeded) return;
    std::printf("attack succeeded: %s\n", how);
    ++successes;
  };
  void* writable = ::mmap(nullptr, kSizeBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  attempt(writable != MAP_FAILED, "mmap read-write");
  void* readable = ::mmap(nullptr, kSizeBytes, PROT_READ, MAP_SHARED, fd, 0);
  attempt(readable != MAP_FAILED && ::mprotect(readable, kSizeBytes, PROT_READ | PROT_WRITE) == 0,
          "mprotect");
  attempt(::pwrite(fd, "x", 1, 0) == 1, "pwrite");
  attempt(::ftruncate(fd, 0) == 0, "ftruncate to nothing");
  attempt(::ftruncate(fd, kSizeBytes * 2) == 0, "ftruncate to twice");
  attempt(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0, "hole");
  attempt(::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0, "another seal");
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const int again = ::open(path.c_str(), O_RDWR);
  if (again >= 0) {
    attempt(::pwrite(again, "x", 1, 0) == 1, "pwrite after reopening");
    attempt(::ftruncate(again, 0) == 0, "ftruncate after reopening");
    writable = ::mmap(nullptr, kSizeBytes, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
    attempt(writable != MAP_FAILED, "mmap read-write after reopening");
  }
  return successes;
}

TEST_CASE("sealed memory: nothing that a receiver of the descriptor tries changes it") {
  if (best_protection_level() != ProtectionLevel::kSealed) return;
  SealedMemory memory = made();
  memory.own.writable_bytes()[0] = std::byte{1};
  for (const uid_t user : {geteuid(), kNobody}) {
    if (user != geteuid() && geteuid() != 0) continue;
    OtherProcess child([&](Line) {
      if (user != geteuid() && setuid(user) != 0) return 99;
      return attack(memory.descriptor.get());
    });
    CHECK(child.wait() == 0);
  }
  CHECK(memory.own.bytes()[0] == std::byte{1});
  // The oracle sees what it is there for: unsealed memory falls to it.
  Result<SealedMemory> open = make_unsealed_memory(kSizeBytes, MemoryLock::kOff);
  REQUIRE(open.ok());
  OtherProcess child([&](Line) { return attack(open->descriptor.get()); });
  CHECK(child.wait() >= 5);
}

TEST_CASE("sealed memory: a store through what a receiver may map kills the receiver") {
  SealedMemory memory = made();
  OtherProcess child([&](Line) {
    Result<Mapping> view = map_verified(memory.descriptor.get(), kSizeBytes, MemoryLock::kOff);
    if (!view) return 1;
    *const_cast<volatile std::byte*>(view->bytes().data()) = std::byte{7};
    return 0;
  });
  CHECK(child.wait() == -SIGSEGV);
  CHECK(memory.own.bytes()[0] == std::byte{0});
}

TEST_CASE("sealed memory: a receiver refuses memory that lacks any one seal") {
  if (best_protection_level() != ProtectionLevel::kSealed) return;
  constexpr int kAll[] = {0x01, 0x02, 0x04, 0x10};
  for (int without = -1; without < 4; ++without) {
    Result<SealedMemory> memory = make_unsealed_memory(kSizeBytes, MemoryLock::kOff);
    REQUIRE(memory.ok());
    int seals = 0;
    for (int i = 0; i < 4; ++i) seals |= i == without ? 0 : kAll[i];
    REQUIRE(::fcntl(memory->descriptor.get(), F_ADD_SEALS, seals) == 0);
    Result<MemoryFacts> facts = verify_memory(memory->descriptor.get(), geteuid(), kSizeBytes);
    CHECK(facts.ok() == (without < 0));
    if (without >= 0) CHECK(facts.error().code == ErrorCode::kCorruptPeer);
    // The seals of size alone still let a mapped page be emptied: hence the seal against writing.
    if (without == 3) {
      memory->own.writable_bytes()[0] = std::byte{77};
      REQUIRE(::fallocate(memory->descriptor.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                          4096) == 0);
      CHECK(memory->own.bytes()[0] == std::byte{0});
    }
  }
}

TEST_CASE("sealed memory: a receiver refuses another size, another owner, and what is no memory") {
  SealedMemory memory = made();
  const int fd = memory.descriptor.get();
  CHECK(verify_memory(fd, geteuid(), kSizeBytes + 1).error().code == ErrorCode::kCorruptPeer);
  CHECK(verify_memory(fd, geteuid() + 1, kSizeBytes).error().code == ErrorCode::kCorruptPeer);
  const Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(verify_memory(null.get(), geteuid(), kSizeBytes).error().code == ErrorCode::kCorruptPeer);
  const Descriptor folder(::open("/dev/shm", O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  CHECK(verify_memory(folder.get(), 0, kSizeBytes).error().code == ErrorCode::kCorruptPeer);
  const Descriptor file(::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  REQUIRE(file.is_open());
  REQUIRE(::ftruncate(file.get(), kSizeBytes) == 0);
  CHECK(verify_memory(file.get(), geteuid(), kSizeBytes).error().code == ErrorCode::kCorruptPeer);
}

TEST_CASE("sealed memory: memory of zeros has no writer") {
  Result<Descriptor> zeros = make_zero_memory(kSizeBytes);
  REQUIRE(zeros.ok());
  REQUIRE(verify_memory(zeros->get(), geteuid(), kSizeBytes).ok());
  if (best_protection_level() == ProtectionLevel::kSealed) CHECK(attack(zeros->get()) == 0);
  Result<Mapping> view = map_verified(zeros->get(), kSizeBytes, MemoryLock::kOff);
  REQUIRE(view.ok());
  for (const std::byte byte : view->bytes()) REQUIRE(byte == std::byte{0});
}

TEST_CASE("sealed memory: a forked child cannot write, and the memory goes with its process") {
  SealedMemory memory = made();
  OtherProcess child([&](Line) {
    *reinterpret_cast<volatile std::byte*>(const_cast<std::byte*>(memory.own.bytes().data())) =
        std::byte{7};
    return 0;
  });
  CHECK(child.wait() == -SIGSEGV);
}

TEST_CASE("mapping: newer memory is shown where the older was, and old pointers see it") {
  SealedMemory older = made();
  SealedMemory newer = made();
  older.own.writable_bytes()[5000] = std::byte{1};
  newer.own.writable_bytes()[5000] = std::byte{2};
  Result<Mapping> view = map_verified(older.descriptor.get(), kSizeBytes, MemoryLock::kTry);
  Result<Mapping> next = map_verified(newer.descriptor.get(), kSizeBytes, MemoryLock::kTry);
  REQUIRE(view.ok());
  REQUIRE(next.ok());
  const std::byte* at = view->bytes().data() + 5000;
  CHECK(*static_cast<const volatile std::byte*>(at) == std::byte{1});
  REQUIRE(view->show_instead(*next).ok());
  CHECK_FALSE(next->is_mapped());
  CHECK(view->bytes().data() + 5000 == at);
  CHECK(*static_cast<const volatile std::byte*>(at) == std::byte{2});
  newer.own.writable_bytes()[5000] = std::byte{3};
  CHECK(*static_cast<const volatile std::byte*>(at) == std::byte{3});
  // The abandoned memory is written on by its ghost, and nobody sees it.
  older.own.writable_bytes()[5000] = std::byte{9};
  CHECK(*static_cast<const volatile std::byte*>(at) == std::byte{3});
  CHECK(::mprotect(const_cast<std::byte*>(at - 5000), kSizeBytes, PROT_READ | PROT_WRITE) != 0);
}

}  // namespace
}  // namespace slipring
