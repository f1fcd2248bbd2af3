#include "pipelines/link/link_layout.h"

#include "pipelines/link/message_mark.h"

namespace slipring {
namespace {

enum Parameter : std::uint32_t {
  kCapacityBytes,
  kSlotCount,
  kSlotBytes,
  kPoolBufferCount,
  kPoolBufferBytes,
  kCreditCount,
  kParameterCount,
  kLaneCount = kParameterCount,  // lane sets only, as the next
  kGoesWhenIdle,
  kSetParameterCount,
};

[[nodiscard]] constexpr std::uint64_t round_up(std::uint64_t size_bytes, std::uint64_t page_bytes) {
  return (size_bytes + page_bytes - 1) / page_bytes * page_bytes;
}

// Keeps every sum below 2^62.
inline constexpr std::uint64_t kMaxRingBytes = std::uint64_t{1} << 44;

// Requires: a valid shape.
[[nodiscard]] std::uint64_t ring_bytes_of(const LinkShape& shape) noexcept {
  switch (shape.kind) {
    case SegmentKind::kRecordLink:
    case SegmentKind::kStreamLink:
      return shape.capacity_bytes;
    case SegmentKind::kValueLink:
      return spsc_place_count(value_geometry(shape)) * shape.slot_bytes;
    default:
      return slot_slots_bytes(slot_geometry(shape));
  }
}

[[nodiscard]] Status validate_stream_shape(const LinkShape& shape) noexcept {
  if (shape.pool_buffer_count != 0 || shape.credit_count != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "a stream link has neither pool nor credit", 0, 0};
  }
  return stream_validate(stream_geometry(shape));
}

[[nodiscard]] Status validate_value_shape(const LinkShape& shape) noexcept {
  if (shape.pool_buffer_count != 0 || shape.credit_count != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "a value link has neither pool nor credit", 0, 0};
  }
  if (shape.slot_bytes == 0 || shape.slot_bytes > kMaxSlotBytes) {
    return Error{ErrorCode::kInvalidArgument, 0, "value size is not from 1 byte to 1 MiB",
                 shape.slot_bytes, kMaxSlotBytes};
  }
  return spsc_validate(value_geometry(shape));
}

[[nodiscard]] std::uint64_t lanes_of(const LinkShape& shape) noexcept {
  return is_lane_set(shape) ? shape.lane_count : 1;
}

[[nodiscard]] Status validate_lanes(const LinkShape& shape) noexcept {
  if (!is_lane_set(shape)) return {};
  if (shape.lane_count > kMaxSetLanes) {
    return Error{ErrorCode::kInvalidArgument, 0, "a set has 1 to 32 lanes", shape.lane_count,
                 kMaxSetLanes};
  }
  if (shape.kind != SegmentKind::kRecordLink) {
    return Error{ErrorCode::kInvalidArgument, 0, "the lanes of a set are record links",
                 static_cast<std::uint64_t>(shape.kind), 0};
  }
  return {};
}

}  // namespace

const char* name_of(SegmentKind kind) noexcept {
  switch (kind) {
    case SegmentKind::kSlotLink:
      return "slots";
    case SegmentKind::kRecordLink:
      return "records";
    case SegmentKind::kBoard:
      return "board";
    case SegmentKind::kValueLink:
      return "values";
    case SegmentKind::kStreamLink:
      return "stream";
    case SegmentKind::kLaneSet:
      return "lanes";
    case SegmentKind::kBroadcastLink:
      return "broadcast";
  }
  return "unknown";
}

Status require_messages(const LinkShape& shape) noexcept {
  if (shape.kind == SegmentKind::kRecordLink || shape.kind == SegmentKind::kSlotLink) return {};
  return Error{ErrorCode::kVersion, 0, "not a link of records or slots",
               static_cast<std::uint64_t>(shape.kind),
               static_cast<std::uint64_t>(SegmentKind::kRecordLink)};
}

