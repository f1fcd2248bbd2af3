// Two producers and two consumers of one ring, and the ledger of what must come out of it.
//
// The ledger.  Series 0 and 1 are the two producers' messages, series 2 those of the first one's
// successor; within a series messages are numbered as they are pushed.  Everything that a producer
// was told is in comes out once, in the order of its series; what a dead consumer was handed and
// had not finished comes again, marked; what it had not been handed comes out whoever it was that
// popped it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/error/check.h"
#include "tests/crash/ring/mpmc_kits.h"
#include "tests/crash/stepper/findings.h"

namespace slipring::crash {

struct ManyStart {
  std::uint64_t position;  // a multiple of the slot count
  std::uint64_t warm;      // messages that went through before
  std::uint64_t fill;      // messages that wait
};

inline constexpr std::uint32_t kSeries = 3;
inline constexpr std::uint32_t kSeriesLength = 256;

// Plain bytes; see Stage.
template <typename Kit>
struct ManyScene {
  // What outlives everybody.
  typename Kit::Memory memory;
  ManyTold told;
  typename Kit::Box box;

  std::optional<typename Kit::Producer> producers[2];
  std::optional<typename Kit::Consumer> consumers[2];
  std::uint32_t committed[kSeries];
  std::uint32_t attempted;  // of series 0, beyond what is committed
  std::uint32_t next[kSeries];
  std::uint8_t delivered[kSeries][kSeriesLength];

  [[nodiscard]] std::span<const std::byte> image() const {
    const auto* begin = reinterpret_cast<const std::byte*>(this);
    return {begin, reinterpret_cast<const std::byte*>(&producers)};
  }
};

template <typename Kit>
class ManyJudge {
 public:
  using Scene = ManyScene<Kit>;
  ManyJudge(Scene& scene, Findings& findings) : scene_(scene), findings_(findings) {}

  void begin(const ManyStart& start) {
    const MpmcShape shape = Kit::shape();
    for (std::uint64_t i = 0; i < kManySlots; ++i) {
      scene_.memory.slots[i].store(shape.wanted_at(start.position + i, MpmcRole::kProducer),
                                   std::memory_order_relaxed);
    }
    for (std::uint32_t i = 0; i < 2; ++i) {
      scene_.producers[i].emplace(Kit::producer(scene_.memory, i + 1).value());
      scene_.consumers[i].emplace(Kit::consumer(scene_.memory, i + 3).value());
    }
    for (std::uint64_t i = 0; i < start.warm; ++i) {
      check(push(i % 2 == 0 ? 0 : 1) && pop(i % 3 == 0 ? 0 : 1), "the start of an experiment");
    }
    for (std::uint64_t i = 0; i < start.fill; ++i) {
      check(push(i % 2 == 0 ? 1 : 0), "the start of an experiment");
    }
  }
  void prepare(ManyWay way) {
    scene_.told.answer = Transfer::kCorruptPeer;
    if (!is_push(way)) return;
    scene_.attempted = way == ManyWay::kPushBatch ? kManyBatch : 1;
    for (std::uint32_t i = 0; i < scene_.attempted; ++i) {
      Kit::load(scene_.box, i, scene_.committed[0] + i);
    }
  }
  // All but participant `who` (0: nobody is missing) fill and drain the ring for some laps.
  void others_work(std::uint32_t who) {
    for (int lap = 0; lap < 3; ++lap) {
      while (push_any(who)) {
      }
      drain(who);
      for (std::uint64_t i = 0; i < kManySlots; ++i) {
        findings_.expect(push_any(who), Oracle::kProgress, "an empty ring does not take a lap");
      }
      findings_.expect(!push_any(who), Oracle::kOutcome, "a full ring takes one more");
    }
    drain(who);
  }

