// The judgement over what a broadcast reader was told of its losses, by books written here: what a
// death may leave is let pass, and what is one message off is not.

#include "tests/crash/campaign/judge.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <memory>

namespace slipring::campaign {
namespace {

constexpr std::uint32_t kMessages = 40;

struct Unmap {
  void operator()(Stage* stage) const { munmap(static_cast<void*>(stage), sizeof(Stage)); }
};

// One writer that has sent kMessages, message i at place i, and one reader's lives.
class Audience {
 public:
  Audience() {
    void* memory = mmap(nullptr, sizeof(Stage), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    stage_.reset(static_cast<Stage*>(memory));
    ProducerBook& sent = stage_->producers[0];
    sent.begin_life();
    sent.lives[0].attempted.set(kMessages);
    sent.lives[0].committed.set(kMessages);
  }

  // A reader comes to life where the ring has counted so many losses.
  Audience& born(std::uint32_t lost_count) {
    stage_->consumers[0].begin_life();
    life().lost_at_attach.set(lost_count);
    return *this;
  }
  Audience& joins() {
    LogEntry entry{};
    entry.flags = kJoined;
    Taker taker(stage_->consumers[0]);
    taker.log(entry);
    taker.popped();
    life().joining.set(0);
    return *this;
  }
  // It takes the messages from `first` to before `end` in place, the first of them with a loss.
  Audience& takes(std::uint32_t first, std::uint32_t end, std::uint32_t lost = 0,
                  std::uint32_t lost_count = 0, bool is_marked = false) {
    Taker taker(stage_->consumers[0]);
    for (std::uint32_t id = first; id < end; ++id) {
      LogEntry entry{};
      entry.id = entry.position = id;
      entry.flags = is_marked ? kMarked : 0;
      entry.lost = id == first ? lost : 0;
      entry.since_loss = id == first && lost != 0 ? 1 : 0;
      entry.lost_count = lost_count;
      taker.log(entry);
    }
    taker.took(0);
    return *this;
  }
  // It pops one for good, and has not logged it.
  Audience& pops() {
    Taker taker(stage_->consumers[0]);
    taker.about_to_pop(1);
    taker.about_to_take(1);
    taker.about_to_finish(taker.end() + 1);
    return *this;
  }
  Audience& finishes() {
    const std::uint32_t end = life().end.get();
    life().finishing.set(end);
    life().finished.set(end);
    return *this;
  }
  Audience& dies_joining_again() {
    life().joining.set(1);
    return *this;
  }
  Audience& leaves(std::uint32_t lost_count) {
    finishes();
    life().lost_at_exit.set(lost_count);
    return *this;
  }
  // What the judge finds wrong.
  [[nodiscard]] std::uint64_t violations() {
    Context context;
    context.stage = stage_.get();
    context.tally = &tally_;
    context.sayings = &sayings_;
    judge_audience(context, 1, kMessages, true);
    std::uint64_t count = 0;
    for (const auto& wrong : tally_.wrong) count += wrong;
    return count;
  }

 private:
  [[nodiscard]] ConsumerLife& life() const {
    ConsumerBook& book = stage_->consumers[0];
    return book.lives[book.life_count - 1];
  }

  std::unique_ptr<Stage, Unmap> stage_;
  Tally tally_{};
  Sayings sayings_{};
};

// One dies holding 5 to 9; its successor finds 5 overwritten, goes past `skipped`, which the ring
// counts as `counted`, and dies before it takes anything; the third goes on.
std::uint64_t of_two_deaths(std::uint32_t skipped, std::uint32_t counted) {
  Audience audience;
  audience.born(0).joins().takes(0, 5).finishes().takes(5, 10);
  audience.born(0);
  audience.born(counted).takes(5 + skipped, 10, 0, counted, true).takes(10, kMessages, 0, counted);
  return audience.leaves(counted).violations();
}

TEST_CASE("judge: a successor's successor begins behind a loss among what the first one held") {
  for (std::uint32_t skipped = 0; skipped < 5; ++skipped) {
    for (std::uint32_t counted = 0; counted < 8; ++counted) {
      CAPTURE(skipped);
      CAPTURE(counted);
      CHECK((of_two_deaths(skipped, counted) == 0) == (skipped == counted));
    }
  }
}

TEST_CASE("judge: who pops for good what a dead one held, and dies with it, leaves the rest") {
  for (std::uint32_t next = 5; next < 10; ++next) {
    Audience audience;
    audience.born(0).joins().takes(0, 5).finishes().takes(5, 10);
    audience.born(0).pops();
    audience.born(0).takes(next, 10, 0, 0, true).takes(10, kMessages);
    CAPTURE(next);
    CHECK((audience.leaves(0).violations() == 0) == (next <= 6));
  }
}

TEST_CASE("judge: a new membership may begin with what was seen before; then each comes once") {
  for (std::uint32_t repeated = 0; repeated < 2; ++repeated) {
    Audience audience;
    audience.born(0).joins().takes(0, 20).finishes().dies_joining_again();
    audience.born(0).joins().takes(10, 15).takes(15 - repeated, kMessages);
    CAPTURE(repeated);
    CHECK((audience.leaves(0).violations() == 0) == (repeated == 0));
  }
}

TEST_CASE("judge: a loss is told with the next message, and to nobody else") {
  for (std::uint32_t told = 0; told < 8; ++told) {
    Audience audience;
    audience.born(0).joins().takes(0, 5).finishes().takes(9, kMessages, told, 4);
    CAPTURE(told);
    CHECK((audience.leaves(4).violations() == 0) == (told == 4));
  }
}

TEST_CASE("judge: what nobody lived to be told is in the ring's own count, exactly") {
  for (std::uint32_t counted = 2; counted < 8; ++counted) {
    // With the last message, too: a counter noted a moment later would count its loss again.
    Audience audience;
    audience.born(0).joins().takes(0, 5).finishes().takes(7, kMessages - 4, 2, 2).finishes();
    audience.born(2);
    CAPTURE(counted);
    CHECK((audience.born(counted).leaves(counted).violations() == 0) == (counted == 6));
  }
}

}  // namespace
}  // namespace slipring::campaign