Status validate_shape(const LinkShape& shape) noexcept {
  if (Status valid = validate_lanes(shape); !valid) return valid;
  if (shape.kind == SegmentKind::kRecordLink) {
    if (shape.pool_buffer_count != 0) {
      return Error{ErrorCode::kInvalidArgument, 0, "a record link has no buffer pool",
                   shape.pool_buffer_count, 0};
    }
    return record_validate(record_geometry(shape));
  }
  if (shape.kind == SegmentKind::kStreamLink) return validate_stream_shape(shape);
  if (shape.kind == SegmentKind::kValueLink) {
    if (Status valid = validate_value_shape(shape); !valid) return valid;
    if (ring_bytes_of(shape) <= kMaxRingBytes) return {};
    return Error{ErrorCode::kInvalidArgument, 0, "values take more than 16 TiB",
                 ring_bytes_of(shape), kMaxRingBytes};
  }
  if (shape.kind != SegmentKind::kSlotLink) {
    return Error{ErrorCode::kInvalidArgument, 0, "not a kind of link",
                 static_cast<std::uint64_t>(shape.kind), 0};
  }
  if (Status valid = slot_validate(slot_geometry(shape)); !valid) return valid;
  if (slot_slots_bytes(slot_geometry(shape)) > kMaxRingBytes) {
    return Error{ErrorCode::kInvalidArgument, 0, "slots take more than 16 TiB",
                 slot_slots_bytes(slot_geometry(shape)), kMaxRingBytes};
  }
  if (shape.pool_buffer_count == 0) return {};
  if (shape.slot_bytes < sizeof(BufferHandle)) {
    return Error{ErrorCode::kInvalidArgument, 0, "a slot of a link with a pool holds no handle",
                 shape.slot_bytes, sizeof(BufferHandle)};
  }
  return pool_validate(pool_geometry(shape));
}

LinkParts parts_of(const LinkShape& shape, std::uint64_t page_bytes) noexcept {
  LinkParts parts;
  const std::uint64_t table_bytes = std::uint64_t{shape.pool_buffer_count} * sizeof(PoolWord);
  parts.ring_offset = round_up(kTableOffset + table_bytes, page_bytes);
  parts.ring_bytes = ring_bytes_of(shape);
  parts.buffers_offset = parts.ring_offset + round_up(parts.ring_bytes, page_bytes);
  parts.writer_bytes =
      parts.buffers_offset +
      round_up(std::uint64_t{shape.pool_buffer_count} * shape.pool_buffer_bytes, page_bytes);
  parts.reader_bytes = round_up(kTableOffset + table_bytes, page_bytes);
  parts.control_bytes = round_up(lanes_of(shape) * sizeof(ControlPage), page_bytes);
  return parts;
}

SegmentHeader make_link_header(const LinkShape& shape, std::string_view name,
                               std::uint64_t page_bytes) noexcept {
  SegmentHeader header = begin_header(segment_kind(shape), name, page_bytes);
  header.parameter_count = is_lane_set(shape) ? kSetParameterCount : kParameterCount;
  header.parameters[kCapacityBytes] = capacity_word(shape);
  header.parameters[kSlotCount] = shape.slot_count;
  header.parameters[kSlotBytes] = shape.slot_bytes;
  header.parameters[kPoolBufferCount] = shape.pool_buffer_count;
  header.parameters[kPoolBufferBytes] = shape.pool_buffer_bytes;
  header.parameters[kCreditCount] = shape.credit_count;
  if (is_lane_set(shape)) {
    header.parameters[kLaneCount] = shape.lane_count;
    header.parameters[kGoesWhenIdle] = shape.goes_when_idle ? 1 : 0;
  }
  const LinkParts parts = parts_of(shape, page_bytes);
  const std::uint64_t lane_count = lanes_of(shape);
  add_region(header, Role::kWriter, lane_count * parts.writer_bytes);
  add_region(header, Role::kReader, lane_count * parts.reader_bytes);
  add_region(header, Role::kCommander, parts.control_bytes);
  return header;
}

