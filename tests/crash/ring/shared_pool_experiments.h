// Death and stops at every instruction of every operation of the shared pool, and of its reaper.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "tests/crash/ring/pair_table.h"
#include "tests/crash/ring/shared_pool_scene.h"
#include "tests/crash/stepper/walk.h"

namespace slipring::crash {

// Bugs of a reaper, and of one who receives.
enum class PoolPlant {
  kNone,
  kNeverCarried,      // frees what a ring delivers again
  kAlwaysCarried,     // keeps what no ring has
  kWipesLivingMarks,  // ends the holds of somebody who lives
  kReleasesFirst,     // takes a handle off the ring before it claims the buffer
};

class PoolExperiments {
 public:
  explicit PoolExperiments(PoolPlant plant = PoolPlant::kNone) : plant_(plant) {}

  [[nodiscard]] Tally operation(PoolWay way) {
    Tally tally;
    tally.name = std::string("shared pool: ") + name_of(way);
    each_start(true, way, tally, [&] {
      const auto body = [this, way] { work(way); };
      kill_everywhere(stage_, body, tally, [&] { judge_death(tally.findings); });
      stop_everywhere(
          stage_, body, tally,
          [&](const SteppedChild&) { PoolJudge(*stage_, tally.findings).others_work(); },
          [&] {
            PoolJudge judge(*stage_, tally.findings);
            judge.settle(way);
            judge.others_work();
            judge.end();
          });
    });
    return tally;
  }
  // 0 is dead after each memory that `first` may leave; the reaper, or the successor behind it, is
  // killed and stopped at every instruction.
  [[nodiscard]] Tally after_death(PoolWay first, PoolWay second, bool is_campaign) {
    Tally tally;
    tally.name = std::string("shared pool: ") + name_of(second) + " after " + name_of(first);
    each_start(is_campaign, first, tally, [&] {
      Images images;
      walk(
          stage_, 0, [this, first] { work(first); },
          [&](SteppedChild&) {
            if (!images.add(stage_->image())) return;
            PoolJudge at_death(*stage_, tally.findings);
            at_death.forget_dead();
            if (second == PoolWay::kAttach) at_death.recover();
            Picture dead;
            dead.take(stage_);
            const auto body = [this, second] { work(second); };
            kill_everywhere(
                stage_, body, tally, [&] { judge_death(tally.findings); }, 1);
            dead.put_back();
            stop_everywhere(
                stage_, body, tally,
                [&](const SteppedChild&) { PoolJudge(*stage_, tally.findings).others_work(); },
                [&] {
                  PoolJudge judge(*stage_, tally.findings);
                  judge.forget_dead();
                  if (second == PoolWay::kReap) judge.follow();
                  judge.others_work();
                  judge.end();
                },
                1);
            dead.put_back();
          });
    });
    return tally;
  }

 private:
  template <typename Run>
  void each_start(bool is_campaign, PoolWay way, Tally& tally, Run run) {
    for (const bool is_held : {false, true}) {
      for (const bool is_warm : {false, true}) {
        if (!is_campaign && is_held != is_warm) continue;
        stage_.clear();
        ++tally.start_count;
        Findings none;
        PoolJudge(*stage_, none).begin(way, is_held, is_warm);
        check(none.total() == 0, "an experiment begins well");
        run();
      }
    }
  }
  void judge_death(Findings& findings) {
    Picture dead;
    dead.take(stage_);
    for (const bool others_first : {false, true}) {
      PoolJudge judge(*stage_, findings);
      if (others_first) judge.others_work();
      if (plant_ == PoolPlant::kNeverCarried || plant_ == PoolPlant::kAlwaysCarried) {
        const auto carried = [this](const PoolDoubt&) noexcept {
          return plant_ == PoolPlant::kAlwaysCarried;
        };
        check(recover_participant(stage_->memory(), kPoolShape, 0, carried).ok(), "recovery");
        judge.forget_dead();
      } else {
        if (plant_ == PoolPlant::kWipesLivingMarks) {
          stage_->memory().marks(kPoolShape, 1)->store(0, std::memory_order_relaxed);
        }
        judge.recover();
        judge.recover_again();
      }
      judge.follow();
      judge.others_work();
      judge.end();
      dead.put_back();
    }
  }

