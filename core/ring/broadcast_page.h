// The shared words of a broadcast ring: one writer's page and slots, a cursor page a reader.
//
// The image is specified in core/LAYOUT.md; change both or neither.  The writer's page and the
// slots stand in the writer's region, each reader's page in a region of that reader; everybody else
// maps them read-only.  What the protocol makes of them is told in core/ring/broadcast_ring.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "core/cpu/atomics.h"
#include "core/cpu/cache_line.h"
#include "core/error/result.h"

namespace slipring {

inline constexpr std::uint32_t kMaxBroadcastReaders = 64;
inline constexpr std::uint64_t kMaxBroadcastSlots = std::uint64_t{1} << 32;
inline constexpr std::uint32_t kMaxBroadcastSlotBytes = 1U << 20;

// What happens when a reader does not keep up.  Chosen when the ring is created.
enum class BroadcastPolicy : std::uint32_t {
  kOverwrite = 1,  // the writer never waits; the reader learns how many messages it lost
  kBlock = 2,      // the writer waits for the slowest reader that it counts as alive
  kEvict = 3,      // a reader further behind than the lag limit is put out, and told so
};

// The policy's name as tools print it.
[[nodiscard]] constexpr const char* name_of(BroadcastPolicy policy) noexcept {
  switch (policy) {
    case BroadcastPolicy::kOverwrite:
      return "overwrite";
    case BroadcastPolicy::kBlock:
      return "block";
    case BroadcastPolicy::kEvict:
      return "evict";
  }
  return "unknown policy";
}

// How a ring is cut.  Its memory must outlive the ends and be zero when the first writer attaches.
struct BroadcastGeometry {
  std::uint64_t slot_count;      // a power of two, 2 to kMaxBroadcastSlots
  std::uint32_t slot_bytes;      // payload of a slot, 1 to kMaxBroadcastSlotBytes
  std::uint64_t start_position;  // the first message's position; at most 2^63
  std::uint32_t reader_count;    // places for readers, 1 to kMaxBroadcastReaders
  BroadcastPolicy policy;
  std::uint64_t lag_limit;  // kEvict only: messages that a reader may be behind, 1 to slot_count
};

// Bytes from one slot to the next.  The payload is moved in whole words.
[[nodiscard]] constexpr std::uint64_t broadcast_stride_bytes(std::uint32_t slot_bytes) noexcept {
  const std::uint64_t whole = (std::uint64_t{slot_bytes} + 7) / 8 * 8 + 8;
  if (whole <= 16) return 16;
  if (whole <= 32) return 32;
  return (whole + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
}

[[nodiscard]] constexpr std::uint64_t broadcast_slots_bytes(const BroadcastGeometry& geometry) {
  return geometry.slot_count * broadcast_stride_bytes(geometry.slot_bytes);
}

// Errors: kInvalidArgument with the offending value.
[[nodiscard]] inline Status broadcast_validate(const BroadcastGeometry& geometry) noexcept {
  const auto wrong = [](const char* why, std::uint64_t found, std::uint64_t wanted) {
    return Error{ErrorCode::kInvalidArgument, 0, why, found, wanted};
  };
  const std::uint64_t count = geometry.slot_count;
  if (count < 2 || count > kMaxBroadcastSlots || (count & (count - 1)) != 0) {
    return wrong("slot count is not a power of two from 2 to 2^32", count, kMaxBroadcastSlots);
  }
  if (geometry.slot_bytes == 0 || geometry.slot_bytes > kMaxBroadcastSlotBytes) {
    return wrong("slot size is not from 1 byte to 1 MiB", geometry.slot_bytes,
                 kMaxBroadcastSlotBytes);
  }
  if (geometry.start_position > std::uint64_t{1} << 63) {
    return wrong("start position is above 2^63", geometry.start_position, std::uint64_t{1} << 63);
  }
  if (geometry.reader_count == 0 || geometry.reader_count > kMaxBroadcastReaders) {
    return wrong("reader count is not from 1 to 64", geometry.reader_count, kMaxBroadcastReaders);
  }
  const auto policy = static_cast<std::uint32_t>(geometry.policy);
  if (policy < 1 || policy > 3) return wrong("no such broadcast policy", policy, 3);
  if (geometry.policy == BroadcastPolicy::kEvict &&
      (geometry.lag_limit == 0 || geometry.lag_limit > count)) {
    return wrong("lag limit is not from 1 to the slot count", geometry.lag_limit, count);
  }
  return {};
}

// Written by the writer only.
struct BroadcastWriterPage {
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> tail;     // behind the last in a slot
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> scan_at;  // tail when it last looked at readers
  std::atomic<std::uint64_t> abort_before;                    // first position still wanted
  // What lies below and is in no slot will never come; 0: nothing was passed over.
  std::atomic<std::uint64_t> missing_before;
  // By reader: the membership that the writer no longer waits for; 0 is none.
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> put_out[kMaxBroadcastReaders];
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared words must be address-free");
static_assert(std::is_standard_layout_v<BroadcastWriterPage>);
static_assert(offsetof(BroadcastWriterPage, tail) == 0);
static_assert(offsetof(BroadcastWriterPage, scan_at) == 128);
static_assert(offsetof(BroadcastWriterPage, abort_before) == 136);
static_assert(offsetof(BroadcastWriterPage, missing_before) == 144);
static_assert(offsetof(BroadcastWriterPage, put_out) == 256);
static_assert(sizeof(BroadcastWriterPage) == 768);

// Written by one reader only.
struct BroadcastReaderPage {
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> credit;  // all below may be overwritten
  std::atomic<std::uint64_t> joined;                         // membership × 4 + BroadcastMember
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> done;    // all below is finished; exact
  std::atomic<std::uint64_t> taken;                          // all below has been looked at
  std::atomic<std::uint64_t> lost;                           // messages lost so far
  std::atomic<std::uint64_t> gap_end;   // first position behind the last loss, once `done` is there
  std::atomic<std::uint64_t> gap_lost;  // `lost` until then
};
static_assert(std::is_standard_layout_v<BroadcastReaderPage>);
static_assert(offsetof(BroadcastReaderPage, credit) == 0);
static_assert(offsetof(BroadcastReaderPage, joined) == 8);
static_assert(offsetof(BroadcastReaderPage, done) == 128);
static_assert(offsetof(BroadcastReaderPage, taken) == 136);
static_assert(offsetof(BroadcastReaderPage, lost) == 144);
static_assert(offsetof(BroadcastReaderPage, gap_end) == 152);
static_assert(offsetof(BroadcastReaderPage, gap_lost) == 160);
static_assert(sizeof(BroadcastReaderPage) == 256);

// The low two bits of `joined`; anything else counts as kOut.
enum class BroadcastMember : std::uint64_t { kOut = 0, kJoining = 1, kIn = 2 };

// The membership that a value of `joined` speaks of, as `put_out` names it; never 0.
[[nodiscard]] constexpr std::uint64_t broadcast_membership(std::uint64_t joined) noexcept {
  return joined / 4 + 1;
}
[[nodiscard]] constexpr BroadcastMember broadcast_member(std::uint64_t joined) noexcept {
  const std::uint64_t bits = joined & 3;
  return bits == 3 ? BroadcastMember::kOut : static_cast<BroadcastMember>(bits);
}

// Where slots lie, and what their state words mean.  The state of a slot only grows: with u
// messages published since the start position it is 2u + 1 while message u is being written into
// the slot and 2u + 2 once it is there; 0 before the first.
class BroadcastCut {
 public:
  explicit BroadcastCut(const BroadcastGeometry& geometry) noexcept
      : count_(geometry.slot_count),
        stride_(broadcast_stride_bytes(geometry.slot_bytes)),
        start_(geometry.start_position) {}

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t start() const noexcept { return start_; }
  [[nodiscard]] std::size_t offset_bytes(std::uint64_t position) const noexcept {
    return static_cast<std::size_t>((position & (count_ - 1)) * stride_);
  }

  [[nodiscard]] std::uint64_t published(std::uint64_t position) const noexcept {
    return 2 * (position - start_) + 2;
  }
  [[nodiscard]] std::uint64_t writing(std::uint64_t position) const noexcept {
    return published(position) - 1;
  }
  // Whether a correct writer leaves this in the slot of a message that is yet to come.
  [[nodiscard]] bool may_precede(std::uint64_t state, std::uint64_t position) const noexcept {
    if (state == writing(position)) return true;
    return position - start_ < count_ ? state == 0 : state == published(position - count_);
  }
  // Whether a correct writer that passes over positions leaves this there: older by any number of
  // laps, and perhaps of a message in whose writing a predecessor died.
  [[nodiscard]] bool may_linger(std::uint64_t state, std::uint64_t position) const noexcept {
    const std::uint64_t wanted = published(position);
    if (state >= wanted) return false;
    const std::uint64_t behind = (wanted - state) & (2 * count_ - 1);
    return state == 0 || behind <= 1;
  }
  // Whether a correct writer leaves this in a slot whose message it has overwritten.
  [[nodiscard]] bool may_follow(std::uint64_t state, std::uint64_t position) const noexcept {
    const std::uint64_t wanted = published(position);
    if (state <= wanted) return false;
    const std::uint64_t ahead = (state - wanted) & (2 * count_ - 1);
    return ahead == 0 || ahead == 2 * count_ - 1;
  }
  // All positions below this one had been published when the state was stored.
  [[nodiscard]] std::uint64_t proven_tail(std::uint64_t state) const noexcept {
    return start_ + state / 2;
  }

 private:
  std::uint64_t count_;
  std::uint64_t stride_;
  std::uint64_t start_;
};

namespace broadcast_detail {

// Payload moves in words that both sides may touch at once, so that a reader that is being
// overtaken reads old and new words, which it then throws away, and nothing undefined.
// Requires: `slot` is 8-byte aligned and holds whole words.
template <typename Atomics>
inline void store_words(std::byte* slot, std::span<const std::byte> message) noexcept {
  auto* to = reinterpret_cast<std::atomic<std::uint64_t>*>(slot);
  const auto store = [&](std::size_t at, std::size_t size_bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, message.data() + at, size_bytes);
    // relaxed: framed by the slot's state
    Atomics::store(to[at / 8], word, std::memory_order_relaxed);
  };
  std::size_t at = 0;
  for (; at + 32 <= message.size(); at += 32) {  // by four: compilers do not unroll atomics
    store(at, 8);
    store(at + 8, 8);
    store(at + 16, 8);
    store(at + 24, 8);
  }
  for (; at + 8 <= message.size(); at += 8) store(at, 8);
  if (at != message.size()) store(at, message.size() - at);
}

template <typename Atomics>
inline void load_words(std::span<std::byte> message, const std::byte* slot) noexcept {
  const auto* from = reinterpret_cast<const std::atomic<std::uint64_t>*>(slot);
  const auto load = [&](std::size_t at, std::size_t size_bytes) {
    // relaxed: as store_words()
    const std::uint64_t word = Atomics::load(from[at / 8], std::memory_order_relaxed);
    std::memcpy(message.data() + at, &word, size_bytes);
  };
  std::size_t at = 0;
  for (; at + 32 <= message.size(); at += 32) {
    load(at, 8);
    load(at + 8, 8);
    load(at + 16, 8);
    load(at + 24, 8);
  }
  for (; at + 8 <= message.size(); at += 8) load(at, 8);
  if (at != message.size()) load(at, message.size() - at);
}

// Until `done` is at `gap_end`, `before` messages are lost.
template <typename Atomics>
inline void store_gap(BroadcastReaderPage& own, std::uint64_t before,
                      std::uint64_t gap_end) noexcept {
  // relaxed, both: read after our death only; in this order.
  Atomics::store(own.gap_lost, before, std::memory_order_relaxed);
  Atomics::store(own.gap_end, gap_end, std::memory_order_relaxed);
}

// Counts a loss that the reader is about to go past.  It counts from the store of `done` on that
// goes past it: a successor that finds the reader before the gap finds it not counted, and will
// count it itself.
template <typename Atomics>
inline void store_lost(BroadcastReaderPage& own, std::uint64_t before, std::uint64_t gap_end,
                       std::uint64_t lost) noexcept {
  store_gap<Atomics>(own, before, gap_end);
  // relaxed: read after our death, behind the gap, and by people.
  Atomics::store(own.lost, lost, std::memory_order_relaxed);
}

// What a predecessor had lost, without a gap that it died before it was past.
// Requires: called by its successor.
template <typename Atomics>
[[nodiscard]] inline std::uint64_t take_over_lost(BroadcastReaderPage& own) noexcept {
  // relaxed, all: only our predecessor wrote the own page, and attaching ordered us after it.
  const std::uint64_t done = Atomics::load(own.done, std::memory_order_relaxed);
  const std::uint64_t gap_end = Atomics::load(own.gap_end, std::memory_order_relaxed);
  if (gap_end - done - 1 >= std::uint64_t{1} << 62) {
    return Atomics::load(own.lost, std::memory_order_relaxed);
  }
  const std::uint64_t lost = Atomics::load(own.gap_lost, std::memory_order_relaxed);
  // `done` may pass the gap without a loss, where the writer aborts what lies in it.
  Atomics::store(own.lost, lost, std::memory_order_relaxed);  // relaxed: as above
  return lost;
}

}  // namespace broadcast_detail
}  // namespace slipring
