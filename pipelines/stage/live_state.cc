#include "pipelines/stage/live_state.h"

#include <algorithm>
#include <utility>

#include "pipelines/stage/plan_text.h"
#include "platform/process/usage.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

// How much of something a second, from its growth in `elapsed_ns`; 0 where it shrank.
std::uint64_t per_second(std::uint64_t now, std::uint64_t before, std::uint64_t elapsed_ns) {
  if (now <= before || elapsed_ns == 0) return 0;
  return static_cast<std::uint64_t>(static_cast<double>(now - before) * 1e9 /
                                    static_cast<double>(elapsed_ns));
}

}  // namespace

const char* name_of(StagePhase phase) noexcept {
  switch (phase) {
    case StagePhase::kRunning:
      return "running";
    case StagePhase::kRestarting:
      return "restarting";
    case StagePhase::kFinished:
      return "finished";
    case StagePhase::kFailed:
      return "failed";
  }
  return "?";
}

std::uint64_t StageState::value_of(std::string_view number) const noexcept {
  for (const NumberState& candidate : numbers) {
    if (candidate.name == number) return candidate.value;
  }
  return 0;
}

std::optional<std::uint64_t> LiveState::find_number(std::string_view number) const noexcept {
  for (const StageState& stage : stages) {
    for (const NumberState& candidate : stage.numbers) {
      if (candidate.name == number) return candidate.value;
    }
  }
  return std::nullopt;
}

// Brokers are turned by the thread that samples: their views do not come by the socket.
LiveSampler::LiveSampler(const SegmentDirectory& directory, const PipelinePlan& plan,
                         const PipelineSegments& segments)
    : segments_(segments), pipeline_(plan.name), started_ns_(monotonic_ns()) {
  for (const StagePlan& stage : plan.stages) {
    WatchedStage watched;
    watched.name = stage.name;
    watched.segment = board_name(plan, stage.name);
    if (const GuardedBroker* broker = segments.broker_of(watched.segment)) {
      Result<std::unique_ptr<GuardedView>> view = broker->view();
      if (view) watched.board.emplace(BoardObserver::of(std::move(view).value()));
    } else if (Result<BoardObserver> board = BoardObserver::attach(directory, watched.segment);
               board) {
      watched.board.emplace(std::move(board).value());
    }
    stages_.push_back(std::move(watched));
  }
  const auto watch = [&](const std::string& name, const std::optional<WirePlan>& wire) {
    const std::string segment = segment_name(plan, name);
    if (const GuardedBroker* broker = segments.broker_of(segment)) {
      Result<std::unique_ptr<GuardedView>> view = broker->view();
      if (view) links_.push_back({name, segment, LinkObserver::of(std::move(view).value()), wire});
    } else if (Result<LinkObserver> observer = LinkObserver::attach(directory, segment); observer) {
      links_.push_back({name, segment, std::move(observer).value(), wire});
    }
  };
  for (const LinkPlan& link : plan.links) watch(link.name, link.wire);
  for (const OobPlan& oob : plan.oobs) watch(oob.name, std::nullopt);
}

StageState LiveSampler::sample_stage(WatchedStage& stage, const StageStatus& status,
                                     std::uint64_t elapsed_ns) {
  StageState state;
  state.name = stage.name;
  state.status = status;
  if (status.phase == StagePhase::kRunning && status.pid != 0) {
    if (Result<ProcessUsage> usage = read_usage(status.pid); usage) {
      state.cpu_time_ns = usage->cpu_time_ns;
      state.resident_bytes = usage->resident_bytes;
      state.locked_bytes = usage->locked_bytes;
      const bool is_same = stage.last_pid == status.pid;
      state.cpu_ns_per_s =
          is_same ? per_second(usage->cpu_time_ns, stage.last_cpu_time_ns, elapsed_ns) : 0;
      stage.last_pid = status.pid;
      stage.last_cpu_time_ns = usage->cpu_time_ns;
    }
  }
  if (!stage.board) return state;
  const std::uint32_t count = stage.board->entry_count();
  for (std::uint32_t i = 0; i < count; ++i) {
    const BoardObserver::Entry entry = stage.board->entry(i);
    NumberState& number = state.numbers.emplace_back();
    number = {entry.name, entry.kind, entry.value, 0};
    // A board's numbers keep their places.
    if (entry.kind == BoardKind::kCounter && i < stage.last_numbers.size()) {
      number.per_s = per_second(entry.value, stage.last_numbers[i].value, elapsed_ns);
    }
  }
  stage.last_numbers = state.numbers;
  return state;
}

LinkState LiveSampler::sample_link(WatchedLink& link, std::uint64_t elapsed_ns) const {
  LinkState state;
  state.name = link.name;
  state.report = link.observer.report();
  const std::uint64_t messages = state.report.writer.message_count;
  const std::uint64_t bytes = state.report.writer.payload_bytes;
  state.messages_per_s = per_second(messages, link.last_message_count, elapsed_ns);
  state.bytes_per_s = per_second(bytes, link.last_bytes, elapsed_ns);
  link.last_message_count = messages;
  link.last_bytes = bytes;
  return state;
}

void LiveSampler::refresh() {
  const auto refresh_view = [&](GuardedView* view, const std::string& segment) {
    const GuardedBroker* broker = segments_.broker_of(segment);
    if (view != nullptr && broker != nullptr) broker->refresh(*view);
  };
  for (WatchedStage& stage : stages_) {
    if (stage.board) refresh_view(stage.board->view(), stage.segment);
  }
  for (WatchedLink& link : links_) refresh_view(link.observer.view(), link.segment);
}

LiveState LiveSampler::sample(std::span<const StageStatus> statuses) {
  refresh();
  LiveState state;
  state.pipeline = pipeline_;
  state.time_ns = monotonic_ns();
  state.uptime_ns = state.time_ns - started_ns_;
  const std::uint64_t elapsed_ns = last_sample_ns_ == 0 ? 0 : state.time_ns - last_sample_ns_;
  last_sample_ns_ = state.time_ns;
  for (std::size_t i = 0; i < std::min(stages_.size(), statuses.size()); ++i) {
    state.stages.push_back(sample_stage(stages_[i], statuses[i], elapsed_ns));
  }
  for (WatchedLink& link : links_) {
    LinkState sampled = sample_link(link, elapsed_ns);
    if (link.wire && link.wire->carrier_index < state.stages.size()) {
      const StageState& carrier = state.stages[link.wire->carrier_index];
      // What a dead carrier's board says of its connection is no longer so.
      const bool is_connected =
          carrier.status.phase == StagePhase::kRunning && carrier.value_of("connected") != 0;
      sampled.wire = WireState{describe(*link.wire), is_connected, carrier.value_of("connections")};
    }
    state.links.push_back(std::move(sampled));
  }
  return state;
}

}  // namespace slipring
