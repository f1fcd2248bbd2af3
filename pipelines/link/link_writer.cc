#include "pipelines/link/link_writer.h"

#include <array>
#include <cstring>
#include <utility>

#include "core/error/check.h"
#include "pipelines/link/message_mark.h"

namespace slipring {

Result<LinkWriter> LinkWriter::attach(const SegmentDirectory& directory, std::string_view name,
                                      MemoryLock memory_lock, BellOrder order) noexcept {
  Result<LinkHold> hold = take_role(directory, name, Role::kWriter, memory_lock);
  if (!hold) return hold.error();
  if (Status kind = require_messages(hold->shape); !kind) return kind.error();
  LinkWriter writer(std::move(hold).value(), order);
  if (Status attached = writer.attach_ring(); !attached) return attached.error();
  if (Status attached = writer.attach_pool(); !attached) return attached.error();
  writer.restore_count();
  writer.begin_lane();
  writer.end_.open();
  return writer;
}

// All of our predecessor's has been read: what it said of itself goes with it.
void LinkWriter::begin_lane() noexcept {
  if (!is_lane_set(shape())) return;
  LaneWords& words = lane_words_of(end_.own_bytes());
  note_attachment(words.attachments, end_.incarnation() + 1, position());
  slipring::tell_origin(words, {});
  tell_process(words, {});
}

void LinkWriter::tell_origin(std::string_view text) noexcept {
  check(is_lane_set(shape()), "an origin of what is no lane");
  slipring::tell_origin(lane_words_of(end_.own_bytes()), text);
}

void LinkWriter::tell_origin_process(const LaneProcess& process) noexcept {
  check(is_lane_set(shape()), "an origin of what is no lane");
  tell_process(lane_words_of(end_.own_bytes()), process);
}

LaneProcess LinkWriter::told_origin_process() noexcept {
  check(is_lane_set(shape()), "an origin of what is no lane");
  return told_process(lane_words_of(end_.own_bytes()));
}

Status LinkWriter::attach_ring() noexcept {
  std::byte* region = end_.own_bytes();
  auto& producer = *reinterpret_cast<ProducerPage*>(region);
  const auto& consumer = *reinterpret_cast<const ConsumerPage*>(end_.peer_bytes());
  std::byte* ring = region + end_.parts().ring_offset;
  if (end_.shape().kind == SegmentKind::kSlotLink) {
    Result<SlotProducer> end =
        SlotProducer::attach(producer, ring, consumer, slot_geometry(end_.shape()));
    if (!end) return end.error();
    slots_.emplace(std::move(end).value());
    return {};
  }
  Result<RecordProducer> end =
      RecordProducer::attach(producer, ring, consumer, record_geometry(end_.shape()));
  if (!end) return end.error();
  records_.emplace(std::move(end).value());
  return {};
}

// A predecessor may have died between publishing a message and counting it.
void LinkWriter::restore_count() noexcept {
  EndPage& own = end_.own();
  // relaxed, all: our own words, and attaching ordered us after our predecessor.
  number_ = slots_ ? static_cast<std::uint32_t>(slots_->position())
                   : number_at(own.drops.marks[0].load(std::memory_order_relaxed), position());
  show_mark();
  const auto counted = static_cast<std::uint32_t>(
      own.counters.message_count.load(std::memory_order_relaxed));  // relaxed: as above
  count(own.counters.message_count, number_ - counted);
}

void LinkWriter::show_mark() noexcept {
  if (slots_) return;  // their positions count messages
  end_.own().drops.marks[0].store(message_mark(number_, records_->position()),
                                  std::memory_order_release);  // mark.A pairs with mark.B
}

Status LinkWriter::attach_pool() noexcept {
  if (end_.shape().pool_buffer_count == 0) return {};
  std::byte* region = end_.own_bytes();
  auto* lent = reinterpret_cast<PoolWord*>(region + kTableOffset);
  const auto* returned = reinterpret_cast<const PoolWord*>(end_.peer_bytes() + kTableOffset);
  Result<PoolOwner> owner = PoolOwner::attach(lent, returned, region + end_.parts().buffers_offset,
                                              pool_geometry(end_.shape()));
  if (!owner) return owner.error();
  pool_.emplace(std::move(owner).value());

  // Of each buffer one handle is current; a ring that repeats it adds nothing.
  std::array<BufferHandle, kMaxPoolBuffers> in_flight;
  std::array<bool, kMaxPoolBuffers> is_noted{};
  std::size_t in_flight_count = 0;
  const std::uint64_t end = slots_->position();
  for (std::uint64_t position = slots_->done(); position != end; ++position) {
    BufferHandle handle;
    std::memcpy(&handle, slots_->published(position).data(), sizeof handle);
    if (!pool_->is_current(handle) || is_noted[handle.slot]) continue;
    is_noted[handle.slot] = true;
    in_flight[in_flight_count++] = handle;
  }
  count(end_.own().counters.recovered_count, pool_->recover({in_flight.data(), in_flight_count}));
  return {};
}

bool LinkWriter::is_credit_used_up() const noexcept {
  if (end_.shape().credit_count == 0) return false;
  if (slots_) return slots_->position() - slots_->done() >= end_.shape().credit_count;
  // What may be overwritten is decided by the ring alone: a count that lags behind, or a reader's
  // lie, only moves the credit.
  const auto& reader = *reinterpret_cast<const ConsumerPage*>(end_.peer_bytes());
  const DropWords& words = end_.peer().drops;
  for (int attempt = 0; attempt < 8; ++attempt) {
    const std::uint64_t done =
        reader.done.load(std::memory_order_acquire);  // cursor.D pairs with cursor.C
    for (const std::atomic<std::uint64_t>& word : words.marks) {
      // relaxed: stored before `done`.
      const std::uint64_t mark = word.load(std::memory_order_relaxed);
      if (!holds_at(mark, done)) continue;
      const std::uint32_t under_way = number_ - number_of(mark);
      return under_way >= end_.shape().credit_count;
    }
    // The reader has finished two messages meanwhile.
  }
  return true;
}

Transfer LinkWriter::reserve(std::uint64_t size_bytes, std::span<std::byte>& message) noexcept {
  if (is_credit_used_up()) return Transfer::kBlocked;
  return slots_ ? slots_->try_reserve(message) : records_->try_reserve(size_bytes, message);
}

Transfer LinkWriter::try_reserve(std::uint64_t size_bytes, std::span<std::byte>& message) noexcept {
  if (corrupt_) return Transfer::kCorruptPeer;
  Transfer answer = reserve(size_bytes, message);
  if (answer == Transfer::kBlocked && end_.take_news()) answer = reserve(size_bytes, message);
  corrupt_ = answer == Transfer::kCorruptPeer;
  end_.note(answer);
  return answer;
}

void LinkWriter::commit(std::uint64_t size_bytes) noexcept {
  commit_quietly(size_bytes);
  wake_reader();
}

void LinkWriter::commit_quietly(std::uint64_t size_bytes) noexcept {
  if (slots_) {
    slots_->commit();
  } else {
    records_->commit(size_bytes);
  }
  ++number_;
  show_mark();
  EndCounters& counters = end_.own().counters;
  count(counters.message_count);
  count(counters.payload_bytes, size_bytes);
}

void LinkWriter::abandon() noexcept {
  if (records_ && records_->is_open()) records_->abandon();
}

void LinkWriter::abort_published() noexcept {
  if (slots_) {
    slots_->abort_published();
  } else {
    // relaxed: shown by the store of abort_before that follows.
    end_.own().drops.marks[1].store(message_mark(number_, position()), std::memory_order_relaxed);
    records_->abort_published();
  }
  count(end_.own().counters.abort_count);
  end_.ring_always();
}

bool LinkWriter::has_space(std::uint64_t size_bytes) const noexcept {
  if (corrupt_ || end_.has_news()) return true;
  if (is_credit_used_up()) return false;
  return slots_ ? slots_->has_space() : records_->has_space(size_bytes);
}

std::uint64_t LinkWriter::max_message_bytes() const noexcept {
  return slots_ ? slots_->slot_bytes() : records_->max_payload_bytes();
}

std::uint64_t LinkWriter::taken_by_reader() const noexcept {
  // relaxed: its certificate ordered us after a dead reader.
  return reinterpret_cast<const ConsumerPage*>(end_.peer_bytes())
      ->taken.load(std::memory_order_relaxed);
}

std::uint64_t LinkWriter::blocked_count() const noexcept {
  return end_.own().counters.blocked_count.load(
      std::memory_order_relaxed);  // relaxed: our own word
}

}  // namespace slipring
