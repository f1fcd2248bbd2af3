// Death and stops at every instruction of every operation of the rings for many.
#pragma once

#include <string>
#include <vector>

#include "tests/crash/ring/mpmc_scene.h"
#include "tests/crash/ring/pair_table.h"
#include "tests/crash/stepper/walk.h"

namespace slipring::crash {

// Positions are fresh, cross 2^32, and cross the end of the state's width.
template <typename Kit>
std::vector<ManyStart> many_starts(bool is_campaign) {
  const std::uint64_t wrap = Kit::shape().position_mask() + 1 - kManySlots;
  const std::uint64_t below = (std::uint64_t{1} << 32) - kManySlots;
  std::vector<ManyStart> starts;
  for (const std::uint64_t fill : {0U, 1U, 3U, 4U}) {
    starts.push_back({fill % 2 == 0 ? wrap : below, 3, fill});
    if (!is_campaign) continue;
    for (const std::uint64_t position : {std::uint64_t{0}, below, wrap}) {
      for (const std::uint64_t warm : {0U, 1U, 2U, 3U, 6U, 21U}) {
        starts.push_back({position, warm, fill});
      }
    }
  }
  return starts;
}

template <typename Kit>
class ManyExperiments {
 public:
  using Scene = ManyScene<Kit>;
  using Judge = ManyJudge<Kit>;

  [[nodiscard]] Tally operation(ManyWay way, bool is_campaign) {
    Tally tally;
    tally.name = std::string(Kit::kName) + ": " + name_of(way);
    for (const ManyStart& start : many_starts<Kit>(is_campaign)) {
      ++tally.start_count;
      begin(start, way);
      const bool is_possible = is_push(way) ? start.fill != kManySlots : start.fill != 0;
      const auto body = [this, way] { work(way); };
      kill_everywhere(stage_, body, tally, [&] { judge_death(way, tally.findings); });
      stop(body, way, is_possible, tally);
    }
    return tally;
  }
  // A participant dies anywhere in `first`; at every memory that it may leave, who comes after it
  // is killed and stopped at every instruction of `second`.
  [[nodiscard]] Tally after_death(ManyWay first, ManyWay second, bool is_campaign) {
    Tally tally;
    tally.name = std::string(Kit::kName) + ": " + name_of(second) + " after " + name_of(first);
    for (const ManyStart& start : many_starts<Kit>(is_campaign)) {
      if (!is_campaign && start.fill % 3 == 0) continue;  // empty and nearly full: the campaign
      ++tally.start_count;
      begin(start, first);
      Images images;
      walk(
          stage_, 0, [this, first] { work(first); },
          [&](SteppedChild&) {
            if (!images.add(stage_->image())) return;
            const auto body = [this, first, second] { follow(first, second); };
            Picture dead;
            dead.take(stage_);
            kill_everywhere(
                stage_, body, tally,
                [&] {
                  if (second == ManyWay::kReap) {
                    Judge(*stage_, tally.findings).after_reaper_death();
                  } else {
                    judge_death(first, tally.findings);
                  }
                },
                1);
            dead.put_back();
            stop_follower(body, first, second, tally);
            dead.put_back();
          });
    }
    return tally;
  }

 private:
  void begin(const ManyStart& start, ManyWay way) {
    stage_.clear();
    Findings none;
    Judge judge(*stage_, none);
    judge.begin(start);
    judge.prepare(way);
    check(none.total() == 0, "an experiment begins well");
  }
  // In the child.
  void work(ManyWay way) {
    if (is_push(way)) {
      Kit::push(*stage_->producers[0], way, stage_->box, stage_->told);
    } else {
      Kit::pop(*stage_->consumers[0], way, stage_->box, stage_->told);
    }
  }
  void follow(ManyWay first, ManyWay second) {
    if (second == ManyWay::kReap) {
      Kit::reap(stage_->memory, 3, stage_->box, stage_->told);
    } else if (is_push(first)) {
      if (auto attached = Kit::producer(stage_->memory, 1); attached) {
        stage_->producers[0].emplace(attached.value());
      }
    } else if (auto attached = Kit::consumer(stage_->memory, 3); attached) {
      stage_->consumers[0].emplace(attached.value());
    }
  }
  void judge_death(ManyWay way, Findings& findings) {
    Picture dead;
    dead.take(stage_);
    for (const bool others_first : {false, true}) {
      Judge judge(*stage_, findings);
      if (is_push(way)) {
        judge.after_producer_death(others_first);
      } else {
        judge.after_consumer_death(others_first);
      }
      dead.put_back();
    }
  }
  template <typename Body>
  void stop(Body body, ManyWay way, bool is_possible, Tally& tally) {
    const std::uint32_t who = is_push(way) ? 1 : 3;
    bool is_over = false;
    stop_everywhere(
        stage_, body, tally,
        [&](const SteppedChild& child) {
          is_over = child.is_over();
          Judge(*stage_, tally.findings).others_work(who);
        },
        [&] {
          Judge judge(*stage_, tally.findings);
          judge.settle(way, !is_over, is_possible);
          judge.others_work(0);
          judge.end();
        });
  }
  // One who comes after a death stands still; it holds up nobody and goes on to a good end.
  template <typename Body>
  void stop_follower(Body body, ManyWay first, ManyWay second, Tally& tally) {
    const std::uint32_t who = is_push(first) ? 1 : 3;
    stop_everywhere(
        stage_, body, tally,
        [&](const SteppedChild&) { Judge(*stage_, tally.findings).others_work(who); },
        [&] {
          if (second == ManyWay::kReap) {
            Judge(*stage_, tally.findings).after_reaper_death();
          } else {
            Judge(*stage_, tally.findings).after_follower(is_push(first));
          }
        },
        1);
  }

  Stage<Scene> stage_;
};

template <typename Kit>
std::vector<Tally> many_table(Extent extent) {
  const bool is_campaign = extent == Extent::kCampaign;
  ManyExperiments<Kit> experiments;
  std::vector<Tally> rows;
  for (const ManyWay way : {ManyWay::kPush, ManyWay::kPushBatch, ManyWay::kReserve, ManyWay::kPop,
                            ManyWay::kPopBatch, ManyWay::kTake}) {
    if (!Kit::has(way)) continue;
    rows.push_back(experiments.operation(way, is_campaign));
    const bool is_main = way == ManyWay::kPush || way == ManyWay::kPop;
    if (!is_main && !is_campaign) continue;
    rows.push_back(experiments.after_death(way, ManyWay::kAttach, is_campaign));
    if (is_push(way) || !Kit::has(ManyWay::kReap)) continue;
    rows.push_back(experiments.after_death(way, ManyWay::kReap, is_campaign));
  }
  return rows;
}

}  // namespace slipring::crash
