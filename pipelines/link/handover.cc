#include "pipelines/link/handover.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "core/ring/broadcast_ring.h"
#include "pipelines/link/broadcast_shape.h"
#include "pipelines/link/message_mark.h"

namespace slipring {
namespace {

template <typename Page>
[[nodiscard]] const Page& page_at(std::span<const std::byte> region,
                                  std::uint64_t offset = 0) noexcept {
  return *reinterpret_cast<const Page*>(region.data() + offset);
}
template <typename Page>
[[nodiscard]] Page& page_at(std::span<std::byte> region, std::uint64_t offset = 0) noexcept {
  return *reinterpret_cast<Page*>(region.data() + offset);
}

// relaxed, everywhere here: the writer of `from` is certified dead, and nobody sees `to` yet.
template <typename Word>
[[nodiscard]] Word get(const std::atomic<Word>& from) noexcept {
  return from.load(std::memory_order_relaxed);  // relaxed: as above
}
template <typename Word>
void copy_word(const std::atomic<Word>& from, std::atomic<Word>& to) noexcept {
  to.store(get(from), std::memory_order_relaxed);  // relaxed: as above
}

void copy_end(const EndPage& from, EndPage& to) noexcept {
  copy_word(from.bell.bell, to.bell.bell);
  copy_word(from.arm.armed, to.arm.armed);
  copy_word(from.state, to.state);
  copy_word(from.incarnation, to.incarnation);
  copy_word(from.counters.message_count, to.counters.message_count);
  copy_word(from.counters.payload_bytes, to.counters.payload_bytes);
  copy_word(from.counters.blocked_count, to.counters.blocked_count);
  copy_word(from.counters.sleep_count, to.counters.sleep_count);
  copy_word(from.counters.abort_count, to.counters.abort_count);
  copy_word(from.counters.redelivered_count, to.counters.redelivered_count);
  copy_word(from.counters.recovered_count, to.counters.recovered_count);
  copy_word(from.counters.corrupt_count, to.counters.corrupt_count);
  copy_word(from.given_up, to.given_up);
  copy_word(from.offender_process_id, to.offender_process_id);
  copy_word(from.offender_user, to.offender_user);
  copy_word(from.drops.drop_end, to.drops.drop_end);
  copy_word(from.drops.messages, to.drops.messages);
  copy_word(from.drops.messages_before, to.drops.messages_before);
  copy_word(from.drops.bytes, to.drops.bytes);
  copy_word(from.drops.bytes_before, to.drops.bytes_before);
  copy_word(from.drops.obeyed, to.drops.obeyed);
  copy_word(from.drops.refused, to.drops.refused);
  copy_word(from.drops.marks[0], to.drops.marks[0]);
  copy_word(from.drops.marks[1], to.drops.marks[1]);
}

void copy_table(const LinkShape& shape, std::span<const std::byte> from,
                std::span<std::byte> to) noexcept {
  const auto* words = &page_at<PoolWord>(from, kTableOffset);
  auto* own = &page_at<PoolWord>(to, kTableOffset);
  for (std::uint32_t i = 0; i < shape.pool_buffer_count; ++i) copy_word(words[i], own[i]);
}

// Bytes [first, last) of a run that wraps at `size_bytes`.  Requires: no more than that.
void copy_wrapped(const std::byte* from, std::byte* to, std::uint64_t size_bytes,
                  std::uint64_t first, std::uint64_t last) noexcept {
  while (first != last) {
    const std::uint64_t index = first % size_bytes;
    const std::uint64_t count = std::min(last - first, size_bytes - index);
    std::memcpy(to + index, from + index, static_cast<std::size_t>(count));
    first += count;
  }
}

// Every sequence, so that an empty slot shows its lap; the payload of those not finished yet.
void copy_slots(const LinkShape& shape, const std::byte* from, std::byte* to,
                std::uint64_t done) noexcept {
  const std::uint64_t stride = slot_stride_bytes(shape.slot_bytes);
  for (std::uint64_t slot = 0; slot < shape.slot_count; ++slot) {
    using Sequence = std::atomic<std::uint64_t>;
    const std::byte* at = from + slot * stride;
    const std::uint64_t sequence = get(*reinterpret_cast<const Sequence*>(at));
    if (sequence > done) std::memcpy(to + slot * stride + 8, at + 8, shape.slot_bytes);
    reinterpret_cast<Sequence*>(to + slot * stride)
        ->store(sequence, std::memory_order_relaxed);  // relaxed: nobody sees it yet
  }
}

void copy_buffers(const LinkShape& shape, const LinkParts& parts,
                  std::span<const std::byte> predecessor, std::span<const std::byte> peer,
                  std::span<std::byte> own) noexcept {
  const auto* lent = &page_at<PoolWord>(std::span<const std::byte>(own), kTableOffset);
  const auto* returned = &page_at<PoolWord>(peer, kTableOffset);
  for (std::uint32_t i = 0; i < shape.pool_buffer_count; ++i) {
    if (get(lent[i]) == get(returned[i])) continue;
    const std::uint64_t offset = parts.buffers_offset + i * shape.pool_buffer_bytes;
    std::memcpy(own.data() + offset, predecessor.data() + offset,
                static_cast<std::size_t>(shape.pool_buffer_bytes));
  }
}

}  // namespace

Status hand_over_writer(const LinkShape& shape, const LinkParts& parts,
                        std::span<const std::byte> predecessor, std::span<const std::byte> peer,
                        std::span<std::byte> own) noexcept {
  const auto& from = page_at<ProducerPage>(predecessor);
  auto& to = page_at<ProducerPage>(own);
  copy_word(from.tail, to.tail);
  copy_word(from.abort_before, to.abort_before);
  copy_end(page_at<EndPage>(predecessor, kEndPageOffset), page_at<EndPage>(own, kEndPageOffset));
  copy_table(shape, predecessor, own);

  // Before the ring: a living reader goes on finishing, and what it finishes meanwhile is copied
  // for nothing.
  const std::uint64_t done = page_at<ConsumerPage>(peer).done.load(
      std::memory_order_acquire);  // cursor.D pairs with cursor.C
  const std::uint64_t tail = get(to.tail);
  const std::byte* ring = predecessor.data() + parts.ring_offset;
  std::byte* own_ring = own.data() + parts.ring_offset;
  if (shape.kind == SegmentKind::kSlotLink) {
    copy_slots(shape, ring, own_ring, done);
    copy_buffers(shape, parts, predecessor, peer, own);
    return {};
  }
  const bool is_bytes = is_counted_in_bytes(shape);
  const std::uint64_t capacity = is_bytes ? shape.capacity_bytes : shape.slot_count;
  if (done > tail || tail - done > capacity) {
    return Error{ErrorCode::kCorruptPeer, 0, "what is under way is not within a ring's length",
                 tail, done};
  }
  if (is_bytes) {
    copy_wrapped(ring, own_ring, capacity, done, tail);
    return {};
  }
  const std::uint64_t places = spsc_place_count(value_geometry(shape));
  for (std::uint64_t position = done; position != tail; ++position) {
    const std::uint64_t offset = (position & (places - 1)) * shape.slot_bytes;
    std::memcpy(own_ring + offset, ring + offset, shape.slot_bytes);
  }
  return {};
}

void begin_anew(const LinkShape& shape, std::uint32_t generation, std::span<const std::byte> peer,
                std::span<std::byte> own) noexcept {
  // relaxed, all stores: nobody sees it yet.
  page_at<EndPage>(own, kEndPageOffset)
      .incarnation.store(generation - 1, std::memory_order_relaxed);
  if (shape.kind != SegmentKind::kRecordLink) return;
  const std::uint64_t done = page_at<ConsumerPage>(peer).done.load(
      std::memory_order_acquire);  // cursor.D pairs with cursor.C
  page_at<ProducerPage>(own).tail.store(done, std::memory_order_relaxed);
  for (const auto& word : page_at<EndPage>(peer, kEndPageOffset).drops.marks) {
    const std::uint64_t mark = get(word);
    if (!holds_at(mark, done)) continue;
    page_at<EndPage>(own, kEndPageOffset)
        .drops.marks[0]
        .store(mark, std::memory_order_relaxed);  // relaxed: as above
  }
}

namespace {

// Whether every message that readers may still be at is one that a writer leaves.
bool are_slots_sound(const BroadcastShape& shape, const std::byte* slots, std::uint64_t tail,
                     std::uint64_t missing_before) noexcept {
  const BroadcastCut cut(geometry_of(shape));
  const std::uint64_t count = std::min(tail, cut.count());
  for (std::uint64_t position = tail - count; position != tail; ++position) {
    const std::byte* slot = slots + cut.offset_bytes(position);
    const auto state = get(*reinterpret_cast<const std::atomic<std::uint64_t>*>(slot));
    std::uint32_t size_bytes = 0;
    std::memcpy(&size_bytes, slot + 8, sizeof size_bytes);
    const bool is_whole = state == cut.published(position) && size_bytes <= shape.message_bytes;
    // The oldest one may be in the middle of being overwritten.
    const bool is_overtaken = count == cut.count() && state == cut.writing(tail);
    const bool is_missing = position < missing_before && cut.may_linger(state, position);
    if (!is_whole && !is_overtaken && !is_missing) return false;
  }
  return true;
}

// Whether what was copied is a ring that a writer can go on with.
bool copy_broadcast(const LinkShape& shape, const LinkParts& parts,
                    std::span<const std::byte> predecessor, std::span<std::byte> own) noexcept {
  const auto& from = page_at<BroadcastWriterPage>(predecessor);
  auto& to = page_at<BroadcastWriterPage>(own);
  copy_word(from.tail, to.tail);
  copy_word(from.scan_at, to.scan_at);
  copy_word(from.abort_before, to.abort_before);
  copy_word(from.missing_before, to.missing_before);
  auto& end = page_at<EndPage>(own, kBroadcastEndOffset);
  copy_end(page_at<EndPage>(predecessor, kBroadcastEndOffset), end);
  copy_word(page_at<EndPage>(predecessor, kBroadcastEndOffset).peer_generation,
            end.peer_generation);
  std::byte* slots = own.data() + parts.ring_offset;
  const std::size_t slots_bytes = own.size() - static_cast<std::size_t>(parts.ring_offset);
  std::memcpy(slots, predecessor.data() + parts.ring_offset, slots_bytes);
  const BroadcastReaderPage nobody{};
  const std::array<const BroadcastReaderPage*, 1> readers = {&nobody};
  const BroadcastShape cut = guarded_broadcast(shape);
  return get(end.peer_generation) != 0 &&
         BroadcastWriter::attach(to, slots, readers, geometry_of(cut)).ok() &&
         are_slots_sound(cut, slots, get(to.tail), get(to.missing_before));
}

}  // namespace

void hand_over_broadcast(const LinkShape& shape, const LinkParts& parts, std::uint32_t generation,
                         std::span<const std::byte> predecessor,
                         std::span<std::byte> own) noexcept {
  if (!predecessor.empty() && copy_broadcast(shape, parts, predecessor, own)) return;
  std::memset(own.data(), 0, own.size());
  auto& end = page_at<EndPage>(own, kBroadcastEndOffset);
  // relaxed, both: nobody sees it yet.
  end.incarnation.store(generation - 1, std::memory_order_relaxed);
  end.peer_generation.store(generation, std::memory_order_relaxed);
}

void hand_over_reader(const LinkShape& shape, std::span<const std::byte> predecessor,
                      std::span<std::byte> own) noexcept {
  const auto& from = page_at<ConsumerPage>(predecessor);
  auto& to = page_at<ConsumerPage>(own);
  copy_word(from.credit, to.credit);
  copy_word(from.done, to.done);
  copy_word(from.taken, to.taken);
  copy_end(page_at<EndPage>(predecessor, kEndPageOffset), page_at<EndPage>(own, kEndPageOffset));
  copy_table(shape, predecessor, own);
}

}  // namespace slipring
