// What a pipeline is made of, checked as a whole before anything starts.
//
// A plan is the pipeline file's content in plain structs (pipelines/stage/pipeline_file.h reads
// it); the checks here look at it as a whole: who is joined to whom, what the machine must have.
// Every check answers with all that it finds, so that a person mends a file once and not a line at
// a time.  A plan without findings from check_topology() has every `stage_index` in range, one
// writer and one reader a link, and credit on every cycle.
//
// Everything here is hosted code for one thread: it allocates freely and runs before the first
// stage starts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/link/link_layout.h"
#include "pipelines/stage/finding.h"

namespace slipring {

inline constexpr std::size_t kMaxPipelineNameBytes = 32;  // of a pipeline, stage, link or port
inline constexpr std::uint64_t kMinCapacityBytes = 4096;
inline constexpr std::uint64_t kMaxRegionBytes = std::uint64_t{64} << 30;  // one ring or one pool
inline constexpr std::uint64_t kPoolBufferGrainBytes = 64;
// The ring behind an [[oob]] lane: commands are short and few.
inline constexpr std::uint64_t kOobCapacityBytes = 64 * 1024;

enum class MemlockPolicy : std::uint8_t { kRequire, kTry, kOff };
enum class WaitPolicy : std::uint8_t { kPoll, kAdaptive, kSleep };
enum class RestartPolicy : std::uint8_t { kOnFailure, kAlways, kNever };
enum class LinkKind : std::uint8_t { kRecords, kSlots };
enum class Protection : std::uint8_t {
  kGuarded,  // sealed memory a role, handed over by the runner (pipelines/link/GUARD.md)
  kNamed,    // a file in the segment directory, which outlives the runner
};
enum class Sandbox : std::uint8_t {
  kOff,
  kOn,  // a stage is out of reach of others of its user, and gains no privileges
};

enum class WireCall : std::uint8_t {
  kConnect,  // this machine calls the other one
  kListen,   // it waits to be called
};

// The words that a pipeline file uses for them.
[[nodiscard]] const char* name_of(MemlockPolicy policy) noexcept;
[[nodiscard]] const char* name_of(WaitPolicy policy) noexcept;
[[nodiscard]] const char* name_of(RestartPolicy policy) noexcept;
[[nodiscard]] const char* name_of(LinkKind kind) noexcept;
[[nodiscard]] const char* name_of(Protection protection) noexcept;
[[nodiscard]] const char* name_of(Sandbox sandbox) noexcept;
[[nodiscard]] const char* name_of(WireCall call) noexcept;

inline constexpr std::size_t kNoStage = SIZE_MAX;

// One end of a link: a stage and the name that the stage knows the end by.
struct PortPlan {
  std::size_t stage_index = kNoStage;  // kNoStage: a finding has said why
  std::string port;
  int line = 0;
};

struct OptionPlan {
  std::string key;
  std::string value;
  int line = 0;
};

struct StagePlan {
  std::string name;
  std::string program;       // as the file says it
  std::string program_path;  // where resolve_programs() found it
  RestartPolicy restart = RestartPolicy::kOnFailure;
  std::uint32_t restart_limit = 10;  // restarts within the window; one more fails the run
  std::uint64_t restart_window_ns = 10'000'000'000;
  std::vector<std::uint32_t> cpus;  // ascending; empty: wherever the kernel likes
  WaitPolicy wait = WaitPolicy::kAdaptive;
  std::vector<OptionPlan> options;  // in the file's order
  // What its program wants, as it says itself (pipelines/stage/stage.h).
  bool keeps_descriptors = false;
  bool waits_in_epoll = false;
  bool carries_wire = false;  // of the runner's own: behind a link's end on another machine
  int line = 0;
  int program_line = 0;
  int cpu_line = 0;
};

struct PoolPlan {
  std::uint64_t buffer_count = 0;
  std::uint64_t buffer_bytes = 0;
};

// The other machine's end of a link, and how it is reached (pipelines/wire/WIRE.md).  In the plan a
// stage of the runner's own has that end here, and carries what is in the link.
struct WirePlan {
  std::string address;  // as the file says it
  WireCall call = WireCall::kConnect;
  bool sends = false;  // the link leads there, and not from there
  std::size_t carrier_index = kNoStage;
  int line = 0;
};

struct LinkPlan {
  std::string name;
  PortPlan from;
  PortPlan to;
  std::optional<WirePlan> wire;
  LinkKind kind = LinkKind::kRecords;
  std::uint64_t capacity_bytes = 0;  // records
  std::uint64_t slot_count = 0;      // slots
  std::uint32_t slot_bytes = 0;      // slots
  std::optional<PoolPlan> pool;      // slots only
  std::uint64_t credit_count = 0;    // 0: a full link blocks its writer
  int line = 0;
  Protection protection = Protection::kGuarded;
};

// A command lane into a stage: a records link of kOobCapacityBytes, whose writer is whoever runs
// `slipring oob`.
struct OobPlan {
  std::string name;
  PortPlan to;
  int line = 0;
  Protection protection = Protection::kGuarded;
};

struct PipelinePlan {
  std::string file;  // as the caller named it; findings repeat it
  std::string name;
  MemlockPolicy memlock = MemlockPolicy::kTry;
  WaitPolicy wait = WaitPolicy::kAdaptive;
  Protection protection = Protection::kGuarded;  // of boards; of links and lanes unless they say
  Sandbox sandbox = Sandbox::kOn;
  std::vector<StagePlan> stages;
  std::vector<LinkPlan> links;
  std::vector<OobPlan> oobs;
  int memlock_line = 0;
};

// [A-Za-z0-9][A-Za-z0-9_-]*, at most kMaxPipelineNameBytes.
[[nodiscard]] bool is_pipeline_name(std::string_view name) noexcept;

// The boards that a carrier keeps beside its link's segment (pipelines/wire/WIRE.md), both
// directions' names: "settop.ts.wire-out" and "settop.ts.wire-in".
[[nodiscard]] std::vector<std::string> wire_board_names(const PipelinePlan& plan,
                                                        const LinkPlan& link);

// Whether the stage of that end is one of the plan's.
[[nodiscard]] bool is_known(const PipelinePlan& plan, const PortPlan& port) noexcept;

// The segment that carries a link or an OOB lane: "settop.ts".
[[nodiscard]] std::string segment_name(const PipelinePlan& plan, std::string_view link_name);

// What the links are made of.
[[nodiscard]] LinkShape shape_of(const LinkPlan& link) noexcept;
[[nodiscard]] LinkShape oob_shape() noexcept;

// The names of the segments beside the links: "settop.demux.board" and "settop.runner".
[[nodiscard]] std::string board_name(const PipelinePlan& plan, std::string_view stage_name);
[[nodiscard]] std::string runner_board_name(const PipelinePlan& plan);

// Sets a stage's option as `--set STAGE.OPTION=VALUE` asks, replacing or adding it.  The finding
// says why it cannot; then the plan is unchanged.
[[nodiscard]] std::optional<Finding> apply_override(PipelinePlan& plan,
                                                    std::string_view assignment);

}  // namespace slipring
