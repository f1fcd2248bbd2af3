// A disk's stage: executes what the raid stage asks of one file or block device.
//
// Requests that are there at one look at the ring are under way together; replies go out in their
// order, at the same position as the request (disk_request.h).  A request below the replies'
// position was answered by a predecessor, and is not executed again: a later one may have written
// to the same place and been synced.  One thread.
#pragma once

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "pipelines/array/disk/disk_engine.h"
#include "pipelines/array/disk/disk_file.h"
#include "pipelines/array/disk/disk_observer.h"
#include "pipelines/array/disk/disk_report.h"
#include "pipelines/array/disk/disk_request.h"
#include "pipelines/array/disk/disk_room.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {

class DiskStage {
 public:
  // Requires: the option engine is auto, io_uring or plain.
  explicit DiskStage(Stage& stage, DiskObserver* observer = nullptr)
      : stage_(stage),
        observer_(observer),
        requests_(*stage.input("requests")),
        replies_(*stage.output("replies")),
        report_(stage),
        is_usable_(stage.gauge("is_usable")),
        kept_failure_(stage.gauge(".failed")),
        kept_newness_(stage.gauge(".is_new")),
        path_(stage.option("path")),
        wanted_engine_(stage.option("engine")),
        next_(replies_.position()) {}

  int run() {
    leaves_holes_ = stage_.option_flag("holes");
    // A disk that failed stays failed, whoever asks again.
    if (kept_failure_.get() == 0 && !take_kept()) open_disk();
    for (;;) {
      take_commands();
      if (!take_requests()) return 1;
      const bool is_waiting = is_last_waiting_ && pending_.size() == 1;
      if (engine_) {
        engine_->turn(!is_waiting && !pending_.empty() && !pending_.front().task.is_done);
      }
      if (!answer_done()) return 1;
      if (is_last_waiting_ && pending_.size() == 1) {
        stage_.wait([this] { return has_free_buffer(); }, kNoDeadline, {&replies_});
        continue;
      }
      if (!pending_.empty() || requests_.has_message()) continue;
      // Whoever writes goes first: a stop ends this stage when its requests have ended.
      if (requests_.is_finished()) return end();
      if (stage_.stop_requested()) poll(nullptr, 0, kEndingLookMs);
      stage_.wait([this] {
        return requests_.has_message() || requests_.is_finished() || stage_.has_command();
      });
    }
  }

 private:
  struct Pending {
    Message message;
    DiskRequest request;
    EngineTask task;
    std::optional<std::uint32_t> buffer;  // of a read's data, in the replies' pool
    bool is_answered = false;             // by a predecessor
    std::uint64_t observed = 0;           // the observer's name of it
  };

  // What a predecessor had opened, which may be another one than the options say by now.
  bool take_kept() {
    for (KeptDescriptor& kept : stage_.keeper().take_inherited()) {
      if (kept.name != kKeptName) continue;
      Result<DiskFile> taken = DiskFile::adopt(std::move(kept.descriptor));
      if (!taken) return false;
      disk_ = std::move(taken).value();
      make_engine();
      is_usable_.set(1);
      return true;
    }
    return false;
  }

  void open_disk() {
    engine_.reset();
    DiskFileOptions options;
    options.create_bytes =
        static_cast<std::uint64_t>(stage_.option_number("create_mib", 0, 1 << 24)) << 20;
    options.is_direct = stage_.option_flag("direct");
    Result<DiskFile> opened = DiskFile::open(path_, options);
    if (!opened) {
      return give_up(stage_.explain(opened.error(), path_));
    }
    disk_ = std::move(opened).value();
    if (const Status kept = stage_.keeper().keep(kKeptName, disk_.file.get()); !kept) {
      return give_up("it cannot be kept for a successor: " + describe_error(kept.error()));
    }
    make_engine();
    is_usable_.set(1);
    kept_failure_.set(0);
    stage_.log(Severity::kInfo, "%s: %llu MiB, by %s", path_.c_str(),
               static_cast<unsigned long long>(disk_.size_bytes >> 20), engine_->name());
  }

  void make_engine() {
    if (wanted_engine_ == "io_uring" || (wanted_engine_ == "auto" && !disk_.is_in_memory)) {
      PoolOwner& pool = *replies_.pool();
      const std::span<std::byte> memory(pool.bytes(0).data(),
                                        pool.buffer_count() * pool.buffer_bytes());
      Result<std::unique_ptr<DiskEngine>> made =
          make_uring_engine(disk_.file.get(), kDepth, memory);
      if (made) {
        engine_ = std::move(made).value();
        return;
      }
      stage_.log(wanted_engine_ == "io_uring" ? Severity::kWarning : Severity::kInfo, "%s",
                 describe_error(made.error()).c_str());
    }
    engine_ = make_plain_engine(disk_.file.get());
  }

  void give_up(const std::string& why) {
    stage_.log(Severity::kError, "%s: %s", path_.c_str(), why.c_str());
    use_no_more();
  }

  void use_no_more() {
    is_usable_.set(0);
    kept_failure_.set(1);
    is_failed_ = true;
  }

