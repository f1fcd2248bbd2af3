// What the participants of a shared pool share: names of buffers, one word a buffer, one page each.
//
// Protocol.  A buffer's word {generation, state, owner} is the whole truth about that buffer: it is
// in exactly one place, because it has exactly one word.  A word that names an owner is written by
// that owner alone (or by its reaper, once it is dead); the exceptions are the two moves between
// participants, free -> cached and in flight -> owned, and each is one compare-and-swap.
//   kFree      nobody's                        -> kCached by whoever takes it
//   kCached    in the owner's cache            -> kOwned, kFree
//   kOwned     the owner reads and writes      -> kInFlight, kShared, kCached
//   kInFlight  a ring carries it; owner: who sent it last  -> kOwned by whoever claims it
//   kShared    readers may hold it; nobody writes          -> kRetired
//   kRetired   no new holds; waits for the last to end     -> kCached
// A handle {generation, slot} is what travels.  A buffer gets a new generation, made from the word
// just loaded, whenever it gets a new name: at acquire, at send, and at share.  So a handle seen
// twice, kept too long, or made up meets another generation or another state, and is refused.
//
// Invariants.  Zeroed memory is a pool whose buffers are all free.  Generation 0 names nothing.
// Everything here is input to whoever reads it: slots are bounded, states compared, never trusted.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/cpu/atomics.h"
#include "core/cpu/cache_line.h"
#include "core/error/result.h"

namespace slipring {

inline constexpr std::uint32_t kMaxSharedBuffers = 1U << 20;
inline constexpr std::uint32_t kMaxPoolParticipants = 63;
// Participants' pages are whole pages of memory, so that others can map them read-only.
inline constexpr std::uint64_t kPoolPageBytes = 4096;

inline constexpr std::uint32_t kPoolSlotBits = 20;  // of a handle; the generation has the other 44
inline constexpr std::uint64_t kPoolSlotMask = (std::uint64_t{1} << kPoolSlotBits) - 1;

// Names one filling of one buffer of a shared pool.  Travels in messages; input to its receiver.
struct PoolHandle {
  std::uint64_t bits = 0;  // generation:44 slot:20; 0 names nothing

  [[nodiscard]] constexpr std::uint32_t slot() const noexcept {
    return static_cast<std::uint32_t>(bits & kPoolSlotMask);
  }
  [[nodiscard]] constexpr std::uint64_t generation() const noexcept {
    return bits >> kPoolSlotBits;
  }
  [[nodiscard]] constexpr bool is_null() const noexcept { return bits == 0; }
  friend constexpr bool operator==(const PoolHandle&, const PoolHandle&) noexcept = default;
};
static_assert(sizeof(PoolHandle) == 8 && std::is_trivially_copyable_v<PoolHandle>);

enum class BufferState : std::uint8_t {
  kFree = 0,
  kCached = 1,
  kOwned = 2,
  kInFlight = 3,
  kShared = 4,
  kRetired = 5,
};

// One buffer's word, as a value.
struct BufferWord {
  std::uint64_t bits = 0;  // generation:44 gap:8 state:4 owner:8; owner 0 is nobody

