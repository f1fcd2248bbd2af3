// Any number of producers and consumers, messages of up to 32 bits, in one order for all.
//
// Protocol.  The message, usually the handle of a pool's buffer, stands in the slot word itself
// beside the state (mpmc_word.h), so that one compare-and-swap is the whole of a push or a pop.
// There are no shared counters: where to go next is read from the slots (mpmc_walk.h).  Messages
// leave in the order in which they came, over all participants.
//
// Invariants.  pops <= pushes <= pops + slot_count; a slot's state only grows, by one each time.
// kBlocked is exact: at a moment within the call the ring was full, or empty.
//
// Stop.  No state "claimed and not written" exists.  A participant that is stopped, at whatever
// instruction and for however long, delays nobody; the one hazard is stated in mpmc_walk.h.
//
// Crash.  A dead producer's message is in the ring or is not; mpmc_recover() says which.  A
// consumer holds what it popped until its next call or finish(); what a dead one held is given to
// the next consumer attached under its number, marked `redelivered`, or to whoever asks
// mpmc_recover() and then settles it.  mpmc_record.h says what is written down for this,
// mpmc_recovery.h how it is read.  All participants write all slots: for parties that trust each
// other.
//
// Ordering.  mpmc.A -> mpmc.B  a slot: who sees the word sees what its writer did before, the
//                              message's buffer and the evidence included.
//            mpmc.C -> mpmc.D  an intent: who sees it sees its bank and the evidence before it.
//            mpmc.E -> mpmc.F  finished: who sees it sees the consumer done with the message.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error/check.h"
#include "core/error/result.h"
#include "core/ring/mpmc_record.h"
#include "core/ring/mpmc_recovery.h"
#include "core/ring/mpmc_walk.h"
#include "core/ring/mpmc_word.h"
#include "core/ring/transfer.h"

namespace slipring {

// The memory of a ring: zero when the first participant attaches; the slots on a line of their own.
// It must outlive the ends.
struct MpmcShared {
  MpmcSlot* slots;      // slot_count of them
  MpmcRecord* records;  // participant_count of them; participant n writes records[n - 1]
};

[[nodiscard]] constexpr std::uint64_t mpmc_slots_bytes(const MpmcGeometry& geometry) noexcept {
  return geometry.slot_count * sizeof(MpmcSlot);
}
[[nodiscard]] constexpr std::uint64_t mpmc_records_bytes(const MpmcGeometry& geometry) noexcept {
  return geometry.participant_count * sizeof(MpmcRecord);
}

// A producing end.  One thread at a time.
template <typename Memory>
class BasicMpmcProducer {
 public:
  // Attaches as participant `who`.  The caller holds that number (certificate of death of a
  // predecessor, or nobody had it); what the predecessor was about to push is forgotten, so ask
  // mpmc_recover() before.  Errors: those of mpmc_take_over().
  [[nodiscard]] static Result<BasicMpmcProducer> attach(const MpmcShared& shared, std::uint32_t who,
                                                        const MpmcGeometry& geometry) noexcept {
    const auto verdict =
        mpmc_take_over<Memory>(shared.slots, shared.records, who, MpmcRole::kProducer, geometry);
    if (!verdict) return verdict.error();
    return BasicMpmcProducer(shared, who, MpmcShape(geometry));
  }

  // Memory ordering: what the caller did before is visible to the consumer that pops the message.
  // Requires: the payload fits into payload_bits.
  [[nodiscard]] Transfer try_push(std::uint32_t payload) noexcept {
    check(walk_.shape().fits(payload), "a payload wider than the ring's");
    MpmcSpot spot;
    for (Transfer answer = walk_.find(spot);; answer = walk_.find_after_loss(spot)) {
      if (answer != Transfer::kDone) return answer;
      walk_.put(0, payload);
      walk_.announce(spot, 1);
      if (walk_.swap(spot, payload)) return Transfer::kDone;
    }
  }

  // Pushes as many of the payloads as there is room for, in order, though others' may come between.
  // Answers how many.
  std::size_t try_push_batch(std::span<const std::uint32_t> payloads) noexcept {
    std::size_t pushed = 0;
    while (pushed < payloads.size()) {
      const std::size_t more = push_run(payloads.subspan(pushed));
      if (more == 0) break;
      pushed += more;
    }
    return pushed;
  }

