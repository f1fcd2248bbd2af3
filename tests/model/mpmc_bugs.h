// Rules for finding a place in a many-to-many ring that are wrong, in the place of the true one:
// the counterexamples that the rules were found by.  Of those, hints that are stored before the
// swap and sizes that are told from two hints have no place here: the ring has no hints.
#pragma once

#include <cstdint>

#include "core/ring/mpmc_walk.h"
#include "tests/model/mpmc_play.h"

namespace slipring {
namespace model {

enum class MpmcBug : std::uint8_t {
  kAdoptLap,     // goes on with whatever lap the slot is in
  kOtherIsFull,  // what is not the expected state is full, or empty
  kAnyEmpty,     // an empty slot is an empty ring, of whatever lap it is
};

template <MpmcBug bug>
struct BuggyMemory : WitnessedMemory {};

}  // namespace model

// Keeps a position of its own, from 0 on, and proves nothing.
template <model::MpmcBug bug, MpmcRole role>
class MpmcWalk<model::BuggyMemory<bug>, role> : public MpmcWalk<model::WitnessedMemory, role> {
  using Base = MpmcWalk<model::WitnessedMemory, role>;

 public:
  MpmcWalk(MpmcSlot* slots, MpmcRecord& record, std::uint32_t who, const MpmcShape& shape) noexcept
      : Base(slots, record, who, shape), slots_(slots) {}

  [[nodiscard]] Transfer find(MpmcSpot& spot) noexcept {
    const MpmcShape& shape = this->shape();
    for (;; ++position_) {
      spot.index = shape.index_of(position_);
      spot.wanted = shape.wanted_at(position_, role);
      spot.word = model::WitnessedMemory::read_slot(slots_[spot.index]);
      const std::int64_t distance = shape.distance(spot.word, spot.wanted);
      if (distance == 0) return Transfer::kDone;
      if (distance < 0 || bug == model::MpmcBug::kOtherIsFull) return Transfer::kBlocked;
      if (bug == model::MpmcBug::kAdoptLap && distance % 2 == 0) {
        spot.wanted += static_cast<std::uint64_t>(distance) * shape.one();
        return Transfer::kDone;
      }
      const bool is_empty = (spot.word & shape.one()) == 0;
      if (bug == model::MpmcBug::kAnyEmpty && role == MpmcRole::kConsumer && is_empty) {
        return Transfer::kBlocked;
      }
    }
  }
  [[nodiscard]] Transfer find_after_loss(MpmcSpot& spot) noexcept { return find(spot); }

 private:
  MpmcSlot* slots_;
  std::uint64_t position_ = 0;
};

}  // namespace slipring
