#include "pipelines/settop/render/snapshot_worker.h"

#include <pthread.h>

#include <csignal>
#include <utility>

namespace slipring::settop {

SnapshotWorker::SnapshotWorker() {
  // Signals are for the thread that waits on links: they must end its sleep.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

SnapshotWorker::~SnapshotWorker() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  turned_.notify_all();
  thread_.join();
}

Result<bool> SnapshotWorker::offer(const std::string& path, const PictureView& picture) {
  {
    const std::lock_guard lock(mutex_);
    if (busy_) return false;
  }
  if (Status converted = snapshot_.convert(picture); !converted) return converted.error();
  path_ = path;
  {
    const std::lock_guard lock(mutex_);
    busy_ = true;
  }
  turned_.notify_all();
  return true;
}

std::optional<Error> SnapshotWorker::take_failure() {
  const std::lock_guard lock(mutex_);
  return std::exchange(failure_, std::nullopt);
}

std::uint64_t SnapshotWorker::written_count() {
  const std::lock_guard lock(mutex_);
  return written_count_;
}

void SnapshotWorker::wait_until_idle() {
  std::unique_lock lock(mutex_);
  turned_.wait(lock, [this] { return !busy_; });
}

void SnapshotWorker::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    turned_.wait(lock, [this] { return busy_ || ending_; });
    if (!busy_) return;  // what was offered before the end is still written
    lock.unlock();
    const Status written = snapshot_.write_converted(path_);
    lock.lock();
    if (written) {
      ++written_count_;
    } else {
      failure_ = written.error();
    }
    busy_ = false;
    turned_.notify_all();
  }
}

}  // namespace slipring::settop
