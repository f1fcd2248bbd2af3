// Requests of the RAID stage that name a range and bring no data: zeroes, and block status.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "pipelines/array/block_request.h"
#include "pipelines/array/raid/raid_array.h"

namespace slipring::array {

// Whether it is whole blocks, at least one, of an array of so many.
[[nodiscard]] constexpr bool is_whole_blocks(const BlockRequest& request,
                                             std::uint64_t block_count) noexcept {
  const std::uint64_t size_bytes = block_count * kBlockBytes;
  return request.length != 0 && request.length % kBlockBytes == 0 &&
         request.offset % kBlockBytes == 0 && request.offset <= size_bytes &&
         request.length <= size_bytes - request.offset;
}

// Zeroes of one range, which requests in a row make longer.  Bytes.
struct ZeroRun {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;

  [[nodiscard]] bool takes(const BlockRequest& request) const noexcept {
    return length == 0 || offset + length == request.offset;
  }
  // Requires: takes(request).
  void add(const BlockRequest& request) noexcept {
    if (length == 0) offset = request.offset;
    length += request.length;
  }
};

// Fills in the BlockExtents of a kBlockStatus; answers how many bytes.
// Requires: is_whole_blocks(request).
inline std::uint32_t put_extents(RaidArray& array, const BlockRequest& request,
                                 std::span<std::byte> place) {
  std::uint32_t at = 0;
  for (const BlockRun& run :
       array.extents(request.offset / kBlockBytes, request.length / kBlockBytes)) {
    if (at + sizeof(BlockExtent) > place.size()) break;
    const auto length = static_cast<std::uint32_t>(run.count * kBlockBytes);
    const BlockExtent extent{__builtin_bswap32(length),
                             __builtin_bswap32(run.is_hole ? kExtentIsHole | kExtentIsZero : 0)};
    std::memcpy(place.data() + at, &extent, sizeof extent);
    at += sizeof extent;
  }
  return at;
}

}  // namespace slipring::array
