#include "pipelines/stage/program_description.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace slipring {
namespace {

constexpr const char* kAnswer =
    "program demux\n"
    "purpose takes a transport stream apart\n"
    "in ts required the stream\n"
    "out video optional what a decoder eats\n"
    "oob channel optional programme numbers\n"
    "weather fine whatever a newer program says\n"
    "option program '0' programme number; 0: the first\n";

// A shell script in a folder that goes away with the test.
std::string script(const std::string& name, const std::string& body) {
  const char* scratch = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(scratch != nullptr ? scratch : "/tmp") + "/" + name;
  std::ofstream(path) << "#!/bin/sh\n" << body;
  REQUIRE(chmod(path.c_str(), 0755) == 0);
  return path;
}

}  // namespace

TEST_CASE("program_description: ports and options are read, and what is not known passed over") {
  const auto description = parse_description(kAnswer);
  REQUIRE(description.has_value());
  REQUIRE(description->ports.size() == 3);
  CHECK(description->ports[0].kind == DescribedPortKind::kInput);
  CHECK(description->ports[0].name == "ts");
  CHECK(description->ports[0].required);
  CHECK(description->ports[1].kind == DescribedPortKind::kOutput);
  CHECK_FALSE(description->ports[1].required);
  CHECK(description->ports[2].kind == DescribedPortKind::kCommands);
  CHECK(description->options == std::vector<std::string>{"program"});
}

TEST_CASE("program_description: what is no description is refused") {
  for (const char* text :
       {"", "hello\n", "in ts required x\n", "program x\nin ts perhaps x\n", "program x\nin\n",
        "program x\nin t/s required\n", "program x\noption\n", "program x\noption \x1b[2J\n"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_description(text).has_value());
  }
}

TEST_CASE("program_description: a program is asked, and what goes wrong is said") {
  const auto good = ask_program(script("good", "[ \"$*\" = --describe ] && echo 'program good'\n"));
  CHECK(good.description.has_value());
  CHECK(good.fault.empty());
  CHECK(ask_program(script("fails", "echo 'program x'; exit 3\n")).fault ==
        "it ended with status 3");
  CHECK(ask_program(script("dies", "kill -9 $$\n")).fault == "it was killed by signal 9");
  CHECK(ask_program(script("silent", "exit 0\n")).fault ==
        "its answer is no description of a stage");
  CHECK(ask_program(script("babbles", "while :; do echo yes; done\n")).fault == "it says too much");
  CHECK(ask_program("/nowhere/at/all").fault.find("No such file") != std::string::npos);
}

}  // namespace slipring
