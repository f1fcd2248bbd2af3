// Death and stops at every instruction of every operation of the broadcast ring.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "tests/crash/ring/broadcast_scene.h"
#include "tests/crash/ring/pair_table.h"
#include "tests/crash/stepper/walk.h"

namespace slipring::crash {

// Bugs of a reader, to be planted in peek and release.
enum class CastPlant {
  kNone,
  kBelievesInPlace,  // does not ask after looking whether it was overtaken
  kReleasesFirst,    // before it has copied
};

class CastExperiments {
 public:
  explicit CastExperiments(BroadcastPolicy policy, CastPlant plant = CastPlant::kNone)
      : policy_(policy), plant_(plant) {}

  [[nodiscard]] bool has(CastWay way) const {
    return way != CastWay::kReserve || policy_ == BroadcastPolicy::kBlock;
  }
  [[nodiscard]] Tally operation(CastWay way, bool is_campaign) {
    Tally tally;
    tally.name = std::string("broadcast ") + name_of(policy_) + ": " + name_of(way);
    for (const CastStart& start : starts(is_campaign)) {
      ++tally.start_count;
      const std::uint64_t room = begin(start, way);
      const auto body = [this, way] { work(way); };
      kill_everywhere(stage_, body, tally, [&] {
        Picture dead;
        dead.take(stage_);
        for (const bool variant : {false, true}) {
          CastJudge judge(*stage_, tally.findings);
          if (is_writers(way)) {
            if (variant) judge.readers_work(true);
            judge.follow_writer();
          } else {
            if (variant && policy_ != BroadcastPolicy::kBlock) judge.push_some(kCastSlots / 2);
            judge.follow_reader(way, variant);
          }
          judge.readers_work(true);
          judge.laps();
          dead.put_back();
        }
      });
      stop(body, way, room, tally);
    }
    return tally;
  }

 private:
  [[nodiscard]] std::vector<CastStart> starts(bool is_campaign) const {
    const std::uint64_t most = policy_ == BroadcastPolicy::kEvict ? kCastLag : kCastSlots;
    const std::uint64_t below = (std::uint64_t{1} << 32) - 2;
    std::vector<CastStart> starts;
    for (const std::uint64_t fill : {std::uint64_t{0}, std::uint64_t{1}, most - 1, most}) {
      starts.push_back({fill == 1 ? 0 : below, fill, fill});
      for (const std::uint64_t start : {std::uint64_t{0}, below, (std::uint64_t{1} << 63) - 3}) {
        for (std::uint64_t warm = 0; is_campaign && warm < 8; ++warm) {
          starts.push_back({start, warm, fill});
        }
      }
    }
    return starts;
  }
  std::uint64_t begin(const CastStart& start, CastWay way) {
    stage_.clear();
    Findings none;
    CastJudge judge(*stage_, none);
    judge.begin(policy_, start);
    judge.prepare(way);
    Picture ready;
    ready.take(stage_);
    // One who is joining counts as far behind as can be.
    const bool may_block = way == CastWay::kJoin && policy_ == BroadcastPolicy::kBlock;
    const std::uint64_t room = may_block ? 0 : judge.push_some(3 * kCastSlots);
    ready.put_back();
    check(none.total() == 0, "an experiment begins well");
    return room;
  }
  template <typename Body>
  void stop(Body body, CastWay way, std::uint64_t room, Tally& tally) {
    bool is_over = false;
    stop_everywhere(
        stage_, body, tally,
        [&](const SteppedChild& child) {
          is_over = child.is_over();
          CastJudge judge(*stage_, tally.findings);
          if (is_writers(way)) {
            judge.readers_work(true);
          } else {
            tally.findings.expect(judge.push_some(3 * kCastSlots) >= room, Oracle::kProgress,
                                  "a stopped reader holds up the writer");
            judge.readers_work(false);
          }
        },
        [&] {
          CastJudge judge(*stage_, tally.findings);
          if (is_writers(way)) {
            judge.settle_writer(room == 0);
          } else {
            judge.settle_reader(way, true);
          }
          judge.readers_work(true);
          judge.laps();
        });
  }

