// Which links a wire carries, and what a message takes of the ring that it is going to.
#pragma once

#include <cstdint>

#include "core/error/result.h"
#include "core/ring/record_format.h"
#include "pipelines/link/link_layout.h"
#include "pipelines/wire/frame.h"

namespace slipring::wire {

// A position behind a message is told from the one before it by 32 bits.
inline constexpr std::uint64_t kLinkBytesMax = std::uint64_t{1} << 31;

// Errors: kUnsupported.
[[nodiscard]] inline Status check_wire_shape(const LinkShape& shape) noexcept {
  const auto refused = [](const char* doing) { return Error{ErrorCode::kUnsupported, 0, doing}; };
  if (shape.pool_buffer_count != 0) return refused("carry the buffers of a pool over a wire");
  if (shape.kind == SegmentKind::kValueLink) {
    return refused("carry typed values over a wire: their bytes are this machine's own");
  }
  const std::uint64_t bytes =
      is_counted_in_bytes(shape) ? shape.capacity_bytes : std::uint64_t{shape.slot_bytes};
  if (bytes <= kLinkBytesMax) return {};
  return Error{ErrorCode::kUnsupported, 0, "carry so large a ring over a wire", bytes,
               kLinkBytesMax};
}

[[nodiscard]] inline WireKind wire_kind_of(const LinkShape& shape) noexcept {
  if (shape.kind == SegmentKind::kStreamLink) return WireKind::kStream;
  return shape.kind == SegmentKind::kSlotLink ? WireKind::kSlots : WireKind::kRecords;
}

// The longest message; of slots, every one; of a stream, 0.  Requires: check_wire_shape() is ok.
[[nodiscard]] inline std::uint32_t message_bytes_max_of(const LinkShape& shape) noexcept {
  switch (wire_kind_of(shape)) {
    case WireKind::kRecords:
      return static_cast<std::uint32_t>(record_max_payload_bytes(shape.capacity_bytes));
    case WireKind::kSlots:
      return shape.slot_bytes;
    case WireKind::kStream:
      break;
  }
  return 0;
}

// What a message takes of the credit that the receiver gives.
[[nodiscard]] inline std::uint64_t cost_of(WireKind kind, std::uint64_t message_bytes) noexcept {
  return kind == WireKind::kStream ? message_bytes : record_detail::whole_bytes(message_bytes);
}

}  // namespace slipring::wire
