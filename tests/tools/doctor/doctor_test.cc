#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

TEST_CASE("doctor: its status follows its verdicts, and whatever is not OK has a remedy") {
  const CommandFixture fixture;
  const Ending ending = fixture.call({"doctor", "--json"});
  const auto json = nlohmann::json::parse(ending.out);
  CHECK(json.at("schema") == 1);
  const auto& capabilities = json.at("capabilities");
  CHECK(capabilities.size() > 5);
  bool fails = false;
  for (const auto& capability : capabilities) {
    CAPTURE(capability.dump());
    const std::string verdict = capability.at("verdict");
    CHECK((verdict == "OK" || verdict == "WARN" || verdict == "FAIL"));
    CHECK_FALSE(capability.at("name").get<std::string>().empty());
    CHECK_FALSE(capability.at("found").get<std::string>().empty());
    if (verdict != "OK") CHECK_FALSE(capability.at("remedy").get<std::string>().empty());
    fails = fails || verdict == "FAIL";
  }
  CHECK(ending.exit_status == (fails ? 1 : 0));
}

TEST_CASE("doctor: a directory that cannot be used is a FAIL with status 1") {
  const CommandFixture fixture;
  REQUIRE(chmod(fixture.path().c_str(), 0777) == 0);
  const Ending ending = fixture.call({"doctor"});
  CHECK(ending.exit_status == 1);
  CHECK(ending.err == "");
  const auto lines = lines_of(ending.out);
  CHECK(std::any_of(lines.begin(), lines.end(),
                    [](const std::string& line) { return line.starts_with("FAIL  directory "); }));
  CHECK(contains(ending.out, "remedy: set SLIPRING_DIR"));
}

}  // namespace
}  // namespace slipring::tools
