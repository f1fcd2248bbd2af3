// Parity and reconstruction over GF(2^8), polynomial 0x11d, by ISA-L.
//
// A code word has `data_count` data blocks and one or two parity blocks: P is their exclusive or,
// Q the sum of 2^i times block i (H. P. Anvin, "The mathematics of RAID-6").  Any as many blocks as
// there are parities can be computed from the others.
//
// Holds tables for one shape; const functions may run in several threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/error/result.h"
#include "pipelines/array/raid/raid_layout.h"

namespace slipring::array {

// Alignment of every block handed to this unit: vector registers are loaded whole.
inline constexpr std::size_t kBlockAlignmentBytes = 64;

// The blocks of one code word by position; nullptr where none is at hand.
using CodeWord = std::array<std::byte*, kMemberCountMax>;

class ParityCode {
 public:
  // Requires: data_count >= 1, parities <= 2, together at most kMemberCountMax.
  ParityCode(std::uint32_t data_count, std::uint32_t parities);

  // Computes all parities from the data.  Requires: every position is there, aligned.
  void encode(const CodeWord& word) const;

  // Adds to the parity at `parity_index` (0: P, 1: Q) what changes when data block `data_index`
  // becomes `after` from `before`.
  void update(std::byte* parity, std::uint32_t parity_index, std::uint32_t data_index,
              const std::byte* before, const std::byte* after) const;

  // Computes the blocks at `wanted` into their places from those marked in `known` (bit =
  // position).  Requires: at least data_count are known.  Errors: kInvalidArgument when too few
  // are.
  Status reconstruct(const CodeWord& word, std::uint32_t known, std::uint32_t wanted) const;

 private:
  std::uint32_t data_count_;
  std::uint32_t parities_;
  std::vector<unsigned char> matrix_;  // (data_count + parities) x data_count; the top is a unit
};

}  // namespace slipring::array
