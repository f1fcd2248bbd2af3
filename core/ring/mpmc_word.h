// The slot word of the rings that many produce into and many consume from, and its arithmetic.
//
// A word is {state, who, payload}, from the top.  state = 2 * lap + full, and every successful
// compare-and-swap adds exactly one to it, so it only grows (modulo its width).  who is the
// participant that wrote it, 0 for the creator; payload is the ring's own.  payload and who are as
// wide as the geometry asks, and state has all that is left, so that it wraps as late as it can.
//
// Position p lies in slot p % slot_count and is of lap p / slot_count:
//   pushed(p)  <=>  state >= 2 * lap(p) + 1        popped(p)  <=>  state >= 2 * lap(p) + 2
// Both stay true for ever.  Pushes are done in the order of positions, pops too, so that one word
// read now proves more than its own slot: all positions up to the last one pushed there have been
// pushed, and all up to the last one popped there have been popped.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/error/result.h"

namespace slipring {

inline constexpr std::uint64_t kMaxMpmcSlots = std::uint64_t{1} << 24;
inline constexpr std::uint32_t kMaxMpmcParticipants = 63;

// What a ring of this kind is: 32 bits of payload and 63 participants leave 26 bits of state, 16
// bits and 15 participants leave 44.
struct MpmcGeometry {
  std::uint64_t slot_count;         // a power of two, 1 to kMaxMpmcSlots: exactly what it holds
  std::uint32_t participant_count;  // 1 to kMaxMpmcParticipants; they are numbered from 1
  std::uint32_t payload_bits;       // 1 to 32
};

// Errors: kInvalidArgument with the offending value.
[[nodiscard]] inline Status mpmc_validate(const MpmcGeometry& geometry) noexcept {
  const std::uint64_t count = geometry.slot_count;
  if (count == 0 || count > kMaxMpmcSlots || (count & (count - 1)) != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "slot count is not a power of two from 1 to 2^24",
                 count, kMaxMpmcSlots};
  }
  if (geometry.participant_count == 0 || geometry.participant_count > kMaxMpmcParticipants) {
    return Error{ErrorCode::kInvalidArgument, 0, "participant count is not from 1 to 63",
                 geometry.participant_count, kMaxMpmcParticipants};
  }
  if (geometry.payload_bits == 0 || geometry.payload_bits > 32) {
    return Error{ErrorCode::kInvalidArgument, 0, "payload is not from 1 to 32 bits wide",
                 geometry.payload_bits, 32};
  }
  return {};
}

using MpmcSlot = std::atomic<std::uint64_t>;
static_assert(MpmcSlot::is_always_lock_free, "shared words must be address-free");
static_assert(sizeof(MpmcSlot) == 8);

// Which of the two steps of a position an operation does.
enum class MpmcRole : std::uint32_t { kProducer = 0, kConsumer = 1 };

// The arithmetic of one geometry.  States are kept where they stand in the word, at its top.
class MpmcShape {
 public:
  // Requires: a valid geometry.
  explicit MpmcShape(const MpmcGeometry& geometry) noexcept
      : index_mask_(geometry.slot_count - 1),
        index_bits_(static_cast<std::uint32_t>(std::countr_zero(geometry.slot_count))),
        payload_bits_(geometry.payload_bits),
        participant_count_(geometry.participant_count) {
    const auto who_bits = static_cast<std::uint32_t>(std::bit_width(participant_count_));
    who_mask_ = (std::uint64_t{1} << who_bits) - 1;
    state_shift_ = payload_bits_ + who_bits;
    // Positions stand in intents, which have room for so many bits.
    const std::uint32_t least_shift = 63 - kPositionBits + index_bits_;
    if (state_shift_ < least_shift) state_shift_ = least_shift;
    one_ = std::uint64_t{1} << state_shift_;
  }
  static constexpr std::uint32_t kPositionBits = 52;

