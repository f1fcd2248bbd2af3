// How a broadcast link's segment is cut: one writer, many readers, every message to each of them.
//
// Two regions.  In the writer's: BroadcastWriterPage | EndPage | an ArmLine a reader | slots (on a
// page of their own).  In the readers': a page for each place, BroadcastReaderPage | EndPage; each
// is written by the holder of that place alone.  Offsets below are relative to the region, or the
// reader's page.  A slot holds a header {size_bytes:32, 0:32} and the message.
// Specified in core/LAYOUT.md; change both or neither.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/error/result.h"
#include "core/ring/broadcast_page.h"
#include "core/segment/segment_layout.h"
#include "pipelines/link/link_layout.h"
#include "platform/memory/segment_directory.h"
#include "platform/memory/segment_file.h"

namespace slipring {

inline constexpr std::uint32_t kMaxBroadcastPlaces = 32;
// Place n's holder locks this byte + n of the lock file.
inline constexpr std::uint32_t kFirstPlaceByte = 8;
inline constexpr std::uint64_t kBroadcastEndOffset = 1024;
inline constexpr std::uint64_t kBroadcastArmsOffset = kBroadcastEndOffset + sizeof(EndPage);
inline constexpr std::uint32_t kBroadcastHeaderBytes = 8;
inline constexpr std::uint32_t kMaxBroadcastMessageBytes =
    kMaxBroadcastSlotBytes - kBroadcastHeaderBytes;
static_assert(sizeof(BroadcastWriterPage) <= kBroadcastEndOffset);
static_assert(sizeof(BroadcastReaderPage) == kEndPageOffset);

struct BroadcastShape {
  std::uint64_t slot_count = 0;     // messages, a power of two
  std::uint32_t message_bytes = 0;  // of the largest
  std::uint32_t reader_count = 0;   // places, 1 to kMaxBroadcastPlaces
  BroadcastPolicy policy = BroadcastPolicy::kOverwrite;
  std::uint64_t lag_limit = 0;  // kEvict only: messages that a reader may be behind
};

struct BroadcastParts {
  std::uint64_t slots_offset = 0;
  std::uint64_t writer_bytes = 0;
  std::uint64_t place_bytes = 0;  // of each reader's page
};

[[nodiscard]] BroadcastGeometry geometry_of(const BroadcastShape& shape) noexcept;
// Errors: kInvalidArgument with the offending value.
[[nodiscard]] Status validate_broadcast(const BroadcastShape& shape) noexcept;
// Requires: validate_broadcast(shape) is ok.
[[nodiscard]] BroadcastParts parts_of(const BroadcastShape& shape,
                                      std::uint64_t page_bytes) noexcept;
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
