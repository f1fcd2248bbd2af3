#include "pipelines/array/cache/cache_stage.h"

#include <errno.h>
#include <poll.h>

#include <algorithm>
#include <cstring>

#include "pipelines/stage/error_text.h"
#include "platform/wait/clock.h"

namespace slipring::array {
namespace {

// Requests taken and not finished, at most: what a successor is given again.
constexpr std::size_t kPendingMax = 512;
constexpr std::size_t kTakenAtOnce = 64;
constexpr std::uint64_t kIdleLookNs = 100'000'000;
constexpr std::uint64_t kPlaceLookNs = 200'000;
constexpr int kEndingLookMs = 1;

}  // namespace

CacheStage::CacheStage(Stage& stage, BlockCache& cache, const CacheOptions& options)
    : stage_(stage),
      cache_(cache),
      options_(options),
      requests_(*stage.input("requests")),
      replies_(*stage.output("replies")),
      array_reads_(*stage.output("array_reads")),
      read_data_(*stage.input("read_data")),
      array_writes_(*stage.output("array_writes")),
      write_acks_(*stage.input("write_acks")),
      aborts_(stage.input("aborts")),
      report_(stage) {}

int CacheStage::run() {
  if (!learn_size()) return is_corrupt_ ? 1 : stage_.finish();
  for (;;) {
    take_commands();
    bool has_moved = hear_fills();
    if (hear_acks()) has_moved = true;
    if (take_requests()) has_moved = true;
    if (settle_flushes()) has_moved = true;
    if (write_back()) has_moved = true;
    if (release_done()) has_moved = true;
    report_.update(cache_);
    if (is_corrupt_) return 1;
    if (has_moved) continue;
    if (requests_.is_finished() && pending_.empty()) return end();
    sleep();
  }
}

bool CacheStage::give_up(const std::optional<LinkPeer>& offender, const char* who) {
  stage_.log(Severity::kError, "%s wrote impossible values: %s", who,
             offender_text(offender).c_str());
  is_corrupt_ = true;
  return false;
}

// Asks the array how large it is.  False when the run is over.
bool CacheStage::learn_size() {
  std::span<std::byte> place;
  while (array_reads_.try_reserve(sizeof(BlockRequest), place) != Transfer::kDone) {
    // What a predecessor had asked is on its way to be answered; its answers are nobody's.
    static_cast<void>(hear_fills());
    if (is_corrupt_ || read_data_.is_finished()) return false;
    stage_.wait([this] { return read_data_.has_message() || read_data_.is_finished(); },
                deadline_after(kIdleLookNs));
  }
  BlockRequest request{};
  request.buffer_slot = kNoBufferSlot;
  request.operation = BlockOperation::kDescribe;
  std::memcpy(place.data(), &request, sizeof request);
  fills_.push_back({array_reads_.position(), 0, 0, nullptr, {}});
  array_reads_.commit(sizeof request);
  while (size_bytes_ == 0) {
    if (hear_fills()) continue;
    if (is_corrupt_ || read_data_.is_finished()) return false;
    if (stage_.stop_requested() && requests_.is_finished()) return false;
    if (stage_.stop_requested()) poll(nullptr, 0, kEndingLookMs);
    stage_.wait([this] { return read_data_.has_message() || read_data_.is_finished(); });
  }
  std::string fault;
  std::optional<std::vector<Volume>> placed =
      place_volumes(options_.volume_sizes, size_bytes_, fault);
  if (placed) {
    volumes_ = std::move(*placed);
    return true;
  }
  stage_.log(Severity::kError, "option volumes: %s", fault.c_str());
  is_corrupt_ = true;
  return false;
}

void CacheStage::take_commands() {
  while (const std::optional<Command> command = stage_.next_command()) {
    if (command->text == "flush") {
      is_flushing_out_ = true;
      stage_.log(Severity::kInfo, "%llu dirty blocks are being written",
                 static_cast<unsigned long long>(cache_.dirty_count()));
    } else {
      stage_.log(Severity::kWarning, "unknown command '%s'; there is: flush",
                 command->text.c_str());
    }
  }
}

bool CacheStage::take_requests() {
  const bool has_moved = take_some_requests();
  if (has_moved) last_request_ns_ = monotonic_ns();
  return has_moved;
}

void CacheStage::hear_aborts() {
  while (aborts_ != nullptr) {
    Message message;
    const Transfer answer = aborts_->try_peek(message);
    if (answer == Transfer::kCorruptPeer) give_up(aborts_->offender(), "the front");
    if (answer != Transfer::kDone) return;
    BlockAbort abort{};
    std::memcpy(&abort, message.bytes.data(), sizeof abort);
    if (abort.connection < kBlockConnectionEnd) cache_.abort(abort.connection, abort.sequence);
    aborts_->release(message);
  }
}

bool CacheStage::start_unless_aborted(Pending& pending) {
  const bool has_begun = pending.done_blocks != 0 || (direct_ && is_last_waiting_);
  if (has_begun || !cache_.is_aborted(pending.request)) return start(pending);
  pending.error = ESHUTDOWN;
  report_.aborted.add();
  reply(pending);
  return true;
}

bool CacheStage::take_some_requests() {
  bool has_moved = false;
  hear_aborts();
  for (std::size_t taken = 0; taken < kTakenAtOnce; ++taken) {
    if (is_last_waiting_) {
      if (!start_unless_aborted(pending_.back())) return has_moved;
      is_last_waiting_ = false;
      has_moved = true;
    }
    if (pending_.size() == kPendingMax) return has_moved;
    Message message;
    const Transfer answer = requests_.try_peek(message);
    if (answer == Transfer::kCorruptPeer) give_up(requests_.offender(), "the front");
    if (answer != Transfer::kDone) return has_moved;
    has_moved = true;
    Pending& pending = pending_.emplace_back();
    pending.message = message;
    std::memcpy(&pending.request, message.bytes.data(), sizeof pending.request);
    place_.heed(pending.request);
    locate(pending);
    if (message.redelivered) report_.replays.add();
    if (!start_unless_aborted(pending)) {
      is_last_waiting_ = true;
      report_.held_up.add();
      return has_moved;
    }
  }
  return has_moved;
}

int CacheStage::fault_of(const BlockRequest& request) const {
  if (request.export_number >= volumes_.size()) return ENOENT;
  const std::uint64_t size_bytes = volumes_[request.export_number].size_bytes;
  const bool is_bounded =
      request.operation == BlockOperation::kRead || request.operation == BlockOperation::kWrite;
  if (is_bounded && request.length > kBlockBufferBytes) return EINVAL;
  if (request.offset > size_bytes || request.length > size_bytes - request.offset) {
    return request.operation == BlockOperation::kWrite ||
                   request.operation == BlockOperation::kWriteZeroes
               ? ENOSPC
               : EINVAL;
  }
  return 0;
}

void CacheStage::locate(Pending& pending) const {
  pending.fault = fault_of(pending.request);
  // Refused, it stays what it is: nobody looks at its range any more.
  if (pending.fault == 0) {
    pending.request.offset += volumes_[pending.request.export_number].offset_bytes;
  }
}

bool CacheStage::has_data(const BlockRequest& request) {
  return requests_.pool()->holds({request.buffer_slot, request.buffer_generation});
}

bool CacheStage::start(Pending& pending) {
  const BlockRequest& request = pending.request;
  switch (request.operation) {
    case BlockOperation::kRead:
      return start_read(pending);
    case BlockOperation::kWrite:
      return start_write(pending);
    case BlockOperation::kWriteZeroes:
    case BlockOperation::kTrim:
      return start_zeroes(pending);
    case BlockOperation::kFlush:
      report_.flushes.add();
      return begin_durable(pending);
    default:
      return start_other(pending);
  }
}

// Durable when all that is dirty now is on the array.
bool CacheStage::begin_durable(Pending& pending) {
  const bool is_flush = pending.request.operation == BlockOperation::kFlush;
  if (options_.planted == CacheFault::kFlushDoesNotWait ||
      (options_.planted == CacheFault::kIgnoresFua && !is_flush)) {
    reply(pending);
    return true;
  }
  pending.flush_number =
      options_.planted == CacheFault::kFlushForgetsDirty ? 1 : cache_.next_number();
  ++durable_count_;
  return true;
}

bool CacheStage::settle_flushes() {
  if (durable_count_ == 0) return false;
  bool has_moved = false;
  const std::uint64_t lowest = cache_.lowest_number();
  bool wants_flush = false;
  for (Pending& pending : pending_) {
    if (pending.flush_number == 0 || pending.is_done) continue;
    if (pending.flush_ticket == 0 && (lowest >= pending.flush_number || pending.error != 0)) {
      pending.flush_ticket = next_ticket_;
      wants_flush = true;
    }
    if (pending.flush_ticket != 0 && pending.flush_ticket <= answered_ticket_) {
      reply(pending);
      has_moved = true;
    }
  }
  if (!wants_flush) return has_moved;
  if (send_flush()) {
    ++next_ticket_;
    return true;
  }
  for (Pending& pending : pending_) {
    if (pending.flush_ticket == next_ticket_) pending.flush_ticket = 0;
  }
  return has_moved;
}

void CacheStage::reply(Pending& pending) {
  BlockReply reply{kNoBufferSlot, 0, pending.request.id, static_cast<std::uint32_t>(pending.error),
                   0};
  std::span<std::byte> place;
  const Reserved reserved = stage_.reserve(replies_, sizeof reply, place, [] { return false; });
  if (reserved == Reserved::kCorruptPeer) give_up(replies_.offender(), "the front");
  pending.is_done = true;
  if (pending.flush_number != 0) --durable_count_;
  if (pending.error != 0) report_.errors.add();
  if (reserved == Reserved::kDone) {
    if (pending.slot && pending.error == 0) {
      reply.length = pending.request.length;
      if (pending.request.operation == BlockOperation::kBlockStatus) {
        reply.length = pending.extent_bytes;
      } else if (pending.request.operation == BlockOperation::kDescribe) {
        reply.length = sizeof(BlockExport);
      }
      const BufferHandle lent = replies_.pool()->lend(*pending.slot);
      reply.buffer_slot = lent.slot;
      reply.buffer_generation = lent.generation;
    }
    std::memcpy(place.data(), &reply, sizeof reply);
    replies_.commit(sizeof reply);
  }
  if (pending.slot) replies_.pool()->drop(*pending.slot);
  pending.slot.reset();
  if (has_data(pending.request)) {
    requests_.give_back({pending.request.buffer_slot, pending.request.buffer_generation});
  }
}

bool CacheStage::release_done() {
  bool has_moved = false;
  while (!pending_.empty() && pending_.front().is_done) {
    requests_.release(pending_.front().message);
    pending_.pop_front();
    has_moved = true;
  }
  return has_moved;
}

void CacheStage::sleep() {
  // Whoever asks goes first: a stop ends this stage when its requests have ended.
  if (stage_.stop_requested()) poll(nullptr, 0, kEndingLookMs);
  const bool can_take = !is_last_waiting_ && pending_.size() < kPendingMax;
  std::uint64_t deadline_ns = kNoDeadline;
  if (cache_.dirty_count() != 0) deadline_ns = deadline_after(kIdleLookNs);
  // The array gives the place in its ring back after its answer, which rings nobody.
  if (is_last_waiting_ && fills_.empty() && writes_.empty()) {
    deadline_ns = deadline_after(kPlaceLookNs);
  }
  stage_.set_lingering(place_.is_served_singly());
  stage_.wait(
      [&] {
        return read_data_.has_message() || write_acks_.has_message() ||
               (can_take && requests_.has_message()) || stage_.has_command() ||
               (aborts_ != nullptr && aborts_->has_message()) ||
               (requests_.is_finished() && pending_.empty()) ||
               (waits_for_reply_ &&
                replies_.pool()->lent_count() < replies_.pool()->buffer_count());
      },
      deadline_ns, {&replies_});
}

// The front has finished: everything goes to the array.
int CacheStage::end() {
  is_flushing_out_ = true;
  bool has_flushed = false;
  while (cache_.dirty_count() != 0 || !writes_.empty() || !has_flushed) {
    if (write_acks_.is_finished() || retry_ns_ != 0 || is_corrupt_) break;
    bool has_moved = hear_acks();
    if (write_back()) has_moved = true;
    if (cache_.dirty_count() == 0 && !has_flushed) {
      has_flushed = send_flush();
      has_moved = has_moved || has_flushed;
    }
    report_.update(cache_);
    if (has_moved) continue;
    if (stage_.stop_requested()) poll(nullptr, 0, kEndingLookMs);
    stage_.wait([this] { return write_acks_.has_message() || write_acks_.is_finished(); },
                deadline_after(kIdleLookNs));
  }
  if (cache_.dirty_count() == 0) return stage_.finish();
  stage_.log(Severity::kError, "%llu blocks were answered and are not on the array",
             static_cast<unsigned long long>(cache_.dirty_count()));
  stage_.finish();
  return 1;
}

}  // namespace slipring::array
