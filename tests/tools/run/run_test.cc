#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "platform/memory/sealed_memory.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

std::string pipeline_text(const std::string& program) {
  return "[pipeline]\n"
         "name = \"pair\"\n"
         "memlock = \"off\"\n"
         "wait = \"sleep\"\n"
         "[[stage]]\n"
         "name = \"giver\"\n"
         "program = \"" +
         program +
         "\"\n"
         "[[stage]]\n"
         "name = \"taker\"\n"
         "program = \"" +
         program +
         "\"\n"
         "[[link]]\n"
         "name = \"between\"\n"
         "from = \"giver.out\"\n"
         "to = \"taker.in\"\n"
         "kind = \"records\"\n"
         "capacity = \"4KiB\"\n"
         "[[oob]]\n"
         "name = \"go\"\n"
         "to = \"giver.commands\"\n";
}

// A pipeline file in a folder of the test's own.
std::string write_file(const std::string& name, const std::string& text) {
  const char* folder = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/" + name;
  std::ofstream(path) << text;
  return path;
}

std::string stage_program() {
  char path[PATH_MAX];
  REQUIRE(realpath("tests/tools/run/hand_over", path) != nullptr);
  return path;
}

TEST_CASE("run: a file that is not there is status 3, one that may not be read is status 6") {
  const CommandFixture fixture;
  const Ending missing = fixture.call({"run", "nowhere/at/all.toml"});
  CHECK(missing.exit_status == 3);
  CHECK(missing.out == "");
  CHECK(contains(missing.err, "cannot read nowhere/at/all.toml"));
  if (geteuid() == 0) {
    MESSAGE("not checked: root may read every file");
    return;
  }
  const std::string path = write_file("secret.toml", "");
  REQUIRE(chmod(path.c_str(), 0) == 0);
  CHECK(fixture.call({"run", path}).exit_status == 6);
}

TEST_CASE("run: everything that is wrong is said with file and line, and nothing is started") {
  const CommandFixture fixture;
  std::string text = pipeline_text(stage_program());
  text.replace(text.find("4KiB"), 4, "5000");
  text.replace(text.find("wait ="), 6, "wayt =");
  const std::string path = write_file("bad.toml", text);
  for (const char* option : {"--check", "--quiet"}) {
    const Ending ending = fixture.call({"run", path, option});
    CHECK(ending.exit_status == 2);
    CHECK(ending.out == "");
    CHECK(contains(ending.err, path + ":4: "));
    CHECK(contains(ending.err, path + ":16: "));
  }
  const Ending ending = fixture.call({"run", path, "--json"});
  CHECK(ending.exit_status == 2);
  const auto json = nlohmann::json::parse(ending.out);
  CHECK(json.at("schema") == 1);
  CHECK(json.at("event") == "refused");
  REQUIRE(json.at("findings").size() == 2);
  CHECK(json.at("findings")[0].at("line") == 4);
  CHECK(fixture.directory().list()->empty());
}

TEST_CASE("run: --set is refused for a stage that is not there, and for an unknown option") {
  const CommandFixture fixture;
  const std::string path = write_file("sound.toml", pipeline_text(stage_program()));
  const Ending stage = fixture.call({"run", path, "--check", "--set", "gever.start=x"});
  CHECK(stage.exit_status == 2);
  CHECK(contains(stage.err, "--set gever.start=x"));
  const Ending option = fixture.call({"run", path, "--check", "--set", "giver.stort=x"});
  CHECK(option.exit_status == 2);
  CHECK(contains(option.err, "stort"));
}

TEST_CASE("run: --check describes a sound pipeline and starts nothing") {
  const CommandFixture fixture;
  const std::string path = write_file("sound.toml", pipeline_text(stage_program()));
  const Ending text = fixture.call({"run", path, "--check"});
  CHECK(text.exit_status == 0);
  CHECK(text.err == "");
  CHECK(contains(text.out, "giver"));
  const auto json = nlohmann::json::parse(fixture.call({"run", path, "--check", "--json"}).out);
  CHECK(json.at("event") == "checked");
  CHECK(json.at("pipeline") == "pair");
  CHECK(json.at("findings").empty());
  CHECK(fixture.directory().list()->empty());
}

TEST_CASE("run: a pipeline runs to its end, and nothing is left") {
  const CommandFixture fixture;
  const std::string path = write_file("sound.toml", pipeline_text(stage_program()));
  const Ending ending = fixture.call({"run", path, "--json"});
  CAPTURE(ending.err);
  CHECK(ending.exit_status == 0);
  const std::vector<std::string> lines = lines_of(ending.out);
  CHECK_FALSE(lines.empty());
  for (const std::string& line : lines) CHECK(nlohmann::json::parse(line).at("schema") == 1);
  CHECK(fixture.directory().list()->empty());
}

