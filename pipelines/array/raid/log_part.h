// A member's part of one group in the log: packed and judged.  The log's protocol is in RAID.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "pipelines/array/raid/block_memory.h"
#include "pipelines/array/raid/disk_format.h"

namespace slipring::array {

// Bytes before the blocks of a part.
[[nodiscard]] constexpr std::uint64_t log_head_bytes(std::uint64_t entry_count) noexcept {
  const std::uint64_t bytes = sizeof(LogPartHeader) + entry_count * sizeof(LogEntry);
  return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

// Fills the head of a part; the blocks behind it are the caller's to put.  Requires: `part` has
// log_head_bytes(entries.size()).
void encode_log_head(const LogPartHeader& header, std::span<const LogEntry> entries,
                     std::byte* part) noexcept;

struct LogPart {
  LogPartHeader header;
  std::vector<LogEntry> entries;
  const std::byte* blocks;  // of the entries that name the member, in their order
};

// What is wanted at a place of the log.
struct LogExpectation {
  ArrayId array_id;
  std::uint64_t epoch;
  std::uint64_t sequence;
  std::uint32_t member;
  RaidShape shape;
};

// The part at the start of `bytes`, which is all of the log from there on; nothing unless all of it
// is what was expected, blocks included.
[[nodiscard]] std::optional<LogPart> decode_log_part(std::span<const std::byte> bytes,
                                                     const LogExpectation& expectation);

}  // namespace slipring::array
