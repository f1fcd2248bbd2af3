// Explores what is too much for each build, until the time is up.  Every scene of every ring and
// pool has its turn in every round: first all executions, up to a number of states that grows from
// round to round, until all scenes are complete; then random ones, whose seeds are printed.
//
//   bazel run -c opt //tests/model:campaign -- --seconds 600 [--seed 1]

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/model/broadcast_scenes.h"
#include "tests/model/buffer_pool_scenes.h"
#include "tests/model/exchange_scenes.h"
#include "tests/model/explorer.h"
#include "tests/model/lanes_scenes.h"
#include "tests/model/mpmc_scenes.h"
#include "tests/model/shared_pool_scenes.h"
#include "tests/model/spsc_scenes.h"

namespace slipring::model {
namespace {

using Clock = std::chrono::steady_clock;

struct Named {
  const char* ring;
  Scene scene;
  bool is_complete = false;
};

void add(std::vector<Named>& all, const char* ring, std::vector<Scene> scenes) {
  for (Scene& scene : scenes) all.push_back({ring, std::move(scene)});
}

std::vector<Named> all_scenes() {
  std::vector<Named> all;
  add(all, "typed ring", spsc_deep_scenes<TypedRing>());
  add(all, "slot ring", spsc_deep_scenes<SlotRing>());
  add(all, "record ring", spsc_deep_scenes<RecordRing>());
  add(all, "byte stream", spsc_deep_scenes<ByteStream>());
  add(all, "lanes", lanes_deep_scenes());
  add(all, "many-to-many", mpmc_scenes());
  add(all, "many-to-many", mpmc_stop_scenes());
  add(all, "many-to-many", mpmc_deep_scenes());
  add(all, "exchange", exchange_scenes());
  add(all, "broadcast", broadcast_scenes());
  add(all, "broadcast", broadcast_deep_scenes());
  add(all, "buffer pool", buffer_pool_scenes());
  add(all, "shared pool", shared_pool_scenes());
  return all;
}

class Campaign {
 public:
  Campaign(std::uint64_t seconds, std::uint64_t seed)
      : start_(Clock::now()), end_(start_ + std::chrono::seconds(seconds)), seed_(seed) {}

  int run() {
    std::uint64_t complete_count = 0;
    std::uint64_t states = kFirstStates;
    for (; complete_count < scenes_.size() && Clock::now() < end_; states *= 8) {
      complete_count = 0;
      for (Named& one : scenes_) {
        if (!one.is_complete && Clock::now() < end_) explore_all(one, states);
        complete_count += one.is_complete ? 1 : 0;
      }
    }
    for (; Clock::now() < end_; seed_ += kRandoms) {
      for (const Named& one : scenes_) {
        if (Clock::now() < end_) explore_some(one);
      }
    }
    std::printf("scenes %zu, complete %llu, wrong %d\n", scenes_.size(),
                static_cast<unsigned long long>(complete_count), wrong_);
    return wrong_ == 0 ? 0 : 1;
  }

 private:
  static constexpr std::uint64_t kFirstStates = 100'000;
  static constexpr std::uint64_t kRandoms = 20'000;

  void explore_all(Named& one, std::uint64_t states) {
    one.scene.bounds.states = states;
    ExploreOptions options;
    options.end = end_;
    const Found found = explore(one.scene, options);
    one.is_complete = found.is_complete || !found.wrong.empty();
    report(one, "everything", found);
  }
  void explore_some(const Named& one) {
    const std::string how =
        "random, seeds " + std::to_string(seed_) + " to " + std::to_string(seed_ + kRandoms - 1);
    report(one, how.c_str(), explore_at_random(one.scene, seed_, kRandoms, end_));
  }
  void report(const Named& one, const char* how, const Found& found) {
    const std::chrono::duration<double> since = Clock::now() - start_;
    std::printf("%7.1f s  %s, %s, %s: %s\n", since.count(), one.ring, one.scene.name, how,
                to_string(found).c_str());
    if (!found.wrong.empty()) {
      std::printf("%s", found.story.c_str());
      ++wrong_;
    }
    std::fflush(stdout);
  }

  std::vector<Named> scenes_ = all_scenes();
  Clock::time_point start_;
  Clock::time_point end_;
  std::uint64_t seed_;
  int wrong_ = 0;
};

}  // namespace
}  // namespace slipring::model

int main(int argc, char** argv) {
  std::uint64_t seconds = 60;
  std::uint64_t seed = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seconds") == 0) seconds = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
  }
  return slipring::model::Campaign(seconds, seed).run();
}
