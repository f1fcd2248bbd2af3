// Death, stops and signals at every instruction of every operation of the rings with one producer
// and one consumer, and death of one side at every instruction times a stop of the other at every
// instruction.
#pragma once

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/crash/ring/pair_scene.h"
#include "tests/crash/stepper/walk.h"

namespace slipring::crash {

// Where experiments begin: every place of the ring, fresh positions and such as cross 2^32, empty,
// with one message, nearly full, and full.
template <typename Kit>
std::vector<PairStart> pair_starts(bool is_full_campaign, bool with_fence = false) {
  constexpr std::uint64_t kMany = 100;  // until the ring is full
  const std::uint64_t nearly = Kit::kOnce == 1 ? 3 : 7;
  std::vector<PairStart> starts;
  const auto add = [&](std::uint64_t start, std::uint64_t warm) {
    for (const std::uint64_t fill : {std::uint64_t{0}, std::uint64_t{1}, nearly, kMany}) {
      if (with_fence && fill == 0) continue;
      starts.push_back({start, warm, fill, with_fence, false});
    }
  };
  const std::uint64_t below = (std::uint64_t{1} << 32) / (Kit::kName[0] == 'r' ? 8 : 1);
  add(0, 0);
  add(below - 3, 0);  // full: over the end of the array, and over 2^32
  if (!is_full_campaign) return starts;
  for (const std::uint64_t place : {1U, 2U, 3U, 4U, 7U, 15U}) add(place, 0);
  for (const std::uint64_t back : {1U, 2U, 4U, 5U, 8U}) add(below - back, 0);
  add(0, 5);
  add(below - 6, 5);
  add(0, 40);  // a consumer at the producer's heels
  return starts;
}

template <typename Kit>
class PairExperiments {
 public:
  using Scene = PairScene<Kit>;
  using Judge = PairJudge<Kit>;

  // One operation of the producer, killed and stopped everywhere.
  [[nodiscard]] Tally producer(ProducerWay way, bool is_full_campaign) {
    Tally tally;
    tally.name = std::string(Kit::kName) + ": " + name_of(way);
    for (const PairStart& start : pair_starts<Kit>(is_full_campaign)) {
      ++tally.start_count;
      const std::uint64_t room = begin(start, way);
      const auto body = [this, way] { produce(way); };
      kill_everywhere(stage_, body, tally, [&] { judge_producer_death(tally.findings); });
      stop_everywhere(
          stage_, body, tally,
          [&](const SteppedChild&) { Judge(*stage_, tally.findings).consume_meanwhile(); },
          [&] { judge_producer_end(way, room, tally.findings); });
      interrupt(body, tally, kPops, [&] {
        Judge(*stage_, tally.findings).settle_handler(true);
        judge_producer_end(way, room, tally.findings);
      });
    }
    return tally;
  }
  // One operation of the consumer.
  [[nodiscard]] Tally consumer(ConsumerWay way, bool is_full_campaign) {
    Tally tally;
    tally.name = std::string(Kit::kName) + ": " + name_of(way);
    for (const PairStart& start : starts_of(way, is_full_campaign)) {
      ++tally.start_count;
      const std::uint64_t room = begin(start, way);
      const bool had_message = stage_->committed != stage_->next;
      const auto body = [this, way] { consume(way); };
      kill_everywhere(stage_, body, tally, [&] { judge_consumer_death(tally.findings); });
      stop_everywhere(
          stage_, body, tally,
          [&](const SteppedChild&) { Judge(*stage_, tally.findings).produce_meanwhile(room); },
          [&] { judge_consumer_end(had_message, tally.findings); });
      interrupt(body, tally, kPushes, [&] {
        Judge(*stage_, tally.findings).settle_handler(false);
        judge_consumer_end(had_message, tally.findings);
      });
    }
    return tally;
  }
  // The same stop, by SIGSTOP and SIGCONT, of a process that nobody traces any more.
  [[nodiscard]] Tally stopped_for_real(ProducerWay way, const PairStart& start) {
    Tally tally;
    ++tally.start_count;
    const std::uint64_t room = begin(start, way);
    const auto body = [this, way] { produce(way); };
    stop_for_real_everywhere(
        stage_, body, tally, [&] { Judge(*stage_, tally.findings).consume_meanwhile(); },
        [&] { judge_producer_end(way, room, tally.findings); });
    return tally;
  }
  [[nodiscard]] Tally stopped_for_real(ConsumerWay way, const PairStart& start) {
    Tally tally;
    ++tally.start_count;
    const std::uint64_t room = begin(start, way);
    const bool had_message = stage_->committed != stage_->next;
    const auto body = [this, way] { consume(way); };
    stop_for_real_everywhere(
        stage_, body, tally, [&] { Judge(*stage_, tally.findings).produce_meanwhile(room); },
        [&] { judge_consumer_end(had_message, tally.findings); });
    return tally;
  }
  // A successor that dies as well: the producer at every memory that a push leaves behind, its
  // successor at every instruction of attaching; and the same for the consumer and a peek.
  [[nodiscard]] Tally successors(bool is_full_campaign) {
    Tally tally;
    tally.name = std::string(Kit::kName) + ": attach after death";
    for (const PairStart& start : pair_starts<Kit>(is_full_campaign)) {
      ++tally.start_count;
      const auto again = [&](auto first, auto second, auto judge) {
        Images images;
        walk(stage_, 0, first, [&](SteppedChild&) {
          if (images.add(stage_->image())) kill_everywhere(stage_, second, tally, judge, 1);
        });
      };
      begin(start, ProducerWay::kPush);
      again([this] { produce(ProducerWay::kPush); }, [this] { produce(ProducerWay::kAttach); },
            [&] { judge_producer_death(tally.findings); });
      begin(start, ConsumerWay::kPeek);
      again([this] { consume(ConsumerWay::kPeek); }, [this] { consume(ConsumerWay::kAttach); },
            [&] { judge_consumer_death(tally.findings); });
    }
    return tally;
  }
  // The producer killed at i and the consumer stopped at j, and the other way round: all i and j,
  // whichever of the two was there first.
  [[nodiscard]] Tally pairs(ProducerWay producer_way, ConsumerWay consumer_way,
                            const std::vector<PairStart>& starts) {
    Tally tally;
    tally.name =
        std::string(Kit::kName) + ": " + name_of(producer_way) + " x " + name_of(consumer_way);
    for (const PairStart& start : starts) {
      ++tally.start_count;
      for (const bool kills_producer : {true, false}) {
        for (const bool stopped_is_first : {true, false}) {
          pair(start, producer_way, consumer_way, kills_producer, stopped_is_first, tally);
        }
      }
    }
    return tally;
  }

