// Where each of the last writers of a lane began.
//
// A lane goes to another writer only where its messages end.  So where a writer began its
// predecessor had stopped, exactly, however many have come since; who was the predecessor, and
// keeps count of what it has published elsewhere, learns it here.  A named lane's writers note it
// in their region (lane_words.h).  Those of a guarded one need not believe each other: its broker
// does it, in its page (guard_protocol.h), and by the reader's cursor, which whoever had the lane
// knows to be its own end.
//
// Ordering.  lane.A -> lane.B  an attachment: who sees its incarnation sees its position.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

namespace slipring {

struct LaneAttachment {
  std::atomic<std::uint64_t> incarnation;  // 0: none yet
  std::atomic<std::uint64_t> position;     // of the ring
};

// The writer of this `incarnation`, which nobody sees yet, begins at `position`.  One at a time.
inline void note_attachment(std::span<LaneAttachment> noted, std::uint32_t incarnation,
                            std::uint64_t position) noexcept {
  LaneAttachment& place = noted[incarnation % noted.size()];
  // relaxed, both: only one at a time writes them, and lane.A shows them.
  place.incarnation.store(0, std::memory_order_relaxed);
  place.position.store(position, std::memory_order_relaxed);
  place.incarnation.store(incarnation, std::memory_order_release);  // lane.A pairs with lane.B
}

// Where the writer of that incarnation began; nothing if that is forgotten, or yet to come.
[[nodiscard]] inline std::optional<std::uint64_t> attachment_of(
    std::span<const LaneAttachment> noted, std::uint32_t incarnation) noexcept {
  const LaneAttachment& place = noted[incarnation % noted.size()];
  const auto shows = [&] {
    return place.incarnation.load(std::memory_order_acquire);  // lane.B pairs with lane.A
  };
  if (shows() != incarnation) return std::nullopt;
  // relaxed: between two looks at the incarnation.
  const std::uint64_t position = place.position.load(std::memory_order_relaxed);
  if (shows() != incarnation) return std::nullopt;
  return position;
}

}  // namespace slipring
