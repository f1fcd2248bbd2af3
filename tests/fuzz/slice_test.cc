// Every target for a bounded number of seeded executions, so that every build exercises them: the
// campaign (campaign_main.cc) is the same with more.
#include <doctest/doctest.h>

#include <string>

#include "tests/fuzz/campaign.h"

namespace slipring::fuzz {
namespace {

// What takes a microsecond or less, and what takes tens.
constexpr std::uint64_t kMany = 100'000;
constexpr std::uint64_t kFew = 4'000;

[[nodiscard]] bool is_slow(const std::string& name) {
  return name == "pipeline_file" || name == "demultiplexer";
}

TEST_CASE("fuzz: a slice of every target finds nothing, and gets beyond refusal") {
  std::uint64_t sum = 0;
  for (const TargetInfo& info : all_targets()) {
    CampaignOptions options;
    options.seed = 7;
    options.executions = is_slow(info.name) ? kFew : kMany;
    const CampaignReport report = run_campaign(info, options);
    INFO(std::string(info.name));
    for (const CampaignFinding& finding : report.findings) {
      FAIL_CHECK(finding.what << ", input " << hex_of(finding.input));
    }
    CHECK(report.executions == options.executions);
    const auto& answers = report.tally.answers;
    const std::uint64_t done = answers[static_cast<std::size_t>(Answer::kDone)];
    MESSAGE(std::string(info.name), ": ", report.executions, " executions, done ", done,
            " blocked ", answers[1], " corrupt ", answers[2], " refused ", answers[3]);
    CHECK(done * 100 > report.executions);
    sum += report.executions;
  }
  MESSAGE(all_targets().size(), " targets, ", sum, " executions");
}

}  // namespace
}  // namespace slipring::fuzz
