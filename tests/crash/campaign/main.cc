// The random-death campaign: SIGKILLs under load, at random instants, over every ring.
//
//   campaign [--seconds N] [--seed S] [--ring KIND] [--processes N] [--kills-in-round N]
//            [--plant NAME] [--json]
//
// Exit status: 0 no violation, 1 violations, 2 a mistake in the call.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "tests/crash/campaign/driver.h"
#include "tests/crash/campaign/table.h"

namespace slipring::campaign {
namespace {

constexpr const char* kUsage =
    "usage: campaign [--seconds N] [--seed S] [--ring KIND] [--processes N]\n"
    "                [--kills-in-round N] [--plant NAME] [--json]\n";

constexpr std::uint64_t kFewKills = 20'000;

[[nodiscard]] std::optional<std::uint64_t> number_of(const char* text) {
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text, &end, 10);
  if (end == text || *end != 0) return std::nullopt;
  return value;
}

[[nodiscard]] bool set_plant(const char* text, Plant& plant) {
  for (std::uint32_t i = 0; i < kPlantCount; ++i) {
    plant = static_cast<Plant>(i);
    if (std::strcmp(text, name_of(plant)) == 0) return true;
  }
  return false;
}

[[nodiscard]] bool set_option(const std::string& name, const char* value, Options& options) {
  if (name == "--plant") return set_plant(value, options.plant);
  if (name == "--ring") {
    options.ring = value;
    return true;
  }
  const std::optional<std::uint64_t> number = number_of(value);
  if (!number) return false;
  if (name == "--seconds") {
    options.seconds = *number;
  } else if (name == "--seed") {
    options.seed = *number;
  } else if (name == "--processes") {
    options.process_count = static_cast<std::uint32_t>(*number);
  } else if (name == "--kills-in-round") {
    options.kills_in_round = static_cast<std::uint32_t>(*number);
  } else {
    return false;
  }
  return true;
}

[[nodiscard]] bool parse(int count, char** arguments, Options& options, bool& as_json) {
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--json") {
      as_json = true;
    } else if (i + 1 == count || !set_option(name, arguments[++i], options)) {
      return false;
    }
  }
  return options.process_count != 0 && options.kills_in_round != 0 &&
         options.kills_in_round <= kMaxLives / 4;
}

// A run whose deaths never cut a push short after it had committed, or never before, shows nothing.
[[nodiscard]] bool has_hit_pushes(const Outcome& outcome) {
  std::uint64_t committed = 0;
  std::uint64_t vanished = 0;
  for (const SceneResult& scene : outcome.scenes) {
    committed += scene.tally->maybe_committed;
    vanished += scene.tally->maybe_vanished;
  }
  return (committed != 0 && vanished != 0) || outcome.kills() < kFewKills;
}

int main_of(int count, char** arguments) {
  Options options;
  bool as_json = false;
  if (!parse(count, arguments, options, as_json)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  Outcome outcome;
  const bool is_well = run(options, outcome);
  if (outcome.scenes.empty()) {
    std::fprintf(stderr, "campaign: no ring called %s\n", options.ring.c_str());
    return 2;
  }
  if (as_json) {
    print_json(options, outcome);
  } else {
    print_table(options, outcome);
  }
  const bool has_hit = has_hit_pushes(outcome);
  if (!has_hit)
    std::fputs("campaign: the deaths hit no push on both sides of its commit\n", stderr);
  return is_well && has_hit && outcome.violations() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace slipring::campaign

int main(int count, char** arguments) {
  return slipring::campaign::main_of(count, arguments);
}
