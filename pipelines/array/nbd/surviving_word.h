// One word in memory that outlives the process, which makes everything written before it count.
//
// A process may be killed between any two instructions; what it stored up to there is in memory
// before its successor starts.  So the order of stores in the program is all that matters, and it
// is the compiler that must keep it, on both sides of the word.
#pragma once

#include <atomic>

namespace slipring::array {

// Memory ordering: whoever sees the value sees what was stored before it, and nothing that is
// stored after it was stored without it.
template <typename Word>
void settle(std::atomic<Word>& word, Word value) noexcept {
  word.store(value, std::memory_order_release);  // survive.A pairs with survive.B
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

template <typename Word>
[[nodiscard]] Word settled(const std::atomic<Word>& word) noexcept {
  return word.load(std::memory_order_acquire);  // survive.B pairs with survive.A
}

}  // namespace slipring::array
