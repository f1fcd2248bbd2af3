#include "tools/cli/segment_facts.h"

#include <errno.h>
#include <time.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "pipelines/link/board.h"
#include "pipelines/link/broadcast_observer.h"
#include "pipelines/link/link_segment.h"
#include "platform/memory/segment_file.h"
#include "platform/rendezvous/server.h"

namespace slipring::tools {
namespace {

EndFacts facts_of(std::string_view role, const EndReport& end) {
  return {role, presence_of(end), end.process_id, end.incarnation, end.protection};
}

// The writers of a lane set are one end; so are the readers of a broadcast link.
void add_ends(SegmentFacts& facts) {
  facts.ends.push_back(facts_of("writer", facts.link->writer));
  for (const LinkReport::Lane& lane : facts.link->lanes) {
    if (lane.writer.holder != Holder::kNobody) ++facts.ends.back().holder_count;
  }
  facts.ends.push_back(facts_of("reader", facts.link->reader));
  for (const LinkReport::Place& place : facts.link->places) {
    if (place.reader.holder != Holder::kNobody) ++facts.ends.back().holder_count;
  }
}

Condition condition_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kVersion:
      return Condition::kForeign;
    case ErrorCode::kCorruptPeer:
      return Condition::kCorrupt;
    default:
      return Condition::kUnreadable;
  }
}

// Who holds a role of a segment whose pages we cannot read.
void look_at_locks(const SegmentFile& file, SegmentFacts& facts) {
  for (std::uint32_t byte = 0; byte < kForeignRoleCount; ++byte) {
    Result<Probe> probe = file.lock_file().probe(byte);
    if (!probe || probe->holder == Holder::kNobody) continue;
    facts.ends.push_back({"holder", Presence::kHeld, probe->pid, 0});
  }
}

EndReport report_of(const BoardObserver& board) {
  EndReport stage;
  stage.process_id = static_cast<pid_t>(board.process_id());
  stage.incarnation = board.incarnation();
  stage.state = stage.incarnation == 0 ? EndState::kNever : EndState::kOpen;
  stage.holder = board.is_held() ? Holder::kAnother : Holder::kNobody;
  stage.protection = board.protection();
  return stage;
}

// Asks the broker; one that is gone, or does not answer, is a fault to show.
Status look_at_guarded(const SegmentDirectory& directory, SegmentFacts& facts) {
  facts.is_guarded = true;
  Result<std::vector<std::unique_ptr<GuardedView>>> views =
      GuardedView::attach_lanes(directory, facts.name);
  if (!views) {
    Error error = views.error();
    // A socket at which nobody listens is no missing segment.
    if (error.os_errno == ECONNREFUSED) error.code = ErrorCode::kClosed;
    return error;
  }
  const GuardedView& view = *views->front();
  facts.kind = segment_kind(view.shape());
  facts.created_ns = view.created_ns();
  facts.total_bytes = view.parts().writer_bytes;
  facts.mode = 0400;
  if (view.is_board()) {
    facts.ends.push_back(
        facts_of("stage", report_of(BoardObserver::of(std::move(views->front())))));
    return {};
  }
  facts.link = view.is_broadcast() ? report_of_broadcast(*views->front())
                                   : LinkObserver::of(std::move(views).value()).report();
  facts.total_bytes = facts.link->total_bytes;
  add_ends(facts);
  return {};
}

Status look_at_board(const SegmentDirectory& directory, const SegmentFile& file,
                     SegmentFacts& facts) {
  Result<BoardObserver> board = BoardObserver::attach(directory, facts.name);
  if (!board) return board.error();
  EndReport stage = report_of(*board);
  Result<Probe> probe = file.lock_file().probe(static_cast<std::uint32_t>(Role::kWriter));
  if (!probe) return probe.error();
  stage.holder = probe->holder;
  if (probe->pid != 0) stage.process_id = probe->pid;
  facts.ends.push_back(facts_of("stage", stage));
  return {};
}

