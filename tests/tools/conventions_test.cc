// What every command keeps to, whichever it is: taken from the list that the program gives of
// itself, so that a new command is held to it from its first day.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

std::vector<std::string> commands(const CommandFixture& fixture) {
  std::vector<std::string> names;
  bool is_list = false;
  for (const std::string& line : lines_of(fixture.call({}).out)) {
    if (is_list && line.empty()) break;
    if (is_list) names.push_back(line.substr(2, line.find(' ', 2) - 2));
    if (line == "Commands:") is_list = true;
  }
  REQUIRE(names.size() >= 16);
  return names;
}

TEST_CASE("conventions: every help is data, fits 80 columns, and ends in three examples") {
  const CommandFixture fixture;
  for (const std::string& command : commands(fixture)) {
    CAPTURE(command);
    const Ending ending = fixture.call({command, "--help"});
    CHECK(ending.exit_status == 0);
    CHECK(ending.err == "");
    CHECK(contains(ending.out, "Usage:\n  slipring " + command));
    CHECK(contains(ending.out, "--json"));
    const std::vector<std::string> lines = lines_of(ending.out);
    REQUIRE(lines.size() > 4);
    CHECK(lines[lines.size() - 4] == "Examples:");
    for (std::size_t i = lines.size() - 3; i < lines.size(); ++i) {
      CAPTURE(lines[i]);
      const bool names_it = contains(lines[i], "slipring " + command);
      CHECK((names_it || contains(lines[i], "slipring --version")));
    }
    for (const std::string& line : lines) {
      CAPTURE(line);
      CHECK(line.size() <= 80);
    }
    CHECK(fixture.call({command, "-h"}).out == ending.out);
  }
}

TEST_CASE("conventions: a wrong option is status 2, one line on stderr, and nothing on stdout") {
  const CommandFixture fixture;
  for (const std::string& command : commands(fixture)) {
    for (const char* option : {"--nonsense", "--nonsense=1", "-Z"}) {
      CAPTURE(command);
      CAPTURE(option);
      const Ending ending = fixture.call({command, option});
      CHECK(ending.exit_status == 2);
      CHECK(ending.out == "");
      CHECK(lines_of(ending.err).size() == 1);
      CHECK(contains(ending.err, "slipring " + command + ": "));
    }
  }
}

// Calls with an operand missing, or of something that is not there.  Commands that need nothing, or
// find nothing wrong, have none.
TEST_CASE("conventions: what is missing is named, with the status for it") {
  const CommandFixture fixture;
  struct Case {
    std::vector<std::string> words;
    int exit_status;
    const char* says;
  };
  const std::vector<Case> cases = {
      {{"run"}, 2, "FILE is required"},
      {{"run", "/nowhere/a.toml"}, 3, "/nowhere/a.toml"},
      {{"create"}, 2, "--kind"},
      {{"create", "--kind", "records"}, 2, "NAME is required"},
      {{"rm"}, 2, "nothing to remove"},
      {{"rm", "nothing"}, 3, "no segment 'nothing'"},
      {{"stat", "nothing"}, 3, "no segment 'nothing'"},
      {{"verify", "nothing"}, 3, "no segment 'nothing'"},
      {{"put"}, 2, "NAME is required"},
      {{"get"}, 2, "NAME is required"},
      {{"pipe"}, 2, "FROM is required"},
      {{"pipe", "-"}, 2, "TO is required"},
      {{"pipe", "/nowhere/file", "-"}, 3, "/nowhere/file"},
      {{"oob"}, 2, "PIPELINE.LANE is required"},
      {{"abort"}, 2, "NAME is required"},
      {{"abort", "nothing"}, 3, "no segment 'nothing'"},
      {{"serve", "--listen", "nowhere:x"}, 2, "HOST:PORT"},
      {{"serve", "--listen", "0.0.0.0:0"}, 2, "--token-file"},
      {{"completion"}, 2, "SHELL is required"},
      {{"man", "nothing"}, 3, "no command 'nothing'"},
  };
  for (const Case& one : cases) {
    for (const bool json : {false, true}) {
      std::vector<std::string> words = one.words;
      if (json) words.emplace_back("--json");
      CAPTURE(words.front());
      CAPTURE(json);
      const Ending ending = fixture.call(words);
      CAPTURE(ending.err);
      CHECK(ending.exit_status == one.exit_status);
      CHECK(ending.out == "");
      CHECK(contains(ending.err, one.says));
    }
  }
}

TEST_CASE("conventions: with --json stdout is one document of schema 1 a line") {
  const CommandFixture fixture;
  fixture.make_records("a");
  const std::vector<std::vector<std::string>> calls = {
      {"create", "b", "--kind", "records", "--capacity", "4KiB"},
      {"ls"},
      {"stat", "--once"},
      {"stat", "-i", "0.01", "-n", "3"},
      {"abort", "a"},
      {"verify"},
      {"reap"},
      {"doctor"},
      {"man"},
      {"man", "put"},
      {"completion", "bash"},
      {"completion", "names"},
      {"version"},
      {"rm", "b"}};
  for (std::vector<std::string> words : calls) {
    CAPTURE(words.front());
    words.emplace_back("--json");
    const Ending ending = fixture.call(words);
    CAPTURE(ending.err);
    CHECK((ending.exit_status == 0 || words.front() == "doctor"));
    const std::vector<std::string> lines = lines_of(ending.out);
    CHECK(!lines.empty());
    for (const std::string& line : lines) {
      const auto json = nlohmann::json::parse(line, nullptr, false);
      REQUIRE(json.is_object());
      CHECK(json.at("schema") == 1);
      CHECK(json.begin() != json.end());
    }
  }
}

TEST_CASE("conventions: a reader who went away ends every help quietly, by SIGPIPE") {
  const CommandFixture fixture;
  for (const std::string& command : commands(fixture)) {
    CAPTURE(command);
    std::array<int, 2> ends{};
    REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
    const Descriptor writing(ends[1]);
    close(ends[0]);
    CallOptions options;
    options.stdout_fd = writing.get();
    const Ending ending = fixture.call({command, "--help"}, options);
    CHECK(ending.err == "");
    CHECK(ending.signal_number == SIGPIPE);
  }
}

}  // namespace
}  // namespace slipring::tools
