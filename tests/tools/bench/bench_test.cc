#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

TEST_CASE("bench: measures us, pipe, socket and limits, and loses nothing") {
  const CommandFixture fixture;
  const Ending ending = fixture.call({"bench", "--seconds", "1", "--json"});
  CHECK(ending.exit_status == 0);
  const auto json = nlohmann::json::parse(ending.out);
  CHECK(json.at("schema") == 1);
  CHECK_FALSE(json.at("machine").at("processor").get<std::string>().empty());
  int measured_count = 0;
  int family_count = 0;
  for (const auto& result : json.at("results")) {
    CAPTURE(result.dump());
    // A machine that is busy with other things may leave some out; none may be wrong.
    if (result.contains("skipped")) continue;
    ++measured_count;
    family_count += result.at("family") == "slipring" ? 1 : 0;
    CHECK(result.at("lost") == 0);
    CHECK(result.at("reordered") == 0);
    CHECK(result.at("torn") == 0);
  }
  CHECK(measured_count > 0);
  CHECK(family_count > 0);
  MESSAGE("cells: ", measured_count,
          ", messages: ", json.at("run").at("messages_checked").get<std::uint64_t>());
}

TEST_CASE("bench: a length that is no number of seconds is refused") {
  const CommandFixture fixture;
  const Ending ending = fixture.call({"bench", "--seconds", "soon"});
  CHECK(ending.exit_status == 2);
  CHECK(ending.out == "");
  CHECK(contains(ending.err, "--seconds wants a number of seconds, not 'soon'"));
}

TEST_CASE("bench: its help does not speak of what only its children are asked") {
  const CommandFixture fixture;
  const Ending ending = fixture.call({"bench", "--help"});
  CHECK(ending.exit_status == 0);
  CHECK(contains(ending.out, "--seconds SECONDS"));
  CHECK_FALSE(contains(ending.out, "--cell"));
}

}  // namespace
}  // namespace slipring::tools
