// The cache's memory, which outlives its process: what lies where.  Specified in
// pipelines/array/CACHE.md, change both or neither.
//
//   0       CacheHeader, 4096 bytes
//   4096    slot_count CacheEntry
//   then, at a multiple of 4096: slot_count blocks of 4096 bytes
//
// Invariant, at every instruction: of an entry whose tag is not 0, version, checksum and block are
// those of the tag's block.  A block is written into a slot whose tag is 0, and shown by one store
// of the tag; an old slot of the same block is freed after that, so that of two the later version
// counts.
//
// Ordering.  cache.A -> cache.B  show: who sees the tag sees version, checksum and block.  What the
// processor reorders is in memory before the death certificate is given; the compiler must not.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "core/error/result.h"
#include "pipelines/array/block_request.h"
#include "pipelines/array/raid/raid_layout.h"
#include "platform/memory/mapping.h"
#include "platform/process/descriptor.h"

namespace slipring::array {

inline constexpr std::uint64_t kCacheMagic = 0x3130'4843'5049'4c53;  // "SLIPCH01"
inline constexpr std::uint64_t kCacheSlotsMin = 16;
inline constexpr std::uint64_t kCacheSlotsMax = std::uint64_t{1} << 28;

enum class BlockState : std::uint8_t {
  kFree = 0,
  kClean = 1,    // the array has it
  kDirty = 2,    // the array does not have it yet
  kWriting = 3,  // on its way: dirty until the array has answered
};

struct CacheEntry {
  std::atomic<std::uint64_t> tag;  // 0: free; (block + 1) << 2 | state
  std::uint64_t version;           // sequence of the write that made it; 0: read from the array
  std::uint32_t checksum;          // block_checksum() of the slot
  std::uint32_t is_hole;           // 1: zeros that need take no room on the array
};
static_assert(sizeof(CacheEntry) == 24);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

struct CacheHeader {
  std::uint64_t magic;  // written last
  std::uint64_t slot_count;
  std::uint64_t block_bytes;
  std::uint64_t size_bytes;  // of all the memory
  // Sequence of the newest write that is in the cache as a whole.  Writes come in their sequence,
  // so none up to it is to be done again.
  std::atomic<std::uint64_t> applied_sequence;
  // A connection's: up to it nothing is wanted any more (BlockAbort).
  std::array<std::atomic<std::uint64_t>, kBlockConnectionEnd> aborted_sequences;
};
inline constexpr std::uint64_t kCacheHeaderBytes = 4096;
static_assert(sizeof(CacheHeader) <= kCacheHeaderBytes);

[[nodiscard]] constexpr std::uint64_t cache_blocks_offset(std::uint64_t slot_count) noexcept {
  const std::uint64_t end = kCacheHeaderBytes + slot_count * sizeof(CacheEntry);
  return (end + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}
[[nodiscard]] constexpr std::uint64_t cache_bytes(std::uint64_t slot_count) noexcept {
  return cache_blocks_offset(slot_count) + slot_count * kBlockBytes;
}

// Makes fresh memory a cache's.  Requires: it is zeros, and cache_bytes(slot_count) long.
void format_cache(std::span<std::byte> memory, std::uint64_t slot_count) noexcept;

// Whether the memory is a cache's, of a size that fits.  Errors: kVersion, kCorruptPeer.
Status validate_cache(std::span<const std::byte> memory) noexcept;

// The memory as a file of its own, mapped.
class CacheMemory {
 public:
  // Errors: as make_memory_file() and Mapping::map().
  static Result<CacheMemory> make(std::uint64_t slot_count, MemoryLock memory_lock) noexcept;
  // A predecessor's.  Errors: kVersion, kCorruptPeer, and as above.
  static Result<CacheMemory> adopt(Descriptor file, MemoryLock memory_lock) noexcept;

  [[nodiscard]] int fd() const noexcept { return file_.get(); }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return mapping_.writable_bytes(); }
  [[nodiscard]] bool is_locked() const noexcept { return mapping_.is_locked(); }

 private:
  CacheMemory(Descriptor file, Mapping mapping) noexcept
      : file_(std::move(file)), mapping_(std::move(mapping)) {}

  Descriptor file_;
  Mapping mapping_;
};

}  // namespace slipring::array
