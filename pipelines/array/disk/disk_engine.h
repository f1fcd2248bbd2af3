// How a disk's stage gets its reads and writes done: by io_uring, or a system call each.
//
// Short reads and writes are continued, EINTR and EAGAIN tried again; what is answered is whole or
// failed.  A read beyond the end of the disk is EIO: it has shrunk.
//
// One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/error/result.h"

namespace slipring::array {

enum class EngineOperation : std::uint8_t { kRead, kWrite, kWriteDurable, kSync };

// One operation; stays where it is from start() until it is done.
struct EngineTask {
  EngineOperation operation = EngineOperation::kSync;
  std::uint64_t offset_bytes = 0;
  std::byte* bytes = nullptr;  // not written to by writes
  std::uint32_t length_bytes = 0;
  std::uint32_t done_bytes = 0;
  bool is_done = false;
  int error = 0;  // once it is done
};

class DiskEngine {
 public:
  DiskEngine() = default;
  DiskEngine(const DiskEngine&) = delete;
  DiskEngine& operator=(const DiskEngine&) = delete;
  virtual ~DiskEngine() = default;

  // "io_uring" or "pread and pwrite".
  [[nodiscard]] virtual const char* name() const noexcept = 0;
  // Begins it; at the latest turn() lets the kernel see it.  At most `depth` are under way.
  virtual void start(EngineTask& task) noexcept = 0;
  // Marks tasks as done; with `waits`, at least one of those under way.
  virtual void turn(bool waits) noexcept = 0;
};

// Requires: `file` outlives the engine, and so does `read_memory`, into which reads go: the kernel
// is told of it in advance where it allows that.  Errors: kUnsupported (no io_uring here: an old
// kernel, or a container that forbids it), kSystem.
Result<std::unique_ptr<DiskEngine>> make_uring_engine(int file, std::uint32_t depth,
                                                      std::span<std::byte> read_memory) noexcept;
std::unique_ptr<DiskEngine> make_plain_engine(int file) noexcept;

}  // namespace slipring::array
