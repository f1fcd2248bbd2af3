// A file, or block device, as a row of blocks.
//
// Every call blocks.  Short transfers are carried on, interrupted ones repeated; what the file
// system cannot do otherwise (zeroing a range, say) is done by writing, unless that was forbidden
// (kFastZero).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/error/result.h"
#include "pipelines/array/block_request.h"
#include "platform/process/descriptor.h"

namespace slipring::array {

class FileExport {
 public:
  // Opens it, read-only where it cannot be written; a file that is missing is made, sparse, of
  // `create_bytes` (0: it is not made).  Errors: kNotFound, kPermission, kNoSpace, kSystem.
  static Result<FileExport> open(const std::string& path, std::uint64_t create_bytes) noexcept;

  [[nodiscard]] BlockExport description() const noexcept;

  // Each answers 0 or an errno.  Ranges beyond the end are EINVAL, or ENOSPC for a write.
  [[nodiscard]] int read(std::uint64_t offset, std::span<std::byte> bytes) const noexcept;
  [[nodiscard]] int write(std::uint64_t offset, std::span<const std::byte> bytes,
                          bool is_durable) const noexcept;
  [[nodiscard]] int flush() const noexcept;
  [[nodiscard]] int trim(std::uint64_t offset, std::uint32_t length,
                         bool is_durable) const noexcept;
  [[nodiscard]] int write_zeroes(std::uint64_t offset, std::uint32_t length,
                                 std::uint8_t flags) const noexcept;
  [[nodiscard]] int will_need(std::uint64_t offset, std::uint32_t length) const noexcept;
  // Fills `extents` from `offset` on, at least one, no further than `length`; answers how many.
  [[nodiscard]] std::size_t extents(std::uint64_t offset, std::uint32_t length,
                                    std::span<BlockExtent> extents) const noexcept;

 private:
  FileExport(Descriptor file, std::uint64_t size_bytes, bool is_read_only, bool is_device) noexcept
      : file_(std::move(file)),
        size_bytes_(size_bytes),
        is_read_only_(is_read_only),
        is_device_(is_device) {}
  // fallocate() in this mode; 0, EOPNOTSUPP where it cannot be, or another errno.
  [[nodiscard]] int ask(int mode, std::uint64_t offset, std::uint32_t length) const noexcept;
  // Zeroes without writing them; EOPNOTSUPP where it cannot be.
  [[nodiscard]] int zero_unwritten(std::uint64_t offset, std::uint32_t length,
                                   std::uint8_t flags) const noexcept;
  [[nodiscard]] bool is_within(std::uint64_t offset, std::uint64_t length) const noexcept {
    return offset <= size_bytes_ && length <= size_bytes_ - offset;
  }

  Descriptor file_;
  std::uint64_t size_bytes_;
  bool is_read_only_;
  bool is_device_;  // a block device
};

}  // namespace slipring::array
