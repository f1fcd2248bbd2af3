// The state of a running pipeline at one instant: stages, links, and the numbers on the boards.
//
// Everything is read from outside: the links and boards through their observers, the processes
// through /proc.  No stage notices.  Rates are between two samples, so the first one has none.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/link/board.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/stage/pipeline_plan.h"
#include "pipelines/stage/segments.h"
#include "platform/memory/segment_directory.h"

namespace slipring {

enum class StagePhase : std::uint8_t {
  kRunning,
  kRestarting,  // dead, and due to be started again
  kFinished,    // ended with status 0
  kFailed,      // dead for good
};

[[nodiscard]] const char* name_of(StagePhase phase) noexcept;

// What the supervisor knows about a stage.
struct StageStatus {
  StagePhase phase = StagePhase::kRunning;
  pid_t pid = 0;  // of the last process
  std::uint32_t restart_count = 0;
};

struct NumberState {
  std::string name;
  BoardKind kind = BoardKind::kCounter;
  std::uint64_t value = 0;
  std::uint64_t per_s = 0;  // of a counter, since the last sample
};

struct StageState {
  std::string name;
  StageStatus status;
  std::uint64_t cpu_time_ns = 0;     // of the present process
  std::uint64_t cpu_ns_per_s = 0;    // since the last sample
  std::uint64_t resident_bytes = 0;  // shared segments included
  std::uint64_t locked_bytes = 0;
  std::vector<NumberState> numbers;  // its board

  // 0 when the board has no such number.
  [[nodiscard]] std::uint64_t value_of(std::string_view number) const noexcept;
};

struct WireState {
  std::string place;  // "-> tcp://backup:7070"
  bool is_connected = false;
  std::uint64_t connection_count = 0;
};

struct LinkState {
  std::string name;
  LinkReport report;
  std::optional<WireState> wire;  // of a link whose other end is on another machine
  std::uint64_t messages_per_s = 0;
  std::uint64_t bytes_per_s = 0;
};

struct LiveState {
  std::string pipeline;
  std::uint64_t time_ns = 0;
  std::uint64_t uptime_ns = 0;
  std::vector<StageState> stages;
  std::vector<LinkState> links;  // OOB lanes last

  // The first stage's board that has the number, or nothing.
  [[nodiscard]] std::optional<std::uint64_t> find_number(std::string_view number) const noexcept;
};

// Samples one pipeline.  The segments must be there when it is made.
class LiveSampler {
 public:
  // What cannot be observed is left out of the samples.
  LiveSampler(const SegmentDirectory& directory, const PipelinePlan& plan,
              const PipelineSegments& segments);

  // Requires: a status a stage, in the plan's order.
  [[nodiscard]] LiveState sample(std::span<const StageStatus> statuses);

 private:
  struct WatchedStage {
    std::string name;
    std::string segment;
    std::optional<BoardObserver> board;
    pid_t last_pid = 0;
    std::uint64_t last_cpu_time_ns = 0;
    std::vector<NumberState> last_numbers;
  };
  struct WatchedLink {
    std::string name;
    std::string segment;
    LinkObserver observer;
    std::optional<WirePlan> wire;
    std::uint64_t last_message_count = 0;
    std::uint64_t last_bytes = 0;
  };

  [[nodiscard]] StageState sample_stage(WatchedStage& stage, const StageStatus& status,
                                        std::uint64_t elapsed_ns);
  [[nodiscard]] LinkState sample_link(WatchedLink& link, std::uint64_t elapsed_ns) const;

  void refresh();

  const PipelineSegments& segments_;
  std::string pipeline_;
  std::vector<WatchedStage> stages_;
  std::vector<WatchedLink> links_;
  std::uint64_t started_ns_;
  std::uint64_t last_sample_ns_ = 0;
};

}  // namespace slipring
