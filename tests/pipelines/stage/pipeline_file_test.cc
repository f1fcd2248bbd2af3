#include "pipelines/stage/pipeline_file.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/plan_size.h"
#include "pipelines/stage/plan_text.h"
#include "pipelines/stage/quantity.h"
#include "tests/pipelines/stage/edited_text.h"

namespace slipring {
namespace {

// Line numbers in the tables below count from the line after R"(.
const std::string kGood = R"([pipeline]
name = "box"
memlock = "require"
wait = "sleep"

[[stage]]
name = "source"
program = "ingest"
restart = "always"
restart_limit = 3
restart_window = "500ms"
cpu = [1, 0, 1]
[stage.options]
url = "udp://127.0.0.1:5000"
loops = 2
gain = 0.5
fast = true

[[stage]]
name = "sink"
program = "./render"
wait = "poll"

[[link]]
name = "ts"
from = "source.ts"
to = "sink.ts"
kind = "records"
capacity = "4MiB"

[[link]]
name = "frames"
from = "source.frames"
to = "sink.frames"
kind = "slots"
slots = 64
slot_bytes = 192
pool = { buffers = 40, buffer_bytes = "4MiB" }

[[link]]
name = "back"
from = "sink.back"
to = "source.back"
capacity = 65536
credit = 16

[[oob]]
name = "channel"
to = "source.channel"
)";

struct Case {
  std::string from;
  std::string to;
  std::vector<std::string> findings;
};

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

void check_cases(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    CAPTURE(one.to);
    const auto found = findings_of(replaced(kGood, one.from, one.to), "bad.toml");
    REQUIRE(found.size() == one.findings.size());
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == one.findings[i]);
  }
}

}  // namespace

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

TEST_CASE("pipeline_file: keys and types are checked, with line and remedy") {
  check_cases({
      {"memlock = \"require\"",
       "memlok = \"require\"",
       {"bad.toml:3: unknown key in [pipeline]: \"memlok\"; did you mean \"memlock\"?"}},
      {"restart = \"always\"",
       "colour = \"red\"",
       {"bad.toml:9: unknown key in [[stage]]: \"colour\"; known here: name, program, restart, "
        "restart_limit, restart_window, cpu, wait, options"}},
      {"to = \"sink.ts\"",
       "to = \"sink.ts\"\ncapcity = 1",
       {"bad.toml:28: unknown key in [[link]]: \"capcity\"; did you mean \"capacity\"?"}},
      {"[[oob]]",
       "[[obo]]",
       {"bad.toml:47: unknown key in the file: \"obo\"; did you mean \"oob\"?"}},
      {"buffers = 40, buffer_bytes",
       "bufers = 40, buffer_bytes",
       {"bad.toml:38: unknown key in pool: \"bufers\"; did you mean \"buffers\"?",
        "bad.toml:38: missing key in pool: buffers; add buffers = 40"}},
      {"name = \"box\"",
       "name = 7",
       {"bad.toml:2: wrong type for name: an integer; write a string, name = \"settop\""}},
      {"memlock = \"require\"",
       "memlock = true",
       {"bad.toml:3: wrong type for memlock: a boolean; write one of require, try, off"}},
      {"wait = \"sleep\"",
       "wait = \"adaptve\"",
       {"bad.toml:4: unknown value for wait: \"adaptve\"; did you mean \"adaptive\"?"}},
      {"restart = \"always\"",
       "restart = \"sometimes\"",
       {"bad.toml:9: unknown value for restart: \"sometimes\"; known here: on-failure, always, "
        "never"}},
  });
}

