// A system call each, in the order in which they come.
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "pipelines/array/disk/disk_engine.h"

namespace slipring::array {
namespace {

class PlainEngine final : public DiskEngine {
 public:
  explicit PlainEngine(int file) noexcept : file_(file) {}

  [[nodiscard]] const char* name() const noexcept override { return "pread and pwrite"; }

  void start(EngineTask& task) noexcept override {
    task.error = task.operation == EngineOperation::kSync ? sync() : transfer(task);
    task.is_done = true;
  }

  void turn(bool) noexcept override {}

 private:
  [[nodiscard]] int sync() const noexcept {
    while (::fdatasync(file_) != 0) {
      // Whatever else it is: the pages may count as clean now, and a second try would lie.
      if (errno != EINTR) return errno;
    }
    return 0;
  }

  [[nodiscard]] int transfer(EngineTask& task) const noexcept {
    bool syncs_after = false;
    while (task.done_bytes < task.length_bytes) {
      const iovec part{task.bytes + task.done_bytes, task.length_bytes - task.done_bytes};
      const auto offset = static_cast<off_t>(task.offset_bytes + task.done_bytes);
      ssize_t count = 0;
      if (task.operation == EngineOperation::kRead) {
        count = ::preadv(file_, &part, 1, offset);
        if (count == 0) return EIO;
      } else {
        const bool is_durable = task.operation == EngineOperation::kWriteDurable && !syncs_after;
        count = ::pwritev2(file_, &part, 1, offset, is_durable ? RWF_DSYNC : 0);
        if (count < 0 && is_durable && (errno == EOPNOTSUPP || errno == ENOSYS)) {
          syncs_after = true;
          continue;
        }
        if (count == 0) return ENOSPC;
      }
      if (count > 0) {
        task.done_bytes += static_cast<std::uint32_t>(count);
      } else if (errno != EINTR && errno != EAGAIN) {
        return errno;
      }
    }
    return syncs_after ? sync() : 0;
  }

  int file_;
};

}  // namespace

std::unique_ptr<DiskEngine> make_plain_engine(int file) noexcept {
  return std::make_unique<PlainEngine>(file);
}

}  // namespace slipring::array
