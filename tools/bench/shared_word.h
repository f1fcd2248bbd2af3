// One 64-bit word by which the two sides of a measurement tell each other where they are.
//
// Ordering.  bench.A -> bench.B  who reads a word sees all that its writer did before storing it.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/cpu/cache_line.h"

namespace slipring::bench {

// Without a line of its own, for a word that travels with what stands beside it.
class BareWord {
 public:
  void publish(std::uint64_t value) noexcept {
    word_.store(value, std::memory_order_release);  // bench.A pairs with bench.B
  }
  [[nodiscard]] std::uint64_t look() const noexcept {
    return word_.load(std::memory_order_acquire);  // bench.B pairs with bench.A
  }
  // Answers the value before.
  std::uint64_t add(std::uint64_t amount) noexcept {
    // bench.A pairs with bench.B, and the other way round: counting is both.
    return word_.fetch_add(amount, std::memory_order_acq_rel);
  }

 private:
  std::atomic<std::uint64_t> word_{0};
};

class alignas(kAbiLineBytes) SharedWord : public BareWord {};

}  // namespace slipring::bench
