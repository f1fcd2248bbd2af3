// Explores what is too much for each build, one scene after another, until the time is up:
// first everything within bounds, then random executions, whose seeds are printed.
//
//   bazel run -c opt //tests/model:campaign -- --seconds 600 [--seed 1]

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/model/explorer.h"
#include "tests/model/lanes_play.h"
#include "tests/model/spsc_scenes.h"

namespace slipring::model {
namespace {

struct Named {
  std::string ring;
  Scene scene;
};

template <typename Ring>
void add(std::vector<Named>& all, const char* ring) {
  for (Scene& scene : spsc_deep_scenes<Ring>()) {
    scene.bounds.states = 20'000'000;
    all.push_back({ring, std::move(scene)});
  }
}

std::vector<Named> scenes() {
  std::vector<Named> all;
  add<TypedRing>(all, "typed ring");
  add<SlotRing>(all, "slot ring");
  add<RecordRing>(all, "record ring");
  add<ByteStream>(all, "byte stream");
  LanesPlan lanes;
  lanes.deaths = 1;
  lanes.has_successors = true;
  Bounds bounds;
  bounds.deaths = 1;
  bounds.states = 20'000'000;
  all.push_back(
      {"lanes", scene_of<LanesPlay>("a death, rung for by the successor", bounds, lanes)});
  lanes.messages = 3;
  all.push_back({"lanes", scene_of<LanesPlay>("3 messages a lane and a death", bounds, lanes)});
  return all;
}

int report(const Named& one, const char* how, const Found& found) {
  std::printf("%s, %s, %s: %s\n", one.ring.c_str(), one.scene.name, how, to_string(found).c_str());
  if (!found.wrong.empty()) std::printf("%s", found.story.c_str());
  std::fflush(stdout);
  return found.wrong.empty() ? 0 : 1;
}

int run(std::uint64_t seconds, std::uint64_t seed) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::seconds(seconds);
  const std::vector<Named> all = scenes();
  int wrong = 0;
  for (const Named& one : all) {
    if (Clock::now() > end) break;
    wrong += report(one, "everything", explore(one.scene));
  }
  constexpr std::uint64_t kRound = 20'000;
  for (; Clock::now() < end; seed += kRound) {
    for (const Named& one : all) {
      if (Clock::now() > end) break;
      const std::string how =
          "random, seeds " + std::to_string(seed) + " to " + std::to_string(seed + kRound - 1);
      wrong += report(one, how.c_str(), explore_at_random(one.scene, seed, kRound));
    }
  }
  std::printf("scenes %zu, wrong %d\n", all.size(), wrong);
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace slipring::model

int main(int argc, char** argv) {
  std::uint64_t seconds = 60;
  std::uint64_t seed = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seconds") == 0) seconds = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
  }
  return slipring::model::run(seconds, seed);
}