  // In the child.
  void work(PoolWay way) {
    PoolScene& scene = *stage_;
    const bool is_done = way == PoolWay::kReap     ? reap(scene)
                         : way == PoolWay::kAttach ? attach(scene)
                                                   : operate(way, scene, *scene.pools[0]);
    scene.told.store(is_done ? 2 : 1, std::memory_order_release);
  }
  [[nodiscard]] static bool reap(PoolScene& scene) {
    const auto carried = [&scene](const PoolDoubt& doubt) { return scene.carries(doubt); };
    return recover_participant(scene.memory(), kPoolShape, 0, carried).ok();
  }
  [[nodiscard]] static bool attach(PoolScene& scene) {
    auto attached = scene.attach(0);
    if (!attached) return false;
    scene.pools[0].emplace(attached.value());
    return true;
  }
  [[nodiscard]] bool operate(PoolWay way, PoolScene& scene, SharedPool& pool) const {
    switch (way) {
      case PoolWay::kAcquire: {
        const bool is_done = pool.try_acquire(scene.handle) == Transfer::kDone;
        if (is_done) std::memcpy(pool.bytes(scene.handle).data(), scene.message, 64);
        return is_done;
      }
      case PoolWay::kGiveBack:
        return pool.give_back(scene.handle);
      case PoolWay::kSend:
        return pool.send(scene.handle, 7, [&scene](const PoolHandle& sent) {
          return scene.sender->try_push(sent);
        }) == Transfer::kDone;
      case PoolWay::kReceive: {
        std::span<const PoolHandle> there;
        if (scene.receiver->try_peek(there) != Transfer::kDone) return false;
        const PoolHandle handle = there[0];
        if (plant_ == PoolPlant::kReleasesFirst) scene.receiver->release(1);
        if (!pool.claim(handle)) return false;
        scene.handle = handle;
        if (plant_ != PoolPlant::kReleasesFirst) scene.receiver->release(1);
        return true;
      }
      case PoolWay::kShare: {
        // The board holds one: the one before is taken off, and retired when this is settled.
        const PoolHandle given = scene.handle;
        scene.handle = {scene.boards[0].load(std::memory_order_relaxed)};
        scene.boards[0].store(pool.share(given).bits, std::memory_order_release);
        return true;
      }
      case PoolWay::kHold:
        scene.handle = {scene.boards[1].load(std::memory_order_acquire)};
        return pool.hold(scene.handle);
      case PoolWay::kLetGo:
        return pool.let_go(scene.held[0].last());
      case PoolWay::kRetire: {
        const PoolHandle handle{scene.boards[0].load(std::memory_order_relaxed)};
        scene.boards[0].store(0, std::memory_order_release);
        return pool.retire(handle);
      }
      case PoolWay::kReclaim:
        pool.reclaim();
        return true;
      default:
        pool.return_cache();
        return true;
    }
  }

  PoolPlant plant_;
  Stage<PoolScene> stage_;
};

inline std::vector<Tally> shared_pool_table(Extent extent) {
  PoolExperiments experiments;
  std::vector<Tally> rows;
  constexpr std::array kWays{PoolWay::kAcquire,    PoolWay::kGiveBack, PoolWay::kSend,
                             PoolWay::kReceive,    PoolWay::kShare,    PoolWay::kHold,
                             PoolWay::kLetGo,      PoolWay::kRetire,   PoolWay::kReclaim,
                             PoolWay::kReturnCache};
  for (const PoolWay way : kWays) {
    rows.push_back(experiments.operation(way));
    const bool is_campaign = extent == Extent::kCampaign;
    if (way != PoolWay::kSend && !is_campaign) continue;
    rows.push_back(experiments.after_death(way, PoolWay::kReap, is_campaign));
    rows.push_back(experiments.after_death(way, PoolWay::kAttach, is_campaign));
  }
  return rows;
}

}  // namespace slipring::crash
