// Every instruction of every operation: stopped at each, killed in each class and at instants drawn
// from all of them, again and again.
// usage: link_crash_campaign [--seconds=N] [--seed=N] [--only=TEXT]

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "platform/wait/clock.h"
#include "tests/crash/link/crash_report.h"
#include "tests/crash/link/link_operations.h"
#include "tests/crash/link/private_tmpfs.h"

namespace slipring::crash {
namespace {

struct Settings {
  std::uint64_t seconds = 60;
  std::uint64_t seed = 1;
  std::string only;
};

bool take(std::string_view word, std::string_view key, std::string& value) {
  if (!word.starts_with(key)) return false;
  value = word.substr(key.size());
  return true;
}

bool parse(int argc, char** argv, Settings& settings) {
  for (int i = 1; i < argc; ++i) {
    std::string value;
    if (take(argv[i], "--seconds=", value)) {
      settings.seconds = std::strtoull(value.c_str(), nullptr, 10);
    } else if (take(argv[i], "--seed=", value)) {
      settings.seed = std::strtoull(value.c_str(), nullptr, 10);
    } else if (!take(argv[i], "--only=", settings.only)) {
      return false;
    }
  }
  return true;
}

std::vector<Operation> all_operations(const PrivateTmpfs& tmpfs, const std::string& only) {
  std::vector<Operation> chosen;
  for (const auto& list :
       {writer_operations(tmpfs), reader_operations(tmpfs), abort_operations(tmpfs),
        segment_operations(tmpfs), pipeline_operations(tmpfs)}) {
    for (const Operation& operation : list) {
      if (operation.name.find(only) != std::string::npos) chosen.push_back(operation);
    }
  }
  return chosen;
}

int run(const Settings& settings) {
  const PrivateTmpfs tmpfs;
  const std::uint64_t deadline_ns = deadline_after(settings.seconds * 1'000'000'000);
  Tally sum;
  sum.name = "campaign";
  std::uint64_t round = 0;
  for (; round == 0 || monotonic_ns() < deadline_ns; ++round) {
    const WalkOptions options{
        .stride = 1, .stop_every = 1, .drawn_kills = 100, .seed = settings.seed + round};
    std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
    // The first round is always whole.
    const Report report = walk_all(all_operations(tmpfs, settings.only), options,
                                   [&] { return round == 0 || monotonic_ns() < deadline_ns; });
    for (const std::string& line : report.lines) std::printf("%s\n", line.c_str());
    for (const std::string& failure : report.failures) std::printf("  %s\n", failure.c_str());
    sum.add(report.sum);
    std::fflush(stdout);
  }
  std::printf("%s in %llu rounds, %s\n", sum.text().c_str(), static_cast<unsigned long long>(round),
              tmpfs.is_mounted() ? "census of names, inodes and bytes" : "census of names alone");
  return sum.violations == 0 && sum.is_whole() ? 0 : 1;
}

}  // namespace
}  // namespace slipring::crash

int main(int argc, char** argv) {
  slipring::crash::Settings settings;
  if (!slipring::crash::parse(argc, argv, settings)) {
    std::fprintf(stderr, "usage: %s [--seconds=N] [--seed=N] [--only=TEXT]\n", argv[0]);
    return 2;
  }
  return slipring::crash::run(settings);
}
