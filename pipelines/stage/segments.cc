#include "pipelines/stage/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "pipelines/link/link_segment.h"
#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "platform/memory/segment_file.h"
#include "platform/process/certificate_wait.h"
#include "platform/rendezvous/server.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

// Each attempt after the first follows upon another process's progress, a name made or taken away.
constexpr int kLockAttempts = 100;

// One segment that the plan asks for.
struct Wanted {
  std::string name;
  int line;
  LinkShape shape;  // of kind kBoard: a board
  Protection protection;
  bool is_lane = false;
};

LinkShape board_shape() {
  LinkShape shape;
  shape.kind = SegmentKind::kBoard;
  return shape;
}

std::vector<Wanted> wanted_segments(const PipelinePlan& plan) {
  std::vector<Wanted> wanted;
  for (const LinkPlan& link : plan.links) {
    wanted.push_back({segment_name(plan, link.name), link.line, shape_of(link), link.protection});
  }
  for (const OobPlan& oob : plan.oobs) {
    wanted.push_back({segment_name(plan, oob.name), oob.line, oob_shape(), oob.protection, true});
  }
  for (const StagePlan& stage : plan.stages) {
    wanted.push_back({board_name(plan, stage.name), stage.line, board_shape(), plan.protection});
  }
  return wanted;
}

Refusal refusal_of(const Error& error, const std::string& name, int line) {
  switch (error.code) {
    case ErrorCode::kVersion:
      return {RefusalKind::kForeignAbi,
              {line, "segment of another version",
               name + " has layout " + std::to_string(error.found) + ", this program knows " +
                   std::to_string(error.wanted),
               "stop what uses it, then `slipring rm " + name + "`"}};
    case ErrorCode::kCorruptPeer:
      return {RefusalKind::kFailed,
              {line, "segment cannot be understood", name + ": " + describe_error(error),
               "`slipring rm " + name + "` if nothing uses it"}};
    case ErrorCode::kNoSpace:
      return {RefusalKind::kFailed,
              {line, "not enough shared memory", name + ": " + describe_error(error),
               "free some, or set SLIPRING_DIR to a larger tmpfs"}};
    default:
      return {RefusalKind::kFailed,
              {line, "segment cannot be used", name + ": " + describe_error(error),
               "look at the segment directory with `slipring ls`"}};
  }
}

// The living process that holds a role of the segment, still at the deadline; nothing as soon as
// all are certified dead.
Result<std::optional<pid_t>> living_holder(const SegmentFile& file, std::uint64_t deadline_ns) {
  for (std::uint32_t role = 0; role < kRoleCount; ++role) {
    Result<bool> is_free = wait_until_free(file.lock_file(), role, deadline_ns);
    if (!is_free) return is_free.error();
    if (*is_free) continue;
    Result<Probe> probe = file.lock_file().probe(role);
    if (!probe) return probe.error();
    if (probe->holder != Holder::kNobody) return std::optional<pid_t>(probe->pid);
  }
  return std::optional<pid_t>();
}

}  // namespace

std::uint64_t existing_segment_bytes(const SegmentDirectory& directory, const PipelinePlan& plan) {
  std::uint64_t bytes = 0;
  for (const Wanted& wanted : wanted_segments(plan)) {
    Result<SegmentFile> file = SegmentFile::open(directory, wanted.name);
    if (file) bytes += file->size_bytes();
  }
  return bytes;
}

PipelineSegments::PipelineSegments(const SegmentDirectory& directory, const PipelinePlan& plan)
    : directory_(directory), plan_(plan), lock_name_(runner_board_name(plan)) {}

PipelineSegments::~PipelineSegments() {
  remove();
  if (!board_) return;
  // The name goes first: whoever took the lock after us would hold a board that is none any more.
  static_cast<void>(remove_segment(directory_, lock_name_));
}

