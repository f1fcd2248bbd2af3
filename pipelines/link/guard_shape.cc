#include "pipelines/link/guard_shape.h"

#include <algorithm>
#include <cstring>

#include "pipelines/link/board_page.h"
#include "pipelines/link/broadcast_shape.h"
#include "platform/memory/page_size.h"

namespace slipring {
namespace {

[[nodiscard]] std::uint64_t round_up(std::uint64_t size_bytes, std::uint64_t page_bytes) noexcept {
  return (size_bytes + page_bytes - 1) / page_bytes * page_bytes;
}

}  // namespace

Result<GuardShape> guard_shape(const LinkShape& shape, std::uint64_t page_bytes) noexcept {
  GuardShape whole;
  whole.shape = shape;
  whole.is_solo = is_solo(shape);
  if (whole.is_solo && shape.kind == SegmentKind::kBoard) {
    whole.parts.writer_bytes = round_up(sizeof(BoardPage), page_bytes);
    return whole;
  }
  if (whole.is_solo) {
    const BroadcastShape broadcast = guarded_broadcast(shape);
    if (Status valid = validate_broadcast(broadcast); !valid) return valid.error();
    const BroadcastParts parts = parts_of(broadcast, page_bytes);
    whole.parts.ring_offset = parts.slots_offset;
    whole.parts.buffers_offset = parts.slots_offset;
    whole.parts.writer_bytes = parts.writer_bytes;
    return whole;
  }
  if (Status valid = validate_shape(shape); !valid) return valid.error();
  whole.parts = parts_of(shape, page_bytes);
  return whole;
}

Result<GuardShape> guard_shape_of(const GuardGrant& grant) noexcept {
  const std::uint64_t page = grant.page_bytes;
  if (page < 4096 || (page & (page - 1)) != 0 || page % page_size_bytes() != 0) {
    return Error{ErrorCode::kCorruptPeer, 0, "the link's pages are not ours", page,
                 page_size_bytes()};
  }
  LinkShape shape;
  shape.kind = static_cast<SegmentKind>(grant.kind);
  set_capacity_word(shape, grant.capacity_bytes);
  shape.slot_count = grant.slot_count;
  shape.slot_bytes = grant.slot_bytes;
  shape.pool_buffer_count = grant.pool_buffer_count;
  shape.pool_buffer_bytes = grant.pool_buffer_bytes;
  shape.credit_count = grant.credit_count;
  shape.lane_count = grant.lane_count;
  if (grant.lane != 0 && grant.lane >= grant.lane_count) {
    return Error{ErrorCode::kCorruptPeer, 0, "the link has no such lane", grant.lane,
                 grant.lane_count};
  }
  Result<GuardShape> whole = guard_shape(shape, page);
  if (whole) return whole;
  return Error{ErrorCode::kCorruptPeer, 0, whole.error().doing, whole.error().found,
               whole.error().wanted};
}

GuardGrant grant_of(const GuardShape& shape) noexcept {
  GuardGrant grant{};
  grant.kind = static_cast<std::uint32_t>(shape.shape.kind);
  grant.page_bytes = static_cast<std::uint32_t>(page_size_bytes());
  grant.capacity_bytes = capacity_word(shape.shape);
  grant.slot_count = shape.shape.slot_count;
  grant.slot_bytes = shape.shape.slot_bytes;
  grant.pool_buffer_count = shape.shape.pool_buffer_count;
  grant.pool_buffer_bytes = shape.shape.pool_buffer_bytes;
  grant.credit_count = shape.shape.credit_count;
  grant.lane_count = shape.shape.lane_count;
  return grant;
}

std::uint64_t guard_page_bytes(const LinkShape& shape) noexcept {
  const std::uint64_t lane_count = is_lane_set(shape) ? shape.lane_count : 1;
  return round_up(lane_count * sizeof(GuardPage), page_size_bytes());
}

void hand_over_board(std::span<const std::byte> predecessor, std::span<std::byte> own) noexcept {
  const auto& from = *reinterpret_cast<const BoardPage*>(predecessor.data());
  auto& to = *reinterpret_cast<BoardPage*>(own.data());
  // relaxed, all of them: the predecessor is certified dead, and nobody sees the successor's yet.
  const std::uint32_t entry_count =
      std::min(from.entry_count.load(std::memory_order_relaxed), kMaxBoardEntries);  // relaxed
  to.process_id.store(from.process_id.load(std::memory_order_relaxed),               // relaxed
                      std::memory_order_relaxed);
  to.incarnation.store(from.incarnation.load(std::memory_order_relaxed),  // relaxed
                       std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < entry_count; ++i) {
    std::memcpy(to.entries[i].name, from.entries[i].name, kBoardNameBytes);
    to.entries[i].kind = from.entries[i].kind;
    to.entries[i].value.store(from.entries[i].value.load(std::memory_order_relaxed),  // relaxed
                              std::memory_order_relaxed);
  }
  to.entry_count.store(entry_count, std::memory_order_relaxed);  // relaxed
}

}  // namespace slipring
