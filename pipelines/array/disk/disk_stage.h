// A disk's stage: executes what the raid stage asks of one file or block device.
//
// Requests that are there at one look at the ring are under way together; replies go out in their
// order, at the same position as the request (disk_request.h).  A request below the replies'
// position was answered by a predecessor, and is not executed again: a later one may have written
// to the same place and been synced.  One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>

#include "pipelines/array/disk/disk_engine.h"
#include "pipelines/array/disk/disk_in_use.h"
#include "pipelines/array/disk/disk_observer.h"
#include "pipelines/array/disk/disk_report.h"
#include "pipelines/array/disk/disk_request.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {

// What every program of a disk's stage is, and does to its end; the answer is its exit status.
[[nodiscard]] StageDescription describe_disk();
[[nodiscard]] int serve_disk(Stage& stage, DiskObserver* observer = nullptr);

class DiskStage {
 public:
  // Requires: as DiskInUse; the links are as serve_disk() looks that they are.  nullptr: nobody
  // observes.
  DiskStage(Stage& stage, DiskObserver* observer);

  // To the end; answers the process's status.
  int run();

 private:
  struct Pending {
    Message message;
    DiskRequest request;
    EngineTask task;
    std::optional<std::uint32_t> buffer;  // of a read's data, in the replies' pool
    bool is_answered = false;             // by a predecessor
    std::uint64_t observed = 0;           // the observer's name of it
  };

  void take_commands();
  void look_now_and_then();
  void finish_started();
  // False when the peer is corrupt.
  bool take_requests();
  // Starts the one that had to wait for a buffer; false while it still has to.
  bool start_waiting();
  [[nodiscard]] bool has_free_buffer();
  // False when there is no buffer for a read's data.
  bool start(Pending& pending);
  bool look_for_holes(Pending& pending);
  // 0 when the request can be executed.
  int fault_of(const Pending& pending);
  // By a predecessor, which died before it could say so.
  [[nodiscard]] bool was_done(const Pending& pending);
  // Publishes the replies that are due.  False when the raid stage is corrupt or gone.
  bool answer_done();
  void publish(Pending& pending, std::span<std::byte> place);
  void note(const Pending& pending);

  Stage& stage_;
  DiskObserver* observer_;  // nullptr: nobody
  LinkReader& requests_;
  LinkWriter& replies_;
  DiskReport report_;
  DiskInUse disk_;
  bool leaves_holes_;
  std::deque<Pending> pending_;
  bool is_last_waiting_ = false;  // for a buffer
  std::uint64_t next_;            // position of the next reply
  std::uint64_t next_look_ns_ = 0;
};

}  // namespace slipring::array