  [[nodiscard]] constexpr BufferState state() const noexcept {
    return static_cast<BufferState>(bits >> 8 & 0xfU);
  }
  [[nodiscard]] constexpr std::uint32_t owner() const noexcept {
    return static_cast<std::uint32_t>(bits & 0xffU);
  }
  [[nodiscard]] constexpr bool is(BufferState state, std::uint32_t owner) const noexcept {
    return (bits & kPoolSlotMask) == low_bits(state, owner);
  }
  // Whether `handle`, whose slot led here, is this buffer's present name.
  [[nodiscard]] constexpr bool is_named(const PoolHandle& handle) const noexcept {
    return ((bits ^ handle.bits) >> kPoolSlotBits) == 0;
  }
  [[nodiscard]] constexpr PoolHandle handle(std::uint32_t slot) const noexcept {
    return {(bits & ~kPoolSlotMask) | slot};
  }
  // The same name in another state.
  [[nodiscard]] constexpr BufferWord moved(BufferState state, std::uint32_t owner) const noexcept {
    return {(bits & ~kPoolSlotMask) | low_bits(state, owner)};
  }
  // The next name; generation 0 is left out.
  [[nodiscard]] constexpr BufferWord renamed(BufferState state,
                                             std::uint32_t owner) const noexcept {
    std::uint64_t generation_bits = (bits & ~kPoolSlotMask) + kPoolSlotMask + 1;
    if (generation_bits == 0) generation_bits = kPoolSlotMask + 1;
    return {generation_bits | low_bits(state, owner)};
  }

 private:
  [[nodiscard]] static constexpr std::uint64_t low_bits(BufferState state,
                                                        std::uint32_t owner) noexcept {
    return static_cast<std::uint64_t>(state) << 8 | owner;
  }
};
static_assert(BufferWord{}.is(BufferState::kFree, 0), "zeroed memory is a pool of free buffers");

struct SharedPoolGeometry {
  std::uint32_t buffer_count;       // 1 to kMaxSharedBuffers
  std::uint32_t participant_count;  // 1 to kMaxPoolParticipants
  std::uint64_t buffer_bytes;       // a multiple of 64, below 1 TiB
};

// Errors: kInvalidArgument with the offending value.
[[nodiscard]] inline Status shared_pool_validate(const SharedPoolGeometry& geometry) noexcept {
  if (geometry.buffer_count == 0 || geometry.buffer_count > kMaxSharedBuffers) {
    return Error{ErrorCode::kInvalidArgument, 0, "pool buffer count is not from 1 to 2^20",
                 geometry.buffer_count, kMaxSharedBuffers};
  }
  if (geometry.participant_count == 0 || geometry.participant_count > kMaxPoolParticipants) {
    return Error{ErrorCode::kInvalidArgument, 0, "pool participant count is not from 1 to 63",
                 geometry.participant_count, kMaxPoolParticipants};
  }
  if (geometry.buffer_bytes == 0 || geometry.buffer_bytes % kCacheLineBytes != 0 ||
      geometry.buffer_bytes >> 40 != 0) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "pool buffer size is not a multiple of 64 bytes below 1 TiB",
                 geometry.buffer_bytes, kCacheLineBytes};
  }
  return {};
}

// A word of a table or of a page: a buffer's, or 64 hold marks.
using SharedPoolWord = std::atomic<std::uint64_t>;
static_assert(SharedPoolWord::is_always_lock_free, "shared words must be address-free");

// A participant's own words, specified in core/LAYOUT.md; its hold marks follow, one bit a buffer.
struct PoolRecord {
  alignas(kAbiLineBytes) SharedPoolWord sending;  // the handle that is being sent; 0: none
  SharedPoolWord ticket;                          // where to: the sender's own words for its reaper
};
static_assert(std::is_standard_layout_v<PoolRecord>);
static_assert(offsetof(PoolRecord, sending) == 0);
static_assert(offsetof(PoolRecord, ticket) == 8);
static_assert(sizeof(PoolRecord) == kAbiLineBytes);

[[nodiscard]] constexpr std::uint32_t pool_mark_word_count(
    const SharedPoolGeometry& geometry) noexcept {
  return (geometry.buffer_count + 63) / 64;
}
// Sizes of the parts of a pool, for whoever lays out a segment.
[[nodiscard]] constexpr std::uint64_t pool_words_bytes(
    const SharedPoolGeometry& geometry) noexcept {
  return std::uint64_t{geometry.buffer_count} * 8;
}
[[nodiscard]] constexpr std::uint64_t pool_page_bytes(const SharedPoolGeometry& geometry) noexcept {
  const std::uint64_t used = kAbiLineBytes + std::uint64_t{pool_mark_word_count(geometry)} * 8;
  return (used + kPoolPageBytes - 1) / kPoolPageBytes * kPoolPageBytes;
}
[[nodiscard]] constexpr std::uint64_t pool_pages_bytes(
    const SharedPoolGeometry& geometry) noexcept {
  return geometry.participant_count * pool_page_bytes(geometry);
}
[[nodiscard]] constexpr std::uint64_t pool_buffers_bytes(
    const SharedPoolGeometry& geometry) noexcept {
  return geometry.buffer_count * geometry.buffer_bytes;
}

