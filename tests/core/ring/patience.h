// Bounded retries: a ring that loses a message, a wake-up or a credit fails a test instead of
// hanging it.
#pragma once

#include <chrono>
#include <cstdint>
#include <thread>

#include "core/cpu/relax.h"

namespace slipring {

class Patience {
 public:
  explicit Patience(std::uint64_t tries_a_yield = 256) : tries_a_yield_(tries_a_yield) {}

  // False when nothing has moved for a minute.
  [[nodiscard]] bool wait() {
    relax();
    if (++spin_count_ % tries_a_yield_ == 0) std::this_thread::yield();
    if (spin_count_ % 65536 != 0) return true;
    return std::chrono::steady_clock::now() < deadline_;
  }
  void moved() {
    if (spin_count_ != 0) *this = Patience(tries_a_yield_);
  }

 private:
  std::uint64_t tries_a_yield_;
  std::uint64_t spin_count_ = 0;
  std::chrono::steady_clock::time_point deadline_ =
      std::chrono::steady_clock::now() + std::chrono::minutes(1);
};

}  // namespace slipring
