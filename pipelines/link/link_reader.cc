#include "pipelines/link/link_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "pipelines/link/message_mark.h"

namespace slipring {

Result<LinkReader> LinkReader::attach(const SegmentDirectory& directory, std::string_view name,
                                      MemoryLock memory_lock, BellOrder order) noexcept {
  Result<LinkHold> hold = take_role(directory, name, Role::kReader, memory_lock);
  if (!hold) return hold.error();
  return attach(std::move(hold).value(), order);
}

Result<LinkReader> LinkReader::attach(LinkHold hold, BellOrder order) noexcept {
  if (Status kind = require_messages(hold.shape); !kind) return kind.error();
  LinkReader reader(std::move(hold), order);
  if (Status attached = reader.attach_parts(); !attached) return attached.error();
  reader.end_.open();
  return reader;
}

Result<LinkReader> LinkReader::attach_lane(LinkHold hold) noexcept {
  check(is_lane_set(hold.shape) && hold.guard, "a lane of a guarded set");
  LinkReader reader(std::move(hold), BellOrder::kMembarrier);
  reader.corrupt_ = reader.end_.is_peer_given_up();
  if (!reader.corrupt_) {
    if (Status attached = reader.attach_parts(); !attached) {
      if (attached.error().code != ErrorCode::kCorruptPeer) return attached.error();
      reader.corrupt_ = true;
      reader.end_.note(Transfer::kCorruptPeer);
    }
  }
  reader.end_.open();
  return reader;
}

Status LinkReader::attach_parts() noexcept {
  if (Status attached = attach_ring(); !attached) return attached;
  if (Status attached = attach_pool(); !attached) return attached;
  restore_number();
  return {};
}

Transfer LinkReader::rejoin() noexcept {
  check(corrupt_ && is_lane_set(end_.shape()), "a lane that was cut off");
  if (!end_.is_guarded()) return Transfer::kBlocked;
  if (records_ && records_->position() != records_->done()) return Transfer::kBlocked;
  if (!end_.is_peer_given_up()) give_up();
  if (!end_.take_news()) return Transfer::kBlocked;
  // What was commanded until now was about the one before, and nobody's word says where it cut.
  const std::optional<AbortCommand> command = end_.control().newest();
  if (command && end_.control().has_command()) end_.note_obeyed(*command, false);
  records_.reset();
  gap_ = {};
  rung_credit_ = 0;
  end_.forget_offender();
  corrupt_ = !attach_parts().ok();
  if (!corrupt_) return Transfer::kDone;
  end_.note(Transfer::kCorruptPeer);
  return Transfer::kCorruptPeer;
}

// Whatever is not finished of what was handed out by predecessors is passed over: nobody can say
// any more what it was.
void LinkReader::give_up() noexcept {
  auto& own = *reinterpret_cast<ConsumerPage*>(end_.own_bytes());
  // relaxed, both: our own words.
  const std::uint64_t done = own.done.load(std::memory_order_relaxed);
  const std::uint64_t taken = own.taken.load(std::memory_order_relaxed);
  const std::uint64_t end = (std::max(done, taken) + 7) / 8 * 8;
  // relaxed, both: the store of `done` shows the mark, and `taken` is read after our death only.
  end_.own().drops.marks[free_mark_].store(message_mark(number_, end), std::memory_order_relaxed);
  free_mark_ = 1 - free_mark_;
  own.taken.store(end, std::memory_order_relaxed);
  own.done.store(end, std::memory_order_release);    // cursor.C pairs with cursor.D
  own.credit.store(end, std::memory_order_release);  // cursor.A pairs with cursor.B
  end_.give_up_peer();
}

Status LinkReader::attach_ring() noexcept {
  auto& consumer = *reinterpret_cast<ConsumerPage*>(end_.own_bytes());
  const std::byte* region = end_.peer_bytes();
  const auto& producer = *reinterpret_cast<const ProducerPage*>(region);
  const std::byte* ring = region + end_.parts().ring_offset;
  if (end_.shape().kind == SegmentKind::kSlotLink) {
    Result<SlotConsumer> end =
        SlotConsumer::attach(consumer, producer, ring, slot_geometry(end_.shape()));
    if (!end) return end.error();
    slots_.emplace(std::move(end).value());
    return {};
  }
  Result<RecordConsumer> end =
      RecordConsumer::attach(consumer, producer, ring, record_geometry(end_.shape()));
  if (!end) return end.error();
  records_.emplace(std::move(end).value());
  return {};
}

Status LinkReader::attach_pool() noexcept {
  if (end_.shape().pool_buffer_count == 0) return {};
  auto* returned = reinterpret_cast<PoolWord*>(end_.own_bytes() + kTableOffset);
  const std::byte* region = end_.peer_bytes();
  const auto* lent = reinterpret_cast<const PoolWord*>(region + kTableOffset);
  Result<PoolReader> reader = PoolReader::attach(
      returned, lent, region + end_.parts().buffers_offset, pool_geometry(end_.shape()));
  if (!reader) return reader.error();
  pool_.emplace(std::move(reader).value());
  return {};
}

void LinkReader::restore_number() noexcept {
  number_ = static_cast<std::uint32_t>(done());
  if (records_) {
    DropWords& words = end_.own().drops;
    // relaxed, both: our own words, and attaching ordered us after our predecessor.
    const std::uint64_t first = words.marks[0].load(std::memory_order_relaxed);
    const std::uint64_t second = words.marks[1].load(std::memory_order_relaxed);
    free_mark_ = holds_at(first, done()) ? 1 : 0;
    number_ = number_of(free_mark_ == 1 ? first : second);
  }
  finished_number_ = number_;
}

Transfer LinkReader::look(Message& message) noexcept {
  Transfer answer = Transfer::kBlocked;
  if (slots_) {
    SlotView view;
    answer = slots_->try_peek(view);
    if (answer == Transfer::kDone) {
      message = {view.message,  view.redelivered,  view.aborted,
                 view.position, view.position + 1, static_cast<std::uint32_t>(view.position)};
    }
  } else {
    RecordView view;
    answer = records_->try_peek(view);
    if (answer == Transfer::kDone) {
      message = {view.message,  view.redelivered,  view.aborted,
                 view.position, view.end_position, number_++};
    }
  }
  return answer;
}

Transfer LinkReader::try_peek(Message& message) noexcept {
  if (corrupt_) return Transfer::kCorruptPeer;
  if (end_.control().is_due()) [[unlikely]]
    obey_commands();
  Transfer answer = look(message);
  if (answer == Transfer::kBlocked && end_.take_news()) answer = look(message);
  if (answer == Transfer::kBlocked && is_command_due()) {
    obey_commands();
    answer = look(message);
  }
  if (answer == Transfer::kDone) {
    if (message.redelivered) count(end_.own().counters.redelivered_count);
    if (message.aborted) count(end_.own().counters.abort_count);
    return answer;
  }
  corrupt_ = answer == Transfer::kCorruptPeer;
  if (!corrupt_) ring_for_credit();
  end_.note(answer);
  return answer;
}

void LinkReader::release(const Message& message) noexcept {
  std::uint64_t end = message.end_position;
  std::uint32_t number = message.number + 1;
  std::uint32_t finished = number - finished_number_;
  if (gap_.end != 0 && end >= gap_.begin) [[unlikely]] {
    if (end == gap_.begin) {
      end = gap_.end;
      number += gap_.count;
    } else {
      finished -= gap_.count;
    }
    gap_ = {};
  }
  finish(end, number);
  EndCounters& counters = end_.own().counters;
  count(counters.message_count, finished);
  count(counters.payload_bytes, message.bytes.size());
  ring_for_credit();
}

// Everything before `end`, which is so many messages.
void LinkReader::finish(std::uint64_t end, std::uint32_t number) noexcept {
  finished_number_ = number;
  if (slots_) return slots_->release({{}, end - 1});
  // relaxed: the store of `done` that follows shows it.
  end_.own().drops.marks[free_mark_].store(message_mark(number, end), std::memory_order_relaxed);
  free_mark_ = 1 - free_mark_;
  records_->release({{}, 0, end});
}

void LinkReader::skip_aborted() noexcept {
  if (gap_.end != 0) return;  // one at a time: messages between the two are held
  static_cast<void>(drop_before(writer_abort()));
  if (end_.control().is_by_hand()) obey_commands();
}

// Where the writer has cut.
LinkBoundary LinkReader::writer_abort() const noexcept {
  const std::atomic<std::uint64_t>& word = end_.peer().drops.marks[1];
  LinkBoundary boundary;
  for (int attempt = 0; attempt < 8; ++attempt) {
    boundary.position = end_.peer_abort_before();
    // relaxed: stored before abort_before.
    const std::uint64_t mark = word.load(std::memory_order_relaxed);
    boundary.message_number = number_of(mark);
    if (holds_at(mark, boundary.position)) break;  // otherwise it has cut again meanwhile
  }
  return boundary;
}

void LinkReader::obey_commands() noexcept {
  // With a gap still open the next one waits: messages between the two are held.
  if (!has_command()) return;
  const std::optional<AbortCommand> command = end_.take_command();
  if (command) end_.note_obeyed(*command, drop_before(command->boundary));
}

// Passes over all that was published below the boundary and has not been handed out.  False when
// the boundary is impossible.
bool LinkReader::drop_before(const LinkBoundary& boundary) noexcept {
  const std::uint64_t from = next();
  if (boundary.position <= from) return true;
  const std::uint64_t cursor = done();
  const std::uint64_t end = pass_over(boundary.position);
  if (end == from) return false;
  const std::uint64_t bytes = slots_ ? (end - from) * end_.shape().slot_bytes : end - from;
  const std::uint32_t number = slots_ ? static_cast<std::uint32_t>(end) : boundary.message_number;
  const std::uint32_t first = slots_ ? static_cast<std::uint32_t>(from) : number_;
  // A writer that lies about how many there are deceives itself; records have 8 bytes at least.
  const auto dropped = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(number - first, slots_ ? end - from : bytes / kRecordHeaderBytes));
  number_ = number;
  begin_drop(end_.own().drops, cursor, end, {dropped, bytes});
  count(end_.own().counters.abort_count, dropped);
  if (cursor != from) {
    gap_ = {from, end, dropped};
  } else {
    finish(end, number);
    slots_ ? slots_->publish_credit() : records_->publish_credit();
  }
  end_.ring();
  return true;
}

// Answers where that ended.  A pool's buffers are given back on the way, each by its handle; their
// bytes are not looked at.
std::uint64_t LinkReader::pass_over(std::uint64_t position) noexcept {
  if (!pool_) {
    static_cast<void>(slots_ ? slots_->take_before(position) : records_->take_before(position));
    return next();
  }
  SlotView view;
  while (next() < position && slots_->try_peek(view) == Transfer::kDone) {
    BufferHandle handle;
    std::memcpy(&handle, view.message.data(), sizeof handle);
    pool_->give_back(handle);
  }
  return next();
}

void LinkReader::ring_for_credit() noexcept {
  const std::uint64_t credit = credit_given();
  if (credit == rung_credit_ && end_.shape().credit_count == 0) return;
  rung_credit_ = credit;
  end_.ring();
}

bool LinkReader::is_finished() const noexcept {
  // In this order: what was published before closing is seen now.
  return end_.is_peer_closed() && !has_message();
}

void LinkReader::give_back(const BufferHandle& handle) noexcept {
  if (!pool_ || !pool_->holds(handle)) return;
  pool_->give_back(handle);
  end_.ring();
}

}  // namespace slipring
