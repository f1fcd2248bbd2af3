// Superblocks: two slots for those in force and two for proposals, each pair written in turn, so
// that a torn one leaves its predecessor.
//
// Epochs are agreed on as Lamport's ballots are (The Part-Time Parliament, 1998): a number higher
// than any that was seen is proposed to every member that takes part, and in force only when all of
// them have it on stable storage; nothing is written under it before each of them has it in force.
// So of two epochs in force the higher one is the later, whatever members were away when.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "pipelines/array/raid/disk_format.h"

namespace slipring::array {

inline constexpr std::uint64_t kSuperblockAreaBytes = kSuperblockSlots * kSuperblockBytes;

// Fills kSuperblockBytes at `block`, check included.
void encode_superblock(const Superblock& superblock, std::byte* block) noexcept;

// Whether `one` is later than `other`: by epoch, then by generation.
[[nodiscard]] constexpr bool is_later(const Superblock& one, const Superblock& other) noexcept {
  return one.epoch != other.epoch ? one.epoch > other.epoch : one.generation > other.generation;
}

// Where a member's next superblock of each standing goes: over the older one.
struct SuperblockTurns {
  std::array<std::uint8_t, 2> next{};  // 0 or 1, by standing

  // Answers the offset, and takes the other slot the next time.
  [[nodiscard]] std::uint64_t take(Standing standing) noexcept {
    std::uint8_t& turn = next[static_cast<std::size_t>(standing)];
    const std::uint64_t slot = static_cast<std::uint64_t>(standing) * 2 + turn;
    turn ^= 1U;
    return slot * kSuperblockBytes;
  }
};

// What a disk's first kSuperblockAreaBytes hold.
struct SuperblockReading {
  std::optional<Superblock> newest;  // in force, of those that can be believed
  std::uint64_t highest_epoch = 0;   // proposals included
  SuperblockTurns turns;
  bool is_blank = false;  // zeros only: nobody has used this disk
};
// `disk_bytes` is the disk's size: a superblock that claims more is not believed.
[[nodiscard]] SuperblockReading read_superblocks(std::span<const std::byte> bytes,
                                                 std::uint64_t disk_bytes) noexcept;

}  // namespace slipring::array
