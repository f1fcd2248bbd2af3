// A pipeline's segments: its lock, what a killed run left behind, making them all, removing them
// all.
//
// The lock is the writing role of the board "<pipeline>.runner": whoever holds it is the one runner
// of the pipeline, certified by the kernel, and publishes the run's numbers there.  It is taken
// first and laid down last, so that everything between belongs to one runner.
//
// Guarded links have their brokers here (pipelines/link/GUARD.md): the owner sleeps on poll_fd() as
// well and calls turn().  A link's end is granted to the process that the runner started for its
// stage, and to no other; the writing role of a lane to whoever has the runner's user.
//
// Crash.  A runner that dies leaves segments; their roles become free as its stages die.  The next
// runner takes the lock over, waits a moment for participants that are just dying, and removes
// what is certified dead.  A living participant is never taken anything from.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error/result.h"
#include "pipelines/link/board.h"
#include "pipelines/link/guarded_broker.h"
#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_plan.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/descriptor.h"
#include "platform/process/peer.h"

namespace slipring {

// How long participants of a killed run may take to die.  Who takes longer is refused as living,
// and nothing is taken from him: a retry succeeds.
inline constexpr std::uint64_t kDyingGraceNs = 3'000'000'000;
// The same of a killed runner; what a second runner waits before it says that one is running.
inline constexpr std::uint64_t kDyingRunnerGraceNs = 200'000'000;

enum class RefusalKind : std::uint8_t {
  kInUse,       // a living process has it
  kForeignAbi,  // a segment of another layout version
  kFailed,      // anything else
};

struct Refusal {
  RefusalKind kind = RefusalKind::kFailed;
  Finding finding;
};

// Bytes of the plan's segments that exist already; they are free again once swept.
[[nodiscard]] std::uint64_t existing_segment_bytes(const SegmentDirectory& directory,
                                                   const PipelinePlan& plan);

// Removes all its segments when it is destroyed.
class PipelineSegments {
 public:
  PipelineSegments(const SegmentDirectory& directory, const PipelinePlan& plan);
  PipelineSegments(const PipelineSegments&) = delete;
  PipelineSegments& operator=(const PipelineSegments&) = delete;
  ~PipelineSegments();

  // Takes the pipeline's lock; waits `patience_ns` for a holder that may be just dying.  Once,
  // before anything else.
  [[nodiscard]] std::optional<Refusal> take_lock(std::uint64_t patience_ns = kDyingRunnerGraceNs);

  // Removes what an earlier run left, or nothing at all when one segment may not be removed;
  // `swept_count` says how many were.  Requires: the lock.
  [[nodiscard]] std::vector<Refusal> sweep(std::size_t& swept_count);

  // Makes every segment.  After a refusal those made so far are gone again.  Requires: the lock.
  [[nodiscard]] std::optional<Refusal> create();

  // The runner's board.  Requires: the lock.
  [[nodiscard]] Board& board() { return *board_; }

  // The brokers of guarded links; -1 where there are none.  Nothing here sleeps.
  [[nodiscard]] int poll_fd() const noexcept { return epoll_.get(); }
  [[nodiscard]] std::uint64_t next_deadline_ns() const noexcept;
  void turn() noexcept;
  // From now on the stage's ends are for this process.
  void expect(std::size_t stage_index, const Peer& process);
  // nullptr where there is no guarded segment of that name.
  [[nodiscard]] const GuardedBroker* broker_of(std::string_view segment) const noexcept;

 private:
  [[nodiscard]] std::optional<Refusal> judge(const std::string& name,
                                             std::uint64_t deadline_ns) const;
  [[nodiscard]] std::optional<Refusal> sweep_rendezvous(const std::string& name,
                                                        std::uint64_t deadline_ns,
                                                        std::size_t& swept_count) const;
  [[nodiscard]] Status make_broker(const std::string& name, const LinkShape& shape, bool is_lane);
  void remove();
  void remove_wire_boards();

  const SegmentDirectory& directory_;
  const PipelinePlan& plan_;
  std::string lock_name_;
  std::optional<Board> board_;
  std::vector<std::string> created_;
  Descriptor epoll_;
  // Deque: a broker stays where it is.
  std::deque<GuardedBroker> brokers_;
};

}  // namespace slipring
