// The bytes of a record ring: geometry, the header in front of every record, and how a reader sees
// one.
//
// Format.  A record is a header {size_bytes:32, kind:32}, the payload, and a gap to the next
// multiple of 8; core/LAYOUT.md has the image.  Who reads a header reads the word once and takes it
// apart with the functions below; whether it can be true is for the reader to check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error/result.h"

namespace slipring {

inline constexpr std::uint64_t kRecordHeaderBytes = 8;
inline constexpr std::uint64_t kMinRecordRingBytes = 64;
inline constexpr std::uint64_t kMaxRecordRingBytes = std::uint64_t{1} << 40;

struct RecordGeometry {
  std::uint64_t capacity_bytes;  // a power of two, kMinRecordRingBytes to kMaxRecordRingBytes
  std::uint64_t start_position;  // the first record's position; a multiple of 8, below 2^63
};

// The longest payload that a ring of this capacity carries, in bytes.
[[nodiscard]] constexpr std::uint64_t record_max_payload_bytes(
    std::uint64_t capacity_bytes) noexcept {
  const std::uint64_t half = capacity_bytes / 2 - kRecordHeaderBytes;
  return half < 0xffff'fff0U ? half : 0xffff'fff0U;
}

// Errors: kInvalidArgument with the offending value.
[[nodiscard]] inline Status record_validate(const RecordGeometry& geometry) noexcept {
  const std::uint64_t capacity = geometry.capacity_bytes;
  if (capacity < kMinRecordRingBytes || capacity > kMaxRecordRingBytes ||
      (capacity & (capacity - 1)) != 0) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "record ring capacity is not a power of two from 64 bytes to 1 TiB", capacity,
                 kMaxRecordRingBytes};
  }
  if (geometry.start_position % 8 != 0 || geometry.start_position >> 63 != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "start position is not a multiple of 8 below 2^63",
                 geometry.start_position, 0};
  }
  return {};
}

// A record in place, valid until it is released.
struct RecordView {
  std::span<const std::byte> message;
  std::uint64_t position = 0;
  std::uint64_t end_position = 0;
  bool redelivered = false;  // a predecessor had taken it and not finished it
  bool aborted = false;      // the producer no longer wants it
};

namespace record_detail {

inline constexpr std::uint32_t kData = 1;
inline constexpr std::uint32_t kPadding = 2;

// Header and payload, rounded up to the next header's place.
[[nodiscard]] constexpr std::uint64_t whole_bytes(std::uint64_t payload_bytes) noexcept {
  return (kRecordHeaderBytes + payload_bytes + 7) & ~std::uint64_t{7};
}

[[nodiscard]] constexpr std::uint64_t pack(std::uint64_t payload_bytes,
                                           std::uint32_t kind) noexcept {
  return payload_bytes | std::uint64_t{kind} << 32;
}

[[nodiscard]] constexpr std::uint64_t payload_bytes(std::uint64_t header) noexcept {
  return header & 0xffff'ffffU;
}

[[nodiscard]] constexpr std::uint32_t kind(std::uint64_t header) noexcept {
  return static_cast<std::uint32_t>(header >> 32);
}

}  // namespace record_detail

}  // namespace slipring
