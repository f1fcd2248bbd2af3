// Stands between an end and shared memory where the end lets it: counts the accesses of a call, and
// at one of them, chosen by the input, lets the peer store once more.  So a word that is read twice
// in one call can be two words, and a call that does not end is seen without a clock.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "tests/fuzz/fuzz_target.h"

namespace slipring::fuzz {

struct AccessScript {
  std::uint64_t count = 0;
  std::uint64_t most = UINT64_MAX;
  std::uint64_t store_at = UINT64_MAX;
  std::atomic<std::uint64_t>* word = nullptr;
  std::uint64_t value = 0;
  Tally* tally = nullptr;

  void access() noexcept {
    if (count == store_at) word->store(value, std::memory_order_relaxed);
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

}  // namespace slipring::fuzz
