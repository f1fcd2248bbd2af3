// The first bytes of every shared segment: what it is, and which role may write where.
//
// The creator writes the header once, before the segment has a name; afterwards everybody maps it
// read-only.  A segment is cut into regions, each a whole number of pages with one writing role.
// Specified byte by byte in core/LAYOUT.md.
//
// All of it is input to whoever attaches: copy the header out, then validate the copy.  Sizes are
// believed only as far as fstat() confirms them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "core/error/check.h"
#include "core/error/result.h"

namespace slipring {

inline constexpr std::uint64_t kSegmentMagic = 0x474e'4952'5049'4c53;  // "SLIPRING" in memory
inline constexpr std::uint32_t kSegmentVersion = 2;
inline constexpr std::uint32_t kMaxRegions = 8;
inline constexpr std::uint32_t kSegmentNameBytes = 96;
inline constexpr std::uint32_t kMaxSegmentParameters = 16;

// Who writes a region.  Also the byte of the lock file that the holder of the role locks.
enum class Role : std::uint32_t {
  kCreator = 0,    // the header
  kWriter = 1,     // a link's producing end; a board's stage
  kReader = 2,     // a link's consuming end
  kCommander = 3,  // whoever tells a link's reader to drop what is queued, for a moment
};
inline constexpr std::uint32_t kRoleCount = 4;

enum class SegmentKind : std::uint32_t {
  kSlotLink = 1,       // slot_ring.h, with or without a buffer pool
  kRecordLink = 2,     // record_ring.h
  kBoard = 3,          // a stage's counters
  kValueLink = 4,      // spsc_ring.h
  kStreamLink = 5,     // byte_stream.h
  kLaneSet = 6,        // record links side by side: many writers, one reader
  kBroadcastLink = 7,  // broadcast_ring.h: one writer, many readers
};

struct Region {
  std::uint64_t offset_bytes;
  std::uint64_t size_bytes;
  Role role;
  std::uint32_t reserved;
};
static_assert(sizeof(Region) == 24);

struct SegmentHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t header_bytes;  // sizeof(SegmentHeader)
  std::uint64_t check;         // over the whole header with this word zero
  std::uint64_t total_bytes;
  std::uint64_t lock_inode;  // of the lock file that belongs to this segment
  std::uint64_t created_ns;  // CLOCK_REALTIME
  SegmentKind kind;
  std::uint32_t page_bytes;
  std::uint32_t region_count;
  std::uint32_t parameter_count;
  std::uint64_t parameters[kMaxSegmentParameters];  // the kind's own; see its layout header
  Region regions[kMaxRegions];
  char name[kSegmentNameBytes];  // zero-terminated
};
static_assert(std::is_trivially_copyable_v<SegmentHeader>);
static_assert(offsetof(SegmentHeader, parameters) == 64);
static_assert(offsetof(SegmentHeader, regions) == 192);
static_assert(offsetof(SegmentHeader, name) == 384);
static_assert(sizeof(SegmentHeader) == 480);

// FNV-1a, 64 bit, over the header with `check` taken as zero.
[[nodiscard]] inline std::uint64_t segment_check(const SegmentHeader& header) noexcept {
  SegmentHeader copy = header;
  copy.check = 0;
  unsigned char bytes[sizeof copy];
  std::memcpy(bytes, &copy, sizeof copy);
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100'0000'01b3;
  return hash;
}

// Whether a private copy of a header can be believed for a file of `file_bytes`.
// Errors: kVersion for another magic, version, or header size; kCorruptPeer for the rest.
[[nodiscard]] inline Status validate_segment(const SegmentHeader& header,
                                             std::uint64_t file_bytes) noexcept {
  if (file_bytes < sizeof(SegmentHeader)) {
    return Error{ErrorCode::kVersion, 0, "file is too short for a slipring segment", file_bytes,
                 sizeof(SegmentHeader)};
  }
  if (header.magic != kSegmentMagic) {
    return Error{ErrorCode::kVersion, 0, "not a slipring segment of this byte order", header.magic,
                 kSegmentMagic};
  }
  if (header.version != kSegmentVersion || header.header_bytes != sizeof(SegmentHeader)) {
    return Error{ErrorCode::kVersion, 0, "segment of another layout version", header.version,
                 kSegmentVersion};
  }
  if (header.check != segment_check(header)) {
    return Error{ErrorCode::kCorruptPeer, 0, "segment header's check does not match", header.check,
                 segment_check(header)};
  }
  if (header.total_bytes != file_bytes) {
    return Error{ErrorCode::kCorruptPeer, 0, "segment's file is not as long as its header says",
                 file_bytes, header.total_bytes};
  }
  const std::uint64_t page = header.page_bytes;
  if (page < 4096 || (page & (page - 1)) != 0 || header.region_count > kMaxRegions ||
      header.parameter_count > kMaxSegmentParameters ||
      header.name[kSegmentNameBytes - 1] != '\0') {
    return Error{ErrorCode::kCorruptPeer, 0, "segment header's counts are out of range",
                 header.region_count, kMaxRegions};
  }
  std::uint64_t free_from = page;  // the header has the first page to itself
  for (std::uint32_t i = 0; i < header.region_count; ++i) {
    const Region& region = header.regions[i];
    const bool aligned = region.offset_bytes % page == 0 && region.size_bytes % page == 0;
    if (!aligned || region.size_bytes == 0 || region.offset_bytes < free_from ||
        region.offset_bytes > file_bytes || region.size_bytes > file_bytes - region.offset_bytes ||
        static_cast<std::uint32_t>(region.role) >= kRoleCount) {
      return Error{ErrorCode::kCorruptPeer, 0, "segment region is misplaced", i,
                   header.region_count};
    }
    free_from = region.offset_bytes + region.size_bytes;
  }
  return {};
}

// The header of a segment that has no regions and parameters yet; lock_inode, created_ns and check
// are left to the creator.  A name too long for the header is cut.
[[nodiscard]] inline SegmentHeader begin_header(SegmentKind kind, std::span<const char> name,
                                                std::uint64_t page_bytes) noexcept {
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.version = kSegmentVersion;
  header.header_bytes = sizeof header;
  header.kind = kind;
  header.page_bytes = static_cast<std::uint32_t>(page_bytes);
  header.total_bytes = page_bytes;  // the header has the first page to itself
  const std::size_t name_bytes =
      name.size() < kSegmentNameBytes ? name.size() : std::size_t{kSegmentNameBytes - 1};
  if (name_bytes != 0) std::memcpy(header.name, name.data(), name_bytes);
  return header;
}

// Lays the next region out behind those there are.  Requires: room for it; size_bytes below 2^62.
inline Region& add_region(SegmentHeader& header, Role role, std::uint64_t size_bytes) noexcept {
  check(header.region_count < kMaxRegions, "more regions than a header holds");
  const std::uint64_t page = header.page_bytes;
  Region& region = header.regions[header.region_count++];
  region.offset_bytes = header.total_bytes;
  region.size_bytes = (size_bytes + page - 1) / page * page;
  region.role = role;
  header.total_bytes += region.size_bytes;
  return region;
}

}  // namespace slipring