std::optional<Refusal> PipelineSegments::take_lock(std::uint64_t patience_ns) {
  const std::uint64_t deadline_ns = deadline_after(patience_ns);
  for (int attempt = 0; attempt < kLockAttempts; ++attempt) {
    Result<SegmentFile> seen = SegmentFile::open(directory_, lock_name_);
    if (!seen) {
      if (seen.error().code != ErrorCode::kNotFound) {
        return refusal_of(seen.error(), lock_name_, 0);
      }
      const Status made = create_board(directory_, lock_name_);
      if (!made && made.error().code != ErrorCode::kExists) {
        return refusal_of(made.error(), lock_name_, 0);
      }
      continue;
    }
    Result<Board> board = Board::attach(directory_, lock_name_, MemoryLock::kOff);
    if (!board) {
      if (board.error().code == ErrorCode::kNotFound) continue;
      if (board.error().code != ErrorCode::kBusy) return refusal_of(board.error(), lock_name_, 0);
      // A runner that was killed a moment ago holds its role until the kernel has buried it.
      Result<bool> is_free = wait_until_free(
          seen->lock_file(), static_cast<std::uint32_t>(Role::kWriter), deadline_ns);
      if (is_free && *is_free) continue;
      return Refusal{
          RefusalKind::kInUse,
          {0, "pipeline is already running",
           "process " + std::to_string(board.error().found) + " runs \"" + plan_.name + "\"",
           "stop it, or give this pipeline another name"}};
    }
    // A runner that ended meanwhile took the name away, and then what we hold is not the lock.  The
    // inode cannot come back under the name while `seen` has it open.
    Result<SegmentFile> still = SegmentFile::open(directory_, lock_name_);
    if (!still && still.error().code != ErrorCode::kNotFound) {
      return refusal_of(still.error(), lock_name_, 0);
    }
    if (!still || still->inode() != seen->inode()) continue;
    board_.emplace(std::move(board).value());
    return std::nullopt;
  }
  return Refusal{RefusalKind::kFailed,
                 {0, "the pipeline's lock cannot be taken",
                  lock_name_ + " is replaced again and again, or its lock file is missing",
                  "`slipring rm " + lock_name_ + "` if nothing uses it"}};
}

std::optional<Refusal> PipelineSegments::judge(const std::string& name,
                                               std::uint64_t deadline_ns) const {
  Result<SegmentFile> file = SegmentFile::open(directory_, name);
  if (!file) {
    if (file.error().code == ErrorCode::kNotFound) return std::nullopt;
    return refusal_of(file.error(), name, 0);
  }
  Result<std::optional<pid_t>> holder = living_holder(*file, deadline_ns);
  if (!holder) return refusal_of(holder.error(), name, 0);
  if (holder->has_value()) {
    return Refusal{RefusalKind::kInUse,
                   {0, "segment is in use",
                    name + " is held by process " + std::to_string(**holder), "stop it first"}};
  }
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return refusal_of(header.error(), name, 0);
  return std::nullopt;
}

// A guarded segment of an earlier run: its memory went with its processes, its name may be there.
std::optional<Refusal> PipelineSegments::sweep_rendezvous(const std::string& name,
                                                          std::uint64_t deadline_ns,
                                                          std::size_t& swept_count) const {
  // A killed runner's sockets may close after its locks have fallen.
  Result<bool> is_refused = wait_until_refused(directory_, name, deadline_ns);
  if (!is_refused) return refusal_of(is_refused.error(), name, 0);
  const Status removed = remove_stale_rendezvous(directory_, name);
  if (removed) ++swept_count;
  if (removed || removed.error().code == ErrorCode::kNotFound) return std::nullopt;
  if (removed.error().code != ErrorCode::kBusy) return refusal_of(removed.error(), name, 0);
  return Refusal{RefusalKind::kInUse,
                 {0, "segment is in use", name + " has a living broker", "stop it first"}};
}

std::vector<Refusal> PipelineSegments::sweep(std::size_t& swept_count) {
  swept_count = 0;
  std::vector<Refusal> refusals;
  const std::vector<Wanted> wanted = wanted_segments(plan_);
  const std::uint64_t deadline_ns = deadline_after(kDyingGraceNs);
  for (const Wanted& segment : wanted) {
    auto refusal = judge(segment.name, deadline_ns);
    if (!refusal) refusal = sweep_rendezvous(segment.name, deadline_ns, swept_count);
    if (!refusal) continue;
    refusal->finding.line = segment.line;
    refusals.push_back(std::move(*refusal));
  }
  // Their holders are the carriers, whose links' segments have just been judged.
  for (const LinkPlan& link : plan_.links) {
    for (const std::string& name : wire_board_names(plan_, link)) {
      auto refusal = judge(name, deadline_ns);
      if (!refusal) continue;
      refusal->finding.line = link.line;
      refusals.push_back(std::move(*refusal));
    }
  }
  if (!refusals.empty()) return refusals;
  remove_wire_boards();
  for (const Wanted& segment : wanted) {
    const Status removed = remove_segment(directory_, segment.name);
    if (removed) {
      ++swept_count;
    } else if (removed.error().code != ErrorCode::kNotFound) {
      refusals.push_back(refusal_of(removed.error(), segment.name, segment.line));
    }
  }
  return refusals;
}

