#include "pipelines/array/disk/disk_stage.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include <cstring>
#include <string>
#include <string_view>

#include "pipelines/array/disk/disk_room.h"
#include "pipelines/array/pooled_links.h"
#include "pipelines/stage/error_text.h"
#include "platform/wait/clock.h"

namespace slipring::array {
namespace {

constexpr int kEndingLookMs = 1;
constexpr std::uint64_t kLookNs = 1'000'000'000;

}  // namespace

StageDescription describe_disk() {
  StageDescription description;
  description.program = "disk";
  description.purpose = "one member of the array: a file or a block device";
  description.ports = {
      {"requests", PortKind::kInput, true, "DiskRequests, slots, with a pool for writes' data"},
      {"replies", PortKind::kOutput, true, "DiskReplies, slots, with a pool for reads' data"},
      {"control", PortKind::kCommands, false,
       "'fail': use it no more; 'rescan': open it again; 'replace PATH': take another one"},
  };
  description.options = {
      {"path", "disk.img", "file or block device"},
      {"create_mib", "0", "size in MiB of a file that is missing, 0 to 16777216; 0: not made"},
      {"engine", "auto",
       "io_uring, plain (pread and pwrite), or auto: plain in memory, else io_uring where allowed"},
      {"direct", "false", "past the page cache (O_DIRECT)"},
      {"holes", "true", "give room back that holds zeros; false: keep it, so that none can lack"},
  };
  description.keeps_descriptors = true;
  description.bell_order = BellOrder::kFence;
  return description;
}

int serve_disk(Stage& stage, DiskObserver* observer) {
  // A file that may not grow is an error like a full disk, and no reason to die again and again.
  signal(SIGXFSZ, SIG_IGN);
  const std::string engine = stage.option("engine");
  if (engine != "auto" && engine != "io_uring" && engine != "plain") {
    stage.log(Severity::kError, "option engine: '%s' is none of auto, io_uring, plain",
              engine.c_str());
    return 2;
  }
  const bool is_fit =
      have_pools(stage, stage.input("requests")->shape(), stage.output("replies")->shape(),
                 {sizeof(DiskRequest), sizeof(DiskReply), kDiskBufferBytesMin});
  return is_fit ? DiskStage(stage, observer).run() : 2;
}

DiskStage::DiskStage(Stage& stage, DiskObserver* observer)
    : stage_(stage),
      observer_(observer),
      requests_(*stage.input("requests")),
      replies_(*stage.output("replies")),
      report_(stage),
      disk_(stage, replies_),
      leaves_holes_(stage.option_flag("holes")),
      next_(replies_.position()) {}

int DiskStage::run() {
  disk_.begin();
  for (;;) {
    take_commands();
    look_now_and_then();
    if (!take_requests()) return 1;
    const bool is_waiting = is_last_waiting_ && pending_.size() == 1;
    if (DiskEngine* engine = disk_.engine(); engine != nullptr) {
      engine->turn(!is_waiting && !pending_.empty() && !pending_.front().task.is_done);
    }
    if (!answer_done()) return 1;
    if (is_last_waiting_ && pending_.size() == 1) {
      stage_.wait([this] { return has_free_buffer(); }, kNoDeadline, {&replies_});
      continue;
    }
    if (!pending_.empty() || requests_.has_message()) continue;
    // Whoever writes goes first: a stop ends this stage when its requests have ended.
    if (requests_.is_finished()) return disk_.close() ? stage_.finish() : 1;
    if (stage_.stop_requested()) poll(nullptr, 0, kEndingLookMs);
    stage_.wait(
        [this] {
          return requests_.has_message() || requests_.is_finished() || stage_.has_command();
        },
        next_look_ns_);
  }
}

// By the clock: reads come so often that a sleep may never be long.
void DiskStage::look_now_and_then() {
  if (monotonic_ns() < next_look_ns_) return;
  next_look_ns_ = deadline_after(kLookNs);
  static_cast<void>(disk_.is_whole());
}

void DiskStage::take_commands() {
  while (const std::optional<Command> command = stage_.next_command()) {
    static constexpr std::string_view kReplace = "replace ";
    const std::string& text = command->text;
    if (text == "fail") {
      stage_.log(Severity::kWarning, "%s is not used any more, as asked", disk_.path().c_str());
      disk_.use_no_more();
    } else if ((text == "rescan" || text.starts_with(kReplace)) && disk_.is_in_use()) {
      stage_.log(Severity::kWarning, "%s is in use; 'fail' comes first", disk_.path().c_str());
    } else if (text == "rescan" || text.starts_with(kReplace)) {
      // What is under way is of the old one.
      finish_started();
      disk_.replace(text.starts_with(kReplace) ? text.substr(kReplace.size()) : disk_.path());
    } else {
      stage_.log(Severity::kWarning, "unknown command '%s'; there are: fail, rescan, replace PATH",
                 text.c_str());
    }
  }
}

void DiskStage::finish_started() {
  for (const Pending& pending : pending_) {
    const bool is_started = !is_last_waiting_ || &pending != &pending_.back();
    DiskEngine* engine = disk_.engine();
    while (is_started && engine != nullptr && !pending.task.is_done) engine->turn(true);
  }
}

bool DiskStage::take_requests() {
  if (!start_waiting()) return true;
  while (pending_.size() < kDiskDepth) {
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

bool DiskStage::start_waiting() {
  if (is_last_waiting_) is_last_waiting_ = !start(pending_.back());
  return !is_last_waiting_;
}

bool DiskStage::has_free_buffer() {
  return replies_.pool()->lent_count() < replies_.pool()->buffer_count();
}

bool DiskStage::start(Pending& pending) {
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
          zero_range(disk_.fd(), request.offset_bytes, request.length_bytes, leaves_holes_);
      task.is_done = true;
      return true;
    case DiskRequestKind::kExtents:
      return look_for_holes(pending);
    default:
      task.operation = EngineOperation::kSync;
      task.length_bytes = 0;
      break;
  }
  disk_.engine()->start(task);
  return true;
}

bool DiskStage::look_for_holes(Pending& pending) {
  std::uint32_t slot = 0;
  if (replies_.pool()->try_acquire(slot) != Transfer::kDone) return false;
  pending.buffer = slot;
  pending.task.is_done = true;
  pending.task.error = put_extents(disk_.fd(), pending.request.offset_bytes,
                                   pending.request.length_bytes, replies_.pool()->bytes(slot));
  return true;
}

int DiskStage::fault_of(const Pending& pending) {
  const DiskRequest& request = pending.request;
  const bool is_write = brings_data(request.kind);
  if (disk_.has_failed()) return ENXIO;
  if (request.kind == DiskRequestKind::kIdentify) disk_.tell_who();
  if (disk_.is_unknown()) return ENXIO;
  // Nothing is told to be on stable storage by a file that nobody will find.
  const bool is_sync =
      request.kind == DiskRequestKind::kSync || request.kind == DiskRequestKind::kWriteDurable;
  if (is_sync && !disk_.is_whole()) return ENXIO;
  if (request.kind == DiskRequestKind::kIdentify || request.kind == DiskRequestKind::kSync) {
    return 0;
  }
  if (!is_write && !is_about_range(request.kind) && request.kind != DiskRequestKind::kRead) {
    return EINVAL;
  }
  const std::uint64_t most = is_about_range(request.kind) ? UINT32_MAX
                             : is_write                   ? requests_.pool()->buffer_bytes()
                                                          : replies_.pool()->buffer_bytes();
  if (!is_within(request, most, disk_.size_bytes())) return EINVAL;
  const BufferHandle data{request.buffer_slot, request.buffer_generation};
  return !is_write || requests_.pool()->holds(data) || was_done(pending) ? 0 : EINVAL;
}

bool DiskStage::was_done(const Pending& pending) {
  const DiskRequest& request = pending.request;
  return pending.message.redelivered && brings_data(request.kind) &&
         !requests_.pool()->holds({request.buffer_slot, request.buffer_generation});
}

bool DiskStage::answer_done() {
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

void DiskStage::publish(Pending& pending, std::span<std::byte> place) {
  note(pending);
  // What lies behind the end of a file that was cut is no bad block.
  if (pending.task.error != 0 && !disk_.is_whole()) pending.task.error = ENXIO;
  DiskReply reply{kNoBufferSlot, 0, disk_.size_bytes(),
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

void DiskStage::note(const Pending& pending) {
  const DiskRequest& request = pending.request;
  if (pending.task.error != 0) {
    report_.errors.add();
    const bool is_sync =
        request.kind == DiskRequestKind::kSync || request.kind == DiskRequestKind::kWriteDurable;
    if (is_sync && !disk_.has_failed() && pending.task.error != EINVAL) {
      // What the kernel could not write it may have forgotten: no later sync can be believed.
      stage_.log(Severity::kError, "%s does not sync: %s; it is used no more", disk_.path().c_str(),
                 strerror(pending.task.error));
      disk_.use_no_more();
    }
  }
  report_.count(request);
  if (pending.observed != 0) observer_->ended(pending.observed, pending.task.error);
}

}  // namespace slipring::array
