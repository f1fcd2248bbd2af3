#include "platform/memory/sealed_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <optional>
#include <utility>

#include "platform/memory/memory_file.h"
#include "platform/memory/page_size.h"

namespace slipring {
namespace {

static_assert(sizeof(off_t) == 8, "32-bit systems must be asked for 64-bit offsets");

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;
constexpr int kFutureWriteSeal = 0x10;  // F_SEAL_FUTURE_WRITE, Linux 5.1
static_assert(kNeededSeals == (F_SEAL_SEAL | kSizeSeals | kFutureWriteSeal));

ProtectionLevel judge(std::uint32_t seals, int open_flags) noexcept {
  if ((seals & kNeededSeals) == kNeededSeals) return ProtectionLevel::kSealed;
  const bool keeps_size = (seals & kSizeSeals) == kSizeSeals;
  const bool read_only = (open_flags & O_ACCMODE) == O_RDONLY;
  return keeps_size && read_only ? ProtectionLevel::kReadOnlyFd : ProtectionLevel::kNone;
}

Error refused(const char* doing) noexcept {
  const bool forbidden = errno == EPERM || errno == EACCES;
  return {forbidden ? ErrorCode::kPermission : ErrorCode::kSystem, errno, doing};
}

Status seal_file(MemoryFile& file) noexcept {
  const int fd = file.descriptor.get();
  // Whoever gets the descriptor cannot open the file again through /proc, unless it is its owner.
  if (::fchmod(fd, 0400) != 0) return refused("set the mode of memory without a name");
  if (::fcntl(fd, F_ADD_SEALS, kSizeSeals | kFutureWriteSeal | F_SEAL_SEAL) == 0) return {};
  if (errno != EINVAL) return refused("seal memory");
  // Linux before 5.1: the size at least, and a descriptor that cannot be written through.
  if (::fcntl(fd, F_ADD_SEALS, kSizeSeals | F_SEAL_SEAL) != 0) return refused("seal memory");
  Result<Descriptor> read_only = file.open_read_only();
  if (read_only) file.descriptor = std::move(read_only).value();
  return {};
}

// Nothing where it could not be tried just now.
std::optional<ProtectionLevel> probe_protection() noexcept {
  Result<MemoryFile> file = make_memory_file(page_size_bytes(), false);
  if (!file || !seal_file(*file)) return std::nullopt;
  Result<MemoryFacts> facts = look_at_memory(file->descriptor.get());
  if (!facts) return std::nullopt;
  return facts->protection;
}

}  // namespace

const char* name_of(ProtectionLevel level) noexcept {
  switch (level) {
    case ProtectionLevel::kSealed:
      return "sealed";
    case ProtectionLevel::kReadOnlyFd:
      return "read-only fd";
    case ProtectionLevel::kNone:
      return "none";
  }
  return "none";
}

Result<SealedMemory> make_unsealed_memory(std::uint64_t size_bytes, MemoryLock memory_lock,
                                          const char* shown_name) noexcept {
  Result<MemoryFile> file = make_memory_file(size_bytes, false, UINT64_MAX, shown_name);
  if (!file) return file.error();
  MappingOptions options;
  options.access = Access::kReadWrite;
  options.memory_lock = memory_lock;
  SealedMemory memory;
  Result<Mapping> own = Mapping::map(file->descriptor.get(), 0, size_bytes, options);
  if (!own) return own.error();
  memory.own = std::move(own).value();
  memory.descriptor = std::move(file->descriptor);
  return memory;
}

Status seal_memory(SealedMemory& memory) noexcept {
  MemoryFile file;
  file.descriptor = std::move(memory.descriptor);
  const Status sealed = seal_file(file);
  memory.descriptor = std::move(file.descriptor);
  if (!sealed) return sealed;
  Result<MemoryFacts> facts = look_at_memory(memory.descriptor.get());
  if (!facts) return facts.error();
  memory.seals = facts->seals;
  memory.protection = facts->protection;
  return {};
}

Result<SealedMemory> make_sealed_memory(std::uint64_t size_bytes, MemoryLock memory_lock) noexcept {
  Result<SealedMemory> memory = make_unsealed_memory(size_bytes, memory_lock);
  if (!memory) return memory.error();
  if (Status sealed = seal_memory(*memory); !sealed) return sealed.error();
  return memory;
}

Result<Descriptor> make_zero_memory(std::uint64_t size_bytes, std::uint64_t taken_bytes,
                                    const char* shown_name) noexcept {
  Result<MemoryFile> file = make_memory_file(size_bytes, false, taken_bytes, shown_name);
  if (!file) return file.error();
  if (Status sealed = seal_file(*file); !sealed) return sealed.error();
  return std::move(file->descriptor);
}

ProtectionLevel best_protection_level() noexcept {
  static constexpr int kUnknown = -1;
  static std::atomic<int> known{kUnknown};
  // relaxed, both: every thread finds the same level.
  const int level = known.load(std::memory_order_relaxed);
  if (level != kUnknown) return static_cast<ProtectionLevel>(level);
  const std::optional<ProtectionLevel> probed = probe_protection();
  // Short of descriptors or memory, nobody's unsealed memory is believed, and nothing remembered.
  if (!probed) return ProtectionLevel::kSealed;
  known.store(static_cast<int>(*probed), std::memory_order_relaxed);
  return *probed;
}

Result<MemoryFacts> look_at_memory(int fd) noexcept {
  struct stat found = {};
  if (::fstat(fd, &found) != 0) return refused("look at memory that came from elsewhere");
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return refused("look at memory that came from elsewhere");
  const int seals = S_ISREG(found.st_mode) ? ::fcntl(fd, F_GET_SEALS) : -1;
  if (seals < 0) {
    return Error{ErrorCode::kCorruptPeer, errno, "what came is no memory file", found.st_mode, 0};
  }
  MemoryFacts facts;
  facts.size_bytes = static_cast<std::uint64_t>(found.st_size);
  facts.owner = found.st_uid;
  facts.seals = static_cast<std::uint32_t>(seals);
  facts.protection = judge(facts.seals, flags);
  return facts;
}

Result<MemoryFacts> verify_memory(int fd, uid_t owner, std::uint64_t size_bytes) noexcept {
  Result<MemoryFacts> facts = look_at_memory(fd);
  if (!facts) return facts.error();
  if (facts->protection > best_protection_level()) {
    return Error{ErrorCode::kCorruptPeer, 0, "memory is not sealed", facts->seals, kNeededSeals};
  }
  if (facts->owner != owner) {
    return Error{ErrorCode::kCorruptPeer, 0, "memory belongs to another user than its sender",
                 facts->owner, owner};
  }
  if (facts->size_bytes != size_bytes) {
    return Error{ErrorCode::kCorruptPeer, 0, "memory is of another size", facts->size_bytes,
                 size_bytes};
  }
  return facts;
}

Result<Mapping> map_verified(int fd, std::uint64_t size_bytes, MemoryLock memory_lock,
                             bool prefaults) noexcept {
  MappingOptions options;
  options.prefaults = prefaults;
  options.memory_lock = memory_lock;
  return Mapping::map(fd, 0, size_bytes, options);
}

}  // namespace slipring
