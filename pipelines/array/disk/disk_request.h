// What the raid stage and a disk's stage say to each other.
//
// Protocol.  Two slot links with pools: requests (the pool's buffers carry the data of writes) and
// replies (they carry the data of reads).  Every request has exactly one reply, in the requests'
// order: the reply to the request at position p of its ring stands at position p of the other.  So
// a successor of either side knows from positions alone what has been answered: a disk's successor
// executes nothing again that was answered, and a raid stage's drops what was meant for its
// predecessor.  Requests between two replies run side by side; who needs an order waits for the
// reply.
//
// A disk that was put in another's place answers ENXIO until it is asked who it is: whoever took
// the old one for current hears of the change before anything is written to the new one.
//
// Fixed-width, without pointers and without padding; every field is input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace slipring::array {

inline constexpr std::uint32_t kDiskBufferBytesMin = 4096;

enum class DiskRequestKind : std::uint32_t {
  kIdentify = 1,      // the reply says how large the disk is
  kRead = 2,          // length bytes, at most a buffer of the replies' pool
  kWrite = 3,         // length bytes, which the request brings
  kWriteDurable = 4,  // the same, on stable storage when it is answered
  kSync = 5,          // all that was answered before is on stable storage
  kZero = 6,          // length bytes become zeros, which need take no room; no data come with it
  kExtents = 7,       // of length bytes, which are holes: the reply brings DiskExtents
};

[[nodiscard]] constexpr bool brings_data(DiskRequestKind kind) noexcept {
  return kind == DiskRequestKind::kWrite || kind == DiskRequestKind::kWriteDurable;
}
// No data one way or the other, or few whatever the length is.
[[nodiscard]] constexpr bool is_about_range(DiskRequestKind kind) noexcept {
  return kind == DiskRequestKind::kZero || kind == DiskRequestKind::kExtents;
}

struct DiskRequest {
  std::uint32_t buffer_slot;  // of a write's data; kNoBufferSlot when it has none
  std::uint32_t buffer_generation;
  std::uint64_t offset_bytes;
  std::uint32_t length_bytes;
  DiskRequestKind kind;
};
static_assert(sizeof(DiskRequest) == 24);
static_assert(std::is_trivially_copyable_v<DiskRequest>);

// Whether it is about something, at most so much, that a disk of that size has.
[[nodiscard]] constexpr bool is_within(const DiskRequest& request, std::uint64_t most_bytes,
                                       std::uint64_t disk_bytes) noexcept {
  return request.length_bytes != 0 && request.length_bytes <= most_bytes &&
         request.offset_bytes <= disk_bytes &&
         request.length_bytes <= disk_bytes - request.offset_bytes;
}

struct DiskReply {
  std::uint32_t buffer_slot;  // of a read's data; kNoBufferSlot when it has none
  std::uint32_t buffer_generation;
  std::uint64_t size_bytes;  // kIdentify: of the disk
  std::uint32_t error;       // 0, or a Linux errno; ENXIO: there is no disk, or none any more
  std::uint32_t reserved;    // 0
};
static_assert(sizeof(DiskReply) == 24);
static_assert(std::is_trivially_copyable_v<DiskReply>);

// The data of a kExtents reply, a buffer of kDiskExtentsBytes: runs from
// `offset_bytes` on.  One of length 0 ends them; what lies behind is not
// known.
struct DiskExtent {
  std::uint64_t length_bytes;
  std::uint64_t is_hole;  // 1: no room is taken, and it reads as zeros
};
inline constexpr std::size_t kDiskExtentCount = 256;
inline constexpr std::uint32_t kDiskExtentsBytes = kDiskExtentCount * sizeof(DiskExtent);
static_assert(kDiskExtentsBytes == 4096);
static_assert(kDiskExtentsBytes <= kDiskBufferBytesMin);

}  // namespace slipring::array
