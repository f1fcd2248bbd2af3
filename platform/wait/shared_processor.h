// Does another thread want the processor that a waiting thread spins on?
//
// Spinning there keeps it, and it may be the waker.  The count of allowed processors does not tell:
// a thread pinned to a processor of its own has one, too, and should spin.  What tells is how long
// a yield takes: the scheduler comes back at once when nobody else wants to run.
#pragma once

#include <cstdint>

namespace slipring {

// Not thread-safe: part of one thread's waiter.
class SharedProcessor {
 public:
  // A yield that nobody used is a system call; one that somebody did takes two switches at least.
  static constexpr std::uint64_t kUsedNs = 2'000;

  explicit SharedProcessor(bool is_the_only_one) noexcept : is_the_only_one_(is_the_only_one) {}

  // Several used yields in a row, more or less: a single one may be an interrupt.
  [[nodiscard]] bool is_wanted() const noexcept {
    return is_the_only_one_ || score_ >= kScoreMax / 2;
  }

  void yielded_for(std::uint64_t duration_ns) noexcept {
    if (duration_ns >= kUsedNs) {
      if (score_ < kScoreMax) ++score_;
    } else if (score_ > 0) {
      --score_;
    }
  }

 private:
  static constexpr std::uint32_t kScoreMax = 8;

  bool is_the_only_one_;
  std::uint32_t score_ = 0;
};

}  // namespace slipring
