// What a participant of a many-to-many ring writes down for the time after its death, and every
// access to the words that such a ring shares.
//
// Before its compare-and-swap a participant stores, with plain stores into its own record, what it
// moves (a bank) and then the intent: one word that says where, which way, from which bank, and
// whose word it is about to replace.  Intents alternate between two banks, so that the store of an
// intent exchanges the old attempt for the new one at once and whole.  Nothing is stored after the
// compare-and-swap: the next intent settles the last attempt.
//
// One life never tries a position twice, so that none of its intents is like an earlier one.  A
// successor may, and begins by forgetting a `finished` that is not of the last intent.
//
// Evidence.  An intent is also evidence for the one whose word it names: that word had been there.
// It stays true whether or not the attempt won, and a newer one for the same participant takes its
// place; only when the next intent names another is the old one copied to evidence[its who] first.
// So whoever finds q's word gone finds the evidence in the record of the one that replaced it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/cpu/atomics.h"
#include "core/cpu/cache_line.h"
#include "core/ring/mpmc_word.h"

namespace slipring {

// Messages that share one intent.
inline constexpr std::uint32_t kMpmcBatch = 8;

// The shared image, specified in core/LAYOUT.md: change both or neither.  Written by the
// participant alone; after its death by whoever holds its certificate of death.
struct MpmcRecord {
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> intent;  // MpmcIntent, or 0: never any
  std::atomic<std::uint64_t> finished;  // the intent that needs nothing more; another one, 0: none
  std::atomic<std::uint32_t> banks[2][kMpmcBatch];
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> evidence[kMaxMpmcParticipants + 1];
};
static_assert(std::is_standard_layout_v<MpmcRecord>);
static_assert(offsetof(MpmcRecord, finished) == 8);
static_assert(offsetof(MpmcRecord, banks) == 16);
static_assert(offsetof(MpmcRecord, evidence) == kAbiLineBytes);
static_assert(sizeof(MpmcRecord) == 5 * kAbiLineBytes);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "must be address-free");

// From the top: position:52 replaced:6 count-1:3 role:1 bank:1 valid:1.  Never 0.
struct MpmcIntent {
  std::uint64_t position;  // of the first message
  std::uint32_t replaced;  // who wrote the words that are to be replaced; 0 for the creator
  std::uint32_t count;     // 1 to kMpmcBatch
  MpmcRole role;
  std::uint32_t bank;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return position << 12 | std::uint64_t{replaced} << 6 | std::uint64_t{count - 1} << 3 |
           std::uint64_t{static_cast<std::uint32_t>(role)} << 2 | std::uint64_t{bank} << 1 | 1;
  }
  [[nodiscard]] static constexpr MpmcIntent of(std::uint64_t word) noexcept {
    return {word >> 12, static_cast<std::uint32_t>(word >> 6 & 63),
            static_cast<std::uint32_t>(word >> 3 & 7) + 1, static_cast<MpmcRole>(word >> 2 & 1),
            static_cast<std::uint32_t>(word >> 1 & 1)};
  }
};

// All accesses to shared memory, by purpose.  A template argument of the rings, so that a test can
// stand between an operation and its memory.
template <typename Atomics>
struct BasicMpmcMemory {
  static void pause() noexcept { Atomics::pause(); }
  [[nodiscard]] static std::uint64_t read_slot(const MpmcSlot& slot) noexcept {
    return Atomics::load(slot, std::memory_order_acquire);  // mpmc.B pairs with mpmc.A
  }
  // False, and `seen` is what stands there, when the slot no longer holds `seen`.
  [[nodiscard]] static bool swap_slot(MpmcSlot& slot, std::uint64_t& seen,
                                      std::uint64_t next) noexcept {
    return Atomics::compare_exchange(slot, seen, next,
                                     std::memory_order_acq_rel,   // mpmc.A pairs with mpmc.B
                                     std::memory_order_acquire);  // mpmc.B pairs with mpmc.A
  }
  // relaxed, the two below: the intent stored after them (mpmc.C) publishes them.
  static void write_bank(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
    Atomics::store(word, value, std::memory_order_relaxed);
  }
  static void write_evidence(std::atomic<std::uint64_t>& word, std::uint64_t value) noexcept {
    Atomics::store(word, value, std::memory_order_relaxed);
  }
  static void write_intent(std::atomic<std::uint64_t>& word, std::uint64_t value) noexcept {
    Atomics::store(word, value, std::memory_order_release);  // mpmc.C pairs with mpmc.D
  }
  static void write_finished(std::atomic<std::uint64_t>& word, std::uint64_t value) noexcept {
    Atomics::store(word, value, std::memory_order_release);  // mpmc.E pairs with mpmc.F
  }
  [[nodiscard]] static std::uint64_t read_intent(const std::atomic<std::uint64_t>& word) noexcept {
    return Atomics::load(word, std::memory_order_acquire);  // mpmc.D pairs with mpmc.C
  }
  [[nodiscard]] static std::uint64_t read_finished(
      const std::atomic<std::uint64_t>& word) noexcept {
    return Atomics::load(word, std::memory_order_acquire);  // mpmc.F pairs with mpmc.E
  }
  // relaxed, the two below: the intent was read before them (mpmc.D).
  [[nodiscard]] static std::uint32_t read_bank(const std::atomic<std::uint32_t>& word) noexcept {
    return Atomics::load(word, std::memory_order_relaxed);
  }
  [[nodiscard]] static std::uint64_t read_evidence(
      const std::atomic<std::uint64_t>& word) noexcept {
    return Atomics::load(word, std::memory_order_relaxed);
  }
  // The bytes of a buffer that is the caller's own just now.
  static void copy_in(void* buffer, const void* own, std::size_t size_bytes) noexcept {
    Atomics::copy_in(buffer, own, size_bytes);
  }
  static void copy_out(void* own, const void* buffer, std::size_t size_bytes) noexcept {
    Atomics::copy_out(own, buffer, size_bytes);
  }
};

using MpmcMemory = BasicMpmcMemory<StdAtomics>;

}  // namespace slipring
