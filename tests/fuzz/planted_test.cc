// Each oracle of the fuzz targets is seen to be red: the campaign finds every planted mistake, in
// the way it is meant to be found, within a bounded number of executions.
#include <doctest/doctest.h>

#include <string>

#include "tests/fuzz/campaign.h"

namespace slipring::fuzz {
namespace {

constexpr std::uint64_t kMostExecutions = 100'000;

struct Wanted {
  const char* name;
  FindingKind kind;
  const char* words;
};
constexpr std::array<Wanted, 12> kWanted{{
    {"planted_index", FindingKind::kCrash, ""},
    {"planted_double_fetch", FindingKind::kBroken, "a record outside the ring"},
    {"planted_long_walk", FindingKind::kBroken, "a call looks at more than the ring holds"},
    {"planted_hang", FindingKind::kHang, "one execution does not end"},
    {"planted_fence", FindingKind::kBroken, "one call took more than the ring holds"},
    {"planted_page", FindingKind::kBroken, "the successor cannot go on"},
    {"planted_generation", FindingKind::kBroken, "a buffer in use was handed out"},
    {"planted_length", FindingKind::kCrash, ""},
    {"planted_framer", FindingKind::kBroken, "a message of other bytes"},
    {"planted_rpc_header", FindingKind::kBroken, "a header where there is none"},
    {"planted_broadcast_header", FindingKind::kBroken, "outside the"},
    {"planted_broadcast_message", FindingKind::kBroken, "a message beyond its slot"},
}};

TEST_CASE("fuzz: every planted mistake is found, and its input finds it again") {
  REQUIRE(planted_targets().size() == kWanted.size());
  for (std::size_t i = 0; i < kWanted.size(); ++i) {
    const TargetInfo& info = planted_targets()[i];
    const Wanted& wanted = kWanted[i];
    INFO(std::string(info.name));
    REQUIRE(std::string(info.name) == wanted.name);
    CampaignOptions options;
    options.executions = kMostExecutions;
    options.hang_seconds = 2;
    const CampaignReport report = run_campaign(info, options);
    REQUIRE(report.findings.size() == 1);
    const CampaignFinding& finding = report.findings[0];
    CHECK(finding.kind == wanted.kind);
    CHECK(finding.what.find(wanted.words) != std::string::npos);
    MESSAGE(std::string(info.name), ": ", finding.what, ", at execution ", finding.executions,
            ", input ", hex_of(finding.input));
    if (finding.kind != FindingKind::kBroken || finding.what.find("a call looks") == 0) continue;
    Tally tally;
    info.make()->run(bytes_of(hex_of(finding.input)), tally);
    CHECK(tally.broken == finding.what);
  }
}

}  // namespace
}  // namespace slipring::fuzz