LinkBoundary published_boundary(const LinkShape& shape,
                                std::span<const std::byte> writer_region) noexcept {
  const auto& producer = *reinterpret_cast<const ProducerPage*>(writer_region.data());
  if (shape.kind != SegmentKind::kRecordLink) {
    // relaxed: whoever goes by it looks at what it names with acquire.
    return {producer.tail.load(std::memory_order_relaxed), 0};
  }
  const auto& end = *reinterpret_cast<const EndPage*>(writer_region.data() + kEndPageOffset);
  const std::atomic<std::uint64_t>& word = end.drops.marks[0];
  // With a mark that did not change meanwhile, tail is where it says or one message further.  A
  // writer that never pauses is taken where its mark was last.
  constexpr int kAttempts = 64;
  std::uint64_t mark = word.load(std::memory_order_acquire);  // mark.B pairs with mark.A
  std::uint64_t tail = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    tail = producer.tail.load(std::memory_order_acquire);  // record.B pairs with record.A
    const std::uint64_t again = word.load(std::memory_order_acquire);  // mark.B pairs with mark.A
    if (again == mark) return {tail, number_at(mark, tail)};
    mark = again;
  }
  const auto ahead = static_cast<std::int32_t>(static_cast<std::uint32_t>(mark) -
                                               static_cast<std::uint32_t>(tail / 8));
  return {tail + static_cast<std::uint64_t>(std::int64_t{ahead} * 8), number_of(mark)};
}

Result<LinkShape> shape_of(const SegmentHeader& header) noexcept {
  const bool is_set = header.kind == SegmentKind::kLaneSet;
  const bool is_link =
      is_set || header.kind == SegmentKind::kRecordLink || header.kind == SegmentKind::kSlotLink ||
      header.kind == SegmentKind::kValueLink || header.kind == SegmentKind::kStreamLink;
  const std::uint32_t parameter_count = is_set ? kSetParameterCount : kParameterCount;
  if (!is_link || header.parameter_count != parameter_count || header.region_count != 3) {
    return Error{ErrorCode::kCorruptPeer, 0, "segment is not a link",
                 static_cast<std::uint64_t>(header.kind), 0};
  }
  LinkShape shape;
  shape.kind = is_set ? SegmentKind::kRecordLink : header.kind;
  set_capacity_word(shape, header.parameters[kCapacityBytes]);
  shape.slot_count = header.parameters[kSlotCount];
  shape.slot_bytes = static_cast<std::uint32_t>(header.parameters[kSlotBytes]);
  shape.pool_buffer_count = static_cast<std::uint32_t>(header.parameters[kPoolBufferCount]);
  shape.pool_buffer_bytes = header.parameters[kPoolBufferBytes];
  shape.credit_count = header.parameters[kCreditCount];
  if (is_set) {
    const std::uint64_t lane_count = header.parameters[kLaneCount];
    if (lane_count == 0 || lane_count > kMaxSetLanes) {
      return Error{ErrorCode::kCorruptPeer, 0, "a set has 1 to 32 lanes", lane_count, kMaxSetLanes};
    }
    shape.lane_count = static_cast<std::uint32_t>(lane_count);
    shape.goes_when_idle = header.parameters[kGoesWhenIdle] != 0;
  }
  if (Status valid = validate_shape(shape); !valid) {
    return Error{ErrorCode::kCorruptPeer, 0, valid.error().doing, valid.error().found,
                 valid.error().wanted};
  }
  const LinkParts parts = parts_of(shape, header.page_bytes);
  const Region& writer = header.regions[0];
  const Region& reader = header.regions[1];
  const Region& control = header.regions[2];
  const std::uint64_t writer_bytes = lanes_of(shape) * parts.writer_bytes;
  if (writer.role != Role::kWriter || writer.size_bytes != writer_bytes ||
      reader.role != Role::kReader || reader.size_bytes != lanes_of(shape) * parts.reader_bytes ||
      control.role != Role::kCommander || control.size_bytes != parts.control_bytes) {
    return Error{ErrorCode::kCorruptPeer, 0, "the link's regions do not fit its shape",
                 writer.size_bytes, writer_bytes};
  }
  return shape;
}

}  // namespace slipring