  void take_commands() {
    while (const std::optional<Command> command = stage_.next_command()) {
      static constexpr std::string_view kReplace = "replace ";
      const std::string& text = command->text;
      if (text == "fail") {
        stage_.log(Severity::kWarning, "%s is not used any more, as asked", path_.c_str());
        use_no_more();
      } else if ((text == "rescan" || text.starts_with(kReplace)) && is_usable_.get() != 0) {
        stage_.log(Severity::kWarning, "%s is in use; 'fail' comes first", path_.c_str());
      } else if (text == "rescan" || text.starts_with(kReplace)) {
        if (text.starts_with(kReplace)) path_ = text.substr(kReplace.size());
        // What is under way is of the old one.
        finish_started();
        is_failed_ = false;
        // Whoever took the old one for current must not write to this one as if it were it.
        kept_newness_.set(1);
        open_disk();
      } else {
        stage_.log(Severity::kWarning,
                   "unknown command '%s'; there are: fail, rescan, replace PATH", text.c_str());
      }
    }
  }

  void finish_started() {
    for (const Pending& pending : pending_) {
      const bool is_started = !is_last_waiting_ || &pending != &pending_.back();
      while (is_started && engine_ && !pending.task.is_done) engine_->turn(true);
    }
  }

  // False when the peer is corrupt.
  bool take_requests() {
    if (!start_waiting()) return true;
    while (pending_.size() < kDepth) {
      Message message;
      switch (requests_.try_peek(message)) {
        case Transfer::kBlocked:
          return true;
        case Transfer::kCorruptPeer:
          stage_.log(Severity::kError, "the raid stage wrote impossible values into its ring: %s",
                     offender_text(requests_.offender()).c_str());
          return false;
        case Transfer::kDone:
          break;
      }
      Pending& pending = pending_.emplace_back();
      pending.message = message;
      std::memcpy(&pending.request, message.bytes.data(), sizeof pending.request);
      pending.is_answered = message.position < next_;
      if (pending.is_answered) {
        pending.task.is_done = true;
      } else if (!start(pending)) {
        is_last_waiting_ = true;
        return true;
      }
    }
    return true;
  }

  // Starts the one that had to wait for a buffer; false while it still has to.
  bool start_waiting() {
    if (is_last_waiting_) is_last_waiting_ = !start(pending_.back());
    return !is_last_waiting_;
  }

  [[nodiscard]] bool has_free_buffer() {
    return replies_.pool()->lent_count() < replies_.pool()->buffer_count();
  }

  // False when there is no buffer for a read's data.
  bool start(Pending& pending) {
    const DiskRequest& request = pending.request;
    EngineTask& task = pending.task;
    task.error = fault_of(pending);
    if (task.error != 0 || request.kind == DiskRequestKind::kIdentify || was_done(pending)) {
      task.is_done = true;
      return true;
    }
    const BufferHandle data{request.buffer_slot, request.buffer_generation};
    const std::byte* bytes =
        brings_data(request.kind) ? requests_.pool()->bytes(data).data() : nullptr;
    if (observer_ != nullptr) pending.observed = observer_->begins(request, bytes);
    task.offset_bytes = request.offset_bytes;
    task.length_bytes = request.length_bytes;
    switch (request.kind) {
      case DiskRequestKind::kRead: {
        std::uint32_t slot = 0;
        if (replies_.pool()->try_acquire(slot) != Transfer::kDone) return false;
        pending.buffer = slot;
        task.operation = EngineOperation::kRead;
        task.bytes = replies_.pool()->bytes(slot).data();
        break;
      }
      case DiskRequestKind::kWrite:
      case DiskRequestKind::kWriteDurable:
        task.operation = request.kind == DiskRequestKind::kWrite ? EngineOperation::kWrite
                                                                 : EngineOperation::kWriteDurable;
        task.bytes = const_cast<std::byte*>(bytes);  // the engines only read from it
        break;
      case DiskRequestKind::kZero:
        // A word to the file system, most of the time: not worth a trip.
        task.error =
            zero_range(disk_.file.get(), request.offset_bytes, request.length_bytes, leaves_holes_);
        task.is_done = true;
        return true;
      case DiskRequestKind::kExtents:
        return look_for_holes(pending);
      default:
        task.operation = EngineOperation::kSync;
        task.length_bytes = 0;
        break;
    }
    engine_->start(task);
    return true;
  }

  bool look_for_holes(Pending& pending) {
    std::uint32_t slot = 0;
    if (replies_.pool()->try_acquire(slot) != Transfer::kDone) return false;
    pending.buffer = slot;
    pending.task.is_done = true;
    pending.task.error = put_extents(disk_.file.get(), pending.request.offset_bytes,
                                     pending.request.length_bytes, replies_.pool()->bytes(slot));
    return true;
  }