// Where the parts lie in this process; zero when the pool is created, and outliving every end.
struct PoolMemory {
  SharedPoolWord* words;  // pool_words_bytes: every participant writes
  std::byte* pages;       // pool_pages_bytes, on a line: page i is participant i's
  std::byte* buffers;     // pool_buffers_bytes, on a line

  [[nodiscard]] PoolRecord& record(const SharedPoolGeometry& geometry,
                                   std::uint32_t participant) const noexcept {
    return *reinterpret_cast<PoolRecord*>(pages + participant * pool_page_bytes(geometry));
  }
  // The marks of all that a participant holds, bit slot % 64 of word slot / 64.
  [[nodiscard]] SharedPoolWord* marks(const SharedPoolGeometry& geometry,
                                      std::uint32_t participant) const noexcept {
    return reinterpret_cast<SharedPoolWord*>(pages + participant * pool_page_bytes(geometry) +
                                             kAbiLineBytes);
  }
  // The marks of all participants for 64 slots, from slot 64 * `at` on.  A bit that is 0 after its
  // buffer's word was retired means that nobody reads the buffer or will: see shared_pool.h.
  template <typename Atomics>
  [[nodiscard]] std::uint64_t held(const SharedPoolGeometry& geometry,
                                   std::uint32_t at) const noexcept {
    std::uint64_t held = 0;
    for (std::uint32_t i = 0; i < geometry.participant_count; ++i) {
      // shared_pool.H pairs with shared_pool.E and shared_pool.J.
      held |= Atomics::load(marks(geometry, i)[at], std::memory_order_seq_cst);
    }
    return held;
  }
};

// Everybody's marks, read once for slots that follow each other.  Made after all buffers that it is
// asked about were retired: marks that are set later are of readers who find them so.
template <typename Atomics>
class BasicHeldMarks {
 public:
  BasicHeldMarks(const PoolMemory& memory, const SharedPoolGeometry& geometry) noexcept
      : memory_(memory), geometry_(geometry) {}

  [[nodiscard]] bool has(std::uint32_t slot) noexcept {
    if (slot / 64 != at_) {
      at_ = slot / 64;
      held_ = memory_.held<Atomics>(geometry_, at_);
    }
    return (held_ >> slot % 64 & 1U) != 0;
  }

 private:
  const PoolMemory& memory_;
  const SharedPoolGeometry& geometry_;
  std::uint32_t at_ = UINT32_MAX;
  std::uint64_t held_ = 0;
};

// The 32-bit form of a handle, for the slot word of a ring: the slot in as many bits as the pool
// needs, and the low bits of the generation in the rest.  It tells 2^(32 - slot bits) namings of
// one buffer apart: 4 M in a pool of 1024.  0 may name a buffer.
[[nodiscard]] constexpr std::uint32_t compact_slot_bits(
    const SharedPoolGeometry& geometry) noexcept {
  return static_cast<std::uint32_t>(std::bit_width(geometry.buffer_count - 1));
}
[[nodiscard]] constexpr std::uint32_t compact_handle(const SharedPoolGeometry& geometry,
                                                     const PoolHandle& handle) noexcept {
  return static_cast<std::uint32_t>(handle.generation() << compact_slot_bits(geometry)) |
         handle.slot();
}

}  // namespace slipring
