#include "pipelines/link/link_writer.h"

#include <array>
#include <cstring>
#include <utility>

namespace slipring {

LinkWriter::LinkWriter(LinkHold hold) noexcept
    : hold_(std::move(hold)), doorbell_(own().bell, peer().arm) {}

Result<LinkWriter> LinkWriter::attach(const SegmentDirectory& directory, std::string_view name,
                                      MemoryLock memory_lock) noexcept {
  Result<LinkHold> hold = take_role(directory, name, Role::kWriter, memory_lock);
  if (!hold) return hold.error();
  LinkWriter writer(std::move(hold).value());
  if (Status attached = writer.attach_ring(); !attached) return attached.error();
  if (Status attached = writer.attach_pool(); !attached) return attached.error();
  open_end(writer.own(), writer.is_locked());
  return writer;
}

Status LinkWriter::attach_ring() noexcept {
  std::byte* region = hold_.own.writable_bytes().data();
  auto& producer = *reinterpret_cast<ProducerPage*>(region);
  const auto& consumer = *reinterpret_cast<const ConsumerPage*>(hold_.peer.bytes().data());
  std::byte* ring = region + hold_.parts.ring_offset;
  if (hold_.shape.kind == SegmentKind::kSlotLink) {
    Result<SlotProducer> end =
        SlotProducer::attach(producer, ring, consumer, slot_geometry(hold_.shape));
    if (!end) return end.error();
    slots_.emplace(std::move(end).value());
    return {};
  }
  Result<RecordProducer> end =
      RecordProducer::attach(producer, ring, consumer, record_geometry(hold_.shape));
  if (!end) return end.error();
  records_.emplace(std::move(end).value());
  return {};
}

Status LinkWriter::attach_pool() noexcept {
  if (hold_.shape.pool_buffer_count == 0) return {};
  std::byte* region = hold_.own.writable_bytes().data();
  auto* lent = reinterpret_cast<PoolWord*>(region + kTableOffset);
  const auto* returned =
      reinterpret_cast<const PoolWord*>(hold_.peer.bytes().data() + kTableOffset);
  Result<PoolOwner> owner = PoolOwner::attach(lent, returned, region + hold_.parts.buffers_offset,
                                              pool_geometry(hold_.shape));
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
  count(own().counters.recovered_count, pool_->recover({in_flight.data(), in_flight_count}));
  return {};
}

bool LinkWriter::is_credit_used_up() const noexcept {
  if (hold_.shape.credit_count == 0) return false;
  // relaxed: a count that lags behind only understates the credit; what may be overwritten is
  // decided by the ring alone.
  const std::uint64_t sent = own().counters.message_count.load(std::memory_order_relaxed);
  const std::uint64_t finished = peer().counters.message_count.load(std::memory_order_relaxed);
  return finished <= sent && sent - finished >= hold_.shape.credit_count;
}

Transfer LinkWriter::try_reserve(std::uint64_t size_bytes, std::span<std::byte>& message) noexcept {
  if (corrupt_) return Transfer::kCorruptPeer;
  Transfer answer = Transfer::kBlocked;
  if (!is_credit_used_up()) {
    answer = slots_ ? slots_->try_reserve(message) : records_->try_reserve(size_bytes, message);
  }
  if (answer == Transfer::kBlocked) {
    count(own().counters.blocked_count);
  } else if (answer == Transfer::kCorruptPeer) {
    corrupt_ = true;
    count(own().counters.corrupt_count);
  }
  return answer;
}

void LinkWriter::commit(std::uint64_t size_bytes) noexcept {
  if (slots_) {
    slots_->commit();
  } else {
    records_->commit(size_bytes);
  }
  EndCounters& counters = own().counters;
  count(counters.message_count);
  count(counters.payload_bytes, size_bytes);
  doorbell_.ring_if_armed();
}

void LinkWriter::abandon() noexcept {
  if (records_ && records_->is_open()) records_->abandon();
}

void LinkWriter::abort_published() noexcept {
  if (slots_) {
    slots_->abort_published();
  } else {
    records_->abort_published();
  }
  count(own().counters.abort_count);
  doorbell_.ring_always();
}

void LinkWriter::close() noexcept {
  own().state.store(static_cast<std::uint32_t>(EndState::kClosed),
                    std::memory_order_release);  // link.A pairs with link.B
  doorbell_.ring_always();
}

bool LinkWriter::has_space(std::uint64_t size_bytes) const noexcept {
  if (corrupt_) return true;
  if (is_credit_used_up()) return false;
  return slots_ ? slots_->has_space() : records_->has_space(size_bytes);
}

bool LinkWriter::is_peer_closed() const noexcept {
  return peer().state.load(std::memory_order_acquire) ==  // link.B pairs with link.A
         static_cast<std::uint32_t>(EndState::kClosed);
}

WaitPoint LinkWriter::space_point() noexcept {
  return WaitPoint::of(peer().bell, own().arm);
}

std::uint64_t LinkWriter::max_message_bytes() const noexcept {
  return slots_ ? slots_->slot_bytes() : records_->max_payload_bytes();
}

std::uint64_t LinkWriter::blocked_count() const noexcept {
  return own().counters.blocked_count.load(std::memory_order_relaxed);  // relaxed: our own word
}

std::uint32_t LinkWriter::incarnation() const noexcept {
  return own().incarnation.load(std::memory_order_relaxed);  // relaxed: our own word
}

}  // namespace slipring
