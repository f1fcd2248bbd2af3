// Random walks over a ring of one producer and one consumer, against ring_oracle.h.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <random>

#include "tests/core/ring/ring_oracle.h"

namespace slipring {

// One walk.  `Walk`, which derives from it, has an operation each: push(), peek(), release(),
// abort(), producer_dies(), consumer_dies(); and does what is its ring's alone by hiding
// step_otherwise().
template <typename Walk>
class RingWalk {
 public:
  explicit RingWalk(std::uint64_t seed) : random_(seed) {}

  void step() {
    Walk& walk = static_cast<Walk&>(*this);
    const std::uint64_t which = random_() % 16;
    if (walk.step_otherwise(which)) return;
    if (which < 6) return walk.push();
    if (which < 10) return walk.peek();
    if (which < 13) return walk.release();
    if (which == 13 && random_() % 8 == 0) walk.abort();
    if (which == 14 && random_() % 4 == 0) walk.producer_dies();
    if (which == 15 && random_() % 4 == 0) walk.consumer_dies();
  }
  // Of steps 0 to 15, 0 to 5 push, 6 to 9 peek, 10 to 12 release, the rest is rare: whether it was
  // another operation's.
  bool step_otherwise(std::uint64_t) { return false; }
  [[nodiscard]] const Oracle& oracle() const { return oracle_; }

 protected:
  std::mt19937_64 random_;
  Oracle oracle_;
};

// What many walks came to, each from another seed.
class WalkTally {
 public:
  template <typename Walk, typename Geometry>
  void walk(const Geometry& geometry) {
    const std::uint64_t seed = ++seed_;
    CAPTURE(seed);
    Walk walk(seed, geometry);
    for (int i = 0; i < kStepCount; ++i) walk.step();
    delivered_count_ += walk.oracle().delivered_count;
    blocked_count_ += walk.oracle().blocked_count;
    death_count_ += walk.oracle().death_count;
  }

  // Of so many steps one at least delivered a message, and nothing was rare.
  void check_busy(std::uint64_t steps_per_delivery) const {
    const std::uint64_t step_count = seed_ * kStepCount;
    MESSAGE("steps ", step_count, ", delivered ", delivered_count_, ", blocked ", blocked_count_,
            ", deaths ", death_count_);
    CHECK(delivered_count_ > step_count / steps_per_delivery);
    CHECK(blocked_count_ > 1000);
    CHECK(death_count_ > 1000);
  }

 private:
  std::uint64_t seed_ = 0;
  std::uint64_t delivered_count_ = 0;
  std::uint64_t blocked_count_ = 0;
  std::uint64_t death_count_ = 0;
};

}  // namespace slipring
