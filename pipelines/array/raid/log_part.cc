#include "pipelines/array/raid/log_part.h"

#include <cstring>
#include <utility>

#include "pipelines/array/raid/block_checksum.h"

namespace slipring::array {

void encode_log_head(const LogPartHeader& header, std::span<const LogEntry> entries,
                     std::byte* part) noexcept {
  std::memset(part, 0, log_head_bytes(entries.size()));
  LogPartHeader sealed = header;
  sealed.check = 0;
  std::memcpy(part, &sealed, sizeof sealed);
  std::memcpy(part + sizeof sealed, entries.data(), entries.size_bytes());
  sealed.check = crc32c({part, sizeof sealed + entries.size_bytes()});
  std::memcpy(part, &sealed, sizeof sealed);
}

std::optional<LogPart> decode_log_part(std::span<const std::byte> bytes,
                                       const LogExpectation& expectation) {
  LogPart part{};
  if (bytes.size() < sizeof part.header) return std::nullopt;
  std::memcpy(&part.header, bytes.data(), sizeof part.header);
  const LogPartHeader& header = part.header;
  if (header.magic != kLogMagic || header.array_id != expectation.array_id ||
      header.epoch != expectation.epoch || header.sequence != expectation.sequence ||
      header.member != expectation.member) {
    return std::nullopt;
  }
  const std::uint64_t head_bytes = log_head_bytes(header.entry_count);
  if (header.part_bytes > bytes.size() || head_bytes > header.part_bytes ||
      header.part_bytes % kBlockBytes != 0) {
    return std::nullopt;
  }
  const std::size_t checked_bytes = sizeof header + header.entry_count * sizeof(LogEntry);
  std::vector<std::byte> head(bytes.begin(),
                              bytes.begin() + static_cast<std::ptrdiff_t>(checked_bytes));
  std::memset(head.data() + offsetof(LogPartHeader, check), 0, sizeof header.check);
  if (crc32c(head) != header.check) return std::nullopt;
  part.entries.resize(header.entry_count);
  std::memcpy(part.entries.data(), head.data() + sizeof header, head.size() - sizeof header);
  part.blocks = bytes.data() + head_bytes;
  std::uint64_t block_count = 0;
  if (part.entries.size() == 1 && part.entries[0].member == kLogZeroRows) {
    const LogEntry& rows = part.entries[0];
    const bool is_within = rows.checksum != 0 && rows.row < expectation.shape.row_count &&
                           rows.checksum <= expectation.shape.row_count - rows.row;
    return is_within ? std::optional(std::move(part)) : std::nullopt;
  }
  for (const LogEntry& entry : part.entries) {
    if (entry.member >= expectation.shape.member_count ||
        entry.row >= expectation.shape.row_count) {
      return std::nullopt;
    }
    if (entry.member != header.member) continue;
    if (head_bytes + (block_count + 1) * kBlockBytes > header.part_bytes) return std::nullopt;
    if (block_checksum(part.blocks + block_count * kBlockBytes) != entry.checksum) {
      return std::nullopt;
    }
    ++block_count;
  }
  return part;
}

}  // namespace slipring::array
