// Which places of a broadcast link a writer looks at after a message: those that somebody has held.
//
// Readers take the lowest place that is free (broadcast_receiver.h), so that those which were ever
// held lie at the bottom, but for the moment in which a newcomer has a place and has not said so
// yet.  A word of each place's page says so from its first holder on, and stays: `incarnation`.
//
//   writer                                  reader of place p
//   publish                                 used[p] = 1
//   D  full fence, or only a compiler       used[q] read != 0 for each q < p, or it is deaf
//      barrier if registered                armed[p] = odd; B  full fence, membarrier
//   while used[n] != 0: ++n                 look; nothing there, and not deaf: sleep
//   look at armed[0] to armed[n - 1]
//
// No wake-up is lost.  D and B are those of platform/wait/doorbell.h: the reader sees the message,
// or the writer's looks behind D see what the reader had stored before B, and what it had read
// there: its arming, and each used[q] up to its own; so they come as far as p.  A reader that finds
// a gap below itself is deaf: it says so in its WaitPoint, and sleeps for moments only.
//
// Crash.  A newcomer that dies before it says that it is there leaves a gap that the next one fills
// (it takes the lowest); until then readers above it are deaf.  So is one that was made to resume a
// place which nobody had held, above others such.  A writer's successor counts anew.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/cpu/atomics.h"

namespace slipring {

// The writer's count.  `word_of(place)` answers the place's word, a const std::atomic<uint32_t>&.
// One thread.
template <typename Atomics>
class BasicUsedPlaces {
 public:
  // Places from 0 up to this one are to be looked at.  Requires: D lies behind the publication, and
  // before this call; the same `place_count` each time.
  template <typename WordOf>
  [[nodiscard]] std::uint32_t count(std::uint32_t place_count, const WordOf& word_of) noexcept {
    // relaxed: D orders it, as it does the looks at the armings.
    while (count_ < place_count && Atomics::load(word_of(count_), std::memory_order_relaxed) != 0) {
      ++count_;
    }
    return count_;
  }

 private:
  std::uint32_t count_ = 0;
};

using UsedPlaces = BasicUsedPlaces<StdAtomics>;

// The reader's half: whether every place below `place` has been held, so that the writer's look
// comes as far as ours.  Once true it stays so.  Requires: B follows.
template <typename Atomics, typename WordOf>
[[nodiscard]] bool all_used_below(std::uint32_t place, const WordOf& word_of) noexcept {
  for (std::uint32_t below = 0; below < place; ++below) {
    // relaxed: B orders it, and with it what it read.
    if (Atomics::load(word_of(below), std::memory_order_relaxed) == 0) return false;
  }
  return true;
}

}  // namespace slipring
