// A broadcast link's segment: two regions, as broadcast_shape.h cuts them, and a header.
// Specified in core/LAYOUT.md; change both or neither.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/error/result.h"
#include "core/segment/segment_layout.h"
#include "pipelines/link/broadcast_shape.h"
#include "platform/memory/segment_directory.h"
#include "platform/memory/segment_file.h"

namespace slipring {

[[nodiscard]] SegmentHeader make_broadcast_header(const BroadcastShape& shape,
                                                  std::string_view name,
                                                  std::uint64_t page_bytes) noexcept;
// The shape that a validated header describes.  Errors: kVersion (another kind), kCorruptPeer.
[[nodiscard]] Result<BroadcastShape> broadcast_shape_of(const SegmentHeader& header) noexcept;

// Makes a link that nobody is attached to.  Errors: as validate_broadcast() and NewSegment.
Status create_broadcast(const SegmentDirectory& directory, std::string_view name,
                        const BroadcastShape& shape, const SegmentOptions& options = {}) noexcept;

// A broadcast link's segment, opened.
struct OpenBroadcast {
  SegmentFile file;
  SegmentHeader header;
  BroadcastShape shape;
  BroadcastParts parts;

  // Errors: kVersion (another kind of segment), kNotFound, kPermission, kCorruptPeer.
  static Result<OpenBroadcast> open(const SegmentDirectory& directory,
                                    std::string_view name) noexcept;
  [[nodiscard]] std::uint64_t writer_offset() const noexcept {
    return header.regions[0].offset_bytes;
  }
  [[nodiscard]] std::uint64_t place_offset(std::uint32_t place) const noexcept {
    return header.regions[1].offset_bytes + place * parts.place_bytes;
  }
};

}  // namespace slipring
