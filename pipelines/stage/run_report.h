// What a run says: lines for a person on stderr, or an object a line on stdout for a program.
//
// For a person, what happens scrolls by above the live view, if there is one.  For a program every
// line is a JSON object with "schema":1 and "event"; times are CLOCK_MONOTONIC nanoseconds, sizes
// bytes, all integers.  Words that stages print are shown with control characters replaced: they
// must not steer the terminal.
//
// A closed stdout is no failure of the run: is_broken() tells the runner to stop.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/live_state.h"
#include "pipelines/stage/live_view.h"
#include "pipelines/stage/pipeline_plan.h"
#include "platform/process/peer.h"

namespace slipring {

struct ReportOptions {
  bool json = false;
  bool quiet = false;
};

// "exit status 3", "signal 9 (Killed)".
[[nodiscard]] std::string words_of(const ExitStatus& status);

class RunReport {
 public:
  explicit RunReport(const ReportOptions& options);
  RunReport(const RunReport&) = delete;
  RunReport& operator=(const RunReport&) = delete;

  // Whether states are wanted, and how far apart; 0: never.
  [[nodiscard]] std::uint64_t state_interval_ns() const noexcept;
  [[nodiscard]] bool is_broken() const noexcept { return is_broken_; }

  void refused(std::string_view file, std::span<const Finding> findings);
  void started(std::string_view pipeline, std::size_t stage_count, std::size_t swept_count);
  void stage_said(std::string_view stage, std::string_view line);
  void stage_started(std::string_view stage, pid_t pid);
  void stage_finished(std::string_view stage, pid_t pid);
  void stage_died(std::string_view stage, pid_t pid, const ExitStatus& status,
                  std::uint64_t restart_delay_ns);
  void stage_restarted(std::string_view stage, pid_t old_pid, const ExitStatus& status,
                       pid_t new_pid, std::uint64_t after_ns, std::uint32_t restart_count);
  void stage_failed(std::string_view stage, std::string_view why);
  void stopping(std::string_view why);
  void stage_killed(std::string_view stage, pid_t pid, std::string_view why);
  void state(const LiveState& state);
  // The last word: takes the live view away and sums up.
  void summary(const LiveState& state, bool failed, std::string_view why);

 private:
  void say(std::string_view line, bool is_important);
  void write_json(std::string_view object);

  bool json_;
  bool quiet_;
  bool is_broken_ = false;
  LiveView view_;
};

}  // namespace slipring
