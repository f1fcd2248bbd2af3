// A disk: a file or a block device, opened for the disk's stage.
#pragma once

#include <cstdint>
#include <string>

#include "core/error/result.h"
#include "platform/process/descriptor.h"

namespace slipring::array {

struct DiskFileOptions {
  std::uint64_t create_bytes = 0;  // of a file that is missing, all of it taken now; 0: not made
  bool is_direct = false;          // O_DIRECT: past the page cache
};

struct DiskFile {
  Descriptor file;
  std::uint64_t size_bytes = 0;
  // On a file system in memory: no operation waits for a device, and io_uring, which cannot know,
  // would give each to a thread of its own.
  bool is_in_memory = false;

  // Errors: kNotFound, kPermission, kNoSpace, kInvalidArgument (neither a file nor a block device),
  // kSystem; with EBUSY: a block device that is in use.
  static Result<DiskFile> open(const std::string& path, const DiskFileOptions& options) noexcept;
  // One that a predecessor had opened.  Errors: kInvalidArgument, kSystem.
  static Result<DiskFile> adopt(Descriptor file) noexcept;

  // Why this is not the disk any more that was opened; empty: it is.  What is written to a file
  // that has no name goes with its last descriptor, and what was cut off is gone: a disk that was
  // pulled.
  [[nodiscard]] std::string loss() const;
};

}  // namespace slipring::array
