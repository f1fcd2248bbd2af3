// The policy of core/cpu/atomics.h on Relacy, a checker by another hand: a second opinion on the
// orders.  A word or a plain place is known by its address, which the test names to
// RelacyMemory before each iteration.
//
// Plain places are known by their first address: a scene moves them whole.  Use rl:: names only;
// relacy_std.hpp does not compile with this compiler.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "core/ring/byte_stream.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"

// Relacy puts macros over names of the language and of the standard: it comes last, and they go.
#include <relacy/relacy.hpp>
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free

namespace slipring::model {

// A member of the test suite: Relacy makes and ends its objects with each iteration.
class RelacyMemory {
 public:
  RelacyMemory() { current_ = this; }
  static RelacyMemory& current() { return *current_; }

  // Before the threads of an iteration run: all that they will touch.
  void know_word(const void* place) {
    word_places_[word_count_] = place;
    words_[word_count_++].store(0, rl::mo_relaxed, $);
  }
  void know_place(const void* place) {
    plain_places_[plain_count_] = place;
    plain_[plain_count_++]($) = std::uint64_t{0};
  }
  [[nodiscard]] rl::atomic<std::uint64_t>& word(const void* place) {
    return words_[number_of(word_places_, place)];
  }
  [[nodiscard]] rl::var<std::uint64_t>& place(const void* place) {
    return plain_[number_of(plain_places_, place)];
  }

 private:
  static constexpr std::size_t kMost = 16;
  using Places = std::array<const void*, kMost>;
  static std::size_t number_of(const Places& places, const void* place) {
    std::size_t i = 0;
    while (i + 1 < kMost && places[i] != place) ++i;
    RL_ASSERT(places[i] == place);
    return i;
  }

  static inline RelacyMemory* current_ = nullptr;
  rl::atomic<std::uint64_t> words_[kMost];
  rl::var<std::uint64_t> plain_[kMost];
  Places word_places_{};
  Places plain_places_{};
  std::size_t word_count_ = 0;
  std::size_t plain_count_ = 0;
};

struct RelacyAtomics {
  // A planted mistake: every release is relaxed.
  static inline bool is_planted = false;

  template <typename T>
  [[nodiscard]] static T load(const std::atomic<T>& word, std::memory_order order) noexcept {
    return static_cast<T>(RelacyMemory::current().word(&word).load(order_of(order), $));
  }
  template <typename T>
  static void store(std::atomic<T>& word, std::type_identity_t<T> value,
                    std::memory_order order) noexcept {
    const bool is_weak = is_planted && order == std::memory_order_release;
    RelacyMemory::current().word(&word).store(value, is_weak ? rl::mo_relaxed : order_of(order), $);
  }
  static void fence(std::memory_order order) noexcept {
    rl::atomic_thread_fence(order_of(order), $);
  }

  template <typename T>
  static void read_into(T& own, const T& place) noexcept {
    own = read(place);
  }
  template <typename T>
  [[nodiscard]] static T read(const T& place) noexcept {
    static_assert(sizeof(T) == sizeof(std::uint64_t));
    const std::uint64_t bits = RelacyMemory::current().place(&place)($);
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  template <typename T>
  static void write(T& place, const T& value) noexcept {
    static_assert(sizeof(T) == sizeof(std::uint64_t));
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    RelacyMemory::current().place (&place)($) = bits;
  }
  static void pause() noexcept {}

 private:
  [[nodiscard]] static rl::memory_order order_of(std::memory_order order) noexcept {
    switch (order) {
      case std::memory_order_acquire:
        return rl::mo_acquire;
      case std::memory_order_release:
        return rl::mo_release;
      case std::memory_order_acq_rel:
        return rl::mo_acq_rel;
      case std::memory_order_seq_cst:
        return rl::mo_seq_cst;
      default:
        return rl::mo_relaxed;
    }
  }
};

}  // namespace slipring::model
