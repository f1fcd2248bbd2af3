#include "tests/crash/campaign/table.h"

#include <algorithm>
#include <cstdio>

namespace slipring::campaign {
namespace {

constexpr const char* kOpNames[kOpCount] = {"outside", "attach", "push",   "take",
                                            "finish",  "wait",   "recover"};

[[nodiscard]] unsigned long long number(const std::atomic<std::uint64_t>& value) {
  return value.load();
}

void print_scene(const SceneResult& scene) {
  const Tally& tally = *scene.tally;
  std::printf("%-16s %6llu rounds %8llu kills %11llu messages %8llu redelivered",
              scene.name.c_str(), number(tally.rounds), number(tally.kills), number(tally.messages),
              number(tally.redelivered));
  std::printf("  maybe: %llu committed, %llu vanished", number(tally.maybe_committed),
              number(tally.maybe_vanished));
  if (tally.in_hands != 0) std::printf("  in dead hands %llu", number(tally.in_hands));
  if (tally.told_lost != 0) std::printf("  told lost %llu", number(tally.told_lost));
  std::printf("  violations %llu\n", static_cast<unsigned long long>(violations_of(tally)));
  std::printf("    by role:");
  for (std::size_t i = 0; i < scene.role_names.size(); ++i) {
    std::printf(" %s %llu", scene.role_names[i].c_str(), number(tally.kills_by_role[i]));
  }
  std::printf("   in:");
  for (std::uint32_t i = 0; i < kOpCount; ++i) {
    if (tally.kills_in[i] != 0) std::printf(" %s %llu", kOpNames[i], number(tally.kills_in[i]));
  }
  std::printf("   all at once %llu\n", number(tally.kills_together));
  for (std::uint32_t i = 0; i < kWrongCount; ++i) {
    if (tally.wrong[i] != 0) {
      std::printf("    %s: %llu\n", name_of(static_cast<Wrong>(i)), number(tally.wrong[i]));
    }
  }
}

struct Totals {
  unsigned long long messages = 0;
  unsigned long long redelivered = 0;
  unsigned long long committed = 0;
  unsigned long long vanished = 0;
  unsigned long long inside = 0;
  unsigned long long waiting = 0;
};

[[nodiscard]] Totals totals_of(const Outcome& outcome) {
  Totals all;
  for (const SceneResult& scene : outcome.scenes) {
    all.messages += scene.tally->messages;
    all.redelivered += scene.tally->redelivered;
    all.committed += scene.tally->maybe_committed;
    all.vanished += scene.tally->maybe_vanished;
    for (std::uint32_t i = 1; i < kOpCount; ++i) {
      const bool is_wait = static_cast<Op>(i) == Op::kWait;
      (is_wait ? all.waiting : all.inside) += scene.tally->kills_in[i];
    }
  }
  return all;
}

void print_sayings(std::FILE* to, const Outcome& outcome) {
  const std::uint32_t count = std::min(outcome.sayings().count.load(), kMaxSayings);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::fprintf(to, "  %s\n", outcome.sayings().texts[i]);
  }
}

}  // namespace

void print_table(const Options& options, const Outcome& outcome) {
  for (const SceneResult& scene : outcome.scenes) print_scene(scene);
  print_sayings(stdout, outcome);
  const Totals all = totals_of(outcome);
  std::printf(
      "total: %llu kills (%llu inside an operation, %llu waiting) in %.1f s, %.0f a second; "
      "%llu messages, %llu redelivered; maybe %llu committed, %llu vanished; "
      "%llu violations; seed %llu\n",
      static_cast<unsigned long long>(outcome.kills()), all.inside, all.waiting, outcome.seconds,
      static_cast<double>(outcome.kills()) / outcome.seconds, all.messages, all.redelivered,
      all.committed, all.vanished, static_cast<unsigned long long>(outcome.violations()),
      static_cast<unsigned long long>(options.seed));
}

void print_json(const Options& options, const Outcome& outcome) {
  print_sayings(stderr, outcome);
  std::printf("{\"seed\":%llu,\"seconds\":%.3f,\"kills\":%llu,\"violations\":%llu,\"rings\":[",
              static_cast<unsigned long long>(options.seed), outcome.seconds,
              static_cast<unsigned long long>(outcome.kills()),
              static_cast<unsigned long long>(outcome.violations()));
  const char* comma = "";
  for (const SceneResult& scene : outcome.scenes) {
    const Tally& tally = *scene.tally;
    std::printf(
        "%s{\"ring\":\"%s\",\"rounds\":%llu,\"kills\":%llu,\"messages\":%llu,"
        "\"redelivered\":%llu,\"maybe_committed\":%llu,\"maybe_vanished\":%llu,"
        "\"in_dead_hands\":%llu,\"told_lost\":%llu,\"all_at_once\":%llu",
        comma, scene.name.c_str(), number(tally.rounds), number(tally.kills),
        number(tally.messages), number(tally.redelivered), number(tally.maybe_committed),
        number(tally.maybe_vanished), number(tally.in_hands), number(tally.told_lost),
        number(tally.kills_together));
    comma = ",";
    std::printf(",\"kills_by_role\":{");
    for (std::size_t i = 0; i < scene.role_names.size(); ++i) {
      std::printf("%s\"%s\":%llu", i == 0 ? "" : ",", scene.role_names[i].c_str(),
                  number(tally.kills_by_role[i]));
    }
    std::printf("},\"kills_in\":{");
    for (std::uint32_t i = 0; i < kOpCount; ++i) {
      std::printf("%s\"%s\":%llu", i == 0 ? "" : ",", kOpNames[i], number(tally.kills_in[i]));
    }
    std::printf("},\"violations\":{");
    for (std::uint32_t i = 0; i < kWrongCount; ++i) {
      std::printf("%s\"%s\":%llu", i == 0 ? "" : ",", name_of(static_cast<Wrong>(i)),
                  number(tally.wrong[i]));
    }
    std::printf("}}");
  }
  std::printf("]}\n");
}

}  // namespace slipring::campaign
