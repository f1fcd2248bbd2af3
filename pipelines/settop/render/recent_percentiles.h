// Percentiles of the last few hundred measurements: what is, not what was since the start.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace slipring::settop {

// One thread at a time.  Allocates nothing.
class RecentPercentiles {
 public:
  void add(std::uint64_t value) noexcept {
    values_[next_] = value;
    next_ = (next_ + 1) % kCapacity;
    count_ = std::min(count_ + 1, kCapacity);
  }

  // The smallest value that at least `percent` of a hundred do not exceed; 0 when there is none.
  // Requires: percent <= 100.
  [[nodiscard]] std::uint64_t at(std::size_t percent) const noexcept {
    if (count_ == 0) return 0;
    std::array<std::uint64_t, kCapacity> sorted = values_;
    const std::size_t rank = std::max<std::size_t>((count_ * percent + 99) / 100, 1) - 1;
    const auto first = sorted.begin();
    std::nth_element(first, first + static_cast<std::ptrdiff_t>(rank),
                     first + static_cast<std::ptrdiff_t>(count_));
    return sorted[rank];
  }

  void clear() noexcept { count_ = next_ = 0; }

 private:
  static constexpr std::size_t kCapacity = 512;

  std::array<std::uint64_t, kCapacity> values_{};
  std::size_t next_ = 0;
  std::size_t count_ = 0;
};

}  // namespace slipring::settop