 private:
  static constexpr int kPops = SIGUSR1;
  static constexpr int kPushes = SIGUSR2;

  [[nodiscard]] static std::vector<PairStart> starts_of(ConsumerWay way, bool is_full_campaign) {
    std::vector<PairStart> starts = pair_starts<Kit>(is_full_campaign, way == ConsumerWay::kSkip);
    std::vector<PairStart> used;
    for (PairStart& start : starts) {
      const bool holds = way == ConsumerWay::kRelease;
      if (holds && start.fill == 0) continue;
      start.is_held = holds;
      used.push_back(start);
      if (way != ConsumerWay::kAttach || start.fill == 0) continue;
      start.is_held = true;  // what a predecessor took and did not finish
      used.push_back(start);
    }
    return used;
  }

  // Makes the stage ready; answers how many messages there is room for.
  template <typename Way>
  std::uint64_t begin(const PairStart& start, Way way) {
    stage_.clear();
    Findings none;
    Judge judge(*stage_, none);
    judge.begin(start);
    Picture ready;
    ready.take(stage_);
    const std::uint64_t room = judge.room();
    ready.put_back();
    if constexpr (std::is_same_v<Way, ProducerWay>) {
      Judge(*stage_, none).prepare(way);
    } else if (way == ConsumerWay::kAttach) {
      Judge(*stage_, none).forget();
    }
    check(none.total() == 0, "an experiment begins well");
    return room;
  }

  // In the child.
  void produce(ProducerWay way) {
    if (way != ProducerWay::kAttach) {
      return Kit::push(*stage_->producer, way, stage_->pushing.box, stage_->attempted,
                       stage_->pushing.told);
    }
    auto attached = Kit::producer(stage_->memory, stage_->start);
    if (!attached) return;
    stage_->producer.emplace(attached.value());
    stage_->pushing.told.answer = Transfer::kDone;
  }
  void consume(ConsumerWay way) {
    if (way == ConsumerWay::kRelease) {
      Kit::release(*stage_->consumer, stage_->held, stage_->popping.told);
      stage_->popping.told.answer = Transfer::kDone;
      return;
    }
    if (way != ConsumerWay::kAttach) {
      const std::uint64_t count = way == ConsumerWay::kBatch ? Kit::kBatch : Kit::kOnce;
      return Kit::pop(*stage_->consumer, way, stage_->popping.box, count, stage_->popping.told);
    }
    auto attached = Kit::consumer(stage_->memory, stage_->start);
    if (!attached) return;
    stage_->consumer.emplace(attached.value());
    stage_->popping.told.answer = Transfer::kDone;
  }

