// What the writers of a lane leave beside its end, in the writer's region: where each of the last
// of them began, and whose word stands behind the messages of the present one.
//
// Attachments.  A lane goes to another writer only where its messages end.  So where a writer began
// its predecessor had stopped, exactly, however many have come since; who was the predecessor, and
// keeps count of what it has published elsewhere, learns it here.
//
// Origin.  A writer that passes on what others wrote, on another machine for instance, says who
// they are, before it publishes anything of theirs.  That is its own word, and as good as it is.
// `told_process` changes by itself: it is the process last heard of.
//
// Ordering.  lane.A -> lane.B  an attachment: who sees its incarnation sees its position.
//            lane.C -> lane.D, lane.E -> lane.F  the origin's text, between two looks at an even
//            sequence that is the same.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "pipelines/link/link_layout.h"

namespace slipring {

inline constexpr std::size_t kLaneAttachments = 6;
inline constexpr std::size_t kOriginWords = 15;
inline constexpr std::size_t kOriginBytesMax = kOriginWords * 8;

struct LaneAttachment {
  std::atomic<std::uint64_t> incarnation;  // 0: none yet
  std::atomic<std::uint64_t> position;     // of the ring
};

struct LaneWords {
  LaneAttachment attachments[kLaneAttachments];     // by incarnation, the last of them
  std::atomic<std::uint32_t> origin_sequence;       // odd while it is written
  std::atomic<std::uint32_t> origin_bytes;          // 0: the messages are the writer's own
  std::atomic<std::uint64_t> told_process;          // id:32 user:32, from the highest bit down
  std::atomic<std::uint64_t> origin[kOriginWords];  // text
};
inline constexpr std::uint64_t kLaneWordsOffset = kEndPageOffset + sizeof(EndPage);
static_assert(sizeof(LaneWords) == 232);
static_assert(kLaneWordsOffset + sizeof(LaneWords) <= kTableOffset);

[[nodiscard]] inline LaneWords& lane_words_of(std::byte* writer_region) noexcept {
  return *reinterpret_cast<LaneWords*>(writer_region + kLaneWordsOffset);
}
[[nodiscard]] inline const LaneWords& lane_words_of(const std::byte* writer_region) noexcept {
  return *reinterpret_cast<const LaneWords*>(writer_region + kLaneWordsOffset);
}

// The writer, of its `incarnation`, which nobody sees yet.
inline void note_attachment(LaneWords& own, std::uint32_t incarnation,
                            std::uint64_t position) noexcept {
  LaneAttachment& place = own.attachments[incarnation % kLaneAttachments];
  // relaxed, both: only writers write them, one after the other, and lane.A shows them.
  place.incarnation.store(0, std::memory_order_relaxed);
  place.position.store(position, std::memory_order_relaxed);
  place.incarnation.store(incarnation, std::memory_order_release);  // lane.A pairs with lane.B
}

// Where the writer of that incarnation began; nothing if that is forgotten, or yet to come.
[[nodiscard]] inline std::optional<std::uint64_t> attachment_of(
    const LaneWords& words, std::uint32_t incarnation) noexcept {
  const LaneAttachment& place = words.attachments[incarnation % kLaneAttachments];
  const auto shows = [&] {
    return place.incarnation.load(std::memory_order_acquire);  // lane.B pairs with lane.A
  };
  if (shows() != incarnation) return std::nullopt;
  // relaxed: between two looks at the incarnation.
  const std::uint64_t position = place.position.load(std::memory_order_relaxed);
  if (shows() != incarnation) return std::nullopt;
  return position;
}

// As the lane's writer says; what others have told it is no more than that.
struct LaneOrigin {
  std::array<char, kOriginBytesMax> text{};
  std::size_t bytes = 0;
  std::uint32_t process_id = 0;  // 0: not told
  std::uint32_t user = 0;
  [[nodiscard]] std::string_view name() const noexcept { return {text.data(), bytes}; }
};

inline void tell_origin(LaneWords& own, std::string_view text) noexcept {
  text = text.substr(0, kOriginBytesMax);
  std::array<std::uint64_t, kOriginWords> words{};
  if (!text.empty()) std::memcpy(words.data(), text.data(), text.size());
  // relaxed: only the writer writes it.
  const std::uint32_t even = own.origin_sequence.load(std::memory_order_relaxed) & ~1U;
  // The exchange keeps what follows behind it.  lane.E pairs with lane.F
  own.origin_sequence.exchange(even + 1, std::memory_order_acq_rel);
  for (std::size_t i = 0; i < words.size(); ++i) {
    own.origin[i].store(words[i], std::memory_order_release);  // lane.E pairs with lane.F
  }
  own.origin_bytes.store(static_cast<std::uint32_t>(text.size()),
                         std::memory_order_release);               // lane.E pairs with lane.F
  own.origin_sequence.store(even + 2, std::memory_order_release);  // lane.C pairs with lane.D
}

inline void tell_process(LaneWords& own, std::uint32_t process_id, std::uint32_t user) noexcept {
  // relaxed: one word, and nothing hangs on it.
  own.told_process.store(std::uint64_t{process_id} << 32 | user, std::memory_order_relaxed);
}

// Nothing while the messages are the writer's own, or where it wrote what no text is.
[[nodiscard]] inline std::optional<LaneOrigin> read_origin(const LaneWords& words) noexcept {
  const std::uint32_t before =
      words.origin_sequence.load(std::memory_order_acquire);  // lane.D pairs with lane.C
  if (before == 0 || before % 2 != 0) return std::nullopt;
  LaneOrigin origin;
  std::array<std::uint64_t, kOriginWords> copied{};
  const std::uint32_t bytes =
      words.origin_bytes.load(std::memory_order_acquire);  // lane.F pairs with lane.E
  for (std::size_t i = 0; i < copied.size(); ++i) {
    copied[i] = words.origin[i].load(std::memory_order_acquire);  // lane.F pairs with lane.E
  }
  // relaxed: behind the acquiring loads.
  if (words.origin_sequence.load(std::memory_order_relaxed) != before) return std::nullopt;
  if (bytes == 0 || bytes > kOriginBytesMax) return std::nullopt;
  std::memcpy(origin.text.data(), copied.data(), bytes);
  for (char& letter : origin.text) {
    if (letter != '\0' && (letter < ' ' || letter > '~')) letter = '?';
  }
  origin.bytes = bytes;
  // relaxed: as it was stored.
  const std::uint64_t told = words.told_process.load(std::memory_order_relaxed);
  origin.process_id = static_cast<std::uint32_t>(told >> 32);
  origin.user = static_cast<std::uint32_t>(told);
  return origin;
}

}  // namespace slipring