TEST_CASE("pipeline_file: the values of a stage are checked, and what is missing is said") {
  check_cases({
      {"restart_limit = 3",
       "restart_limit = -3",
       {"bad.toml:10: restart_limit out of range: -3; write 0 to 1000000"}},
      {"restart_limit = 3",
       "restart_limit = \"3\"",
       {"bad.toml:10: wrong type for restart_limit: a string; write an integer"}},
      {"restart_window = \"500ms\"",
       "restart_window = 10",
       {"bad.toml:11: wrong type for restart_window: an integer; write a string such as \"10s\""}},
      {"restart_window = \"500ms\"",
       "restart_window = \"500\"",
       {"bad.toml:11: bad duration for restart_window: \"500\"; write more than 0 and at most "
        "24h, in ms, s, min or h: \"10s\""}},
      {"cpu = [1, 0, 1]",
       "cpu = [0,\n\"one\"]",
       {"bad.toml:13: wrong type for cpu: a string; write integers, cpu = [0, 1]"}},
      {"cpu = [1, 0, 1]",
       "cpu = -1",
       {"bad.toml:12: no such CPU: -1; CPUs are numbered from 0; `lscpu` lists them"}},
      {"loops = 2",
       "loops = [2]",
       {"bad.toml:15: wrong type for option loops: an array; write a string, an integer, a float "
        "or a boolean"}},
      {"loops = 2",
       "\"lo ops\" = 2",
       {"bad.toml:15: bad option name: \"lo ops\"; use 1 to 32 of A-Z a-z 0-9 _ -, a letter or "
        "digit first"}},
      {"loops = 2",
       "loops = \"a\\u0000b\"",
       {"bad.toml:15: bad option value: loops holds a zero byte; a program's arguments cannot "
        "carry one"}},
      {"program = \"ingest\"\n",
       "",
       {"bad.toml:6: missing key in [[stage]]: program; add program = \"ingest\""}},
      {"program = \"ingest\"",
       "program = \"\"",
       {"bad.toml:8: bad program: \"\"; name a program, or a path with '/'"}},
      {"capacity = \"4MiB\"\n",
       "",
       {"bad.toml:24: missing key in [[link]]: capacity; add capacity = \"4MiB\""}},
      {"slot_bytes = 192\n",
       "",
       {"bad.toml:31: missing key in [[link]]: slot_bytes; add slot_bytes = 192"}},
      {"from = \"source.ts\"\n",
       "",
       {"bad.toml:24: missing key in [[link]]: from; add from = \"ingest.out\""}},
      {"[pipeline]\nname = \"box\"\nmemlock = \"require\"\nwait = \"sleep\"\n",
       "",
       {"bad.toml:1: missing table: [pipeline]; add [pipeline] with name = \"…\""}},
      {"[pipeline]",
       "[[pipeline]]",
       {"bad.toml:1: wrong type for pipeline: an array; write [pipeline], in single brackets"}},
      {"[[oob]]",
       "[oob]",
       {"bad.toml:47: wrong type for oob: a table; write [[oob]], in double brackets"}},
  });
}

TEST_CASE("pipeline_file: names are checked") {
  check_cases({
      {"name = \"box\"",
       "name = \"my box\"",
       {"bad.toml:2: bad name: \"my box\"; use 1 to 32 of A-Z a-z 0-9 _ -, a letter or digit "
        "first"}},
      {"name = \"ts\"",
       "name = \"../ts\"",
       {"bad.toml:25: bad name: \"../ts\"; use 1 to 32 of A-Z a-z 0-9 _ -, a letter or digit "
        "first"}},
      {"name = \"ts\"",
       "name = \"abcdefghijklmnopqrstuvwxyz0123456\"",
       {"bad.toml:25: bad name: \"abcdefghijklmnopqrstuvwxyz0123456\"; use 1 to 32 of A-Z a-z 0-9 "
        "_ -, a letter or digit first"}},
      {"name = \"ts\"",
       "name = \"\\u001b[2J\"",
       {"bad.toml:25: bad name: \"?[2J\"; use 1 to 32 of A-Z a-z 0-9 _ -, a letter or digit "
        "first"}},
      {"name = \"frames\"",
       "name = \"ts\"",
       {"bad.toml:31: duplicate link name: \"ts\", first on line 24; give each [[link]] and "
        "[[oob]] a name of its own"}},
      {"name = \"channel\"",
       "name = \"back\"",
       {"bad.toml:47: duplicate link name: \"back\", first on line 40; give each [[link]] and "
        "[[oob]] a name of its own"}},
      {"[[link]]",
       "[[stage]]\nname = \"sink\"\nprogram = \"x\"\n[[link]]",
       {"bad.toml:24: duplicate stage name: \"sink\", first on line 19; give each stage a name of "
        "its own",
        "bad.toml:24: stage joined to nothing: \"sink\" is in no [[link]] and no [[oob]]; add a "
        "link from it or to it, or remove the stage"}},
  });
}

