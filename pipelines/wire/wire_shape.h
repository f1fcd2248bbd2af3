// Which links a wire carries, as what, and what a message takes of the ring that it is going to.
#pragma once

#include <bit>
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
  const std::uint64_t bytes = is_counted_in_bytes(shape)
                                  ? shape.capacity_bytes
                                  : shape.slot_bytes + shape.pool_buffer_bytes;
  if (bytes <= kLinkBytesMax) return {};
  return Error{ErrorCode::kUnsupported, 0, "carry so large a ring, or buffer, over a wire", bytes,
               kLinkBytesMax};
}

// Of this machine.
[[nodiscard]] constexpr ByteOrder own_byte_order() noexcept {
  return std::endian::native == std::endian::little ? ByteOrder::kLittle : ByteOrder::kBig;
}

// What is said of a link before anything of it is carried.  Requires: check_wire_shape() is ok.
[[nodiscard]] inline WireForm wire_form_of(const LinkShape& shape) noexcept {
  WireForm form;
  switch (shape.kind) {
    case SegmentKind::kStreamLink:
      form.kind = WireKind::kStream;
      break;
    case SegmentKind::kValueLink:
      form = {WireKind::kValues, own_byte_order(), shape.slot_bytes, shape.value_mark, 0};
      break;
    case SegmentKind::kSlotLink:
      form.kind = shape.pool_buffer_count != 0 ? WireKind::kPooled : WireKind::kSlots;
      form.message_bytes_max = shape.slot_bytes;
      if (shape.pool_buffer_count != 0) form.buffer_bytes = shape.pool_buffer_bytes;
      break;
    default:
      form.message_bytes_max =
          static_cast<std::uint32_t>(record_max_payload_bytes(shape.capacity_bytes));
      break;
  }
  return form;
}

// What a message takes of the credit that the receiver gives; a buffer counts with its slot.
[[nodiscard]] inline std::uint64_t cost_of(const WireForm& form,
                                           std::uint64_t message_bytes) noexcept {
  switch (form.kind) {
    case WireKind::kStream:
    case WireKind::kValues:
      return message_bytes;
    case WireKind::kPooled:
    case WireKind::kTopic:
      return record_detail::whole_bytes(form.message_bytes_max);
    default:
      return record_detail::whole_bytes(message_bytes);
  }
}

}  // namespace slipring::wire
