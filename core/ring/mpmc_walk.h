// How a participant of a many-to-many ring finds the position where its next operation belongs, and
// how it tries it there.
//
// Rule.  A participant keeps no position, only an index.  Each call begins with a proof: the word
// of the slot before, read now, says which position follows it and that everything below is done.
// Then the slot itself is read:
//   state as wanted       the position is the ring's next: compare-and-swap here
//   one behind            full (for a consumer: empty), at the moment of this very read
//   ahead                 done already; this word is the proof for the slot after it
//   further behind        not possible, short of the hazard below: prove anew, then kCorruptPeer
// Long walks gallop: of the positions from p on the done ones come first, so that the first one
// not done is found by halving.  No call reads more than kMpmcMaxReads words to find its place.
//
// Hazard.  States are counted modulo 2^state_bits.  A participant that is stopped between reading
// the proof and its compare-and-swap (a few instructions), while the others push a multiple of
// 2^(state_bits-1) laps, to within the one lap in which that slot's state comes round, goes on as
// if nothing had happened: it answers full or empty wrongly, or, if the whole word is equal, its
// operation overtakes others.  A stop of any other length, or anywhere else, however long, is safe.
// With 1024 slots at 10 ns a message this needs a stop of a multiple of 23 minutes (32 bits of
// payload, 15 participants) or of 521 days (16 bits).
#pragma once

#include <cstdint>

#include "core/ring/mpmc_record.h"
#include "core/ring/mpmc_word.h"
#include "core/ring/transfer.h"

namespace slipring {

inline constexpr std::uint32_t kMpmcMaxReads = 1U << 16;

// Pauses of an end that has just caught up with the other side, before it looks once more and
// answers kBlocked.  More favour throughput, none the time to the answer; see set_pauses().
inline constexpr std::uint32_t kMpmcPauses = 16;

// A slot, what was read there, and the state that the operation wants to find there.
struct MpmcSpot {
  std::uint64_t index;
  std::uint64_t wanted;
  std::uint64_t word;
};

// One participant's place in the ring, and its attempts there.  One thread at a time.
template <typename Memory, MpmcRole role>
class MpmcWalk {
 public:
  // Goes on where the record's last intent stands, so that its evidence is kept.
  MpmcWalk(MpmcSlot* slots, MpmcRecord& record, std::uint32_t who, const MpmcShape& shape) noexcept
      : slots_(slots),
        record_(&record),
        shape_(shape),
        intent_(Memory::read_intent(record.intent)),
        replaced_(MpmcIntent::of(intent_).replaced),
        who_(who),
        bank_(MpmcIntent::of(intent_).bank) {
    // Intents of lives that die at one position differ in their bank only, so that the next but one
    // is word for word the last but one: if that one had been settled, this one must not seem so.
    const std::uint64_t finished = Memory::read_finished(record.finished);
    if (finished != 0 && finished != intent_) Memory::write_finished(record.finished, 0);
  }

  void set_pauses(std::uint32_t pause_count) noexcept { pause_count_ = pause_count; }
  [[nodiscard]] const MpmcShape& shape() const noexcept { return shape_; }

  // Finds the spot for the next operation.
  [[nodiscard]] Transfer find(MpmcSpot& spot) noexcept {
    const std::uint64_t last = (index_ - 1) & shape_.index_mask();
    const std::uint64_t proof = Memory::read_slot(slots_[last]);
    spot.index = index_;
    spot.wanted = shape_.template wanted_after<role>(proof, last);
    spot.word = Memory::read_slot(slots_[spot.index]);
    if (shape_.has_state(spot.word, spot.wanted)) [[likely]]
      return Transfer::kDone;
    return walk_and_look_again(spot);
  }

  // After a lost attempt: the spot's word is the one that won, and the walk goes on from it.  The
  // pause lets the winner, who has the line, get ahead.
  [[nodiscard]] Transfer find_after_loss(MpmcSpot& spot) noexcept {
    for (std::uint32_t i = 0; i < kPausesAfterLoss; ++i) Memory::pause();
    return walk(spot);
  }

  // Goes on from a spot that has been read.
  [[nodiscard, gnu::noinline]] Transfer walk(MpmcSpot& spot) noexcept {
    std::uint32_t strange_count = 0;
    for (std::uint32_t read_count = 0; read_count < kMpmcMaxReads; ++read_count) {
      const std::int64_t distance = shape_.distance(spot.word, spot.wanted);
      if (distance <= 0 && distance >= -1) {
        index_ = spot.index;
        return distance == 0 ? Transfer::kDone : Transfer::kBlocked;
      }
      if (distance < 0 && ++strange_count > kMaxStrange) break;
      spot = after(spot);
      if (read_count % kReadsBeforeGallop == kReadsBeforeGallop - 1) read_count += gallop(spot);
    }
    return Transfer::kCorruptPeer;
  }

  // The slot after one that is done; its word proves the position there.
  [[nodiscard]] MpmcSpot after(const MpmcSpot& spot) const noexcept {
    const std::uint64_t index = (spot.index + 1) & shape_.index_mask();
    return {index, shape_.template wanted_after<role>(spot.word, spot.index),
            Memory::read_slot(slots_[index])};
  }

