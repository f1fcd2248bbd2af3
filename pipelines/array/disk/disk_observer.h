// Who is told what a disk's stage does to its disk: a test that records it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pipelines/array/disk/disk_request.h"

namespace slipring::array {

class DiskObserver {
 public:
  // Before it begins, whatever the request is.  `bytes` are a write's.  A name for ended(), or 0:
  // that one is of no interest.
  [[nodiscard]] virtual std::uint64_t begins(const DiskRequest& request,
                                             const std::byte* bytes) = 0;
  // Once it is done, and before anybody is told.
  virtual void ended(std::uint64_t name, int error) = 0;

 protected:
  ~DiskObserver() = default;
};

}  // namespace slipring::array
