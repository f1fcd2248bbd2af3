// Whether states that are taken for one are one: with and without merging, the same outcomes.
//
// Without merging every execution is gone through, so the scenes are the smallest, with few
// preemptions; both explorations have the same bounds.

#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "tests/model/explorer.h"
#include "tests/model/mpmc_scenes.h"
#include "tests/model/spsc_scenes.h"

namespace slipring::model {
namespace {

using Outcomes = std::set<std::uint64_t>;

// Takes down how each execution ended: what everybody left, who died, who waits.
class Watched : public Play {
 public:
  Watched(std::unique_ptr<Play> play, std::size_t fibre_count, Outcomes& outcomes, bool is_blind)
      : play_(std::move(play)),
        fibre_count_(fibre_count),
        outcomes_(outcomes),
        is_blind_(is_blind) {}

  void settle(Run& run) override {
    std::uint64_t outcome = play_->ghost();
    for (std::size_t i = 0; i < fibre_count_; ++i) {
      outcome = mix(outcome, static_cast<std::uint64_t>(run.fate(i)));
    }
    outcomes_.insert(outcome);
    play_->settle(run);
  }
  [[nodiscard]] std::uint64_t ghost() const override { return is_blind_ ? 0 : play_->ghost(); }
  [[nodiscard]] bool tells_all() const override { return play_->tells_all(); }

 private:
  std::unique_ptr<Play> play_;
  std::size_t fibre_count_;
  Outcomes& outcomes_;
  bool is_blind_;
};

Outcomes outcomes_of(const Scene& scene, std::size_t fibre_count, bool merges,
                     bool is_blind = false) {
  Outcomes outcomes;
  Scene watched = scene;
  watched.begin = [&](Run& run) -> std::unique_ptr<Play> {
    return std::make_unique<Watched>(scene.begin(run), fibre_count, outcomes, is_blind);
  };
  ExploreOptions options;
  options.merges = merges;
  const Found found = explore(watched, options);
  MESSAGE(std::string(scene.name), std::string(merges ? ", merged: " : ", unmerged: "),
          to_string(found), ", outcomes ", outcomes.size());
  CHECK_MESSAGE(found.wrong.empty(), found.wrong, "\n", found.story);
  CHECK(found.is_complete);
  return outcomes;
}

void check_same(Scene scene, std::size_t fibre_count, std::uint32_t preemptions) {
  scene.bounds.preemptions = preemptions;
  const Outcomes merged = outcomes_of(scene, fibre_count, true);
  CHECK(merged == outcomes_of(scene, fibre_count, false));
  CHECK(merged.size() > 1);
}

TEST_CASE("merging: one producer and one consumer, the same outcomes") {
  check_same(spsc_scene<TypedRing>("typed ring, 2 x 2 tries", trying(Way::kCopy, 2)), 2, 6);
  check_same(spsc_scene<SlotRing>("slot ring, 1 x 1 try", trying(Way::kInPlace, 1)), 2, 6);
  check_same(spsc_scene<TypedRing>("typed ring, 1 x 1 try, a death", trying(Way::kCopy, 1), 1), 4,
             4);
}

TEST_CASE("merging: many-to-many, the same outcomes") {
  check_same(mpmc_scene("1P x 1C, 1 slot", 0, {.pushes = {1}, .pops = {1}}), 2, 1'000);
  check_same(mpmc_scene("2P x 1C, 1 slot", 0, {.pushes = {1, 1}, .pops = {1}}), 3, 2);
  check_same(mpmc_scene("1P x 1C, 1 slot, 1 death", 1, {.pushes = {1}, .pops = {1}}), 2, 5);
}

// Tries that find nothing leave everything as it was, but for how many are left: who does not tell
// that never comes to the last.
TEST_CASE("merging: planted, a play that does not tell what it keeps loses outcomes") {
  const Scene scene = mpmc_scene("1P x 1C, 3 tries", 0, {.pushes = {1}, .pops = {3}});
  const Outcomes blind = outcomes_of(scene, 2, true, true);
  CHECK(blind.size() < outcomes_of(scene, 2, true).size());
}

}  // namespace
}  // namespace slipring::model
