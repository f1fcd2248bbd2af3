// Snapshots in the background: the thread that shows pictures converts one and goes on, a thread of
// its own compresses and writes it.
//
// One snapshot is under way at a time; another one asked for meanwhile is refused, not queued.  The
// two threads hand `snapshot_` to each other under the mutex: whoever finds busy_ as it expects it
// owns the snapshot until it turns busy_ over.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/error/result.h"
#include "pipelines/settop/render/png_snapshot.h"

namespace slipring::settop {

// One thread calls.
class SnapshotWorker {
 public:
  SnapshotWorker();
  SnapshotWorker(const SnapshotWorker&) = delete;
  SnapshotWorker& operator=(const SnapshotWorker&) = delete;
  // Waits for the snapshot that is under way.
  ~SnapshotWorker();

  // Converts the picture and has it written; the planes are not needed after that.  False when the
  // snapshot before is still under way.  Errors: those of PngSnapshot::convert().
  [[nodiscard]] Result<bool> offer(const std::string& path, const PictureView& picture);

  // Waits until no snapshot is under way.
  void wait_until_idle();

  // Why a snapshot failed that has ended since the last call, if one did.
  [[nodiscard]] std::optional<Error> take_failure();

  [[nodiscard]] std::uint64_t written_count();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable turned_;
  bool busy_ = false;  // the worker's turn
  bool ending_ = false;
  std::string path_;
  PngSnapshot snapshot_;
  std::optional<Error> failure_;
  std::uint64_t written_count_ = 0;
  std::thread thread_;  // last: it starts when everything else stands
};

}  // namespace slipring::settop
