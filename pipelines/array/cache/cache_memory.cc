#include "pipelines/array/cache/cache_memory.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error/check.h"
#include "platform/memory/memory_file.h"

namespace slipring::array {
namespace {

Result<Mapping> map(int fd, std::uint64_t size_bytes, MemoryLock memory_lock) noexcept {
  MappingOptions options;
  options.access = Access::kReadWrite;
  options.memory_lock = memory_lock;
  return Mapping::map(fd, 0, size_bytes, options);
}

}  // namespace

void format_cache(std::span<std::byte> memory, std::uint64_t slot_count) noexcept {
  check(memory.size() >= cache_bytes(slot_count), "memory for all slots");
  auto& header = *reinterpret_cast<CacheHeader*>(memory.data());
  header.slot_count = slot_count;
  header.block_bytes = kBlockBytes;
  header.size_bytes = memory.size();
  std::atomic_signal_fence(std::memory_order_seq_cst);
  header.magic = kCacheMagic;
}

Status validate_cache(std::span<const std::byte> memory) noexcept {
  CacheHeader header{};
  if (memory.size() < kCacheHeaderBytes) {
    return Error{ErrorCode::kCorruptPeer, 0, "a cache's memory is too short", memory.size(),
                 kCacheHeaderBytes};
  }
  std::memcpy(static_cast<void*>(&header), memory.data(), sizeof header);
  if (header.magic != kCacheMagic || header.block_bytes != kBlockBytes) {
    return Error{ErrorCode::kVersion, 0, "not a cache's memory of this version", header.magic,
                 kCacheMagic};
  }
  if (header.slot_count < kCacheSlotsMin || header.slot_count > kCacheSlotsMax ||
      header.size_bytes != memory.size() || cache_bytes(header.slot_count) > memory.size()) {
    return Error{ErrorCode::kCorruptPeer, 0, "a cache's slots do not fit its memory",
                 header.slot_count, memory.size()};
  }
  return {};
}

Result<CacheMemory> CacheMemory::make(std::uint64_t slot_count, MemoryLock memory_lock) noexcept {
  const std::uint64_t size_bytes = cache_bytes(slot_count);
  Result<MemoryFile> file = make_memory_file(size_bytes, false, UINT64_MAX, "array-cache");
  if (!file) return file.error();
  Result<Mapping> mapping = map(file->descriptor.get(), size_bytes, memory_lock);
  if (!mapping) return mapping.error();
  format_cache(mapping->writable_bytes(), slot_count);
  return CacheMemory(std::move(file->descriptor), std::move(mapping).value());
}

Result<CacheMemory> CacheMemory::adopt(Descriptor file, MemoryLock memory_lock) noexcept {
  struct stat found = {};
  if (::fstat(file.get(), &found) != 0) {
    return Error{ErrorCode::kSystem, errno, "look at a cache's memory"};
  }
  // A memory file's size is whole pages; the header says how much of them counts.
  Result<Mapping> head = map(file.get(), kCacheHeaderBytes, MemoryLock::kOff);
  if (!head) return head.error();
  CacheHeader header{};
  std::memcpy(static_cast<void*>(&header), head->bytes().data(), sizeof header);
  if (header.size_bytes > static_cast<std::uint64_t>(found.st_size)) {
    return Error{ErrorCode::kCorruptPeer, 0, "a cache's memory is shorter than its header says",
                 static_cast<std::uint64_t>(found.st_size), header.size_bytes};
  }
  Result<Mapping> mapping = map(file.get(), header.size_bytes, memory_lock);
  if (!mapping) return mapping.error();
  if (const Status valid = validate_cache(mapping->bytes()); !valid) return valid.error();
  return CacheMemory(std::move(file), std::move(mapping).value());
}

}  // namespace slipring::array
