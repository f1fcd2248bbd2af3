#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

const std::vector<std::string> kCommands = {
    "run",    "create", "rm",     "ls",    "stat", "put",        "get",   "pipe",   "oob",
    "verify", "reap",   "doctor", "bench", "man",  "completion", "serve", "version"};

struct Call {
  std::vector<std::string> words;
  int exit_status;
  std::string in_out;  // stdout holds it; empty: stdout is empty
  std::string in_err;  // stderr holds it; empty: stderr is empty
};

// A terminal, and everything that was written to it.
struct Terminal {
  Descriptor master;
  Descriptor slave;

  static Terminal open_new() {
    Terminal terminal{Descriptor(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)), Descriptor()};
    REQUIRE(terminal.master.is_open());
    REQUIRE(grantpt(terminal.master.get()) == 0);
    REQUIRE(unlockpt(terminal.master.get()) == 0);
    std::array<char, 64> name{};
    REQUIRE(ptsname_r(terminal.master.get(), name.data(), name.size()) == 0);
    terminal.slave = Descriptor(open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    REQUIRE(terminal.slave.is_open());
    return terminal;
  }

  std::string written() {
    slave.reset();
    std::string text;
    std::array<char, 4096> piece{};
    for (;;) {
      const ssize_t got = read(master.get(), piece.data(), piece.size());
      if (got <= 0) return text;
      text.append(piece.data(), static_cast<std::size_t>(got));
    }
  }
};

TEST_CASE("command line: every call has its exit status, data on stdout and talk on stderr") {
  const CommandFixture fixture;
  const std::vector<Call> calls = {
      {{}, 0, "Commands:", ""},
      {{"--help"}, 0, "Exit status:", ""},
      {{"--version"}, 0, "slipring 0.", ""},
      {{"version"}, 0, "segment layout version 2", ""},
      {{"--nonsense"}, 2, "", "no option --nonsense"},
      {{"stta"}, 2, "", "did you mean 'stat'?"},
      {{"zzzzzz"}, 2, "", "slipring --help"},
      {{"ls", "--jsno"}, 2, "", "did you mean --json?"},
      {{"ls", "what"}, 2, "", "what is 'what'?"},
      {{"ls"}, 0, "", "no segments"},
      {{"stat"}, 0, "", "no segments"},
      {{"stat", "nothing"}, 3, "", "no segment 'nothing'"},
      {{"stat", "-i", "x"}, 2, "", "--interval 'x'"},
      {{"stat", "-i", "1", "--once"}, 2, "", "exclude each other"},
      {{"stat", "-i", "1", "-n", "0"}, 2, "", "--count '0'"},
      {{"rm"}, 2, "", "nothing to remove"},
      {{"rm", "nothing"}, 3, "", "no segment 'nothing'"},
      {{"rm", "no*"}, 3, "", "matches 'no*'"},
      {{"rm", "--stale"}, 0, "", "nothing is stale"},
      {{"oob", "a.lane", "word"}, 3, "", "is the pipeline running?"},
      {{"oob", "a.lane"}, 2, "", "WORD is required"},
      {{"oob", "a.lane", "w\xc3\xb6rd"}, 2, "", "printable ASCII"},
      {{"oob", "a.lane", "w", "--wait=soon"}, 2, "", "number of seconds"},
      {{"create", "--kind", "slots"}, 2, "", "NAME is required"},
      {{"run"}, 2, "", "FILE is required"},
  };
  for (const Call& expected : calls) {
    std::string shown = "slipring";
    for (const std::string& word : expected.words) shown += " " + word;
    CAPTURE(shown);
    const Ending ending = fixture.call(expected.words);
    CAPTURE(ending.out);
    CAPTURE(ending.err);
    CHECK(ending.exit_status == expected.exit_status);
    CHECK(ending.out.empty() == expected.in_out.empty());
    CHECK(contains(ending.out, expected.in_out));
    CHECK(ending.err.empty() == expected.in_err.empty());
    CHECK(contains(ending.err, expected.in_err));
  }
}