TEST_CASE("pipeline_file: the ends of links are checked") {
  check_cases({
      {"to = \"sink.ts\"",
       "to = \"snik.ts\"",
       {"bad.toml:27: unknown stage: \"snik\" in \"snik.ts\"; did you mean \"sink\"?"}},
      {"to = \"sink.ts\"",
       "to = \"mixer.ts\"",
       {"bad.toml:27: unknown stage: \"mixer\" in \"mixer.ts\"; the stages are source, sink"}},
      {"to = \"source.channel\"",
       "to = \"surce.channel\"",
       {"bad.toml:49: unknown stage: \"surce\" in \"surce.channel\"; did you mean \"source\"?"}},
      {"to = \"sink.ts\"",
       "to = \"sink\"",
       {"bad.toml:27: bad end of a link: \"sink\"; write STAGE.PORT, to = \"demux.in\""}},
      {"to = \"sink.ts\"",
       "to = \"sink.ts.x\"",
       {"bad.toml:27: bad end of a link: \"sink.ts.x\"; write STAGE.PORT, to = \"demux.in\""}},
      {"from = \"source.ts\"",
       "from = [\"source.ts\", \"sink.x\"]",
       {"bad.toml:26: a link with several writers: from is an array; one end each: write a "
        "[[link]] for every pair"}},
      {"to = \"sink.frames\"",
       "to = \"sink.ts\"",
       {"bad.toml:34: input port with two links: sink.ts belongs to link ts (line 27) and to link "
        "frames; a port has one writer; give the stage a second input port"}},
      {"from = \"source.frames\"",
       "from = \"source.ts\"",
       {"bad.toml:33: output port with two links: source.ts belongs to link ts (line 26) and to "
        "link frames; a port has one reader; give the stage a second output port"}},
      {"to = \"source.channel\"",
       "to = \"source.back\"",
       {"bad.toml:49: input port with two links: source.back belongs to link back (line 43) and "
        "to oob channel; a port has one writer; give the stage a second input port"}},
      {"credit = 16\n",
       "",
       {"bad.toml:40: cycle without credit: source -> sink -> source (links ts, back); when all "
        "are full, all wait for ever: give one of these links a credit, credit = 16 for "
        "instance"}},
  });
}

TEST_CASE("pipeline_file: the sizes of links are checked") {
  check_cases({
      {"capacity = \"4MiB\"",
       "capacity = \"3MiB\"",
       {"bad.toml:29: capacity is not a power of two: 3 MiB; take 2 MiB or 4 MiB"}},
      {"capacity = \"4MiB\"",
       "capacity = \"1KiB\"",
       {"bad.toml:29: capacity too small: 1 KiB; at least 4 KiB"}},
      {"capacity = \"4MiB\"",
       "capacity = \"128GiB\"",
       {"bad.toml:29: capacity too large: 128 GiB; at most 64 GiB"}},
      {"capacity = \"4MiB\"",
       "capacity = \"4MB\"",
       {"bad.toml:29: bad size for capacity: \"4MB\"; write bytes, or a string in KiB, MiB or GiB "
        "such as \"4MiB\""}},
      {"capacity = \"4MiB\"",
       "capacity = -4096",
       {"bad.toml:29: bad size for capacity: -4096; write bytes, or a string in KiB, MiB or GiB "
        "such as \"4MiB\""}},
      {"capacity = \"4MiB\"",
       "capacity = 4096.0",
       {"bad.toml:29: wrong type for capacity: a float; write bytes, or a string such as "
        "\"4MiB\""}},
      {"slots = 64", "slots = 63", {"bad.toml:36: slots is not a power of two: 63; take 32 or 64"}},
      {"slots = 64", "slots = 1", {"bad.toml:36: slots out of range: 1; write 2 to 1048576"}},
      {"slot_bytes = 192",
       "slot_bytes = 0",
       {"bad.toml:37: slot_bytes too small: 0 B; at least 1 B"}},
      {"slot_bytes = 192",
       "slot_bytes = \"2MiB\"",
       {"bad.toml:37: slot_bytes too large: 2 MiB; at most 1 MiB"}},
      {"slots = 64\nslot_bytes = 192",
       "slots = 1048576\nslot_bytes = \"1MiB\"",
       {"bad.toml:36: ring too large: 1048576 slots of 1 MiB; at most 64 GiB together"}},
      {"capacity = \"4MiB\"",
       "capacity = \"4MiB\"\npool = { buffers = 4, buffer_bytes = 4096 }",
       {"bad.toml:30: key of a slots link on a records link: pool; write kind = \"slots\", or "
        "remove it"}},
      {"slots = 64",
       "slots = 64\ncapacity = 4096",
       {"bad.toml:37: key of a records link on a slots link: capacity; a slots link has slots and "
        "slot_bytes instead"}},
      {"kind = \"slots\"",
       "kind = \"slot\"",
       {"bad.toml:35: unknown value for kind: \"slot\"; did you mean \"slots\"?"}},
      {"buffers = 40", "buffers = 0", {"bad.toml:38: buffers out of range: 0; write 1 to 1024"}},
      {"buffer_bytes = \"4MiB\"",
       "buffer_bytes = 5000",
       {"bad.toml:38: buffer_bytes is not a multiple of 64: 5000 B; take 5056 B"}},
      {"buffers = 40, buffer_bytes = \"4MiB\"",
       "buffers = 1024, buffer_bytes = \"128MiB\"",
       {"bad.toml:38: pool too large: 1024 buffers of 128 MiB; at most 64 GiB together"}},
      {"pool = {",
       "credit = 65\npool = {",
       {"bad.toml:38: credit beyond the slots: 65 messages under way in 64 slots; write at most "
        "64"}},
      {
          "credit = 16",
          "credit = 0",
          {"bad.toml:45: credit out of range: 0; write 1 to 1048576"},
      },
  });
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

}  // namespace slipring
