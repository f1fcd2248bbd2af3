#include "pipelines/link/broadcast_layout.h"

#include <utility>

#include "pipelines/link/link_segment.h"

namespace slipring {
namespace {

enum Parameter : std::uint32_t {
  kSlotCount,
  kMessageBytes,
  kReaderCount,
  kPolicy,
  kLagLimit,
  kParameterCount,
};

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

SegmentHeader make_broadcast_header(const BroadcastShape& shape, std::string_view name,
                                    std::uint64_t page_bytes) noexcept {
  SegmentHeader header = begin_header(SegmentKind::kBroadcastLink, name, page_bytes);
  header.parameter_count = kParameterCount;
  header.parameters[kSlotCount] = shape.slot_count;
  header.parameters[kMessageBytes] = shape.message_bytes;
  header.parameters[kReaderCount] = shape.reader_count;
  header.parameters[kPolicy] = static_cast<std::uint64_t>(shape.policy);
  header.parameters[kLagLimit] = shape.lag_limit;
  const BroadcastParts parts = parts_of(shape, page_bytes);
  add_region(header, Role::kWriter, parts.writer_bytes);
  add_region(header, Role::kReader, shape.reader_count * parts.place_bytes);
  return header;
}

Result<BroadcastShape> broadcast_shape_of(const SegmentHeader& header) noexcept {
  if (header.kind != SegmentKind::kBroadcastLink) {
    return Error{ErrorCode::kVersion, 0, "not a broadcast link",
                 static_cast<std::uint64_t>(header.kind),
                 static_cast<std::uint64_t>(SegmentKind::kBroadcastLink)};
  }
  const auto fits32 = [&](Parameter parameter) {
    return header.parameters[parameter] <= UINT32_MAX;
  };
  if (header.parameter_count != kParameterCount || header.region_count != 2 ||
      !fits32(kMessageBytes) || !fits32(kReaderCount) || !fits32(kPolicy)) {
    return Error{ErrorCode::kCorruptPeer, 0, "the broadcast link's header makes no sense",
                 header.parameter_count, kParameterCount};
  }
  BroadcastShape shape;
  shape.slot_count = header.parameters[kSlotCount];
  shape.message_bytes = static_cast<std::uint32_t>(header.parameters[kMessageBytes]);
  shape.reader_count = static_cast<std::uint32_t>(header.parameters[kReaderCount]);
  shape.policy = static_cast<BroadcastPolicy>(header.parameters[kPolicy]);
  shape.lag_limit = header.parameters[kLagLimit];
  if (Status valid = validate_broadcast(shape); !valid) {
    return Error{ErrorCode::kCorruptPeer, 0, valid.error().doing, valid.error().found,
                 valid.error().wanted};
  }
  const BroadcastParts parts = parts_of(shape, header.page_bytes);
  const Region& writer = header.regions[0];
  const Region& readers = header.regions[1];
  if (writer.role != Role::kWriter || writer.size_bytes != parts.writer_bytes ||
      readers.role != Role::kReader ||
      readers.size_bytes != shape.reader_count * parts.place_bytes) {
    return Error{ErrorCode::kCorruptPeer, 0, "the link's regions do not fit its shape",
                 writer.size_bytes, parts.writer_bytes};
  }
  return shape;
}

Status create_broadcast(const SegmentDirectory& directory, std::string_view name,
                        const BroadcastShape& shape, const SegmentOptions& options) noexcept {
  if (Status valid = validate_broadcast(shape); !valid) return valid;
  return create_segment(directory, name, make_broadcast_header(shape, name, page_size_bytes()),
                        options);
}

Result<OpenBroadcast> OpenBroadcast::open(const SegmentDirectory& directory,
                                          std::string_view name) noexcept {
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) return file.error();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return header.error();
  Result<BroadcastShape> shape = broadcast_shape_of(*header);
  if (!shape) return shape.error();
  return OpenBroadcast{std::move(file).value(), *header, *shape,
                       parts_of(*shape, header->page_bytes)};
}

}  // namespace slipring
