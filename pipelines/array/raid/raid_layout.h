// Where a block of the array lies on its members, and which members hold the parity over it.
//
// A row is the blocks at one place of all members: row r is block r of each member's data area.
// Parity is computed along a row, so that a row is what must be written as one.  A stripe is
// `chunk_rows` rows that put their blocks to the members in the same way; a chunk is what one
// member holds of a stripe.
//
// Rotation is left-symmetric, as md(4) calls it: of stripe s of n members, P lies on member
// n - 1 - s % n, Q (RAID-6) on the next one, and the data chunks follow from there on, all modulo
// n.  So n consecutive chunks lie on n members.
//
// Pure arithmetic.
#pragma once

#include <cstdint>

#include "core/error/result.h"

namespace slipring::array {

inline constexpr std::uint32_t kBlockBytes = 4096;
inline constexpr std::uint32_t kMemberCountMax = 16;
inline constexpr std::uint32_t kChunkRowsMax = 256;  // 1 MiB

enum class RaidLevel : std::uint8_t { kStriped = 0, kSingleParity = 5, kDoubleParity = 6 };

struct RaidShape {
  RaidLevel level = RaidLevel::kSingleParity;
  std::uint32_t member_count = 0;
  std::uint32_t chunk_rows = 16;  // blocks of a chunk
  std::uint64_t row_count = 0;    // whole stripes
};

[[nodiscard]] constexpr std::uint32_t parity_count(RaidLevel level) noexcept {
  return level == RaidLevel::kStriped ? 0 : level == RaidLevel::kSingleParity ? 1 : 2;
}

// Errors: kInvalidArgument with the offending value.
[[nodiscard]] inline Status validate_shape(const RaidShape& shape) noexcept {
  if (shape.level != RaidLevel::kStriped && shape.level != RaidLevel::kSingleParity &&
      shape.level != RaidLevel::kDoubleParity) {
    return Error{ErrorCode::kInvalidArgument, 0, "RAID level is none of 0, 5, 6",
                 static_cast<std::uint64_t>(shape.level), 6};
  }
  const std::uint32_t least = parity_count(shape.level) == 0 ? 1 : parity_count(shape.level) + 2;
  if (shape.member_count < least || shape.member_count > kMemberCountMax) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "members: RAID-0 wants 1 to 16, RAID-5 3 to 16, RAID-6 4 to 16",
                 shape.member_count, least};
  }
  if (shape.chunk_rows == 0 || shape.chunk_rows > kChunkRowsMax) {
    return Error{ErrorCode::kInvalidArgument, 0, "a chunk is not 4 KiB to 1 MiB", shape.chunk_rows,
                 kChunkRowsMax};
  }
  if (shape.row_count == 0 || shape.row_count % shape.chunk_rows != 0 ||
      shape.row_count >> 40 != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "the rows are no whole number of chunks",
                 shape.row_count, shape.chunk_rows};
  }
  return {};
}

// One row's assignment of members.
struct RowPlace {
  std::uint64_t row;
  std::uint32_t first_data_member;  // of data index 0; the others follow modulo member_count
};

struct BlockPlace {
  std::uint64_t row;
  std::uint32_t data_index;  // below data_count()
  std::uint32_t member;
};

class RaidLayout {
 public:
  // Requires: validate_shape(shape) is ok.
  explicit constexpr RaidLayout(const RaidShape& shape) noexcept : shape_(shape) {}

  [[nodiscard]] constexpr const RaidShape& shape() const noexcept { return shape_; }
  [[nodiscard]] constexpr std::uint32_t members() const noexcept { return shape_.member_count; }
  [[nodiscard]] constexpr std::uint32_t parities() const noexcept {
    return parity_count(shape_.level);
  }
  [[nodiscard]] constexpr std::uint32_t data_count() const noexcept {
    return members() - parities();
  }
  [[nodiscard]] constexpr std::uint64_t block_count() const noexcept {
    return shape_.row_count * data_count();
  }
  // Blocks of a stripe's data, which are consecutive.
  [[nodiscard]] constexpr std::uint64_t stripe_blocks() const noexcept {
    return std::uint64_t{shape_.chunk_rows} * data_count();
  }

  // Which position of the row's code word the member holds: 0 to data_count() - 1 are data, then
  // come P and Q.
  [[nodiscard]] constexpr std::uint32_t position_of(std::uint64_t row,
                                                    std::uint32_t member) const noexcept {
    return (member + members() - first_data_member(row)) % members();
  }
  [[nodiscard]] constexpr std::uint32_t member_at(std::uint64_t row,
                                                  std::uint32_t position) const noexcept {
    return (first_data_member(row) + position) % members();
  }

  // Requires: block < block_count().
  [[nodiscard]] constexpr BlockPlace locate(std::uint64_t block) const noexcept {
    const std::uint64_t stripe = block / stripe_blocks();
    const std::uint64_t within = block % stripe_blocks();
    const auto data_index = static_cast<std::uint32_t>(within / shape_.chunk_rows);
    const std::uint64_t row = stripe * shape_.chunk_rows + within % shape_.chunk_rows;
    return {row, data_index, member_at(row, data_index)};
  }
  // The inverse.  Requires: position < data_count().
  [[nodiscard]] constexpr std::uint64_t block_at(std::uint64_t row,
                                                 std::uint32_t position) const noexcept {
    return row / shape_.chunk_rows * stripe_blocks() + std::uint64_t{position} * shape_.chunk_rows +
           row % shape_.chunk_rows;
  }

 private:
  // Data begin behind the last parity.  Positions data_count() and up, P and Q, are then the
  // members just before it: P on n - 1 - s % n, Q on the one after P.
  [[nodiscard]] constexpr std::uint32_t first_data_member(std::uint64_t row) const noexcept {
    if (parities() == 0) return 0;
    const auto turn = static_cast<std::uint32_t>(row / shape_.chunk_rows % members());
    return (members() - 1 - turn + parities()) % members();
  }

  RaidShape shape_;
};

}  // namespace slipring::array
