// The memory that outlives the front's process: made once in a run, kept in the descriptor store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error/result.h"
#include "pipelines/array/nbd/connection_memory.h"
#include "platform/memory/mapping.h"
#include "platform/process/descriptor.h"

namespace slipring::array {

class FrontMemoryFile {
 public:
  // Fresh memory.  Errors: as make_memory_file() and Mapping::map().
  static Result<FrontMemoryFile> make(MemoryLock memory_lock) noexcept;
  // A predecessor's.  Errors: kVersion (another program's, or of another build), and as above.
  static Result<FrontMemoryFile> adopt(Descriptor descriptor, MemoryLock memory_lock) noexcept;

  [[nodiscard]] FrontMemory& memory() const noexcept {
    return *reinterpret_cast<FrontMemory*>(mapping_.writable_bytes().data());
  }
  [[nodiscard]] int fd() const noexcept { return descriptor_.get(); }

 private:
  FrontMemoryFile(Descriptor descriptor, Mapping mapping) noexcept
      : descriptor_(std::move(descriptor)), mapping_(std::move(mapping)) {}

  Descriptor descriptor_;
  Mapping mapping_;
};

// Memory for replies' data that clients leave unread, a place a piece, taken only when needed.
class SpillMemoryFile {
 public:
  static constexpr std::uint64_t kSizeBytes = std::uint64_t{kPieceCountMax} * kBlockBufferBytes;

  // Errors: as make_memory_file() and Mapping::map().
  static Result<SpillMemoryFile> make() noexcept;
  static Result<SpillMemoryFile> adopt(Descriptor descriptor) noexcept;

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return mapping_.writable_bytes(); }
  [[nodiscard]] int fd() const noexcept { return descriptor_.get(); }

 private:
  SpillMemoryFile(Descriptor descriptor, Mapping mapping) noexcept
      : descriptor_(std::move(descriptor)), mapping_(std::move(mapping)) {}

  Descriptor descriptor_;
  Mapping mapping_;
};

}  // namespace slipring::array