  // Participant 1, a producer, is dead: its last push happened or not, as recovery says, before or
  // after the others have worked on; then its successor works.
  void after_producer_death(bool others_first) {
    std::array<std::optional<bool>, kManyBatch> said;
    const std::uint32_t begin = scene_.committed[0];
    for (std::uint32_t i = 0; i < kManyBatch; ++i) {
      said[i] = Kit::says_pushed(scene_.memory, 1, begin + i);
    }
    acknowledge();
    if (others_first) others_work(1);
    for (std::uint32_t i = 0; i < kManyBatch; ++i) {
      findings_.expect(said[i] == Kit::says_pushed(scene_.memory, 1, begin + i), Oracle::kOutcome,
                       "recovery says one thing, and later another");
    }
    follow_producer();
    others_work(0);
    for (std::uint32_t i = 0; i < kManyBatch; ++i) {
      const bool has_come = scene_.delivered[0][begin + i] != 0;
      findings_.expect(!said[i] || *said[i] == has_come, Oracle::kOutcome,
                       "recovery is wrong about what was pushed");
    }
    end();
  }
  void follow_producer() {
    auto successor = Kit::producer(scene_.memory, 1);
    if (!successor) return findings_.add(Oracle::kOutcome, "no successor can produce");
    scene_.producers[0].emplace(successor.value());
    is_followed_ = true;
  }
  // A successor that was stopped has attached; now it works like everybody.
  void after_follower(bool is_producer) {
    if (is_producer) {
      acknowledge();
      is_followed_ = true;
    } else {
      note_dead_consumer();
    }
    drain(0);
    others_work(0);
    end();
  }
  // Participant 3, a consumer, is dead.
  void after_consumer_death(bool others_first) {
    note_dead_consumer();
    if (others_first) others_work(3);
    follow_consumer();
    drain(0);
    others_work(0);
    end();
  }
  void follow_consumer() {
    auto successor = Kit::consumer(scene_.memory, 3);
    if (!successor) return findings_.add(Oracle::kOutcome, "no successor can consume");
    scene_.consumers[0].emplace(successor.value());
  }
  // The same, with a reaper in the place of a successor; who reaped before it may have died.
  void after_reaper_death() {
    note_dead_consumer();
    others_work(3);
    typename Kit::Box box{};
    ManyTold told{};
    Kit::reap(scene_.memory, 3, box, told);
    for (std::size_t i = 0; i < told.count.load(std::memory_order_relaxed); ++i) {
      accept(box, i, true);
    }
    ManyTold again{};
    Kit::reap(scene_.memory, 3, box, again);
    findings_.expect(again.count.load(std::memory_order_relaxed) == 0, Oracle::kRepeated,
                     "what is settled is given out again");
    follow_consumer();
    others_work(0);
    end();
  }

  // Participant 1 or 3 has gone on after a stop and come to its end.
  void settle(ManyWay way, bool others_worked, bool was_possible) {
    const Transfer answer = scene_.told.answer;
    const bool may_block = others_worked || !was_possible;
    findings_.expect(answer == Transfer::kDone || (answer == Transfer::kBlocked && may_block),
                     Oracle::kOutcome, "an answer that no moment explains");
    if (is_push(way)) {
      acknowledge();
      scene_.attempted = 0;
    } else {
      const std::uint64_t count = scene_.told.finished.load(std::memory_order_relaxed);
      for (std::size_t i = 0; i < count; ++i) accept(scene_.box, i, true);
      scene_.told.finished.store(0, std::memory_order_relaxed);
    }
  }
  void end() {
    drain(0);
    for (std::uint32_t series = 0; series < kSeries; ++series) {
      for (std::uint32_t i = 0; i < scene_.committed[series]; ++i) {
        const bool is_there = scene_.delivered[series][i] != 0 || the_dead_has(series, i);
        findings_.expect(is_there, Oracle::kLost, "a committed message does not come");
      }
      const std::uint32_t beyond = scene_.committed[series];
      for (std::uint32_t i = beyond; i + 1 < kSeriesLength; ++i) {
        findings_.expect(scene_.delivered[series][i] != 0 || scene_.delivered[series][i + 1] == 0,
                         Oracle::kLost, "of a batch the first does not come");
      }
    }
    findings_.expect(Kit::is_whole(scene_), Oracle::kLeak, "a buffer is nobody's, or two's");
  }
  void drain(std::uint32_t who) {
    for (std::uint32_t i = 0; i < 8 * kManySlots; ++i) {
      const bool first = who != 3 && pop(0);
      const bool second = who != 4 && pop(1);
      if (!first && !second) return;
    }
    findings_.add(Oracle::kRepeated, "messages do not end");
  }