TEST_CASE("command line: every help fits 80 columns and ends in three examples of the command") {
  const CommandFixture fixture;
  for (const std::string& command : kCommands) {
    CAPTURE(command);
    const Ending ending = fixture.call({command, "--help"});
    CHECK(ending.exit_status == 0);
    CHECK(ending.err.empty());
    const std::vector<std::string> lines = lines_of(ending.out);
    for (const std::string& line : lines) {
      CAPTURE(line);
      CHECK(line.size() <= 80);
    }
    REQUIRE(lines.size() > 4);
    CHECK(lines[lines.size() - 4] == "Examples:");
    for (std::size_t i = lines.size() - 3; i < lines.size(); ++i) {
      CAPTURE(lines[i]);
      CHECK(lines[i].starts_with("  "));
      CHECK((contains(lines[i], "slipring " + command) || contains(lines[i], "slipring --")));
    }
  }
}

TEST_CASE("command line: the overview names every command on a line of its own") {
  const CommandFixture fixture;
  const Ending ending = fixture.call({});
  for (const std::string& command : kCommands) {
    CAPTURE(command);
    CHECK(contains(ending.out, "\n  " + command + " "));
  }
}

TEST_CASE("command line: the version is JSON on demand") {
  const CommandFixture fixture;
  const auto json = nlohmann::json::parse(fixture.call({"version", "--json"}).out);
  CHECK(json.at("schema") == 1);
  CHECK(json.at("program") == "slipring");
  CHECK(json.at("layout_version") == kSegmentVersion);
}

TEST_CASE("command line: a reader who goes away is not talked about") {
  const CommandFixture fixture;
  fixture.make_records("a");
  std::array<int, 2> ends{};
  REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
  const Descriptor writing(ends[1]);
  close(ends[0]);
  CallOptions options;
  options.stdout_fd = writing.get();
  const Ending ending = fixture.call({"ls"}, options);
  CHECK(ending.err == "");
  CHECK(ending.signal_number == SIGPIPE);
}

TEST_CASE("command line: output that cannot be written is a failure") {
  const CommandFixture fixture;
  fixture.make_records("a");
  const Descriptor full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  REQUIRE(full.is_open());
  CallOptions options;
  options.stdout_fd = full.get();
  const Ending ending = fixture.call({"ls"}, options);
  CHECK(ending.exit_status == 1);
  CHECK(contains(ending.err, "cannot write the output"));
}

TEST_CASE("command line: colours are for terminals only, and only where they are wanted") {
  const CommandFixture fixture;
  fixture.make_records("a");
  const std::string escape = "\033[";
  CHECK_FALSE(contains(fixture.call({"ls"}, {{"TERM=xterm", "NO_COLOR="}, -1}).out, escape));
  struct Case {
    std::vector<std::string> environment;
    bool coloured;
  };
  const std::vector<Case> cases = {{{"TERM=xterm", "NO_COLOR="}, true},
                                   {{"TERM=xterm", "NO_COLOR=1"}, false},
                                   {{"TERM=dumb", "NO_COLOR="}, false}};
  for (const Case& one : cases) {
    CAPTURE(one.environment[0]);
    CAPTURE(one.environment[1]);
    Terminal terminal = Terminal::open_new();
    CHECK(fixture.call({"ls"}, {one.environment, terminal.slave.get()}).exit_status == 0);
    const std::string text = terminal.written();
    CHECK(contains(text, "records"));
    CHECK(contains(text, escape) == one.coloured);
  }
}

TEST_CASE("command line: a directory that others may write in is refused with status 6") {
  const CommandFixture fixture;
  REQUIRE(chmod(fixture.path().c_str(), 0777) == 0);
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"ls"},
           {"stat"},
           {"rm", "a"},
           {"oob", "a.b", "c"},
           {"create", "a", "--kind", "records", "--capacity", "4KiB"}}) {
    CAPTURE(words[0]);
    const Ending ending = fixture.call(words);
    CHECK(ending.exit_status == 6);
    CHECK(ending.out.empty());
    CHECK(contains(ending.err, "chmod go-w"));
  }
}

}  // namespace
}  // namespace slipring::tools