  // Reads the slots that follow spots[0] as long as an operation could be done in each and all have
  // one writer, up to `most`.  Answers how many there are, the first included.
  [[nodiscard]] std::uint32_t run_of(MpmcSpot* spots, std::uint32_t most) const noexcept {
    const std::uint64_t who = shape_.who_of(spots[0].word);
    std::uint32_t count = 1;
    for (; count < most && count < shape_.slot_count(); ++count) {
      const MpmcSpot& last = spots[count - 1];
      const std::uint64_t index = (last.index + 1) & shape_.index_mask();
      // As it will be once the slots before are done.
      const std::uint64_t wanted =
          shape_.template wanted_after<role>(last.wanted + shape_.one(), last.index);
      spots[count] = {index, wanted, Memory::read_slot(slots_[index])};
      const std::uint64_t word = spots[count].word;
      if (!shape_.has_state(word, wanted) || shape_.who_of(word) != who) break;
    }
    return count;
  }

  // Stores what the bank of the next announce() holds.
  void put(std::uint32_t at, std::uint32_t payload) noexcept {
    Memory::write_bank(record_->banks[bank_ ^ 1U][at], payload);
  }
  // Exchanges the last attempt for one of `count` messages from this spot on, all of whose words
  // have one writer.
  void announce(const MpmcSpot& spot, std::uint32_t count) noexcept {
    const auto replaced = static_cast<std::uint32_t>(shape_.who_of(spot.word));
    if (replaced != replaced_) [[unlikely]] {
      Memory::write_evidence(record_->evidence[replaced_], intent_);
      replaced_ = replaced;
    }
    bank_ ^= 1U;
    const std::uint64_t position = shape_.position_of(spot.wanted, spot.index);
    intent_ = MpmcIntent{position, replaced, count, role, bank_}.word();
    Memory::write_intent(record_->intent, intent_);
  }
  // The message of the last announce() needs nothing more after a death.
  void finish() noexcept { Memory::write_finished(record_->finished, intent_); }

  // Tries the operation announced for this spot, leaving `payload` in the slot.
  [[nodiscard]] bool swap(MpmcSpot& spot, std::uint32_t payload) noexcept {
    if (!Memory::swap_slot(slots_[spot.index], spot.word,
                           shape_.next_word(spot.wanted, who_, payload)))
      return false;
    index_ = (spot.index + 1) & shape_.index_mask();
    return true;
  }

 private:
  static constexpr std::uint32_t kMaxStrange = 3;
  static constexpr std::uint32_t kPausesAfterLoss = 8;
  static constexpr std::uint32_t kReadsBeforeGallop = 16;

  // Who has just caught up with the other side pauses once and looks again: polling the very line
  // that the other side works on costs both a line transfer a message.
  [[nodiscard, gnu::noinline]] Transfer walk_and_look_again(MpmcSpot& spot) noexcept {
    const Transfer answer = walk(spot);
    if (answer != Transfer::kBlocked || index_ == blocked_index_) return answer;
    blocked_index_ = index_;
    if (pause_count_ == 0) return answer;
    for (std::uint32_t i = 0; i < pause_count_; ++i) Memory::pause();
    const std::uint64_t last = (index_ - 1) & shape_.index_mask();
    spot.wanted = shape_.template wanted_after<role>(Memory::read_slot(slots_[last]), last);
    spot.word = Memory::read_slot(slots_[spot.index]);
    return walk(spot);
  }

  [[nodiscard]] std::uint32_t gallop(MpmcSpot& spot) const noexcept {
    std::uint32_t read_count = 1;
    std::uint64_t low = shape_.position_of(spot.wanted, spot.index);  // all below are done
    for (std::uint64_t left = shape_.slot_count(); left > 0; ++read_count) {
      const std::uint64_t half = left / 2;
      const std::uint64_t probe = low + half;
      const std::uint64_t word = Memory::read_slot(slots_[shape_.index_of(probe)]);
      const bool is_done = shape_.distance(word, shape_.wanted_at(probe, role)) > 0;
      if (is_done) low = probe + 1;
      left = is_done ? left - half - 1 : half;
    }
    spot.index = shape_.index_of(low);
    spot.wanted = shape_.wanted_at(low, role);
    spot.word = Memory::read_slot(slots_[spot.index]);
    return read_count;
  }

  MpmcSlot* slots_;
  MpmcRecord* record_;
  MpmcShape shape_;
  std::uint64_t index_ = 0;                   // where the next operation is tried first
  std::uint64_t intent_ = 0;                  // what the record says
  std::uint64_t blocked_index_ = UINT64_MAX;  // where it last was full or empty
  std::uint32_t replaced_ = 0;                // whose word the intent names
  std::uint32_t who_;
  std::uint32_t bank_ = 0;  // the one that the intent names
  std::uint32_t pause_count_ = kMpmcPauses;
};

}  // namespace slipring
