#include "pipelines/link/broadcast_shape.h"

namespace slipring {
namespace {

[[nodiscard]] constexpr std::uint64_t round_up(std::uint64_t size_bytes, std::uint64_t page_bytes) {
  return (size_bytes + page_bytes - 1) / page_bytes * page_bytes;
}

inline constexpr std::uint64_t kMaxSlotsBytes = std::uint64_t{1} << 44;

}  // namespace

BroadcastGeometry geometry_of(const BroadcastShape& shape) noexcept {
  return {shape.slot_count,
          shape.message_bytes + kBroadcastHeaderBytes,
          0,
          shape.reader_count,
          shape.policy,
          shape.lag_limit};
}

Status validate_broadcast(const BroadcastShape& shape) noexcept {
  if (shape.message_bytes == 0 || shape.message_bytes > kMaxBroadcastMessageBytes) {
    return Error{ErrorCode::kInvalidArgument, 0, "message size is not from 1 byte to 1 MiB less 8",
                 shape.message_bytes, kMaxBroadcastMessageBytes};
  }
  if (shape.reader_count > kMaxBroadcastPlaces) {
    return Error{ErrorCode::kInvalidArgument, 0, "a broadcast link has 1 to 32 readers",
                 shape.reader_count, kMaxBroadcastPlaces};
  }
  if (Status valid = broadcast_validate(geometry_of(shape)); !valid) return valid;
  const std::uint64_t slots_bytes = broadcast_slots_bytes(geometry_of(shape));
  if (slots_bytes <= kMaxSlotsBytes) return {};
  return Error{ErrorCode::kInvalidArgument, 0, "slots take more than 16 TiB", slots_bytes,
               kMaxSlotsBytes};
}

BroadcastParts parts_of(const BroadcastShape& shape, std::uint64_t page_bytes) noexcept {
  BroadcastParts parts;
  parts.slots_offset =
      round_up(kBroadcastArmsOffset + shape.reader_count * sizeof(ArmLine), page_bytes);
  parts.writer_bytes =
      parts.slots_offset + round_up(broadcast_slots_bytes(geometry_of(shape)), page_bytes);
  parts.place_bytes = round_up(kEndPageOffset + sizeof(EndPage), page_bytes);
  return parts;
}

BroadcastShape guarded_broadcast(const LinkShape& shape) noexcept {
  return {shape.slot_count, shape.slot_bytes, 1, BroadcastPolicy::kOverwrite, 0};
}

}  // namespace slipring