TEST_CASE("run: a command reaches a stage of the running pipeline") {
  const CommandFixture fixture;
  const std::string path = write_file("sound.toml", pipeline_text(stage_program()));
  Running running = fixture.start({"run", path, "--quiet", "--set", "giver.start=on-command"});
  // The lane appears when the runner has made it.
  Ending sent;
  do {
    Result<bool> has_ended = running.peer.has_ended();
    REQUIRE(has_ended.ok());
    REQUIRE_FALSE(*has_ended);
    sent = fixture.call({"oob", "pair.go", "go", "--wait=30"});
  } while (sent.exit_status == 3);
  CAPTURE(sent.err);
  CHECK(sent.exit_status == 0);
  CHECK(contains(sent.out, "pair.go took 'go' after "));
  const Ending ending = fixture.finish(std::move(running));
  CAPTURE(ending.err);
  CHECK(ending.exit_status == 0);
  CHECK(fixture.directory().list()->empty());
}

TEST_CASE("run: the tools look at a running pipeline's guarded links, and leave them alone") {
  const CommandFixture fixture;
  const std::string path = write_file("sound.toml", pipeline_text(stage_program()));
  Running running = fixture.start({"run", path, "--quiet", "--set", "giver.start=on-command"});
  // Until both ends of the link are there.
  nlohmann::json link;
  do {
    Result<bool> has_ended = running.peer.has_ended();
    REQUIRE(has_ended.ok());
    REQUIRE_FALSE(*has_ended);
    const auto listed = nlohmann::json::parse(fixture.call({"ls", "--json"}).out);
    link = nlohmann::json();
    for (const auto& segment : listed.at("segments")) {
      if (segment.at("name") == "pair.between") link = segment;
    }
  } while (link.is_null() || link.at("ends")[0].at("state") != "held" ||
           link.at("ends")[1].at("state") != "held");
  CHECK(link.at("guarded") == true);
  CHECK(link.at("condition") == "sound");
  CHECK(link.at("stale") == false);
  CHECK(link.at("ends")[0].at("protection_level") == name_of(best_protection_level()));
  CHECK(link.at("ends")[1].at("protection_level") == name_of(best_protection_level()));

  const Ending stat = fixture.call({"stat", "pair", "--once", "--json"});
  CAPTURE(stat.err);
  CHECK(stat.exit_status == 0);
  const auto seen = nlohmann::json::parse(stat.out);
  CHECK(seen.at("links").size() == 2);
  CHECK(seen.at("boards").size() == 3);
  CHECK(seen.at("links")[0].at("guarded") == true);
  CHECK(contains(fixture.call({"stat", "pair.between", "--once"}).out,
                 name_of(best_protection_level())));

  const Ending removal = fixture.call({"rm", "pair.between"});
  CHECK(removal.exit_status == 1);
  CHECK(contains(removal.err, "guarded"));
  CHECK(fixture.call({"oob", "pair.go", "go", "--wait=30"}).exit_status == 0);
  CHECK(fixture.finish(std::move(running)).exit_status == 0);
  CHECK(fixture.directory().list()->empty());
}

TEST_CASE("run: the name that a killed runner leaves is shown as closed, and removed as stale") {
  const CommandFixture fixture;
  const std::string path = write_file("sound.toml", pipeline_text(stage_program()));
  Running running = fixture.start({"run", path, "--quiet", "--set", "giver.start=on-command"});
  while (!contains(fixture.call({"ls"}).out, "pair.between")) {
    Result<bool> has_ended = running.peer.has_ended();
    REQUIRE(has_ended.ok());
    REQUIRE_FALSE(*has_ended);
  }
  REQUIRE(running.peer.send_signal(SIGKILL).ok());
  CHECK(fixture.finish(std::move(running)).signal_number == SIGKILL);
  const auto listed = nlohmann::json::parse(fixture.call({"ls", "--json"}).out);
  for (const auto& segment : listed.at("segments")) {
    if (segment.at("guarded") == true) CHECK(segment.at("stale") == true);
  }
  CHECK(fixture.call({"rm", "--stale"}).exit_status == 0);
  CHECK_FALSE(contains(fixture.call({"ls"}).out, "pair.between"));
}

}  // namespace
}  // namespace slipring::tools