std::optional<Refusal> PipelineSegments::create() {
  for (const Wanted& wanted : wanted_segments(plan_)) {
    const bool is_guarded = wanted.protection == Protection::kGuarded;
    const Status made = is_guarded ? make_broker(wanted.name, wanted.shape, wanted.is_lane)
                        : wanted.shape.kind == SegmentKind::kBoard
                            ? create_board(directory_, wanted.name)
                            : create_link(directory_, wanted.name, wanted.shape);
    if (!made) {
      remove();
      return refusal_of(made.error(), wanted.name, wanted.line);
    }
    if (!is_guarded) created_.push_back(wanted.name);
  }
  return std::nullopt;
}

Status PipelineSegments::make_broker(const std::string& name, const LinkShape& shape,
                                     bool is_lane) {
  GuardAccess stage;
  stage.only_process = true;
  GuardOptions options;
  // The process says it all, whatever user it has become; a lane's writer is a person's command.
  if (!is_lane) options.writer = stage;
  options.reader = stage;
  Result<GuardedBroker> broker = GuardedBroker::create(directory_, name, shape, options);
  if (!broker) return broker.error();
  if (!epoll_.is_open()) epoll_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.is_open()) return Error{ErrorCode::kSystem, errno, "watch the links' brokers"};
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = brokers_.size();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, broker->poll_fd(), &event) != 0) {
    return Error{ErrorCode::kSystem, errno, "watch a link's broker"};
  }
  brokers_.push_back(std::move(broker).value());
  return {};
}

std::uint64_t PipelineSegments::next_deadline_ns() const noexcept {
  std::uint64_t deadline_ns = kNoDeadline;
  for (const GuardedBroker& broker : brokers_) {
    deadline_ns = std::min(deadline_ns, broker.next_deadline_ns());
  }
  return deadline_ns;
}

void PipelineSegments::turn() noexcept {
  for (GuardedBroker& broker : brokers_) broker.turn();
}

const GuardedBroker* PipelineSegments::broker_of(std::string_view segment) const noexcept {
  for (const GuardedBroker& broker : brokers_) {
    if (broker.name() == segment) return &broker;
  }
  return nullptr;
}

void PipelineSegments::expect(std::size_t stage_index, const Peer& process) {
  const auto tell = [&](const std::string& segment, Role role) {
    for (GuardedBroker& broker : brokers_) {
      if (broker.name() != segment) continue;
      Descriptor handle(fcntl(process.poll_fd(), F_DUPFD_CLOEXEC, 0));
      // Without one the stage is refused, says so, and is started again.
      if (handle.is_open()) broker.expect(role, Peer::adopt(std::move(handle), process.pid()));
    }
  };
  tell(board_name(plan_, plan_.stages[stage_index].name), Role::kWriter);
  for (const LinkPlan& link : plan_.links) {
    if (link.from.stage_index == stage_index) tell(segment_name(plan_, link.name), Role::kWriter);
    if (link.to.stage_index == stage_index) tell(segment_name(plan_, link.name), Role::kReader);
  }
  for (const OobPlan& oob : plan_.oobs) {
    if (oob.to.stage_index == stage_index) tell(segment_name(plan_, oob.name), Role::kReader);
  }
}

// A link that is made anew begins a new session, so that nothing of theirs is wanted any more.
void PipelineSegments::remove_wire_boards() {
  for (const LinkPlan& link : plan_.links) {
    for (const std::string& name : wire_board_names(plan_, link)) {
      static_cast<void>(remove_segment(directory_, name));
    }
  }
}

void PipelineSegments::remove() {
  brokers_.clear();
  remove_wire_boards();
  // A failure leaves a segment that the next run sweeps.
  for (const std::string& name : created_) static_cast<void>(remove_segment(directory_, name));
  created_.clear();
}

}  // namespace slipring
