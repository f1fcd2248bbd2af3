// How a round ends for a consumer: whatever the processor gives it, and whenever, it leaves nothing
// behind that was sent before the drain began.

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <memory>

#include "core/ring/slot_ring.h"
#include "tests/crash/campaign/pair_scenes.h"
#include "tests/crash/campaign/scene.h"

namespace slipring::campaign {
namespace {

struct Unmap {
  void operator()(Stage* stage) const { munmap(static_cast<void*>(stage), sizeof(Stage)); }
};

// A queue of messages that were sent, as a consumer's loop sees a ring.
class Queue {
 public:
  Queue() {
    void* memory = mmap(nullptr, sizeof(Stage), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    stage_.reset(static_cast<Stage*>(memory));
    stage_->producers[0].begin_life();
    stage_->consumers[0].begin_life();
    context_.stage = stage_.get();
    context_.tally = &tally_;
    context_.sayings = &sayings_;
  }

  // The consumer's `blocked_look`-th look that finds nothing is its last before it loses the
  // processor; when it has it again, `count` were sent and the phase is `phase`.
  [[nodiscard]] std::uint32_t taken(std::uint32_t blocked_look, std::uint32_t count, Phase phase,
                                    Plant plant = Plant::kNone) {
    context_.plant = plant;
    go_on_to(Phase::kFinish);
    Life life(context_, 1, 1);
    Taker taker(stage_->consumers[0]);
    std::uint32_t blocked_count = 0;
    take_messages<SlotView>(
        life, taker, 16,
        [&](SlotView& view) {
          if (next_ < sent_) return show(view);
          ++blocked_count;
          if (blocked_count == blocked_look) {
            sent_ += count;
            go_on_to(phase);
          } else if (blocked_count == blocked_look + 2) {
            go_on_to(Phase::kDrain);
          }
          return Transfer::kBlocked;
        },
        [](const SlotView&) {});
    return taker.end();
  }

 private:
  void go_on_to(Phase phase) { stage_->phase.store(static_cast<std::uint32_t>(phase)); }
  [[nodiscard]] Transfer show(SlotView& view) {
    const std::span<std::byte> bytes(bytes_[next_ % 16]);
    write_message(bytes, {next_, 0, 1});
    view = {bytes, next_++, false, false};
    return Transfer::kDone;
  }

  std::unique_ptr<Stage, Unmap> stage_;
  Tally tally_{};
  Sayings sayings_{};
  Context context_;
  std::uint32_t sent_ = 0;
  std::uint32_t next_ = 0;
  std::array<std::array<std::byte, 24>, 16> bytes_{};
};

TEST_CASE("drain: what is sent between a consumer's look and its question whether to stay comes") {
  for (std::uint32_t look = 1; look < 4; ++look) {
    for (const std::uint32_t count : {0U, 1U, 12U, 100U}) {
      for (const Phase phase : {Phase::kFinish, Phase::kDrainRelays, Phase::kDrain}) {
        CAPTURE(look);
        CAPTURE(count);
        CAPTURE(static_cast<std::uint32_t>(phase));
        CHECK(Queue().taken(look, count, phase) == count);
      }
    }
  }
}

TEST_CASE("drain: a consumer that leaves by a look from before the drain leaves messages behind") {
  CHECK(Queue().taken(1, 12, Phase::kDrain, Plant::kHasty) == 0);
}

}  // namespace
}  // namespace slipring::campaign
