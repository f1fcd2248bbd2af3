// io_uring, with the memory for reads registered where the kernel and RLIMIT_MEMLOCK allow it.
#include <errno.h>
#include <liburing.h>
#include <sys/uio.h>

#include "core/error/check.h"
#include "pipelines/array/disk/disk_engine.h"

namespace slipring::array {
namespace {

class UringEngine final : public DiskEngine {
 public:
  UringEngine(int file, std::span<std::byte> read_memory) noexcept
      : file_(file), read_memory_(read_memory) {}
  ~UringEngine() override {
    if (is_open_) io_uring_queue_exit(&ring_);
  }

  // 0 or an errno.
  [[nodiscard]] int open(std::uint32_t depth) noexcept {
    const int opened = io_uring_queue_init(depth, &ring_, 0);
    if (opened < 0) return -opened;
    is_open_ = true;
    const iovec whole{read_memory_.data(), read_memory_.size()};
    has_fixed_ = !read_memory_.empty() && io_uring_register_buffers(&ring_, &whole, 1) == 0;
    return 0;
  }

  [[nodiscard]] const char* name() const noexcept override {
    return has_fixed_ ? "io_uring, registered buffers" : "io_uring";
  }

  void start(EngineTask& task) noexcept override {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) {
      submit();
      entry = io_uring_get_sqe(&ring_);
    }
    check(entry != nullptr, "no more tasks under way than the ring is deep");
    prepare(*entry, task);
    io_uring_sqe_set_data(entry, &task);
    ++prepared_count_;
  }

  void turn(bool waits) noexcept override {
    submit();
    bool has_waited = false;
    for (;;) {
      io_uring_cqe* entry = nullptr;
      const bool must_wait = waits && !has_waited && under_way_ != 0;
      const int answer =
          must_wait ? io_uring_wait_cqe(&ring_, &entry) : io_uring_peek_cqe(&ring_, &entry);
      if (answer == -EINTR) {
        // A stop was asked for: what is under way ends all the same.
        continue;
      }
      if (answer != 0 || entry == nullptr) break;
      auto& task = *static_cast<EngineTask*>(io_uring_cqe_get_data(entry));
      const int result = entry->res;
      io_uring_cqe_seen(&ring_, entry);
      --under_way_;
      settle(task, result);
      has_waited = has_waited || task.is_done;
      if (!task.is_done) submit();
    }
  }

 private:
  void submit() noexcept {
    while (prepared_count_ != 0) {
      const int count = io_uring_submit(&ring_);
      if (count <= 0) continue;  // EINTR, or the kernel is out of something for a moment
      prepared_count_ -= static_cast<std::uint32_t>(count);
      under_way_ += static_cast<std::uint32_t>(count);
    }
  }

  void prepare(io_uring_sqe& entry, const EngineTask& task) noexcept {
    std::byte* bytes = task.bytes + task.done_bytes;
    const std::uint32_t length = task.length_bytes - task.done_bytes;
    const std::uint64_t offset = task.offset_bytes + task.done_bytes;
    switch (task.operation) {
      case EngineOperation::kRead:
        if (has_fixed_) {
          io_uring_prep_read_fixed(&entry, file_, bytes, length, offset, 0);
        } else {
          io_uring_prep_read(&entry, file_, bytes, length, offset);
        }
        break;
      case EngineOperation::kWrite:
      case EngineOperation::kWriteDurable:
        io_uring_prep_write(&entry, file_, bytes, length, offset);
        if (task.operation == EngineOperation::kWriteDurable) entry.rw_flags = RWF_DSYNC;
        break;
      case EngineOperation::kSync:
        io_uring_prep_fsync(&entry, file_, IORING_FSYNC_DATASYNC);
        break;
    }
  }

  void settle(EngineTask& task, int result) noexcept {
    if (result == -EINTR || result == -EAGAIN) {
      start(task);
      return;
    }
    if (result < 0) {
      task.error = -result;
    } else if (task.operation != EngineOperation::kSync) {
      task.done_bytes += static_cast<std::uint32_t>(result);
      if (result == 0 && task.done_bytes < task.length_bytes) {
        task.error = task.operation == EngineOperation::kRead ? EIO : ENOSPC;
      } else if (task.done_bytes < task.length_bytes) {
        start(task);
        return;
      }
    }
    task.is_done = true;
  }

  int file_;
  std::span<std::byte> read_memory_;
  io_uring ring_{};
  bool is_open_ = false;
  bool has_fixed_ = false;
  std::uint32_t prepared_count_ = 0;
  std::uint32_t under_way_ = 0;
};

}  // namespace

Result<std::unique_ptr<DiskEngine>> make_uring_engine(int file, std::uint32_t depth,
                                                      std::span<std::byte> read_memory) noexcept {
  auto engine = std::make_unique<UringEngine>(file, read_memory);
  if (const int fault = engine->open(depth); fault != 0) {
    const bool is_forbidden = fault == ENOSYS || fault == EPERM || fault == EACCES;
    return Error{is_forbidden ? ErrorCode::kUnsupported : ErrorCode::kSystem, fault,
                 "set up io_uring"};
  }
  return std::unique_ptr<DiskEngine>(std::move(engine));
}

}  // namespace slipring::array
