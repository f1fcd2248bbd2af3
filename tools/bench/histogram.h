// Counts of durations in buckets that grow with them: 64 to a power of two, so that a percentile is
// exact to 1.6 % from a tick to the end of time.  The idea is HdrHistogram's (Tene); the code is
// not.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace slipring::bench {

class Histogram {
 public:
  static constexpr std::uint32_t kSubBits = 6;
  static constexpr std::size_t kBucketCount = (64 - kSubBits + 1) << kSubBits;

  Histogram() : counts_(kBucketCount, 0) {}

  void add(std::uint64_t value, std::uint64_t count = 1) noexcept {
    counts_[bucket_of(value)] += count;
    total_ += count;
    if (value > max_) max_ = value;
  }

  void merge(const Histogram& other) noexcept {
    for (std::size_t i = 0; i < kBucketCount; ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    if (other.max_ > max_) max_ = other.max_;
  }

  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
  [[nodiscard]] std::uint64_t max() const noexcept { return max_; }
  [[nodiscard]] std::uint64_t count_in(std::size_t bucket) const noexcept {
    return counts_[bucket];
  }

  // The value that the share `fraction` (0 to 1) of all do not exceed; the upper end of its bucket,
  // but never above max().  0 when nothing was added.
  [[nodiscard]] std::uint64_t percentile(double fraction) const noexcept {
    if (total_ == 0) return 0;
    const double wanted = fraction * static_cast<double>(total_);
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < kBucketCount; ++i) {
      below += counts_[i];
      if (counts_[i] != 0 && static_cast<double>(below) >= wanted) {
        const std::uint64_t upper = upper_of(i);
        return upper < max_ ? upper : max_;
      }
    }
    return max_;
  }

  // Small values have a bucket each; then kSubBits bits below the highest one decide.
  [[nodiscard]] static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
    constexpr std::uint64_t kSmall = std::uint64_t{1} << kSubBits;
    if (value < kSmall) return static_cast<std::size_t>(value);
    const auto shift = static_cast<std::uint32_t>(std::bit_width(value)) - kSubBits - 1;
    return (static_cast<std::size_t>(shift + 1) << kSubBits) +
           static_cast<std::size_t>((value >> shift) - kSmall);
  }

  // The largest value of a bucket.
  [[nodiscard]] static constexpr std::uint64_t upper_of(std::size_t bucket) noexcept {
    constexpr std::uint64_t kSmall = std::uint64_t{1} << kSubBits;
    if (bucket < kSmall) return bucket;
    const auto shift = static_cast<std::uint32_t>(bucket >> kSubBits) - 1;
    const std::uint64_t first = (kSmall + (bucket & (kSmall - 1))) << shift;
    return first + ((std::uint64_t{1} << shift) - 1);
  }

 private:
  std::vector<std::uint64_t> counts_;
  std::uint64_t total_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace slipring::bench
