// A pipeline file is spoilt at random: what reads it says what is wrong, and goes on.

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "pipelines/stage/pipeline_file.h"
#include "pipelines/stage/finding.h"
#include "pipelines/stage/plan_size.h"
#include "pipelines/stage/plan_text.h"
#include "tests/pipelines/stage/edited_text.h"
#include "tests/pipelines/stage/good_file.h"

namespace slipring {
namespace {

// Spoils a text at random places, the same ones in every run.
class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  // Wherever it may be: mostly no TOML any more.
  std::string bytes(std::string text) {
    const std::string pieces[] = {"[[link]]\n", "[[[stage]]]\n",
                                  "= [",        "{",
                                  "}",          "]",
                                  "\"",         "\'\'\'",
                                  "\n",         "=",
                                  ".",          "#",
                                  "\xff",       std::string(1, '\0')};
    for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
      const std::size_t at = below(text.size());
      const std::size_t length = std::min(below(40), text.size() - at);
      switch (below(5)) {
        case 0:
          text[at] = static_cast<char>(below(256));
          break;
        case 1:
          text.erase(at, length);
          break;
        case 2:
          text.insert(at, text.substr(below(text.size()), length));
          break;
        case 3:
          text.insert(at, pieces[below(std::size(pieces))]);
          break;
        default:
          text.resize(std::max<std::size_t>(at, 1));
      }
      if (text.empty()) text = " ";
    }
    return text;
  }

  // By lines and values: mostly still TOML.
  std::string lines(const std::string& text) {
    const std::string values[] = {"9223372036854775807",
                                  "-9223372036854775808",
                                  "0",
                                  "\"16EiB\"",
                                  "1979-05-27",
                                  "nan",
                                  "[]",
                                  "[[1], {}]",
                                  "{}",
                                  "{ buffers = 1 }",
                                  "\"source.ts\"",
                                  "\"slots\"",
                                  "\"\\u0000\"",
                                  "true",
                                  "\"\""};
    std::vector<std::string> rows;
    std::istringstream stream(text);
    for (std::string row; std::getline(stream, row);) rows.push_back(row);
    for (std::size_t edits = 1 + below(3); edits > 0; --edits) {
      const std::size_t at = below(rows.size());
      switch (below(4)) {
        case 0:
          rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(at));
          break;
        case 1:
          std::swap(rows[at], rows[below(rows.size())]);
          break;
        case 2:
          rows.insert(rows.begin() + static_cast<std::ptrdiff_t>(below(rows.size())), rows[at]);
          break;
        default:
          if (const std::size_t equals = rows[at].find('='); equals != std::string::npos) {
            rows[at] = rows[at].substr(0, equals + 1) + " " + values[below(std::size(values))];
          }
      }
    }
    std::string result;
    for (const std::string& row : rows) result += row + "\n";
    return result;
  }

 private:
  // The generator alone is the same everywhere; the library's distributions are not.
  std::size_t below(std::size_t bound) { return random_() % bound; }

  std::mt19937 random_;
};

TEST_CASE("pipeline_file: no mutation of a good file brings the reader down") {
  constexpr unsigned kRounds = 6000;
  Mutator mutator(20260101);
  unsigned refused = 0;
  unsigned parsed = 0;
  for (unsigned round = 0; round < kRounds; ++round) {
    const std::string text = round % 2 == 0 ? mutator.bytes(kGood) : mutator.lines(kGood);
    const PipelineFile file = parse_pipeline(text, "mutant.toml");
    const auto line_count = std::count(text.begin(), text.end(), '\n') + 1;
    for (const Finding& finding : file.findings) {
      REQUIRE(finding.line >= 1);
      // The TOML library may place an offence at the end one line further.
      REQUIRE(finding.line <= line_count + 1);
      REQUIRE_FALSE(finding.wrong.empty());
      REQUIRE_FALSE(finding.remedy.empty());
    }
    if (!file.findings.empty()) ++refused;
    if (file.findings.empty() || file.findings[0].wrong != "not valid TOML") ++parsed;
    for (const LinkPlan& link : file.plan.links) {
      if (!file.findings.empty()) break;
      REQUIRE(link.from.stage_index < file.plan.stages.size());
      REQUIRE(link.to.stage_index < file.plan.stages.size());
      REQUIRE(validate_shape(shape_of(link)).ok());
      REQUIRE(segment_bytes(shape_of(link)) > mapped_bytes(shape_of(link)));
    }
    REQUIRE_FALSE(describe(file.plan).empty());
  }
  MESSAGE(refused, " of ", kRounds, " mutants were refused, ", parsed, " were TOML");
  CHECK(refused > kRounds / 2);
  CHECK(refused < kRounds);
  CHECK(parsed > kRounds / 4);
}

}  // namespace
}  // namespace slipring