  void judge_producer_death(Findings& findings) {
    Picture dead;
    dead.take(stage_);
    for (const bool successor_first : {false, true}) {
      Judge(*stage_, findings).after_producer_death(successor_first);
      dead.put_back();
    }
  }
  void judge_consumer_death(Findings& findings) {
    Picture dead;
    dead.take(stage_);
    for (const bool producer_first : {false, true}) {
      Judge(*stage_, findings).after_consumer_death(producer_first);
      dead.put_back();
    }
  }
  void judge_producer_end(ProducerWay way, std::uint64_t room, Findings& findings) {
    Judge judge(*stage_, findings);
    judge.settle_producer(room < (way == ProducerWay::kBatch ? Kit::kBatch : 1));
    if (way == ProducerWay::kAbort) judge.skip();
    judge.laps();
    judge.end();
  }
  void judge_consumer_end(bool had_message, Findings& findings) {
    Judge judge(*stage_, findings);
    judge.settle_consumer(!had_message);
    judge.laps();
    judge.end();
  }

  template <typename Body, typename After>
  void interrupt(Body body, Tally& tally, int signal, After after) {
    interrupted_ = &*stage_;
    Kit::load(stage_->heard.box, 0, stage_->committed);
    std::signal(kPops, [](int) {
      Kit::pop(*interrupted_->consumer, ConsumerWay::kPop, interrupted_->heard.box, Kit::kOnce,
               interrupted_->heard.told);
    });
    std::signal(kPushes, [](int) {
      Kit::push(*interrupted_->producer, ProducerWay::kPush, interrupted_->heard.box, 1,
                interrupted_->heard.told);
    });
    interrupt_everywhere(stage_, body, tally, signal, after);
    std::signal(kPops, SIG_DFL);
    std::signal(kPushes, SIG_DFL);
  }

  // All pairs of instants from one start, for one choice of who dies and who is there first.
  void pair(const PairStart& start, ProducerWay producer_way, ConsumerWay consumer_way,
            bool kills_producer, bool stopped_is_first, Tally& tally) {
    const auto produces = [&, this] { produce(producer_way); };
    const auto consumes = [&, this] { consume(consumer_way); };
    const std::uint64_t room = begin(start, producer_way);
    const auto judge = [&](SteppedChild& stopped) {
      if (kills_producer) {
        judge_pair_of_dead_producer(stopped, tally.findings);
      } else {
        // One that is given up attempts nothing, and needs room for one all the same.
        const std::uint64_t needed = std::max<std::uint64_t>(stage_->attempted, 1);
        judge_pair_of_dead_consumer(stopped, room < needed, tally.findings);
      }
    };
    if (kills_producer) {
      walk_pair(produces, consumes, stopped_is_first, tally, judge);
    } else {
      walk_pair(consumes, produces, stopped_is_first, tally, judge);
    }
  }
  template <typename Dies, typename Stops, typename JudgePair>
  void walk_pair(Dies dies, Stops stops, bool stopped_is_first, Tally& tally, JudgePair judge) {
    if (!stopped_is_first) {
      // The stopped one meets what the dead one left: equal memories count together.
      Images images;
      std::vector<std::uint64_t> looks_at;
      walk(stage_, 0, dies, [&](SteppedChild&) {
        if (images.add(stage_->image())) looks_at.push_back(1 + walk(stage_, 1, stops, judge));
        tally.pair_count += looks_at[images.last()];
      });
      return;
    }
    walk(stage_, 0, stops, [&](SteppedChild& stopped) {
      Images left;
      walk(stage_, 1, dies, [&](SteppedChild&) {
        ++tally.pair_count;
        if (!left.add(stage_->image())) return;
        judge(stopped);
        stopped.go_back();
      });
    });
  }
  void judge_pair_of_dead_producer(SteppedChild& consumer, Findings& findings) {
    Judge judge(*stage_, findings);
    judge.follow_producer();
    if (!consumer.is_over() && !consumer.finish()) {
      return findings.add(Oracle::kOutcome, "the stopped consumer does not come to its end");
    }
    judge.settle_consumer(true);
    judge.laps();
    judge.end();
  }
  void judge_pair_of_dead_consumer(SteppedChild& producer, bool may_be_full, Findings& findings) {
    Judge judge(*stage_, findings);
    judge.follow_consumer();
    judge.drain();
    if (!producer.is_over() && !producer.finish()) {
      return findings.add(Oracle::kOutcome, "the stopped producer does not come to its end");
    }
    judge.settle_producer(may_be_full);
    judge.laps();
    judge.end();
  }

  static inline Scene* interrupted_ = nullptr;
  Stage<Scene> stage_;
};

}  // namespace slipring::crash
