// The manual pages and completions, judged by those who read them: man(7) by mandoc and groff, the
// scripts by the shells.
#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
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
  return names;
}

// What a shell command writes, both ways.
std::string output_of(const std::string& command) {
  FILE* stream = popen((command + " 2>&1").c_str(), "r");
  REQUIRE(stream != nullptr);
  std::string text;
  for (int letter = fgetc(stream); letter != EOF; letter = fgetc(stream)) {
    text += static_cast<char>(letter);
  }
  const int status = pclose(stream);
  CAPTURE(command);
  CAPTURE(text);
  CHECK(status == 0);
  return text;
}

std::string file_with(const CommandFixture& fixture, const std::string& name,
                      const std::string& text) {
  const std::string path = fixture.path() + "/../" +
                           std::filesystem::path(fixture.path()).filename().string() + "." + name;
  std::ofstream(path) << text;
  return path;
}

// A file outside of the segment directory, gone with the object.
struct Script {
  Script(const CommandFixture& fixture, const std::string& shell)
      : path(file_with(fixture, shell, fixture.call({"completion", shell}).out)) {}
  ~Script() { unlink(path.c_str()); }
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;
  std::string path;
};

// The words that bash offers at the end of `words`, sorted by itself.
std::string bash_offers(const Script& script, const std::string& words) {
  return output_of("PATH=\"$PWD/tools:$PATH\" bash -c '. " + script.path + "; COMP_WORDS=(" +
                   words +
                   "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _slipring; "
                   "printf \"%s \" \"${COMPREPLY[@]}\"'");
}

TEST_CASE("man: every command has a page, and neither mandoc nor groff has anything to say") {
  const CommandFixture fixture;
  const std::string folder = fixture.path();
  const std::vector<std::string> names = commands(fixture);
  REQUIRE(names.size() > 10);
  const Ending ending = fixture.call({"man", "--out", folder});
  CHECK(ending.exit_status == 0);
  CHECK(lines_of(ending.out).size() == names.size() + 1);
  for (const std::string& name : names) {
    CAPTURE(name);
    const std::string path = folder + "/slipring-" + name + ".1";
    REQUIRE(std::filesystem::exists(path));
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    CHECK(text.str() == fixture.call({"man", name}).out);
  }
  CHECK(output_of("mandoc -Tlint -Wwarning " + folder + "/*.1") == "");
  CHECK(output_of("groff -ww -man -Tutf8 -z " + folder + "/*.1") == "");
}

TEST_CASE("man: the linters see a planted mistake") {
  const CommandFixture fixture;
  const std::string path = file_with(fixture, "bad.1", ".TH BAD 1\n.SH NAME\n.Nonsense\n");
  const std::string said = output_of("mandoc -Tlint -Wwarning " + path + " || true");
  CHECK(contains(said, "Nonsense"));
  unlink(path.c_str());
}

TEST_CASE("man: the pages say what the help says") {
  const CommandFixture fixture;
  const std::string page = fixture.call({"man", "create"}).out;
  CHECK(contains(page, ".TH SLIPRING-CREATE 1 "));
  CHECK(contains(page, "\\-\\-slot\\-size SIZE"));
  CHECK(contains(page, "slipring create frames \\-\\-kind slots"));
  CHECK(contains(fixture.call({"man"}).out, "slipring\\-create (1)"));
}

TEST_CASE("completion: bash offers commands, options, their words, and segments") {
  const CommandFixture fixture;
  fixture.make_records("alpha");
  fixture.make_records("beta");
  const Script script(fixture, "bash");
  struct Case {
    const char* words;
    const char* offers;
  };
  const std::vector<Case> cases = {
      {"slipring cr", "create "},
      {"slipring create --ki", "--kind "},
      {"slipring create --kind s", "slots stream "},
      {"slipring create --kind records --ca", "--capacity "},
      {"slipring create --capacity \"\"", " "},
      {"slipring rm \"\"", "alpha beta "},
      {"slipring stat al", "alpha "},
      {"slipring completion z", "zsh "},
      {"slipring man verif", "verify "},
      {"slipring stat -i", "-i "},
      {"slipring nonsense --", " "},
  };
  for (const Case& one : cases) {
    CAPTURE(one.words);
    CHECK(bash_offers(script, one.words) == one.offers);
  }
}

TEST_CASE("completion: every command and each of its options is offered by bash") {
  const CommandFixture fixture;
  const Script script(fixture, "bash");
  for (const std::string& name : commands(fixture)) {
    CAPTURE(name);
    CHECK(contains(bash_offers(script, "slipring " + name.substr(0, name.size() - 1)), name));
    const std::string offers = bash_offers(script, "slipring " + name + " --");
    for (const std::string& line : lines_of(fixture.call({name, "--help"}).out)) {
      const std::size_t begin = line.find("--");
      if (!line.starts_with("  -") || begin == std::string::npos || begin > 8) continue;
      const std::string option = line.substr(begin, line.find_first_of(" [\n", begin) - begin);
      CAPTURE(option);
      CHECK(contains(offers, option + " "));
    }
  }
}

TEST_CASE("completion: zsh and fish read their scripts, and fish offers the same") {
  const CommandFixture fixture;
  fixture.make_records("alpha");
  const Script zsh(fixture, "zsh");
  CHECK(output_of("zsh -n " + zsh.path) == "");
  const Script fish(fixture, "fish");
  const auto offers = [&](const std::string& words) {
    return output_of("HOME=/tmp PATH=\"$PWD/tools:$PATH\" fish --no-config -c 'source " +
                     fish.path + "; complete -C \"" + words + "\"' | cut -f 1 | tr '\\n' ' '");
  };
  CHECK(offers("slipring cr") == "create ");
  CHECK(offers("slipring create --kind s") == "slots stream ");
  CHECK(offers("slipring rm al") == "alpha ");
}

TEST_CASE("completion, man: what there is not") {
  const CommandFixture fixture;
  CHECK(fixture.call({"completion", "tcsh"}).exit_status == 2);
  CHECK(fixture.call({"completion"}).exit_status == 2);
  CHECK(fixture.call({"man", "nonsense"}).exit_status == 3);
  CHECK(fixture.call({"man", "--out", "/nowhere/at/all"}).exit_status == 3);
  CHECK(fixture.call({"man", "put", "--out", "/tmp"}).exit_status == 2);
}

}  // namespace
}  // namespace slipring::tools