 private:
  bool push_any(std::uint32_t who) {
    turn_ ^= 1U;
    return push(who == 1 ? 1 : turn_);
  }
  bool push(std::uint32_t i) {
    const std::uint32_t series = i == 0 && is_followed_ ? 2 : i;
    typename Kit::Box box{};
    ManyTold told{};
    Kit::load(box, 0, series * kSeriesLength + scene_.committed[series]);
    Kit::push(*scene_.producers[i], ManyWay::kPush, box, told);
    if (told.answer == Transfer::kCorruptPeer) findings_.add(Oracle::kOutcome, "a corrupt push");
    if (told.answer != Transfer::kDone) return false;
    ++scene_.committed[series];
    check(scene_.committed[series] < kSeriesLength - kManyBatch, "a series is long enough");
    return true;
  }
  bool pop(std::uint32_t i) {
    typename Kit::Box box{};
    ManyTold told{};
    Kit::pop(*scene_.consumers[i], ManyWay::kPop, box, told);
    if (told.answer == Transfer::kCorruptPeer) findings_.add(Oracle::kOutcome, "a corrupt pop");
    if (told.answer != Transfer::kDone) return false;
    accept(box, 0, scene_.consumers[i]->redelivered());
    return true;
  }

  // What the stepped push was told is in.
  void acknowledge() {
    const auto count =
        static_cast<std::uint32_t>(scene_.told.count.load(std::memory_order_relaxed));
    scene_.committed[0] += count;
    scene_.attempted -= count;
  }
  void note_dead_consumer() {
    has_died_consuming_ = true;
    dead_finished_ = scene_.told.finished.load(std::memory_order_relaxed);
    const std::uint64_t count = scene_.told.count.load(std::memory_order_relaxed);
    dead_has_ = count < dead_finished_ ? dead_finished_ : count;
  }
  // The place of a message in the dead consumer's box, or beyond what it was handed.
  [[nodiscard]] std::uint64_t place_in_box(std::uint32_t number) const {
    std::uint64_t place = 0;
    while (place < dead_has_ && Kit::number_in(scene_.box, place) != number) ++place;
    return place;
  }
  [[nodiscard]] bool the_dead_has(std::uint32_t series, std::uint32_t i) const {
    const std::uint32_t number = series * kSeriesLength + i;
    // A pop that finishes by itself has no moment between: it has it, if it has it whole.
    if (dead_has_ != 0) return place_in_box(number) < dead_has_;
    return has_died_consuming_ && Kit::number_in(scene_.box, 0) == number;
  }

  void accept(const typename Kit::Box& box, std::size_t at, bool is_marked) {
    const std::uint32_t number = Kit::number_in(box, at);
    const std::uint32_t series = number / kSeriesLength;
    const std::uint32_t i = number % kSeriesLength;
    const std::uint32_t most = series >= kSeries ? 0
                               : series == 0     ? scene_.committed[0] + scene_.attempted
                                                 : scene_.committed[series];
    if (i >= most) return findings_.add(Oracle::kTorn, "a message that nobody pushed");
    if (scene_.delivered[series][i]++ != 0) {
      return findings_.add(Oracle::kRepeated, "a message comes twice");
    }
    const std::uint64_t place = place_in_box(number);
    findings_.expect(place >= dead_finished_, Oracle::kRepeated, "a finished message comes again");
    findings_.expect(is_marked || place >= dead_has_, Oracle::kRepeated,
                     "a message comes again without its mark");
    // What another had popped before may come at any time after.
    if (is_marked) return;
    findings_.expect(i >= scene_.next[series], Oracle::kOrder, "one overtakes another");
    scene_.next[series] = i + 1;
  }

  Scene& scene_;
  Findings& findings_;
  std::uint32_t turn_ = 0;
  bool is_followed_ = false;
  bool has_died_consuming_ = false;
  std::uint64_t dead_has_ = 0;
  std::uint64_t dead_finished_ = 0;
};

}  // namespace slipring::crash
