// What a dead participant of a many-to-many ring had done: decided from its intent, the slot that
// it names, and the evidence in the others' records.
//
// Rule.  An intent's operation at position p happened if slot p still shows it, or if somebody's
// evidence says that the participant's word had been there: whoever replaced it said so before.
// Otherwise it did not happen.  The slot is read before the evidence, and of each participant the
// intent before the table, so that a word seen gone makes its evidence visible.  The operations of
// one intent are done in order; those that happened are the first ones.
//
// Crash.  Judging writes nothing and comes to the same answer however often it is done and whatever
// the living do meanwhile, so a reaper may die anywhere.  Who judges holds the certificate of
// death.
#pragma once

#include <cstdint>

#include "core/error/result.h"
#include "core/ring/mpmc_record.h"
#include "core/ring/mpmc_word.h"

namespace slipring {

struct MpmcVerdict {
  MpmcIntent intent;               // meaningful when count is not 0
  std::uint32_t count = 0;         // operations of the intent; 0: there never was one
  std::uint32_t happened = 0;      // of these, from the first on
  bool is_finished = true;         // the record says that nothing is left to do
  std::uint32_t bank[kMpmcBatch];  // what the intent's bank holds
};

namespace mpmc_detail {

// How many of the intent's operations a piece of evidence proves.
[[nodiscard]] inline std::uint32_t proven_by(std::uint64_t evidence, const MpmcIntent& intent,
                                             const MpmcShape& shape) noexcept {
  const MpmcIntent seen = MpmcIntent::of(evidence);
  if (evidence == 0 || seen.role == intent.role) return 0;
  std::uint32_t proven = 0;
  for (std::uint32_t i = 0; i < seen.count; ++i) {
    const std::uint64_t left = shape.left_by(seen.position + i, seen.role);
    const std::uint64_t offset = (left - intent.position) & shape.position_mask();
    if (offset < intent.count && offset >= proven) proven = static_cast<std::uint32_t>(offset) + 1;
  }
  return proven;
}

}  // namespace mpmc_detail

// Requires: `dead` is from 1 to the participant count and holds no living end.  Any thread.
// Errors: kCorruptPeer when its record is not one that this code writes.
template <typename Memory = MpmcMemory>
[[nodiscard]] Result<MpmcVerdict> mpmc_judge(const MpmcSlot* slots, const MpmcRecord* records,
                                             std::uint32_t dead, const MpmcShape& shape) noexcept {
  const MpmcRecord& record = records[dead - 1];
  const std::uint64_t word = Memory::read_intent(record.intent);
  MpmcVerdict verdict{};
  if (word == 0) return verdict;
  const MpmcIntent intent = MpmcIntent::of(word);
  if ((word & 1) == 0 || intent.position > shape.position_mask() ||
      intent.count > shape.slot_count()) {
    return Error{ErrorCode::kCorruptPeer, 0, "a participant's intent is impossible", word, 0};
  }
  verdict.intent = intent;
  verdict.count = intent.count;
  verdict.is_finished = Memory::read_finished(record.finished) == word;
  for (std::uint32_t i = 0; i < intent.count; ++i) {
    verdict.bank[i] = Memory::read_bank(record.banks[intent.bank][i]);
    const std::uint64_t position = (intent.position + i) & shape.position_mask();
    const std::uint64_t now = Memory::read_slot(slots[shape.index_of(position)]);
    const bool is_its_own = shape.who_of(now) == dead;
    if (is_its_own && shape.distance(now, shape.wanted_at(position, intent.role)) == 1) {
      verdict.happened = i + 1;
    }
  }
  verdict.bank[1] = Memory::read_bank(record.banks[intent.bank][1]);  // an exchange uses two
  for (std::uint32_t i = 0; i < shape.participant_count(); ++i) {
    const std::uint64_t other = Memory::read_intent(records[i].intent);
    const std::uint64_t older = Memory::read_evidence(records[i].evidence[dead]);
    std::uint32_t proven = mpmc_detail::proven_by(older, intent, shape);
    if (MpmcIntent::of(other).replaced == dead) {
      const std::uint32_t now = mpmc_detail::proven_by(other, intent, shape);
      if (now > proven) proven = now;
    }
    if (proven > verdict.happened) verdict.happened = proven;
  }
  return verdict;
}

// Whether participant `who` may be attached in `role`, and what its predecessor left.
// Errors: kInvalidArgument; kBusy when it popped in the other role and has not finished;
// kCorruptPeer as mpmc_judge().
template <typename Memory = MpmcMemory>
[[nodiscard]] Result<MpmcVerdict> mpmc_take_over(const MpmcSlot* slots, const MpmcRecord* records,
                                                 std::uint32_t who, MpmcRole role,
                                                 const MpmcGeometry& geometry) noexcept {
  if (Status valid = mpmc_validate(geometry); !valid) return valid.error();
  if (who == 0 || who > geometry.participant_count) {
    return Error{ErrorCode::kInvalidArgument, 0, "no such participant", who,
                 geometry.participant_count};
  }
  Result<MpmcVerdict> verdict = mpmc_judge<Memory>(slots, records, who, MpmcShape(geometry));
  if (!verdict) return verdict.error();
  const bool holds = verdict->count != 0 && verdict->intent.role == MpmcRole::kConsumer &&
                     verdict->happened != 0 && !verdict->is_finished;
  if (holds && role != MpmcRole::kConsumer) {
    return Error{ErrorCode::kBusy, 0, "the participant has popped what is not finished", who, 0};
  }
  return *verdict;
}

}  // namespace slipring