Status look_at_link(const SegmentDirectory& directory, SegmentFacts& facts) {
  if (facts.kind == SegmentKind::kBroadcastLink) {
    Result<LinkReport> report = look_at_broadcast(directory, facts.name);
    if (!report) return report.error();
    facts.link = std::move(report).value();
    add_ends(facts);
    return {};
  }
  Result<LinkObserver> link = LinkObserver::attach(directory, facts.name);
  if (!link) return link.error();
  facts.link = link->report();
  add_ends(facts);
  return {};
}

}  // namespace

bool SegmentFacts::is_stale() const noexcept {
  // A guarded segment is of use as long as its broker lives.
  if (is_guarded) return fault.code == ErrorCode::kClosed && condition != Condition::kSound;
  if (condition != Condition::kSound) return false;
  const auto held = [](const EndFacts& end) { return end.presence == Presence::kHeld; };
  const auto used = [](const EndFacts& end) { return end.presence != Presence::kNever; };
  return std::none_of(ends.begin(), ends.end(), held) &&
         std::any_of(ends.begin(), ends.end(), used);
}

std::string kind_of(const SegmentFacts& facts) {
  switch (facts.condition) {
    case Condition::kForeign:
      return facts.fault.found > 0 && facts.fault.found < 1'000'000 &&
                     facts.fault.wanted == kSegmentVersion
                 ? "version " + std::to_string(facts.fault.found)
                 : "foreign";
    case Condition::kCorrupt:
      return "corrupt";
    case Condition::kUnreadable:
      return "unreadable";
    case Condition::kSound:
      break;
  }
  return slipring::name_of(facts.kind);
}

const char* name_of(Presence presence) noexcept {
  switch (presence) {
    case Presence::kHeld:
      return "held";
    case Presence::kGone:
      return "gone";
    case Presence::kNever:
      return "never";
    case Presence::kClosed:
      return "closed";
  }
  return "unknown";
}

const char* name_of(Condition condition) noexcept {
  switch (condition) {
    case Condition::kSound:
      return "sound";
    case Condition::kForeign:
      return "foreign";
    case Condition::kCorrupt:
      return "corrupt";
    case Condition::kUnreadable:
      return "unreadable";
  }
  return "unknown";
}

Presence presence_of(const EndReport& end) noexcept {
  if (end.holder != Holder::kNobody) return Presence::kHeld;
  if (end.incarnation == 0) return Presence::kNever;
  return end.state == EndState::kClosed ? Presence::kClosed : Presence::kGone;
}

Result<std::vector<std::string>> list_segments(const SegmentDirectory& directory) {
  Result<std::vector<std::string>> names = directory.list();
  if (!names) return names.error();
  Result<std::vector<std::string>> guarded = list_rendezvous(directory);
  if (!guarded) return guarded.error();
  std::vector<std::string> all = std::move(names).value();
  all.insert(all.end(), guarded->begin(), guarded->end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::optional<SegmentFacts> look_at(const SegmentDirectory& directory, std::string_view name) {
  SegmentFacts facts;
  facts.name = std::string(name);
  const auto fail = [&](const Error& error) -> std::optional<SegmentFacts> {
    if (error.code == ErrorCode::kNotFound) return std::nullopt;
    facts.condition = condition_of(error.code);
    facts.fault = error;
    return std::move(facts);
  };
  const Status guarded = look_at_guarded(directory, facts);
  if (guarded) return facts;
  if (!is_no_rendezvous(guarded.error())) return fail(guarded.error());
  facts.is_guarded = false;
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) return fail(file.error());
  facts.total_bytes = file->size_bytes();
  facts.mode = file->mode();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) {
    look_at_locks(*file, facts);
    return fail(header.error());
  }
  facts.kind = header->kind;
  facts.created_ns = header->created_ns;
  Status looked = header->kind == SegmentKind::kBoard ? look_at_board(directory, *file, facts)
                                                      : look_at_link(directory, facts);
  if (!looked) {
    look_at_locks(*file, facts);
    return fail(looked.error());
  }
  return facts;
}

std::uint64_t age_ns(std::uint64_t created_ns) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const std::uint64_t now_ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
                               static_cast<std::uint64_t>(now.tv_nsec);
  return now_ns > created_ns ? now_ns - created_ns : 0;
}

}  // namespace slipring::tools
