// What the writers of a lane leave beside its end, in the writer's region: where each of the last
// of them began (lane_attachments.h), and whose word stands behind the messages of the present one.
//
// Origin.  A writer that passes on what others wrote, on another machine for instance, says who
// they are, before it publishes anything of theirs.  That is its own word, and as good as it is.
// The told_ words change by themselves: they are of the process last heard of.
//
// Ordering.  lane.C -> lane.D, lane.E -> lane.F  the origin's text, between two looks at an even
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

#include "pipelines/link/lane_attachments.h"
#include "pipelines/link/link_layout.h"

namespace slipring {

inline constexpr std::size_t kLaneAttachments = 6;
inline constexpr std::size_t kOriginWords = 15;
inline constexpr std::size_t kOriginBytesMax = kOriginWords * 8;

struct LaneWords {
  LaneAttachment attachments[kLaneAttachments];     // by incarnation, the last of them
  std::atomic<std::uint32_t> origin_sequence;       // odd while it is written
  std::atomic<std::uint32_t> origin_bytes;          // 0: the messages are the writer's own
  std::atomic<std::uint64_t> told_process;          // id:32 user:32, from the highest bit down
  std::atomic<std::uint64_t> origin[kOriginWords];  // text
  std::atomic<std::uint64_t> told_group;            // group:32 incarnation:32
  std::atomic<std::uint64_t> told_by_kernel;        // 1: its kernel's word; 0: its own
};
inline constexpr std::uint64_t kLaneWordsOffset = kEndPageOffset + sizeof(EndPage);
static_assert(sizeof(LaneWords) == 248);
static_assert(kLaneWordsOffset + sizeof(LaneWords) <= kTableOffset);

[[nodiscard]] inline LaneWords& lane_words_of(std::byte* writer_region) noexcept {
  return *reinterpret_cast<LaneWords*>(writer_region + kLaneWordsOffset);
}
[[nodiscard]] inline const LaneWords& lane_words_of(const std::byte* writer_region) noexcept {
  return *reinterpret_cast<const LaneWords*>(writer_region + kLaneWordsOffset);
}

// A process elsewhere, as whoever passes its messages on was told of it.
struct LaneProcess {
  std::uint32_t process_id = 0;  // 0: not told
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::uint32_t incarnation = 0;  // as a writer there; 0: not told
  bool is_by_kernel = false;      // the kernel there said so, and not the process itself
  friend bool operator==(const LaneProcess&, const LaneProcess&) = default;
};

// As the lane's writer says; what others have told it is no more than that.
struct LaneOrigin {
  std::array<char, kOriginBytesMax> text{};
  std::size_t bytes = 0;
  LaneProcess process;
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

inline void tell_process(LaneWords& own, const LaneProcess& process) noexcept {
  // relaxed, all: told anew only where nothing of another is unread, or nothing hangs on it.
  own.told_process.store(std::uint64_t{process.process_id} << 32 | process.user,
                         std::memory_order_relaxed);
  own.told_group.store(std::uint64_t{process.group} << 32 | process.incarnation,
                       std::memory_order_relaxed);
  own.told_by_kernel.store(process.is_by_kernel ? 1 : 0, std::memory_order_relaxed);
}

// What was told last.
[[nodiscard]] inline LaneProcess told_process(const LaneWords& words) noexcept {
  // relaxed, all: as they were stored.
  const std::uint64_t process = words.told_process.load(std::memory_order_relaxed);
  const std::uint64_t group = words.told_group.load(std::memory_order_relaxed);
  return {static_cast<std::uint32_t>(process >> 32), static_cast<std::uint32_t>(process),
          static_cast<std::uint32_t>(group >> 32), static_cast<std::uint32_t>(group),
          words.told_by_kernel.load(std::memory_order_relaxed) == 1};
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
  origin.process = told_process(words);
  return origin;
}

}  // namespace slipring
