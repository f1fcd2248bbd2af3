#include "pipelines/stage/pipeline_plan.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "pipelines/link/link_layout.h"
#include "pipelines/stage/finding.h"
#include "pipelines/stage/plan_size.h"
#include "pipelines/stage/plan_text.h"
#include "pipelines/stage/plan_topology.h"
#include "pipelines/stage/program_search.h"
#include "pipelines/stage/quantity.h"
#include "platform/memory/mapping.h"

namespace slipring {
namespace {

StagePlan stage_of(const std::string& name, int line) {
  StagePlan stage;
  stage.name = name;
  stage.program = name;
  stage.line = line;
  stage.program_line = line;
  stage.cpu_line = line;
  return stage;
}

LinkPlan link_of(const std::string& name, std::size_t from, std::size_t to, int line) {
  LinkPlan link;
  link.name = name;
  link.from = {from, name, line};
  link.to = {to, name, line};
  link.capacity_bytes = 65536;
  link.line = line;
  return link;
}

PipelinePlan chain(std::size_t stage_count) {
  PipelinePlan plan;
  plan.name = "box";
  plan.file = "box.toml";
  for (std::size_t i = 0; i < stage_count; ++i) {
    plan.stages.push_back(stage_of("s" + std::to_string(i), 10 + static_cast<int>(i)));
  }
  for (std::size_t i = 0; i + 1 < stage_count; ++i) {
    plan.links.push_back(link_of("l" + std::to_string(i), i, i + 1, 50 + static_cast<int>(i)));
  }
  return plan;
}

std::vector<std::string> texts(const std::vector<Finding>& findings) {
  std::vector<std::string> lines;
  for (const Finding& finding : findings) lines.push_back(to_string(finding, "box.toml"));
  return lines;
}

// A folder of its own, with programs in it.
class Folder {
 public:
  explicit Folder(const std::string& name) {
    const char* scratch = std::getenv("TEST_TMPDIR");
    path_ = std::filesystem::path(scratch != nullptr ? scratch : "/tmp") / name;
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string path() const { return path_.string(); }
  std::string add_program(const std::string& name, mode_t mode) const {
    const std::filesystem::path program = path_ / name;
    std::filesystem::create_directories(program.parent_path());
    std::ofstream(program) << "#!/bin/true\n";
    REQUIRE(chmod(program.c_str(), mode) == 0);
    return program.string();
  }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("pipeline_plan: a chain is sound") {
  CHECK(check_topology(chain(4)).empty());
}

TEST_CASE("pipeline_plan: each cycle is reported once, with its way round") {
  PipelinePlan plan = chain(4);
  plan.links.push_back(link_of("back", 2, 0, 60));
  plan.links.push_back(link_of("self", 3, 3, 61));
  CHECK(texts(check_topology(plan)) ==
        std::vector<std::string>{
            "box.toml:60: cycle without credit: s0 -> s1 -> s2 -> s0 (links l0, l1, back); when "
            "all are full, all wait for ever: give one of these links a credit, credit = 16 for "
            "instance",
            "box.toml:61: cycle without credit: s3 -> s3 (links self); when all are full, all "
            "wait for ever: give one of these links a credit, credit = 16 for instance"});
  plan.links[1].credit_count = 4;
  plan.links[4].credit_count = 4;
  CHECK(check_topology(plan).empty());
}

TEST_CASE("pipeline_plan: two ways to one stage are no cycle") {
  PipelinePlan plan = chain(4);
  plan.links.push_back(link_of("short", 0, 3, 60));
  plan.links.push_back(link_of("again", 0, 1, 61));
  CHECK(check_topology(plan).empty());
}

TEST_CASE("pipeline_plan: a stage with a command lane only is joined") {
  PipelinePlan plan = chain(2);
  plan.stages.push_back(stage_of("alone", 20));
  CHECK(texts(check_topology(plan)) ==
        std::vector<std::string>{
            "box.toml:20: stage joined to nothing: \"alone\" is in no [[link]] and no [[oob]]; "
            "add a link from it or to it, or remove the stage"});
  plan.oobs.push_back({"channel", {2, "channel", 70}, 70});
  CHECK(check_topology(plan).empty());
}

TEST_CASE("pipeline_plan: CPUs must be there") {
  PipelinePlan plan = chain(2);
  plan.stages[0].cpus = {0, 4, 5, 6, 9};
  plan.stages[1].cpus = {1};
  const std::uint32_t allowed[] = {0, 1, 2, 3};
  CHECK(texts(check_cpus(plan, allowed)) ==
        std::vector<std::string>{"box.toml:10: no such CPU: stage \"s0\" asks for 4-6,9; this "
                                 "process may use CPU 0-3"});
}

TEST_CASE("pipeline_plan: programs are looked for in order") {
  CHECK(program_places("settop", "/opt/bin", "/a::/b/c") ==
        std::vector<std::string>{"/a", "/b/c", "/opt/bin", "/opt/libexec/slipring",
                                 "/opt/pipelines/settop", "/pipelines/settop",
                                 "/opt/pipelines/stage"});
  const Folder first("first");
  const Folder second("second");
  first.add_program("s0", 0644);
  const std::string s0 = second.add_program("s0", 0755);
  const std::string s1 = second.add_program("s1/s1", 0755);
  const std::string locked = first.add_program("s2", 0644);
  PipelinePlan plan = chain(5);
  plan.file = second.path() + "/box.toml";
  plan.stages[4].program = "./s0";
  const std::string places[] = {first.path(), second.path()};
  CHECK(texts(resolve_programs(plan, places)) ==
        std::vector<std::string>{
            "box.toml:12: program cannot be run: " + locked + "; chmod +x " + locked,
            "box.toml:13: program not found: \"s3\" is in none of " + first.path() + ", " +
                second.path() + "; build it, or name its folder in $SLIPRING_STAGE_PATH"});
  CHECK(plan.stages[0].program_path == s0);
  CHECK(plan.stages[1].program_path == s1);
  CHECK(plan.stages[4].program_path == s0);
}

TEST_CASE("pipeline_plan: a program with a slash is named from the file's folder") {
  const Folder folder("slash");
  const std::string locked = folder.add_program("locked", 0644);
  PipelinePlan plan = chain(3);
  plan.file = folder.path() + "/box.toml";
  plan.stages[0].program = "sub/missing";
  plan.stages[1].program = "./locked";
  plan.stages[2].program = "../slash/";
  CHECK(texts(resolve_programs(plan, {})) ==
        std::vector<std::string>{
            "box.toml:10: program not found: " + folder.path() +
                "/sub/missing; a program with '/' is taken from the pipeline file's folder; build "
                "it or correct the path",
            "box.toml:11: program cannot be run: " + locked + "; chmod +x " + locked,
            "box.toml:12: program is not a file: " + folder.path() + "/; name the program itself"});
}

TEST_CASE("pipeline_plan: memory is summed by segment and by stage") {
  PipelinePlan plan = chain(3);
  plan.links[1].kind = LinkKind::kSlots;
  plan.links[1].slot_count = 64;
  plan.links[1].slot_bytes = 192;
  plan.links[1].pool = PoolPlan{2, 1 << 20};
  plan.oobs.push_back({"channel", {0, "channel", 70}, 70});
  const std::uint64_t page = page_size_bytes();
  // The writer's pages and ring, the reader's page; before them the header's, behind them the
  // commander's, which no end locks.
  const std::uint64_t records = page + 65536 + page;
  const std::uint64_t slots = page + 64 * 256 + 2 * (std::uint64_t{1} << 20) + page;
  const std::uint64_t commands = page + kOobCapacityBytes + page;
  CHECK(mapped_bytes(shape_of(plan.links[0])) == records);
  CHECK(segment_bytes(shape_of(plan.links[0])) == 2 * page + records);
  CHECK(mapped_bytes(shape_of(plan.links[1])) == slots);
  CHECK(segment_bytes(shape_of(plan.links[1])) == 2 * page + slots);
  const std::uint64_t board = board_segment_bytes();
  CHECK(total_segment_bytes(plan) == 6 * page + records + slots + commands + 4 * board);
  CHECK(stage_locked_bytes(plan, 0) == records + commands + board);
  CHECK(stage_locked_bytes(plan, 1) == records + slots + board);
  CHECK(stage_locked_bytes(plan, 2) == slots + board);
}

TEST_CASE("pipeline_plan: a too small memory-lock limit is refused when locking is required") {
  PipelinePlan plan = chain(3);
  plan.memlock_line = 3;
  const std::uint64_t need = stage_locked_bytes(plan, 1);
  plan.memlock = MemlockPolicy::kTry;
  CHECK(check_memlock(plan, 0).empty());
  plan.memlock = MemlockPolicy::kRequire;
  CHECK(check_memlock(plan, UINT64_MAX).empty());
  CHECK(check_memlock(plan, need).empty());
  const auto found = texts(check_memlock(plan, need - 1));
  REQUIRE(found.size() == 1);
  const std::string need_kib = std::to_string(need / 1024);
  const std::string one_less = std::to_string(need / 1024 - 1);
  CHECK(found[0] == "box.toml:3: memory-lock limit too small: stage \"s1\" locks " + need_kib +
                        ".0 KiB, the limit is " + one_less + ".9 KiB; raise it with `ulimit -l " +
                        need_kib +
                        "` or LimitMEMLOCK=, make the links smaller, or write "
                        "memlock = \"try\"");
  CHECK(check_memlock(plan, 0).size() == 3);
}

TEST_CASE("pipeline_plan: a full segment directory is refused") {
  const PipelinePlan plan = chain(2);
  const std::uint64_t need = total_segment_bytes(plan);
  CHECK(check_space(plan, "/dev/shm/x", need).empty());
  CHECK(
      texts(check_space(plan, "/dev/shm/x", need - 1)) ==
      std::vector<std::string>{
          "box.toml: not enough shared memory: the links need " + std::to_string(need / 1024) +
          ".0 KiB, /dev/shm/x has " + std::to_string(need / 1024 - 1) +
          ".9 KiB free; enlarge that file system (mount -o remount,size=…), set SLIPRING_DIR to a "
          "larger tmpfs, or make the links smaller"});
}

TEST_CASE("pipeline_plan: an override replaces or adds an option") {
  PipelinePlan plan = chain(2);
  plan.stages[0].options.push_back({"url", "udp://127.0.0.1:5000", 5});
  CHECK_FALSE(apply_override(plan, "s0.url=file?a=b").has_value());
  CHECK_FALSE(apply_override(plan, "s1.pace=").has_value());
  REQUIRE(plan.stages[0].options.size() == 1);
  CHECK(plan.stages[0].options[0].value == "file?a=b");
  REQUIRE(plan.stages[1].options.size() == 1);
  CHECK(plan.stages[1].options[0].key == "pace");
  CHECK(plan.stages[1].options[0].value.empty());
}

TEST_CASE("pipeline_plan: a bad override is refused and changes nothing") {
  PipelinePlan plan = chain(2);
  const auto refusal = [&](const char* assignment) {
    const auto finding = apply_override(plan, assignment);
    REQUIRE(finding.has_value());
    return to_string(*finding, "--set");
  };
  CHECK(refusal("s0.url") == "--set: bad override: \"s0.url\"; write --set STAGE.OPTION=VALUE");
  CHECK(refusal("url=1") == "--set: bad override: \"url=1\"; write --set STAGE.OPTION=VALUE");
  CHECK(refusal("s0.=1") == "--set: bad override: \"s0.=1\"; write --set STAGE.OPTION=VALUE");
  CHECK(refusal("S0.url=1") == "--set: unknown stage in override: \"S0\"; did you mean \"s0\"?");
  CHECK(refusal("render.url=1") ==
        "--set: unknown stage in override: \"render\"; the stages are s0, s1");
  CHECK(plan.stages[0].options.empty());
  CHECK(plan.stages[1].options.empty());
}

TEST_CASE("pipeline_plan: the nearest name is near") {
  const std::vector<std::string> names = {"capacity", "credit", "kind", "to"};
  CHECK(nearest_name("capcity", names) == "capacity");
  CHECK(nearest_name("acpacity", names) == "capacity");
  CHECK(nearest_name("Credits", names) == "credit");
  CHECK(nearest_name("ot", names) == "to");
  CHECK_FALSE(nearest_name("xy", names).has_value());
  CHECK_FALSE(nearest_name("colour", names).has_value());
  CHECK_FALSE(nearest_name("", names).has_value());
  CHECK_FALSE(nearest_name(std::string(100'000, 'c'), names).has_value());
}

TEST_CASE("pipeline_plan: the listing shows stages, links and lanes") {
  PipelinePlan plan = chain(2);
  plan.stages[0].cpus = {0, 1, 3};
  plan.stages[0].options.push_back({"url", "x y", 5});
  plan.stages[1].restart = RestartPolicy::kNever;
  plan.stages[1].wait = WaitPolicy::kPoll;
  plan.stages[1].program_path = "/opt/s1";
  LinkPlan frames = link_of("frames", 0, 1, 60);
  frames.kind = LinkKind::kSlots;
  frames.slot_count = 64;
  frames.slot_bytes = 192;
  frames.pool = PoolPlan{40, 4 << 20};
  frames.credit_count = 16;
  plan.links.push_back(frames);
  plan.oobs.push_back({"channel", {0, "channel", 70}, 70});
  CHECK(describe(plan) ==
        "pipeline box (box.toml): memlock try, wait adaptive, guarded links, 160.3 MiB of shared "
        "memory\n"
        "stages\n"
        "  s0       program s0, restart on-failure (at most 10 in 10 s), cpu 0-1,3\n"
        "           --url=x y\n"
        "  s1       program s1 (/opt/s1), restart never, wait poll\n"
        "links\n"
        "  l0       s0.l0 -> s1.l0, records, 64 KiB\n"
        "  frames   s0.frames -> s1.frames, 64 slots of 192 B, pool of 40 buffers of 4 MiB, "
        "credit 16\n"
        "oob\n"
        "  channel  -> s0.channel\n");
}

TEST_CASE("pipeline_plan: sizes and durations are shown exactly") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(4096) == "4 KiB");
  CHECK(format_bytes(4097) == "4097 B");
  CHECK(format_bytes(std::uint64_t{3} << 30) == "3 GiB");
  CHECK(format_duration(10'000'000'000) == "10 s");
  CHECK(format_duration(1'500'000'000) == "1500 ms");
  CHECK(format_duration(120'000'000'000) == "2 min");
  CHECK(format_duration(7) == "7 ns");
}

}  // namespace slipring
