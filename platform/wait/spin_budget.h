// How long to spin before sleeping, learned from the waits so far.
//
// The typical wait is a moving average, an eighth of the way with each wait.  While it is short,
// twice of it is spun; once it is long, spinning is only burning: a few looks, and the processor is
// given away.  Since a wait that was slept through looks long even if it was short (waking takes
// tens of microseconds), a full spin is tried again now and then, and what it finds counts at once.
//
// Cost of being wrong: idle, a full spin (kWorthSpinningNs) every kWaitsPerTrial waits.
#pragma once

#include <algorithm>
#include <cstdint>

namespace slipring {

// Not thread-safe: part of one thread's waiter.
class SpinBudget {
 public:
  static constexpr std::uint64_t kWorthSpinningNs = 50'000;
  static constexpr std::uint32_t kLooksMin = 16;
  static constexpr std::uint32_t kWaitsPerTrial = 32;

  explicit SpinBudget(std::uint32_t looks_max) noexcept : looks_max_(looks_max) {}

  // Looks that the typical wait deserves.
  [[nodiscard]] std::uint32_t looks() const noexcept {
    if (typical_ns_ > kWorthSpinningNs) return std::min(kLooksMin, looks_max_);
    return limited(2 * typical_ns_ / look_ns_ + kLooksMin);
  }

  // As looks(), for a wait that begins; in long waits a trial from time to time.
  [[nodiscard]] std::uint32_t begin() noexcept {
    if (typical_ns_ <= kWorthSpinningNs || ++waits_since_trial_ < kWaitsPerTrial) return looks();
    waits_since_trial_ = 0;
    return limited(kWorthSpinningNs / look_ns_ + kLooksMin);
  }

  // How long to linger in a wait that begins: a full spin's time while waits are short, and in long
  // waits once in a while.
  [[nodiscard]] std::uint64_t begin_lingering_ns() noexcept {
    if (typical_ns_ <= kWorthSpinningNs) return kWorthSpinningNs;
    if (++waits_since_trial_ < kWaitsPerTrial) return 0;
    waits_since_trial_ = 0;
    return kWorthSpinningNs;
  }

  // The wait ended while lingering, this long after it began.
  void found_after(std::uint64_t wait_ns) noexcept { found(std::min(wait_ns, kWorthSpinningNs)); }

  // The wait ended while spinning, at this look.
  void found_at(std::uint32_t look) noexcept { found(std::min(look * look_ns_, kWorthSpinningNs)); }

  // The wait ended after a sleep, this long after it began.
  void slept(std::uint64_t wait_ns) noexcept { learn(std::min(wait_ns, kLongNs)); }

  // So many looks took so long: what a look costs here, predicate included.
  void measured(std::uint32_t look_count, std::uint64_t duration_ns) noexcept {
    // A pre-emption in between says nothing about a look.
    const std::uint64_t seen_ns = std::min(duration_ns / look_count, 4 * look_ns_);
    look_ns_ = std::max<std::uint64_t>(1, part_of_the_way(look_ns_, seen_ns, 4));
  }

  [[nodiscard]] std::uint64_t typical_ns() const noexcept { return typical_ns_; }
  [[nodiscard]] bool is_spinning_worth() const noexcept { return typical_ns_ <= kWorthSpinningNs; }

 private:
  // Longer waits count as this, so that one of them is forgotten within a few short ones.
  static constexpr std::uint64_t kLongNs = 4 * kWorthSpinningNs;

  [[nodiscard]] std::uint32_t limited(std::uint64_t count) const noexcept {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(count, looks_max_));
  }
  // Rounded away from the old value, so that it does not stop short of the new one.
  [[nodiscard]] static std::uint64_t part_of_the_way(std::uint64_t from, std::uint64_t to,
                                                     std::uint64_t part) noexcept {
    return to >= from ? from + (to - from + part - 1) / part : from - (from - to + part - 1) / part;
  }
  void found(std::uint64_t wait_ns) noexcept {
    if (typical_ns_ > kWorthSpinningNs) {
      typical_ns_ = wait_ns;  // A trial paid.
    } else {
      learn(wait_ns);
    }
  }
  void learn(std::uint64_t wait_ns) noexcept {
    typical_ns_ = part_of_the_way(typical_ns_, wait_ns, 8);
  }

  std::uint32_t looks_max_;
  std::uint32_t waits_since_trial_ = 0;
  std::uint64_t look_ns_ = 30;
  std::uint64_t typical_ns_ = 2'000;
};

}  // namespace slipring
