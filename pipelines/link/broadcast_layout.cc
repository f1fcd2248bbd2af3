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

}  // namespace

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
