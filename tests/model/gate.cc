#include "tests/model/gate.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "tests/model/mutation.h"

namespace slipring::model {
namespace {

struct Reached {
  const Scene* scene;
  SiteList sites;
  std::uint64_t states;

  [[nodiscard]] bool has(const SiteUse& use) const {
    return std::find(sites.begin(), sites.end(), use) != sites.end();
  }
};

// Small scenes first: most mutants die early.
std::vector<Reached> reach(std::span<const Scene> scenes, GateResult& result) {
  std::vector<Reached> all;
  for (const Scene& scene : scenes) {
    Reached reached{&scene, {}, 0};
    ExploreOptions options;
    options.sites = &reached.sites;
    const Found found = explore(scene, options);
    result.lines.push_back(std::string("scene ") + scene.name + ": " + to_string(found));
    if (!found.wrong.empty()) {
      result.offences.push_back(std::string(scene.name) + ": " + found.wrong + '\n' + found.story);
    }
    reached.states = found.states;
    all.push_back(std::move(reached));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Reached& a, const Reached& b) { return a.states < b.states; });
  return all;
}

SiteList sites_of(const std::vector<Reached>& reached) {
  SiteList sites;
  for (const Reached& one : reached) {
    for (const SiteUse& use : one.sites) {
      if (std::find(sites.begin(), sites.end(), use) == sites.end()) sites.push_back(use);
    }
  }
  std::sort(sites.begin(), sites.end(), [](const SiteUse& a, const SiteUse& b) {
    const int files = std::strcmp(a.site.file, b.site.file);
    return files != 0 ? files < 0 : a.site.line < b.site.line;
  });
  return sites;
}

// Empty when no scene notices.
std::string killer_of(const Mutation& mutation, const std::vector<Reached>& reached) {
  ExploreOptions options;
  options.mutation = &mutation;
  for (const Reached& one : reached) {
    if (!one.has(mutation.use)) continue;
    const Found found = explore(*one.scene, options);
    if (!found.wrong.empty()) return std::string(one.scene->name) + ": " + found.wrong;
  }
  return {};
}

}  // namespace

GateResult run_gate(std::span<const Scene> scenes, std::span<const Survivor> survivors,
                    const char* part) {
  GateResult result;
  const std::vector<Reached> reached = reach(scenes, result);
  if (!result.offences.empty()) return result;
  std::set<std::string> met;
  for (const SiteUse& use : sites_of(reached)) {
    if (std::strstr(use.site.file, part) == nullptr) continue;
    for (const Mutation& mutation : mutations_of(use)) {
      const std::string name = name_of(mutation);
      const std::string line = name + " (line " + std::to_string(use.site.line) + ")";
      const auto listed = std::find_if(survivors.begin(), survivors.end(),
                                       [&](const Survivor& entry) { return name == entry.mutant; });
      const bool is_listed = listed != survivors.end();
      if (is_listed) met.insert(name);
      const std::string killer = killer_of(mutation, reached);
      ++result.mutants;
      if (!killer.empty()) {
        ++result.killed;
        result.lines.push_back("killed    " + line + " by " + killer);
        if (is_listed) result.offences.push_back("listed as a survivor, but killed: " + line);
      } else {
        result.lines.push_back("survives  " + line +
                               (is_listed ? std::string(": ") + listed->why : ""));
        if (!is_listed) result.offences.push_back("survives: " + line);
      }
    }
  }
  for (const Survivor& entry : survivors) {
    if (met.count(entry.mutant) == 0) {
      result.offences.push_back(std::string("listed, but there is no such mutant: ") +
                                entry.mutant);
    }
  }
  return result;
}

}  // namespace slipring::model
