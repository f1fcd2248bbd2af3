// bazel run -c opt //tests/fuzz:campaign -- [--seconds N] [--executions N] [--target NAME]...
//     [--kind shared|parser] [--seed S] [--jobs N] [--save DIRECTORY] [--list] [--input HEX]
//
// Runs every target, or those named, for so many seconds or executions each, and prints for each
// how many executions there were, what the honest side answered, and what was found.  Ends with
// status 1 when something was.  --input runs one input of one target in this process, for a
// debugger.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/fuzz/campaign.h"

namespace slipring::fuzz {
namespace {

struct Arguments {
  CampaignOptions options;
  std::vector<std::string> targets;
  std::string kind;
  std::string input;
  std::string save_to = ".";
  bool list = false;
};

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "error: %s\n", why.c_str());
  std::exit(2);
}

[[nodiscard]] Arguments read_arguments(int argc, char** argv) {
  Arguments arguments;
  cpu_set_t cpus;
  if (::sched_getaffinity(0, sizeof cpus, &cpus) == 0) {
    arguments.options.worker_count = static_cast<std::uint32_t>(CPU_COUNT(&cpus));
  }
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--list") {
      arguments.list = true;
      continue;
    }
    if (i + 1 == argc) refuse("no such option, or one without its value: " + word);
    const char* value = argv[++i];
    if (word == "--seconds") {
      arguments.options.seconds = std::atof(value);
    } else if (word == "--executions") {
      arguments.options.executions = static_cast<std::uint64_t>(std::atof(value));
    } else if (word == "--seed") {
      arguments.options.seed = std::strtoull(value, nullptr, 0);
    } else if (word == "--jobs") {
      arguments.options.worker_count = static_cast<std::uint32_t>(std::max(1, std::atoi(value)));
    } else if (word == "--target") {
      arguments.targets.emplace_back(value);
    } else if (word == "--kind") {
      arguments.kind = value;
    } else if (word == "--input") {
      arguments.input = value;
    } else if (word == "--save") {
      arguments.save_to = value;
    } else {
      refuse("no such option: " + word);
    }
  }
  if (arguments.options.seconds <= 0 && arguments.options.executions == 0) {
    arguments.options.seconds = 10;
  }
  return arguments;
}

[[nodiscard]] bool is_wanted(const TargetInfo& info, const Arguments& arguments, bool is_planted) {
  if (!arguments.targets.empty()) {
    return std::find(arguments.targets.begin(), arguments.targets.end(), info.name) !=
           arguments.targets.end();
  }
  if (is_planted) return false;
  if (arguments.kind == "shared") return info.kind == TargetKind::kShared;
  if (arguments.kind == "parser") return info.kind == TargetKind::kParser;
  return true;
}

void print(const TargetInfo& info, const CampaignReport& report, const Arguments& arguments) {
  std::printf("%-20s %14llu executions %7.1f s %9.0f /s  found %zu\n", info.name,
              static_cast<unsigned long long>(report.executions), report.seconds,
              report.seconds > 0 ? static_cast<double>(report.executions) / report.seconds : 0.0,
              report.findings.size());
  std::printf("    one execution: %s\n    answers:", info.execution);
  for (std::size_t i = 0; i < kAnswerCount; ++i) {
    if (report.tally.answers[i] == 0) continue;
    std::printf(" %s %llu", kAnswerNames[i],
                static_cast<unsigned long long>(report.tally.answers[i]));
  }
  if (report.tally.scribbles != 0) {
    std::printf("  hostile stores %llu", static_cast<unsigned long long>(report.tally.scribbles));
  }
  std::printf("\n");
  static constexpr const char* kKinds[]{"BROKEN", "CRASH", "HANG"};
  for (const CampaignFinding& finding : report.findings) {
    const std::string path =
        arguments.save_to + "/" + info.name + "-" + std::to_string(finding.executions) + ".input";
    std::printf("    %s: %s, at execution %llu\n    input %s\n",
                kKinds[static_cast<std::size_t>(finding.kind)], finding.what.c_str(),
                static_cast<unsigned long long>(finding.executions), hex_of(finding.input).c_str());
    if (std::FILE* file = std::fopen(path.c_str(), "wb")) {
      std::fwrite(finding.input.data(), 1, finding.input.size(), file);
      std::fclose(file);
      std::printf("    saved as %s\n", path.c_str());
    }
  }
  std::fflush(stdout);
}

[[nodiscard]] int run_one(const TargetInfo& info, const std::string& hex) {
  Tally tally;
  info.make()->run(bytes_of(hex), tally);
  std::printf("%s: %s\n", info.name, tally.broken != nullptr ? tally.broken : "holds");
  return tally.broken != nullptr ? 1 : 0;
}

int run(const Arguments& arguments) {
  std::printf("seed %llu, %u workers, %s\n",
              static_cast<unsigned long long>(arguments.options.seed),
              arguments.options.worker_count, "one target after another");
  std::uint64_t sums[2]{};
  std::size_t found = 0;
  std::size_t target_count = 0;
  for (const bool is_planted : {false, true}) {
    for (const TargetInfo& info : is_planted ? planted_targets() : all_targets()) {
      if (arguments.list) {
        std::printf("%-20s %s\n", info.name, info.execution);
        continue;
      }
      if (!is_wanted(info, arguments, is_planted)) continue;
      ++target_count;
      if (!arguments.input.empty()) return run_one(info, arguments.input);
      const CampaignReport report = run_campaign(info, arguments.options);
      print(info, report, arguments);
      sums[static_cast<std::size_t>(info.kind)] += report.executions;
      found += report.findings.size();
    }
  }
  if (arguments.list) return 0;
  if (target_count == 0) refuse("no such target; --list names them");
  std::printf(
      "%zu targets: %llu executions over ends of rings and pools, %llu over parsers, %zu "
      "found\n",
      target_count, static_cast<unsigned long long>(sums[0]),
      static_cast<unsigned long long>(sums[1]), found);
  return found == 0 ? 0 : 1;
}

}  // namespace
}  // namespace slipring::fuzz

int main(int argc, char** argv) {
  slipring::fuzz::Arguments arguments = slipring::fuzz::read_arguments(argc, argv);
  arguments.options.progress = ::isatty(STDERR_FILENO) != 0 ? stderr : nullptr;
  return slipring::fuzz::run(arguments);
}
