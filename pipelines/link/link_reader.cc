#include "pipelines/link/link_reader.h"

#include <utility>

namespace slipring {

LinkReader::LinkReader(LinkHold hold) noexcept
    : hold_(std::move(hold)), doorbell_(own().bell, peer().arm) {}

Result<LinkReader> LinkReader::attach(const SegmentDirectory& directory, std::string_view name,
                                      MemoryLock memory_lock) noexcept {
  Result<LinkHold> hold = take_role(directory, name, Role::kReader, memory_lock);
  if (!hold) return hold.error();
  LinkReader reader(std::move(hold).value());
  if (Status attached = reader.attach_ring(); !attached) return attached.error();
  if (Status attached = reader.attach_pool(); !attached) return attached.error();
  open_end(reader.own(), reader.is_locked());
  return reader;
}

Status LinkReader::attach_ring() noexcept {
  auto& consumer = *reinterpret_cast<ConsumerPage*>(hold_.own.writable_bytes().data());
  const std::byte* region = hold_.peer.bytes().data();
  const auto& producer = *reinterpret_cast<const ProducerPage*>(region);
  const std::byte* ring = region + hold_.parts.ring_offset;
  if (hold_.shape.kind == SegmentKind::kSlotLink) {
    Result<SlotConsumer> end =
        SlotConsumer::attach(consumer, producer, ring, slot_geometry(hold_.shape));
    if (!end) return end.error();
    slots_.emplace(std::move(end).value());
    return {};
  }
  Result<RecordConsumer> end =
      RecordConsumer::attach(consumer, producer, ring, record_geometry(hold_.shape));
  if (!end) return end.error();
  records_.emplace(std::move(end).value());
  return {};
}

Status LinkReader::attach_pool() noexcept {
  if (hold_.shape.pool_buffer_count == 0) return {};
  auto* returned = reinterpret_cast<PoolWord*>(hold_.own.writable_bytes().data() + kTableOffset);
  const std::byte* region = hold_.peer.bytes().data();
  const auto* lent = reinterpret_cast<const PoolWord*>(region + kTableOffset);
  Result<PoolReader> reader = PoolReader::attach(
      returned, lent, region + hold_.parts.buffers_offset, pool_geometry(hold_.shape));
  if (!reader) return reader.error();
  pool_.emplace(std::move(reader).value());
  return {};
}

Transfer LinkReader::try_peek(Message& message) noexcept {
  if (corrupt_) return Transfer::kCorruptPeer;
  Transfer answer = Transfer::kBlocked;
  if (slots_) {
    SlotView view;
    answer = slots_->try_peek(view);
    if (answer == Transfer::kDone) {
      message = {view.message, view.redelivered, view.aborted, view.position, view.position + 1};
    }
  } else {
    RecordView view;
    answer = records_->try_peek(view);
    if (answer == Transfer::kDone) {
      message = {view.message, view.redelivered, view.aborted, view.position, view.end_position};
    }
  }
  if (answer == Transfer::kDone) {
    if (message.redelivered) count(own().counters.redelivered_count);
    if (message.aborted) count(own().counters.abort_count);
    return answer;
  }
  if (answer == Transfer::kBlocked) {
    count(own().counters.blocked_count);
    ring_for_credit();
  } else {
    corrupt_ = true;
    count(own().counters.corrupt_count);
  }
  return answer;
}

void LinkReader::release(const Message& message) noexcept {
  if (slots_) {
    slots_->release({message.bytes, message.position, message.redelivered, message.aborted});
  } else {
    records_->release({message.bytes, message.position, message.end_position, message.redelivered,
                       message.aborted});
  }
  EndCounters& counters = own().counters;
  count(counters.message_count);
  count(counters.payload_bytes, message.bytes.size());
  ring_for_credit();
}

void LinkReader::skip_aborted() noexcept {
  check(!pool_, "skipping would lose the pool's buffers");
  const std::uint64_t skipped = slots_ ? slots_->skip_aborted() : records_->skip_aborted();
  if (skipped != 0) count(own().counters.abort_count);
  ring_for_credit();
}

void LinkReader::ring_for_credit() noexcept {
  const std::uint64_t credit = credit_given();
  if (credit == rung_credit_ && hold_.shape.credit_count == 0) return;
  rung_credit_ = credit;
  doorbell_.ring_if_armed();
}

void LinkReader::close() noexcept {
  own().state.store(static_cast<std::uint32_t>(EndState::kClosed),
                    std::memory_order_release);  // link.A pairs with link.B
  doorbell_.ring_always();
}

bool LinkReader::has_message() const noexcept {
  return corrupt_ || (slots_ ? slots_->has_message() : records_->has_message());
}

bool LinkReader::is_finished() const noexcept {
  const bool closed = peer().state.load(std::memory_order_acquire) ==  // link.B pairs with link.A
                      static_cast<std::uint32_t>(EndState::kClosed);
  // In this order: what was published before closing is seen now.
  return closed && !has_message();
}

WaitPoint LinkReader::message_point() noexcept {
  return WaitPoint::of(peer().bell, own().arm);
}

void LinkReader::give_back(const BufferHandle& handle) noexcept {
  if (!pool_ || !pool_->holds(handle)) return;
  pool_->give_back(handle);
  doorbell_.ring_if_armed();
}

std::uint32_t LinkReader::incarnation() const noexcept {
  return own().incarnation.load(std::memory_order_relaxed);  // relaxed: our own word
}

}  // namespace slipring
