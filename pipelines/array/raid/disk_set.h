// The members of an array as the RAID logic sees them: numbered byte ranges with durable writes.
//
// The stage has one over links to its disks' processes, the tests have one that remembers every
// write and loses what a power cut would lose.
//
// What it promises.  A write that was answered without an error is seen by later reads.  It is on
// stable storage when it was kWriteDurable, or when a later kSync of the member was answered
// without an error.  Before that a power cut may leave any part of it, in sectors of 512 bytes and
// in any order with others.  Whether a command that was answered with an error had an effect is
// unknown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/array/disk/disk_request.h"  // DiskExtent

namespace slipring::array {

enum class DiskOperation : std::uint8_t {
  kRead = 1,
  kWrite = 2,
  kWriteDurable = 3,  // answered when these bytes are on stable storage
  kSync = 4,          // all that was written before is on stable storage
  kZero = 5,          // as kWrite of zeros; the disk need not keep room for them
  kExtents = 6,       // which parts are holes: DiskExtents (disk_request.h), kDiskExtentCount
};

struct DiskCommand {
  DiskOperation operation = DiskOperation::kRead;
  std::uint32_t member = 0;
  std::uint64_t offset_bytes = 0;
  std::byte* into = nullptr;        // kRead; kExtents: kDiskExtentsBytes
  const std::byte* from = nullptr;  // kWrite, kWriteDurable
  std::uint32_t length_bytes = 0;
  int error = 0;  // the answer: 0 or an errno; ENXIO: there is no such disk (any more)
};

class DiskSet {
 public:
  // How large the member is; 0 when it is not there.
  [[nodiscard]] virtual std::uint64_t size_bytes(std::uint32_t member) = 0;

  // Executes all of them, in no particular order, and returns when each has its answer.
  virtual void run(std::span<DiskCommand> commands) = 0;

 protected:
  ~DiskSet() = default;
};

}  // namespace slipring::array
