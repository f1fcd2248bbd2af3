// Goes through every execution of a scene within its bounds, or through random ones.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "tests/model/mutation.h"
#include "tests/model/run.h"

namespace slipring::model {

struct Scene {
  const char* name;
  Bounds bounds;
  std::function<std::unique_ptr<Play>(Run&)> begin;
};

// Of a scene that is a class with a constructor from Run& and what else it needs.
template <typename P, typename... Args>
[[nodiscard]] Scene scene_of(const char* name, const Bounds& bounds, Args... args) {
  return {name, bounds, [args...](Run& run) -> std::unique_ptr<Play> {
            return std::make_unique<P>(run, args...);
          }};
}

// The same with fewer switches away from whom could go on; `name` says so.
[[nodiscard]] inline Scene within(std::uint32_t preemptions, const char* name, Scene scene) {
  scene.name = name;
  scene.bounds.preemptions = preemptions;
  return scene;
}

struct Found {
  std::uint64_t executions = 0;  // that came to an end; others ran into a state known already
  std::uint64_t states = 0;
  std::uint64_t deaths = 0;  // each in another state
  std::uint64_t stops = 0;
  std::uint64_t longest = 0;  // accesses in one execution
  bool is_complete =
      false;  // all within the bounds; false when the number of states was reached, or the end
  std::string wrong;  // empty when nothing was
  std::string story;  // the accesses of the execution that went wrong
};

struct ExploreOptions {
  const Mutation* mutation = nullptr;
  SiteList* sites = nullptr;
  bool merges = true;  // false enters known states again: slow, and finds the same
  std::uint64_t max_executions = UINT64_MAX;
  std::chrono::steady_clock::time_point end = std::chrono::steady_clock::time_point::max();
};

[[nodiscard]] Found explore(const Scene& scene, const ExploreOptions& options = {});
// `count` executions with choices at random, one seed each from `seed` on; fewer if it is `end`.
[[nodiscard]] Found explore_at_random(
    const Scene& scene, std::uint64_t seed, std::uint64_t count,
    std::chrono::steady_clock::time_point end = std::chrono::steady_clock::time_point::max());
// "states 120, executions 12, deaths 0, stops 0, longest 9, complete"
[[nodiscard]] std::string to_string(const Found& found);

}  // namespace slipring::model