  // Whether a push would have found room just now.
  [[nodiscard]] bool has_space() noexcept {
    MpmcSpot spot;
    return walk_.find(spot) == Transfer::kDone;
  }
  void set_pauses(std::uint32_t pause_count) noexcept { walk_.set_pauses(pause_count); }

 private:
  BasicMpmcProducer(const MpmcShared& shared, std::uint32_t who, const MpmcShape& shape) noexcept
      : walk_(shared.slots, shared.records[who - 1], who, shape) {}

  // One intent's worth.
  [[nodiscard]] std::size_t push_run(std::span<const std::uint32_t> payloads) noexcept {
    const auto most =
        static_cast<std::uint32_t>(payloads.size() < kMpmcBatch ? payloads.size() : kMpmcBatch);
    for (std::uint32_t i = 0; i < most; ++i) {
      check(walk_.shape().fits(payloads[i]), "a payload wider than the ring's");
    }
    std::array<MpmcSpot, kMpmcBatch> spots;
    for (Transfer answer = walk_.find(spots[0]);; answer = walk_.find_after_loss(spots[0])) {
      if (answer != Transfer::kDone) return 0;
      const std::uint32_t count = walk_.run_of(spots.data(), most);
      for (std::uint32_t i = 0; i < count; ++i) walk_.put(i, payloads[i]);
      walk_.announce(spots[0], count);
      std::uint32_t done = 0;
      while (done < count && walk_.swap(spots[done], payloads[done])) ++done;
      if (done != 0) return done;
    }
  }

  MpmcWalk<Memory, MpmcRole::kProducer> walk_;
};

// A consuming end.  One thread at a time.
template <typename Memory>
class BasicMpmcConsumer {
 public:
  // Attaches as participant `who`, and takes over what a dead predecessor had not finished.
  // Errors: those of mpmc_take_over().
  [[nodiscard]] static Result<BasicMpmcConsumer> attach(const MpmcShared& shared, std::uint32_t who,
                                                        const MpmcGeometry& geometry) noexcept {
    const auto verdict =
        mpmc_take_over<Memory>(shared.slots, shared.records, who, MpmcRole::kConsumer, geometry);
    if (!verdict) return verdict.error();
    return BasicMpmcConsumer(shared, who, MpmcShape(geometry), verdict.value());
  }

  // The next message.  It is held, and redelivered should this process die, until the next call of
  // this function, or finish().  kBlocked: empty, and nothing is held any more.
  // Memory ordering: what its producer did before pushing is visible.
  [[nodiscard]] Transfer try_pop(std::uint32_t& payload) noexcept {
    if (again_next_ != again_count_) [[unlikely]] {
      payload = again_[again_next_++];
      redelivered_ = true;
      return Transfer::kDone;
    }
    MpmcSpot spot;
    for (Transfer answer = walk_.find(spot);; answer = walk_.find_after_loss(spot)) {
      if (answer != Transfer::kDone) [[unlikely]] {
        if (answer == Transfer::kBlocked) finish();
        return answer;
      }
      const std::uint32_t taken = walk_.shape().payload_of(spot.word);
      walk_.put(0, taken);
      walk_.announce(spot, 1);
      if (!walk_.swap(spot, taken)) continue;
      holds_ = true;
      redelivered_ = false;
      payload = taken;
      return Transfer::kDone;
    }
  }

  // Up to kMpmcBatch messages at once, held and finished together.  Answers how many.
  std::size_t try_pop_batch(std::span<std::uint32_t> payloads) noexcept {
    if (again_next_ != again_count_) {
      std::size_t count = 0;
      while (count < payloads.size() && again_next_ != again_count_) {
        payloads[count++] = again_[again_next_++];
      }
      redelivered_ = count != 0;
      return count;
    }
    if (payloads.empty()) return 0;
    const auto most =
        static_cast<std::uint32_t>(payloads.size() < kMpmcBatch ? payloads.size() : kMpmcBatch);
    std::array<MpmcSpot, kMpmcBatch> spots;
    for (Transfer answer = walk_.find(spots[0]);; answer = walk_.find_after_loss(spots[0])) {
      if (answer != Transfer::kDone) {
        if (answer == Transfer::kBlocked) finish();
        return 0;
      }
      const std::uint32_t done = pop_run(spots, walk_.run_of(spots.data(), most), payloads);
      if (done == 0) continue;
      holds_ = true;
      redelivered_ = false;
      return done;
    }
  }

