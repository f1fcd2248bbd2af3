// Stands between an end and shared memory: counts the accesses of a call, and at one of them,
// chosen by the input, lets the peer store once more.  So a word that is read twice in one call can
// be two words, and a call that does not end is seen without a clock.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "core/cpu/atomics.h"
#include "tests/fuzz/fuzz_target.h"

namespace slipring::fuzz {

// What a hostile peer stores, and where.
struct Store {
  std::atomic<std::uint64_t>* word = nullptr;
  std::uint64_t value = 0;

  void happen() const noexcept { word->store(value, std::memory_order_relaxed); }
};

struct AccessScript {
  std::uint64_t count = 0;
  std::uint64_t most = UINT64_MAX;
  std::uint64_t store_at = UINT64_MAX;
  Store store;
  Tally* tally = nullptr;

  void access() noexcept {
    if (count == store_at) store.happen();
    if (++count <= most) [[likely]]
      return;
    tally->broken = "a call looks at more than the ring holds";
    std::abort();
  }
  // Before a call: nothing happens in it, but it may take no more than `most_accesses`.
  void begin(Tally& counted, std::uint64_t most_accesses) noexcept {
    *this = {};
    most = most_accesses;
    tally = &counted;
  }
};

// One call at a time, and one thread.
inline AccessScript access_script;

// StdAtomics, by the script.
struct FuzzAtomics : StdAtomics {
  template <typename T>
  [[nodiscard]] static T load(const std::atomic<T>& word, std::memory_order order) noexcept {
    access_script.access();
    return StdAtomics::load(word, order);
  }
  template <typename T>
  static void store(std::atomic<T>& word, std::type_identity_t<T> value,
                    std::memory_order order) noexcept {
    access_script.access();
    StdAtomics::store(word, value, order);
  }
  template <typename T>
  static T exchange(std::atomic<T>& word, std::type_identity_t<T> value,
                    std::memory_order order) noexcept {
    access_script.access();
    return StdAtomics::exchange(word, value, order);
  }
  template <typename T>
  [[nodiscard]] static bool compare_exchange(std::atomic<T>& word, std::type_identity_t<T>& seen,
                                             std::type_identity_t<T> next, std::memory_order done,
                                             std::memory_order failed) noexcept {
    access_script.access();
    return StdAtomics::compare_exchange(word, seen, next, done, failed);
  }
  static void pause() noexcept {}
};

}  // namespace slipring::fuzz