  // 0 when the request can be executed.
  int fault_of(const Pending& pending) {
    const DiskRequest& request = pending.request;
    const bool is_write = brings_data(request.kind);
    if (is_failed_ || engine_ == nullptr) return ENXIO;
    if (request.kind == DiskRequestKind::kIdentify) kept_newness_.set(0);
    if (kept_newness_.get() != 0) return ENXIO;
    if (request.kind == DiskRequestKind::kIdentify || request.kind == DiskRequestKind::kSync) {
      return 0;
    }
    if (!is_write && !is_about_range(request.kind) && request.kind != DiskRequestKind::kRead) {
      return EINVAL;
    }
    const std::uint64_t most = is_about_range(request.kind) ? UINT32_MAX
                               : is_write                   ? requests_.pool()->buffer_bytes()
                                                            : replies_.pool()->buffer_bytes();
    if (!is_within(request, most, disk_.size_bytes)) return EINVAL;
    const BufferHandle data{request.buffer_slot, request.buffer_generation};
    return !is_write || requests_.pool()->holds(data) || was_done(pending) ? 0 : EINVAL;
  }

  // By a predecessor, which died before it could say so.
  [[nodiscard]] bool was_done(const Pending& pending) {
    const DiskRequest& request = pending.request;
    return pending.message.redelivered && brings_data(request.kind) &&
           !requests_.pool()->holds({request.buffer_slot, request.buffer_generation});
  }

  // Publishes the replies that are due.  False when the raid stage is corrupt or gone.
  bool answer_done() {
    while (!pending_.empty() && pending_.front().task.is_done) {
      Pending& pending = pending_.front();
      const BufferHandle data{pending.request.buffer_slot, pending.request.buffer_generation};
      // Before its reply, so that who sees the reply finds the buffer free; and a successor knows
      // by it that the write was done.  One that failed is answered first.
      if (pending.task.error == 0 && requests_.pool()->holds(data)) requests_.give_back(data);
      if (!pending.is_answered) {
        std::span<std::byte> place;
        const Transfer answer = replies_.try_reserve(sizeof(DiskReply), place);
        if (answer == Transfer::kCorruptPeer) {
          stage_.log(Severity::kError, "the raid stage wrote impossible values into its page: %s",
                     offender_text(replies_.offender()).c_str());
          return false;
        }
        if (answer == Transfer::kBlocked) {
          stage_.wait([this] { return replies_.has_space(sizeof(DiskReply)); }, kNoDeadline,
                      {&replies_});
          continue;
        }
        publish(pending, place);
      }
      if (requests_.pool()->holds(data)) requests_.give_back(data);
      requests_.release(pending.message);
      pending_.pop_front();
    }
    return true;
  }

  void publish(Pending& pending, std::span<std::byte> place) {
    note(pending);
    DiskReply reply{kNoBufferSlot, 0, disk_.size_bytes,
                    static_cast<std::uint32_t>(pending.task.error), 0};
    if (pending.buffer && reply.error == 0) {
      const BufferHandle lent = replies_.pool()->lend(*pending.buffer);
      reply.buffer_slot = lent.slot;
      reply.buffer_generation = lent.generation;
    }
    std::memcpy(place.data(), &reply, sizeof reply);
    replies_.commit(sizeof reply);
    ++next_;
    if (pending.buffer) replies_.pool()->drop(*pending.buffer);
  }

  void note(const Pending& pending) {
    const DiskRequest& request = pending.request;
    if (pending.task.error != 0) {
      report_.errors.add();
      const bool is_sync =
          request.kind == DiskRequestKind::kSync || request.kind == DiskRequestKind::kWriteDurable;
      if (is_sync && !is_failed_ && pending.task.error != EINVAL) {
        // What the kernel could not write it may have forgotten: no later sync can be believed.
        stage_.log(Severity::kError, "%s does not sync: %s; it is used no more", path_.c_str(),
                   strerror(pending.task.error));
        use_no_more();
      }
    }
    report_.count(request);
    if (pending.observed != 0) observer_->ended(pending.observed, pending.task.error);
  }

  int end() {
    engine_.reset();
    if (disk_.file.is_open() && !is_failed_ && fdatasync(disk_.file.get()) != 0) {
      stage_.log(Severity::kError, "%s does not sync at the end: %s", path_.c_str(),
                 strerror(errno));
      return 1;
    }
    return stage_.finish();
  }

  static constexpr std::string_view kKeptName = "disk";
  static constexpr std::uint32_t kDepth = 256;
  static constexpr int kEndingLookMs = 1;

  Stage& stage_;
  DiskObserver* observer_;  // nullptr: nobody
  LinkReader& requests_;
  LinkWriter& replies_;
  DiskReport report_;
  Board::Number is_usable_;
  Board::Number kept_failure_;
  Board::Number kept_newness_;  // 1: nobody has asked who this disk is
  std::string path_;
  std::string wanted_engine_;
  bool leaves_holes_ = true;
  DiskFile disk_;
  std::unique_ptr<DiskEngine> engine_;
  std::deque<Pending> pending_;
  bool is_last_waiting_ = false;  // for a buffer
  bool is_failed_ = false;
  std::uint64_t next_;  // position of the next reply
};

}  // namespace slipring::array