  [[nodiscard]] std::uint64_t slot_count() const noexcept { return index_mask_ + 1; }
  [[nodiscard]] std::uint32_t participant_count() const noexcept { return participant_count_; }
  [[nodiscard]] std::uint64_t index_mask() const noexcept { return index_mask_; }
  [[nodiscard]] std::uint64_t index_of(std::uint64_t position) const noexcept {
    return position & index_mask_;
  }
  // Positions are counted modulo this many laps' worth.
  [[nodiscard]] std::uint64_t position_mask() const noexcept {
    return (std::uint64_t{1} << (63 - state_shift_ + index_bits_)) - 1;
  }
  // One step of the state.
  [[nodiscard]] std::uint64_t one() const noexcept { return one_; }
  [[nodiscard]] std::uint32_t state_bits() const noexcept { return 64 - state_shift_; }

  [[nodiscard]] std::uint32_t payload_of(std::uint64_t word) const noexcept {
    return static_cast<std::uint32_t>(word & ((std::uint64_t{1} << payload_bits_) - 1));
  }
  // Any value of the field, also of participants that do not exist: at most 63.
  [[nodiscard]] std::uint64_t who_of(std::uint64_t word) const noexcept {
    return (word >> payload_bits_) & who_mask_;
  }
  [[nodiscard]] bool fits(std::uint32_t payload) const noexcept {
    return (std::uint64_t{payload} >> payload_bits_) == 0;
  }

  // The state that the next operation of this role wants to find in the slot that follows `index`,
  // given a word just read from `index`.  The position there is proven: everything below is done.
  template <MpmcRole role>
  [[nodiscard]] std::uint64_t wanted_after(std::uint64_t word, std::uint64_t index) const noexcept {
    const std::uint64_t lap_mask = ~(2 * one_ - 1);
    const std::uint64_t wanted =
        role == MpmcRole::kProducer ? (word - one_) & lap_mask : (word & lap_mask) - one_;
    return index == index_mask_ ? wanted + 2 * one_ : wanted;
  }
  // How far a word's state is from the wanted one: 0 wanted, -1 full or empty, more done already.
  [[nodiscard]] std::int64_t distance(std::uint64_t word, std::uint64_t wanted) const noexcept {
    return static_cast<std::int64_t>(word - wanted) >> state_shift_;
  }
  [[nodiscard]] bool has_state(std::uint64_t word, std::uint64_t wanted) const noexcept {
    return (word ^ wanted) < one_;
  }
  // The word that follows one with the state `wanted`.
  [[nodiscard]] std::uint64_t next_word(std::uint64_t wanted, std::uint32_t who,
                                        std::uint32_t payload) const noexcept {
    return wanted + one_ + (std::uint64_t{who} << payload_bits_) + payload;
  }
  // What position an operation that finds `wanted` at `index` is at.
  [[nodiscard]] std::uint64_t position_of(std::uint64_t wanted,
                                          std::uint64_t index) const noexcept {
    return (wanted >> (state_shift_ + 1) << index_bits_) + index;
  }
  // The inverse of position_of().
  [[nodiscard]] std::uint64_t wanted_at(std::uint64_t position, MpmcRole role) const noexcept {
    const std::uint64_t state = (position >> index_bits_) * 2 + static_cast<std::uint32_t>(role);
    return state << state_shift_;
  }
  // The position whose operation left the slot as one that finds `wanted` at `index` sees it: the
  // push of the same position for a consumer, the pop of the lap before for a producer.
  [[nodiscard]] std::uint64_t left_by(std::uint64_t position, MpmcRole role) const noexcept {
    return (role == MpmcRole::kConsumer ? position : position - slot_count()) & position_mask();
  }

 private:
  std::uint64_t index_mask_;
  std::uint64_t one_ = 0;  // one step of the state
  std::uint64_t who_mask_ = 0;
  std::uint32_t state_shift_ = 0;
  std::uint32_t index_bits_;
  std::uint32_t payload_bits_;
  std::uint32_t participant_count_;
};

}  // namespace slipring
