#include "pipelines/stage/pipeline_file.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/quantity.h"
#include "tests/pipelines/stage/edited_text.h"
#include "tests/pipelines/stage/good_file.h"

namespace slipring {
namespace {

TEST_CASE("pipeline_file: a good file gives its plan") {
  const PipelineFile file = parse_pipeline(kGood, "dir/good.toml");
  for (const Finding& finding : file.findings) MESSAGE(to_string(finding, "good.toml"));
  REQUIRE(file.findings.empty());
  const PipelinePlan& plan = file.plan;
  CHECK(plan.file == "dir/good.toml");
  CHECK(plan.name == "box");
  CHECK(plan.memlock == MemlockPolicy::kRequire);
  CHECK(plan.memlock_line == 3);
  CHECK(plan.wait == WaitPolicy::kSleep);

  REQUIRE(plan.stages.size() == 2);
  const StagePlan& source = plan.stages[0];
  CHECK(source.name == "source");
  CHECK(source.line == 6);
  CHECK(source.program == "ingest");
  CHECK(source.program_line == 8);
  CHECK(source.restart == RestartPolicy::kAlways);
  CHECK(source.restart_limit == 3);
  CHECK(source.restart_window_ns == 500'000'000);
  CHECK(source.cpus == std::vector<std::uint32_t>{0, 1});
  CHECK(source.cpu_line == 12);
  CHECK(source.wait == WaitPolicy::kSleep);
  REQUIRE(source.options.size() == 4);
  const std::pair<const char*, const char*> options[] = {
      {"url", "udp://127.0.0.1:5000"}, {"loops", "2"}, {"gain", "0.5"}, {"fast", "true"}};
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(source.options[i].key == options[i].first);
    CHECK(source.options[i].value == options[i].second);
    CHECK(source.options[i].line == 14 + static_cast<int>(i));
  }
  const StagePlan& sink = plan.stages[1];
  CHECK(sink.restart == RestartPolicy::kOnFailure);
  CHECK(sink.restart_limit == 10);
  CHECK(sink.restart_window_ns == 10'000'000'000);
  CHECK(sink.cpus.empty());
  CHECK(sink.wait == WaitPolicy::kPoll);
  CHECK(sink.options.empty());

  REQUIRE(plan.links.size() == 3);
  const LinkPlan& ts = plan.links[0];
  CHECK(ts.name == "ts");
  CHECK(ts.line == 24);
  CHECK(ts.from.stage_index == 0);
  CHECK(ts.from.port == "ts");
  CHECK(ts.from.line == 26);
  CHECK(ts.to.stage_index == 1);
  CHECK(ts.kind == LinkKind::kRecords);
  CHECK(ts.capacity_bytes == 4 * 1024 * 1024);
  CHECK(ts.credit_count == 0);
  CHECK_FALSE(ts.pool.has_value());
  const LinkPlan& frames = plan.links[1];
  CHECK(frames.kind == LinkKind::kSlots);
  CHECK(frames.slot_count == 64);
  CHECK(frames.slot_bytes == 192);
  REQUIRE(frames.pool.has_value());
  CHECK(frames.pool->buffer_count == 40);
  CHECK(frames.pool->buffer_bytes == 4 * 1024 * 1024);
  const LinkPlan& back = plan.links[2];
  CHECK(back.kind == LinkKind::kRecords);
  CHECK(back.capacity_bytes == 65536);
  CHECK(back.credit_count == 16);

  REQUIRE(plan.oobs.size() == 1);
  CHECK(plan.oobs[0].name == "channel");
  CHECK(plan.oobs[0].to.stage_index == 0);
  CHECK(plan.oobs[0].to.port == "channel");
}

TEST_CASE("pipeline_file: the set-top box's own file is sound") {
  const PipelineFile file = load_pipeline("pipelines/settop/settop.toml");
  for (const Finding& finding : file.findings) MESSAGE(to_string(finding, file.plan.file));
  REQUIRE(file.findings.empty());
  CHECK(file.plan.stages.size() == 5);
  const auto frames =
      std::find_if(file.plan.links.begin(), file.plan.links.end(),
                   [](const LinkPlan& link) { return link.name == "video_frames"; });
  REQUIRE(frames != file.plan.links.end());
  REQUIRE(frames->pool.has_value());
  // A picture of 1080 lines in 4:2:2, as the decoder lays it out.
  CHECK(frames->pool->buffer_bytes >= 1920 * 1090 * 2);
}

TEST_CASE("pipeline_file: all findings come at once, by line") {
  std::string text = replaced(kGood, "memlock = \"require\"", "memlok = 1");
  text = replaced(text, "capacity = \"4MiB\"", "capacity = 5000");
  text = replaced(text, "to = \"source.channel\"", "to = \"source\"");
  CHECK(findings_of(text, "bad.toml") ==
        std::vector<std::string>{
            "bad.toml:3: unknown key in [pipeline]: \"memlok\"; did you mean \"memlock\"?",
            "bad.toml:29: capacity is not a power of two: 5000 B; take 4 KiB or 8 KiB",
            "bad.toml:49: bad end of a link: \"source\"; write STAGE.PORT, to = \"demux.in\""});
}

TEST_CASE("pipeline_file: what is not TOML is refused at its line") {
  check_cases({
      {"wait = \"sleep\"",
       "wait = ",
       {"bad.toml:4: not valid TOML: Error while parsing key-value pair: expected value, saw "
        "'\\n'; "
        "look at column 8"}},
  });
  // The TOML library asserts on these.
  check_cases({
      {"[[oob]]",
       "[[[oob]]]",
       {"bad.toml:47: not valid TOML: this line cannot be read; look at its brackets"}},
      {"[stage.options]",
       "[[=\n[[=",
       {"bad.toml:13: not valid TOML: this line cannot be read; look at its brackets"}},
  });
  const auto twice = findings_of(replaced(kGood, "wait = \"sleep\"", "name = \"box\""), "bad.toml");
  REQUIRE(twice.size() == 1);
  CHECK(twice[0].starts_with("bad.toml:4: not valid TOML: "));
  const auto bytes = findings_of("[pipeline]\nname = \"\xff\xfe\"\n", "bad.toml");
  REQUIRE(bytes.size() == 1);
  CHECK(bytes[0].starts_with("bad.toml:2: not valid TOML: "));
}

TEST_CASE("pipeline_file: an empty file says what is missing") {
  CHECK(findings_of("", "bad.toml") ==
        std::vector<std::string>{
            "bad.toml:1: missing table: [pipeline]; add [pipeline] with name = \"…\"",
            "bad.toml:1: no stage: the file has no [[stage]]; add one with name and program"});
}

TEST_CASE("pipeline_file: a link without kind is what its sizes say") {
  const PipelineFile file = parse_pipeline(replaced(kGood, "kind = \"slots\"\n", ""), "good.toml");
  REQUIRE(file.findings.empty());
  CHECK(file.plan.links[1].kind == LinkKind::kSlots);
  CHECK(file.plan.links[2].kind == LinkKind::kRecords);
}

TEST_CASE("pipeline_file: too many stages are refused") {
  std::string text = "[pipeline]\nname = \"box\"\n";
  for (std::size_t i = 0; i <= kMaxStageCount; ++i) {
    text += "[[stage]]\nname = \"s" + std::to_string(i) + "\"\nprogram = \"x\"\n";
  }
  const auto found = findings_of(text, "bad.toml");
  CHECK(std::count(found.begin(), found.end(),
                   "bad.toml:195: too many of [[stage]]: 65; at most 64") == 1);
}

TEST_CASE("pipeline_file: a file that cannot be read is a finding") {
  const char* scratch = std::getenv("TEST_TMPDIR");
  const std::string folder = scratch != nullptr ? scratch : "/tmp";
  const std::string missing = folder + "/missing.toml";
  const PipelineFile none = load_pipeline(missing);
  REQUIRE(none.findings.size() == 1);
  CHECK(to_string(none.findings[0], missing) ==
        missing +
            ": cannot open the pipeline file: No such file or directory; name a file that "
            "is there");
  const PipelineFile directory = load_pipeline(folder);
  REQUIRE(directory.findings.size() == 1);
  CHECK(directory.findings[0].wrong == "cannot read the pipeline file");
  const std::string good = folder + "/good.toml";
  std::ofstream(good) << kGood;
  CHECK(load_pipeline(good).findings.empty());
  const std::string large = folder + "/large.toml";
  std::ofstream(large) << std::string(kMaxPipelineFileBytes + 1, '\n');
  const PipelineFile refused = load_pipeline(large);
  REQUIRE(refused.findings.size() == 1);
  CHECK(refused.findings[0].wrong == "pipeline file too large");
}

TEST_CASE("pipeline_file: sizes and durations are exact or nothing") {
  CHECK(parse_size_bytes("4096") == 4096);
  CHECK(parse_size_bytes("64KiB") == 65536);
  CHECK(parse_size_bytes("4 MiB") == 4u * 1024 * 1024);
  CHECK(parse_size_bytes("16777215GiB").has_value());
  CHECK_FALSE(parse_size_bytes("17179869184GiB").has_value());
  CHECK_FALSE(parse_size_bytes("18446744073709551616").has_value());
  for (const char* text :
       {"", " 4", "4K", "4mib", "-4", "+4", "4MiB ", "4  MiB", "MiB", "0x10", "4.5MiB", "4 "}) {
    CAPTURE(text);
    CHECK_FALSE(parse_size_bytes(text).has_value());
  }
  CHECK(parse_duration_ns("10s") == 10'000'000'000);
  CHECK(parse_duration_ns("500 ms") == 500'000'000);
  CHECK(parse_duration_ns("2min") == 120'000'000'000);
  for (const char* text : {"", "10", "10 S", "s", "1.5s", "99999999999h"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration_ns(text).has_value());
  }
}

}  // namespace
}  // namespace slipring
