// A guarded link's shape as it travels, and what follows from it on both sides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error/result.h"
#include "pipelines/link/guard_protocol.h"
#include "pipelines/link/link_layout.h"

namespace slipring {

// What a link without a reader's role has is its writer's memory alone: a board, whose shape has a
// kind and nothing else, and a broadcast link, whose slots are messages and whose readers keep
// their cursors to themselves.
struct GuardShape {
  LinkShape shape;
  LinkParts parts;
  bool is_solo = false;
};

[[nodiscard]] inline bool is_solo(const LinkShape& shape) noexcept {
  return !is_lane_set(shape) &&
         (shape.kind == SegmentKind::kBoard || shape.kind == SegmentKind::kBroadcastLink);
}

// Errors: kInvalidArgument.
Result<GuardShape> guard_shape(const LinkShape& shape, std::uint64_t page_bytes) noexcept;

// Errors: kCorruptPeer.
Result<GuardShape> guard_shape_of(const GuardGrant& grant) noexcept;

// The shape's part of a grant.
[[nodiscard]] GuardGrant grant_of(const GuardShape& shape) noexcept;

// Of the broker's page, in whole pages.  Requires: of a valid shape.
[[nodiscard]] std::uint64_t guard_page_bytes(const LinkShape& shape) noexcept;

// A successor's board from its predecessor's.  Requires: both hold a BoardPage; `own` is zero.
void hand_over_board(std::span<const std::byte> predecessor, std::span<std::byte> own) noexcept;

}  // namespace slipring
