// The places that a broadcast link's writer looks at, with readers that come and sleep, or die, at
// any moment: every execution that the C++ memory model allows of one message and two newcomers.
//
// Doorbell and Arming are written down again in a line each, with the fences of both sides (where
// membarrier stands for one of them, it does the same); what counts the places is the link's own.
#include "pipelines/link/used_places.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "tests/model/explorer.h"
#include "tests/model/model_atomics.h"

namespace slipring {
namespace {

using model::Bounds;
using model::Found;
using model::Run;
using Atomics = model::ModelAtomics;
using Word = std::atomic<std::uint32_t>;

constexpr std::uint32_t kPlaces = 3;
constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kSeqCst = std::memory_order_seq_cst;

// How the sides are built, and what is wrong with them.
struct Build {
  bool reader_never_deaf = false;    // it trusts that those below have said so
  bool writer_counts_early = false;  // before the fence
  bool arms_before_used = false;     // a reader says that it is there when it sleeps already
};

class Newcomers : public model::Play {
  [[nodiscard]] auto word_of() const {
    return [this](std::uint32_t place) -> const Word& { return *used_[place]; };
  }

 public:
  Newcomers(Run& run, Build build)
      : build_(build),
        message_(run.place<Word>()),
        used_{run.place<Word>(), run.place<Word>(), run.place<Word>()},
        armed_{run.place<Word>(), run.place<Word>(), run.place<Word>()} {
    // The first place is an old reader's, which the writer has long known.
    Atomics::store(*used_[0], 1, kRelaxed);
    static_cast<void>(counted_.count(kPlaces, word_of()));
    run.spare(run.fibre([this] { send(); }));
    for (const std::uint32_t place : {1U, 2U}) run.fibre([this, place] { come_and_sleep(place); });
  }

  void settle(Run& run) override {
    for (const std::uint32_t place : {1U, 2U}) {
      const bool must_be_rung = sleeps_[place] && !is_deaf_[place];
      run.require(!must_be_rung || rung_[place], "a wake-up was lost");
    }
  }

 private:
  void send() {
    Atomics::store(*message_, 1, std::memory_order_release);
    if (build_.writer_counts_early) static_cast<void>(counted_.count(kPlaces, word_of()));
    Atomics::fence(kSeqCst);
    const std::uint32_t count = build_.writer_counts_early ? counted_.count(0, word_of())
                                                           : counted_.count(kPlaces, word_of());
    for (std::uint32_t place = 0; place < count; ++place) {
      rung_[place] = Atomics::load(*armed_[place], kRelaxed) != 0;
    }
  }

  void come_and_sleep(std::uint32_t place) {
    if (!build_.arms_before_used) Atomics::store(*used_[place], 1, kRelaxed);
    is_deaf_[place] = !build_.reader_never_deaf && !all_used_below<Atomics>(place, word_of());
    Atomics::store(*armed_[place], 1, kRelaxed);
    Atomics::fence(kSeqCst);
    sleeps_[place] = Atomics::load(*message_, std::memory_order_acquire) == 0;
    if (build_.arms_before_used) Atomics::store(*used_[place], 1, kRelaxed);
  }

  Build build_;
  Word* message_;
  std::array<Word*, kPlaces> used_;
  std::array<Word*, kPlaces> armed_;
  BasicUsedPlaces<Atomics> counted_;
  std::array<bool, kPlaces> is_deaf_{};
  std::array<bool, kPlaces> sleeps_{};
  std::array<bool, kPlaces> rung_{};
};

Found explore_with(Build build) {
  Bounds bounds;
  bounds.deaths = 1;
  return model::explore(model::scene_of<Newcomers>("newcomers", bounds, build));
}

TEST_CASE("used places model: no reader that is not deaf sleeps through a message") {
  const Found found = explore_with({});
  MESSAGE(model::to_string(found));
  CHECK_MESSAGE(found.wrong.empty(), found.wrong, "\n", found.story);
  CHECK(found.is_complete);
  CHECK(found.deaths > 0);
}

TEST_CASE("used places model: every planted fault is found") {
  CHECK(explore_with({.reader_never_deaf = true}).wrong == "a wake-up was lost");
  CHECK(explore_with({.writer_counts_early = true}).wrong == "a wake-up was lost");
  CHECK(explore_with({.arms_before_used = true}).wrong == "a wake-up was lost");
}

}  // namespace
}  // namespace slipring