  // In the child.
  void work(CastWay way) {
    CastTold& told = stage_->told;
    if (way == CastWay::kPush) {
      told.transfer = stage_->writer->try_push(told.bytes);
      if (told.transfer == Transfer::kDone) told.count.store(1, std::memory_order_release);
    } else if (way == CastWay::kReserve) {
      std::span<std::byte> slot;
      told.transfer = stage_->writer->try_reserve(slot);
      if (told.transfer != Transfer::kDone) return;
      std::memcpy(slot.data(), told.bytes, kCastBytes);
      stage_->writer->commit();
      told.count.store(1, std::memory_order_release);
    } else if (way == CastWay::kAbort) {
      stage_->writer->abort_published();
      told.transfer = Transfer::kDone;
    } else if (way == CastWay::kDrop) {
      stage_->writer->drop_reader(0);
      told.transfer = Transfer::kDone;
    } else if (way == CastWay::kFollow) {
      auto attached = stage_->attach_writer();
      if (!attached) return;
      stage_->writer.emplace(attached.value());
      told.transfer = Transfer::kDone;
    } else {
      read(way, *stage_->readers[0], told);
    }
  }
  void read(CastWay way, BroadcastReader& reader, CastTold& told) {
    BroadcastView view;
    if (way == CastWay::kPop) {
      told.reception = reader.try_pop(told.bytes, view);
      if (told.reception != Reception::kDone) return;
      told.position = view.position;
      told.lost = view.lost;
      told.finished.store(1, std::memory_order_release);
    } else if (way == CastWay::kPeek) {
      told.reception = reader.try_peek(view);
      if (told.reception != Reception::kDone) return;
      told.position = view.position;
      told.lost = view.lost;
      if (plant_ == CastPlant::kReleasesFirst) reader.release(view);
      bool is_whole = plant_ == CastPlant::kBelievesInPlace;
      if (is_whole) {
        std::memcpy(told.bytes, view.message.data(), kCastBytes);
      } else {
        is_whole = reader.copy_out(view, told.bytes);
      }
      if (is_whole) told.count.store(1, std::memory_order_release);
      if (plant_ != CastPlant::kReleasesFirst) reader.release(view);
      told.finished.store(is_whole ? 1 : 0, std::memory_order_release);
    } else if (way == CastWay::kCredit) {
      reader.publish_credit();
      told.reception = Reception::kDone;
    } else if (way == CastWay::kSkip) {
      told.reception = reader.skip_aborted() != 0 ? Reception::kDone : Reception::kBlocked;
    } else if (way == CastWay::kJoin) {
      if (reader.join(BroadcastJoin::kOldest).ok()) told.reception = Reception::kDone;
    } else if (way == CastWay::kLeave) {
      reader.leave();
      told.reception = Reception::kDone;
    } else {
      auto attached = stage_->attach_reader(0);
      if (!attached) return;
      stage_->readers[0].emplace(attached.value());
      told.reception = Reception::kDone;
    }
  }

  BroadcastPolicy policy_;
  CastPlant plant_;
  Stage<CastScene> stage_;
};

inline std::vector<Tally> broadcast_table(BroadcastPolicy policy, Extent extent) {
  CastExperiments experiments(policy);
  std::vector<Tally> rows;
  for (const CastWay way : {CastWay::kPush, CastWay::kReserve, CastWay::kAbort, CastWay::kDrop,
                            CastWay::kFollow, CastWay::kPop, CastWay::kPeek, CastWay::kCredit,
                            CastWay::kSkip, CastWay::kJoin, CastWay::kLeave, CastWay::kAttach}) {
    if (!experiments.has(way)) continue;
    rows.push_back(experiments.operation(way, extent == Extent::kCampaign));
  }
  return rows;
}

}  // namespace slipring::crash