  // The messages popped last need no redelivery.  With messages of a predecessor still to come it
  // does nothing: they are finished together.
  void finish() noexcept {
    if (!holds_ || again_next_ != again_count_) return;
    walk_.finish();
    holds_ = false;
  }

  // Whether the messages popped last had been given to a predecessor before.
  [[nodiscard]] bool redelivered() const noexcept { return redelivered_; }
  // Whether a pop would have found a message just now.
  [[nodiscard]] bool has_message() noexcept {
    MpmcSpot spot;
    return again_next_ != again_count_ || walk_.find(spot) == Transfer::kDone;
  }
  void set_pauses(std::uint32_t pause_count) noexcept { walk_.set_pauses(pause_count); }

 private:
  BasicMpmcConsumer(const MpmcShared& shared, std::uint32_t who, const MpmcShape& shape,
                    const MpmcVerdict& left) noexcept
      : walk_(shared.slots, shared.records[who - 1], who, shape) {
    if (left.count == 0 || left.intent.role != MpmcRole::kConsumer || left.is_finished) return;
    again_count_ = left.happened;
    holds_ = again_count_ != 0;
    for (std::uint32_t i = 0; i < again_count_; ++i) again_[i] = left.bank[i];
  }

  [[nodiscard]] std::uint32_t pop_run(std::array<MpmcSpot, kMpmcBatch>& spots, std::uint32_t count,
                                      std::span<std::uint32_t> payloads) noexcept {
    std::array<std::uint32_t, kMpmcBatch> taken{};
    for (std::uint32_t i = 0; i < count; ++i) {
      taken[i] = walk_.shape().payload_of(spots[i].word);
      walk_.put(i, taken[i]);
    }
    walk_.announce(spots[0], count);
    std::uint32_t done = 0;
    for (; done < count && walk_.swap(spots[done], taken[done]); ++done)
      payloads[done] = taken[done];
    return done;
  }

  MpmcWalk<Memory, MpmcRole::kConsumer> walk_;
  std::array<std::uint32_t, kMpmcBatch> again_{};  // of a dead predecessor
  std::uint32_t again_next_ = 0;
  std::uint32_t again_count_ = 0;
  bool holds_ = false;
  bool redelivered_ = false;
};

using MpmcProducer = BasicMpmcProducer<MpmcMemory>;
using MpmcConsumer = BasicMpmcConsumer<MpmcMemory>;

// What a dead participant leaves.
struct MpmcEstate {
  MpmcRole role = MpmcRole::kProducer;
  std::array<std::uint32_t, kMpmcBatch> payloads{};
  std::uint32_t count = 0;     // payloads of its last attempt; 0: nothing is left to settle
  std::uint32_t happened = 0;  // the first so many were pushed, or popped and not finished
};

// Judges a dead participant; changes nothing.  Requires: the caller holds its certificate of death,
// and no successor is attached.  Errors: kInvalidArgument, kCorruptPeer.
template <typename Memory = MpmcMemory>
[[nodiscard]] Result<MpmcEstate> mpmc_recover(const MpmcShared& shared, std::uint32_t dead,
                                              const MpmcGeometry& geometry) noexcept {
  const auto judged =
      mpmc_take_over<Memory>(shared.slots, shared.records, dead, MpmcRole::kConsumer, geometry);
  if (!judged) return judged.error();
  const MpmcVerdict& verdict = judged.value();
  MpmcEstate estate;
  if (verdict.count == 0 || verdict.is_finished) return estate;
  estate.role = verdict.intent.role;
  estate.count = verdict.count;
  estate.happened = verdict.happened;
  for (std::uint32_t i = 0; i < estate.count; ++i) estate.payloads[i] = verdict.bank[i];
  return estate;
}

// Marks the estate as dealt with: one store.  Until then mpmc_recover() gives it again, so that a
// reaper that dies in between loses nothing.  Requires: as mpmc_recover().
template <typename Memory = MpmcMemory>
void mpmc_settle(const MpmcShared& shared, std::uint32_t dead) noexcept {
  MpmcRecord& record = shared.records[dead - 1];
  Memory::write_finished(record.finished, Memory::read_intent(record.intent));
}

}  // namespace slipring
