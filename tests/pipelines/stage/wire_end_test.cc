#include "pipelines/stage/wire_end.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_file.h"
#include "pipelines/stage/plan_text.h"
#include "tests/pipelines/stage/edited_text.h"

namespace slipring {
namespace {

// Line numbers below count from the line after R"(.
const std::string kGood = R"([pipeline]
name = "near"
[[stage]]
name = "source"
program = "count_source"
[[link]]
name = "numbers"
from = "source.numbers"
to = "tcp://backup:7070/figures"
capacity = "64KiB"
[[link]]
name = "answers"
from = "tcp://:7071"
wire = "listen"
to = "source.answers"
capacity = "64KiB"
restart_limit = 3
)";

}  // namespace

TEST_CASE("wire_end: a link's end that is an address becomes a stage of the runner's own") {
  const PipelineFile file = parse_pipeline(kGood, "bus.toml");
  for (const Finding& finding : file.findings) MESSAGE(to_string(finding, "bus.toml"));
  REQUIRE(file.findings.empty());
  const PipelinePlan& plan = file.plan;
  REQUIRE(plan.stages.size() == 3);
  const StagePlan& out = plan.stages[1];
  CHECK(out.name == "numbers-wire");
  CHECK(out.carries_wire);
  CHECK(out.program == kCarrierProgram);
  CHECK(out.restart == RestartPolicy::kOnFailure);
  REQUIRE(out.options.size() == 3);
  CHECK(out.options[0].value == "tcp://backup:7070/figures");
  CHECK(out.options[1].value == "connect");
  CHECK(out.options[2].value == "numbers");
  CHECK(plan.stages[2].options[1].value == "listen");
  CHECK(plan.stages[2].restart_limit == 3);
  const LinkPlan& numbers = plan.links[0];
  CHECK(numbers.from.stage_index == 0);
  CHECK(numbers.to.stage_index == 1);
  CHECK(numbers.to.port == "in");
  CHECK(plan.links[1].from.stage_index == 2);
  CHECK(plan.links[1].from.port == "out");
  CHECK(describe(*numbers.wire) == "-> tcp://backup:7070/figures");
  CHECK(describe(*plan.links[1].wire) == "<- tcp://:7071 (listens)");
  CHECK(describe(plan).find("carried -> tcp://backup:7070/figures") != std::string::npos);
  CHECK(wire_board_names(plan, numbers) ==
        std::vector<std::string>{"near.numbers.wire-out", "near.numbers.wire-in"});
}

TEST_CASE("wire_end: a link with a pool goes to another machine as any other") {
  const PipelineFile pooled = parse_pipeline(
      replaced(kGood, "to = \"tcp://backup:7070/figures\"\ncapacity = \"64KiB\"",
                     "to = \"tcp://backup:7070/figures\"\nslots = 4\n"
                     "slot_bytes = 192\n"
                     "pool = { buffers = 8, buffer_bytes = 4096 }"),
      "bus.toml");
  CHECK(pooled.findings.empty());
  CHECK(pooled.plan.links[0].pool.has_value());
}

TEST_CASE("wire_end: contradictions are refused with line and remedy") {
  struct Case {
    const char* from;
    const char* to;
    const char* finding;
  };
  const Case cases[] = {
      {"\"source.numbers\"", "\"tcp://other:1/x\"",
       "bus.toml:9: a link between two other machines: from and to are both addresses; one of "
       "them is a stage of this file, STAGE.PORT"},
      {"tcp://backup:7070/figures", "udp://backup:7070/figures",
       "bus.toml:9: bad address of a link's end: \"udp://backup:7070/figures\"; "},
      {"tcp://backup:7070/figures", "tcp://backup/figures",
       "bus.toml:9: bad address of a link's end: \"tcp://backup/figures\"; "},
      {"tcp://backup:7070/figures", "tcp+tls://backup:7070/figures",
       "bus.toml:9: bad address of a link's end: \"tcp+tls://backup:7070/figures\"; "},
      {"tcp://backup:7070/figures", "tcp://backup:0/figures",
       "bus.toml:9: no port in the address of a link's end: \"tcp://backup:0/figures\"; write the "
       "port at which the other machine listens"},
      {"tcp://:7071", "tcp://:0",
       "bus.toml:13: no port in the address of a link's end: \"tcp://:0\"; write the port that "
       "the other machine calls"},
      {"wire = \"listen\"", "wire = \"lisen\"",
       "bus.toml:14: unknown value for wire: \"lisen\"; did you mean \"listen\"?"},
      {"\"tcp://backup:7070/figures\"", "\"source.back\"\ncredit = 4\nwire = \"listen\"",
       "bus.toml:11: key of a link to another machine on a link of this one: wire; write an "
       "address for from or to, or remove it"},
      {"capacity = \"64KiB\"", "capacity = \"4GiB\"",
       "bus.toml:6: a link that no wire carries: carry so large a ring, or buffer, over a wire; at "
       "most 2 GiB"},
      {"name = \"numbers\"", "name = \"numbers-of-a-very-long-name-x\"",
       "bus.toml:6: name too long for a link to another machine: "
       "\"numbers-of-a-very-long-name-x\"; use at most 27 letters"},
      {"from = \"tcp://:7071\"\nwire = \"listen\"",
       "from = \"tcp://backup:7070/figures\"\nwire = \"listen\"", nullptr},
  };
  for (const Case& one : cases) {
    CAPTURE(std::string(one.to));
    const std::vector<std::string> found =
        findings_of(replaced(kGood, one.from, one.to), "bus.toml");
    if (one.finding == nullptr) {
      CHECK(found.empty());
      continue;
    }
    REQUIRE_FALSE(found.empty());
    CHECK_MESSAGE(found[0].rfind(one.finding, 0) == 0, found[0]);
  }
}

TEST_CASE("wire_end: two links cannot have one place, nor two stages one name") {
  const std::string more = R"([[link]]
name = "more"
from = "source.more"
to = "tcp://backup:7070/figures"
capacity = "64KiB"
)";
  CHECK(findings_of(kGood + more, "bus.toml") ==
        std::vector<std::string>{
            "bus.toml:21: two links to one end on another machine: \"tcp://backup:7070/figures\", "
            "first of link \"numbers\" on line 9; name the link over there behind the address, as "
            "in tcp://HOST:PORT/NAME"});
  const std::string listener = replaced(more, "\"tcp://backup:7070/figures\"",
                                        "\"tcp://127.0.0.1:7071/x\"\nwire = \"listen\"");
  CHECK(findings_of(kGood + listener, "bus.toml") ==
        std::vector<std::string>{
            "bus.toml:21: two links that listen at one place: \"tcp://127.0.0.1:7071/x\", first of "
            "link \"answers\" on line 13; give each a port or a path of its own"});
  const std::string stage =
      "[[stage]]\nname = \"numbers-wire\"\nprogram = \"x\"\n"
      "[[oob]]\nname = \"o\"\nto = \"numbers-wire.o\"\n";
  CHECK(findings_of(kGood + stage, "bus.toml") ==
        std::vector<std::string>{"bus.toml:18: duplicate stage name: \"numbers-wire\", which link "
                                 "\"numbers\" (line 9) has for its carrier; give the stage another "
                                 "name"});
  CHECK(findings_of(replaced(kGood, "[[link]]",
                             "[[oob]]\nname = \"o\"\nto = \"tcp://a:1/o\"\n"
                             "[[link]]"),
                    "bus.toml")[0] ==
        "bus.toml:8: a lane from or to another machine: \"tcp://a:1/o\"; commands are given on the "
        "machine where the stage is: write STAGE.PORT");
}

}  // namespace slipring
