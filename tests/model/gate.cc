#include "tests/model/gate.h"

#include <cstdio>
#include <cstdlib>
#include <map>

namespace slipring::model {
namespace {

std::string file_of(const Site& site) {
  const std::string path = site.file;
  const std::size_t at = path.rfind("core/");
  return at == std::string::npos ? path : path.substr(at);
}

// Without the line.
std::string kind_of(const Mutation& mutation) {
  const std::string text = to_string(mutation);
  const std::string place =
      std::string(mutation.use.site.file) + ':' + std::to_string(mutation.use.site.line);
  return file_of(mutation.use.site) + text.substr(place.size());
}

// The campaign shows how it goes on; a test shows what it found.
void say(const std::string& text) {
  if (std::getenv("SLIPRING_MODEL_VERBOSE") != nullptr) std::fprintf(stderr, "%s\n", text.c_str());
}

bool is_caught(const std::vector<Scene>& scenes, const Mutation& mutation, GateCounts& counts) {
  ExploreOptions options;
  options.mutation = &mutation;
  for (const Scene& scene : scenes) {
    const Found found = explore(scene, options);
    counts.state_count += found.states;
    if (found.wrong.empty()) continue;
    say(kind_of(mutation) + ", line " + std::to_string(mutation.use.site.line) + ": " + scene.name +
        ": " + found.wrong);
    return true;
  }
  say(kind_of(mutation) + ", line " + std::to_string(mutation.use.site.line) + ": SURVIVES");
  return false;
}

}  // namespace

GateCounts go_through_gate(const std::vector<Scene>& scenes, const std::vector<std::string>& files,
                           const std::vector<Explained>& explained) {
  GateCounts counts;
  SiteList sites;
  ExploreOptions options;
  options.sites = &sites;
  for (const Scene& scene : scenes) {
    const Found found = explore(scene, options);
    counts.state_count += found.states;
    say(std::string(scene.name) + ": " + to_string(found));
    if (!found.wrong.empty()) counts.differences.push_back(scene.name + (": " + found.wrong));
    if (!found.is_complete) counts.differences.push_back(scene.name + std::string(": bounded"));
  }
  std::map<std::string, std::uint32_t> survived;
  for (const SiteUse& use : sites) {
    bool is_wanted = false;
    for (const std::string& file : files) is_wanted |= file_of(use.site) == file;
    if (!is_wanted) continue;
    ++counts.site_count;
    say("site " + file_of(use.site) + ':' + std::to_string(use.site.line));
    for (const Mutation& mutation : mutations_of(use)) {
      ++counts.mutant_count;
      if (is_caught(scenes, mutation, counts)) {
        ++counts.caught_count;
        continue;
      }
      ++survived[kind_of(mutation)];
      counts.survivors.push_back(kind_of(mutation) + ", line " +
                                 std::to_string(mutation.use.site.line));
    }
  }
  for (const Explained& one : explained) {
    const std::uint32_t there = survived[one.mutant];
    if (there != one.count) {
      counts.differences.push_back(std::string(one.mutant) + ": survive " + std::to_string(there) +
                                   ", explained " + std::to_string(one.count));
    }
    survived.erase(one.mutant);
  }
  for (const auto& [mutant, count] : survived) {
    if (count != 0) counts.differences.push_back(mutant + ": survives and is not explained");
  }
  return counts;
}

}  // namespace slipring::model
