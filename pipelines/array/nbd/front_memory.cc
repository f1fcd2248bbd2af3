#include "pipelines/array/nbd/front_memory.h"

#include <utility>

#include "pipelines/array/nbd/surviving_word.h"
#include "platform/memory/memory_file.h"

namespace slipring::array {
namespace {

// Of the spill memory from the start; the rest comes and goes.
constexpr std::uint64_t kTakenBytes = 4096;

Result<Mapping> map(int fd, MemoryLock memory_lock) noexcept {
  MappingOptions options;
  options.access = Access::kReadWrite;
  options.memory_lock = memory_lock;
  return Mapping::map(fd, 0, sizeof(FrontMemory), options);
}

}  // namespace

Result<FrontMemoryFile> FrontMemoryFile::make(MemoryLock memory_lock) noexcept {
  Result<MemoryFile> file = make_memory_file(sizeof(FrontMemory), false, UINT64_MAX, "nbd-front");
  if (!file) return file.error();
  Result<Mapping> mapping = map(file->descriptor.get(), memory_lock);
  if (!mapping) return mapping.error();
  FrontMemoryFile made(std::move(file->descriptor), std::move(mapping).value());
  made.memory().size_bytes = sizeof(FrontMemory);
  settle(made.memory().submission.piece, kNoIndex);
  settle(made.memory().magic, kFrontMagic);
  return made;
}

Result<FrontMemoryFile> FrontMemoryFile::adopt(Descriptor descriptor,
                                               MemoryLock memory_lock) noexcept {
  Result<Mapping> mapping = map(descriptor.get(), memory_lock);
  if (!mapping) return mapping.error();
  FrontMemoryFile taken(std::move(descriptor), std::move(mapping).value());
  const std::uint64_t magic = settled(taken.memory().magic);
  if (magic != kFrontMagic || taken.memory().size_bytes != sizeof(FrontMemory)) {
    return Error{ErrorCode::kVersion, 0, "take over the front's memory", taken.memory().size_bytes,
                 sizeof(FrontMemory)};
  }
  return taken;
}

Result<SpillMemoryFile> SpillMemoryFile::make() noexcept {
  Result<MemoryFile> file = make_memory_file(kSizeBytes, false, kTakenBytes, "nbd-spill");
  if (!file) return file.error();
  return adopt(std::move(file->descriptor));
}

Result<SpillMemoryFile> SpillMemoryFile::adopt(Descriptor descriptor) noexcept {
  MappingOptions options;
  options.access = Access::kReadWrite;
  options.memory_lock = MemoryLock::kOff;
  options.prefaults = false;
  Result<Mapping> mapping = Mapping::map(descriptor.get(), 0, kSizeBytes, options);
  if (!mapping) return mapping.error();
  return SpillMemoryFile(std::move(descriptor), std::move(mapping).value());
}

}  // namespace slipring::array
