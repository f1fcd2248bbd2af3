// How a broadcast link's regions are cut, named or guarded: one writer, many readers, every message
// to each of them.
//
// The writer's: BroadcastWriterPage | PublisherNotes | EndPage | an ArmLine a reader | slots (on a
// page of their own).  The readers': a page for each place, BroadcastReaderPage | EndPage; each is
// written by the holder of that place alone.  Offsets below are relative to the region, or the
// reader's page.  A slot holds a header {size_bytes:32, writer's incarnation:32} and the message.
// Specified in core/LAYOUT.md; change both or neither.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "core/error/result.h"
#include "core/ring/broadcast_page.h"
#include "pipelines/link/link_layout.h"
#include "pipelines/link/publisher_notes.h"
#include "platform/wait/doorbell.h"

namespace slipring {

inline constexpr std::uint32_t kMaxBroadcastPlaces = 32;
// Place n's holder locks this byte + n of the lock file.
inline constexpr std::uint32_t kFirstPlaceByte = 8;
inline constexpr std::uint64_t kBroadcastNotesOffset = 768;
inline constexpr std::uint64_t kBroadcastEndOffset = 1024;
inline constexpr std::uint64_t kBroadcastArmsOffset = kBroadcastEndOffset + sizeof(EndPage);
inline constexpr std::uint32_t kBroadcastHeaderBytes = 8;
inline constexpr std::uint32_t kMaxBroadcastMessageBytes =
    kMaxBroadcastSlotBytes - kBroadcastHeaderBytes;
static_assert(sizeof(BroadcastWriterPage) <= kBroadcastNotesOffset);
static_assert(kBroadcastNotesOffset + kPublisherNoteCount * sizeof(PublisherNote) <=
              kBroadcastEndOffset);
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

// The message in a slot that was copied out, whose header its writer wrote; nothing when it says
// more than fits.
[[nodiscard]] inline std::optional<std::span<const std::byte>> broadcast_message_in(
    std::span<const std::byte> slot) noexcept {
  std::uint32_t size_bytes = 0;
  if (slot.size() < kBroadcastHeaderBytes) return std::nullopt;
  std::memcpy(&size_bytes, slot.data(), sizeof size_bytes);
  if (size_bytes > slot.size() - kBroadcastHeaderBytes) return std::nullopt;
  return slot.subspan(kBroadcastHeaderBytes, size_bytes);
}

// Who wrote it: an incarnation, or 0 where that is not said.  Requires: broadcast_message_in(slot).
[[nodiscard]] inline std::uint32_t broadcast_writer_of(std::span<const std::byte> slot) noexcept {
  std::uint32_t incarnation = 0;
  std::memcpy(&incarnation, slot.data() + sizeof incarnation, sizeof incarnation);
  return incarnation;
}

[[nodiscard]] BroadcastGeometry geometry_of(const BroadcastShape& shape) noexcept;
// Errors: kInvalidArgument with the offending value.
[[nodiscard]] Status validate_broadcast(const BroadcastShape& shape) noexcept;
// Requires: validate_broadcast(shape) is ok.
[[nodiscard]] BroadcastParts parts_of(const BroadcastShape& shape,
                                      std::uint64_t page_bytes) noexcept;
// Of a guarded link, as its broker describes it: whoever does not keep up loses messages, and the
// writer sees no reader.  Requires: shape.kind is kBroadcastLink.
[[nodiscard]] BroadcastShape guarded_broadcast(const LinkShape& shape) noexcept;

}  // namespace slipring
