// Memory that one process writes and everybody else can only read, whatever they try.
//
// Protocol.  A memfd is made, sized, filled with pages, mapped read-write by its one writer, and
// only then sealed: against shrinking and growing (nobody faults where memory was), against future
// writing (no other writable mapping, write(), hole, or mprotect() can come), and against more
// seals.  The mapping made before the seal is the one through which the memory can ever change, and
// it goes with its process.  So a descriptor of the memory may be given to anybody, and a
// successor, which makes memory of its own, has nothing to fear from its predecessor's ghost.
//
// A receiver believes the kernel and nobody else: seals, size, and owner are asked of the
// descriptor.
//
// What a kernel cannot give is reported, and never silently dropped: a read-only descriptor of
// memory that is not sealed keeps other users out only, since a process of the same user can open
// it again for writing.
//
// Crash.  Memory without a name goes with its last mapping and descriptor.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "core/error/result.h"
#include "platform/memory/mapping.h"
#include "platform/process/descriptor.h"

namespace slipring {

// What keeps others from writing; a smaller value protects more.
enum class ProtectionLevel : std::uint8_t {
  kSealed = 0,      // the kernel refuses everybody
  kReadOnlyFd = 1,  // another user is refused; the same user could write
  kNone = 2,        // as many as may open it could write, or cut it short
};

// "sealed", "read-only fd", "none": as the command line and JSON have it.
[[nodiscard]] const char* name_of(ProtectionLevel level) noexcept;

// Without any of these, memory is not sealed.  The seal against execution (Linux 6.3) comes on top.
inline constexpr std::uint32_t kNeededSeals = 0x01 | 0x02 | 0x04 | 0x10;  // SEAL SHRINK GROW FUTURE
inline constexpr std::uint32_t kExecSeal = 0x20;

// The writer's side: memory of its own, zero at first, which goes on to be writable here alone.
struct SealedMemory {
  Mapping own;              // read-write
  Descriptor descriptor;    // to hand out
  std::uint32_t seals = 0;  // as the kernel shows them afterwards
  ProtectionLevel protection = ProtectionLevel::kNone;
};

// Makes memory and maps it; it is not sealed yet, and nobody else has it.  /proc shows it by the
// name, of at most 200 bytes.
// Errors: kInvalidArgument, kNoSpace, kLockLimit, kUnsupported (no memfd), kSystem.
Result<SealedMemory> make_unsealed_memory(std::uint64_t size_bytes, MemoryLock memory_lock,
                                          const char* shown_name = "slipring") noexcept;

// Seals it; after that its descriptor may be handed out.  What became of it is in `seals` and
// `protection`.  Errors: kSystem, kPermission.
Status seal_memory(SealedMemory& memory) noexcept;

// Both.  Errors: as either.
Result<SealedMemory> make_sealed_memory(std::uint64_t size_bytes, MemoryLock memory_lock) noexcept;

// Memory that nobody will ever write: zeros, sealed without a mapping.  Only the first
// `taken_bytes` are taken now, the rest when it is looked at.  Errors: as above.
Result<Descriptor> make_zero_memory(std::uint64_t size_bytes,
                                    std::uint64_t taken_bytes = UINT64_MAX,
                                    const char* shown_name = "slipring") noexcept;

// The best that this kernel gives.  Where it cannot be tried just now, the best there is: a
// receiver then demands more, and never less.
[[nodiscard]] ProtectionLevel best_protection_level() noexcept;

// What the kernel says of a descriptor that came from elsewhere.
struct MemoryFacts {
  std::uint64_t size_bytes = 0;
  uid_t owner = 0;
  std::uint32_t seals = 0;
  ProtectionLevel protection = ProtectionLevel::kNone;
};

// Errors: kCorruptPeer (no memory file), kSystem.
Result<MemoryFacts> look_at_memory(int fd) noexcept;

// Whether `fd` is memory of `size_bytes` that belongs to `owner` and is protected as well as this
// kernel can.  Errors: kCorruptPeer with what was found and wanted; kSystem.
Result<MemoryFacts> verify_memory(int fd, uid_t owner, std::uint64_t size_bytes) noexcept;

// Maps verified memory read-only; pages come at once, or as they are touched.
// Errors: as Mapping::map().
Result<Mapping> map_verified(int fd, std::uint64_t size_bytes, MemoryLock memory_lock,
                             bool prefaults = true) noexcept;

}  // namespace slipring
