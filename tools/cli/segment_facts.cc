#include "tools/cli/segment_facts.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "pipelines/link/board.h"
#include "pipelines/link/link_segment.h"
#include "platform/memory/segment_file.h"

namespace slipring::tools {
namespace {

EndFacts facts_of(std::string_view role, const EndReport& end) {
  return {role, presence_of(end), end.process_id, end.incarnation};
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

Status look_at_board(const SegmentDirectory& directory, const SegmentFile& file,
                     SegmentFacts& facts) {
  Result<BoardObserver> board = BoardObserver::attach(directory, facts.name);
  if (!board) return board.error();
  EndReport stage;
  stage.process_id = static_cast<pid_t>(board->process_id());
  stage.incarnation = board->incarnation();
  stage.state = stage.incarnation == 0 ? EndState::kNever : EndState::kOpen;
  Result<Probe> probe = file.lock_file().probe(static_cast<std::uint32_t>(Role::kWriter));
  if (!probe) return probe.error();
  stage.holder = probe->holder;
  if (probe->pid != 0) stage.process_id = probe->pid;
  facts.ends.push_back(facts_of("stage", stage));
  return {};
}

Status look_at_link(const SegmentDirectory& directory, SegmentFacts& facts) {
  Result<LinkObserver> link = LinkObserver::attach(directory, facts.name);
  if (!link) return link.error();
  facts.link = link->report();
  facts.ends.push_back(facts_of("writer", facts.link->writer));
  facts.ends.push_back(facts_of("reader", facts.link->reader));
  return {};
}

}  // namespace

bool SegmentFacts::is_stale() const noexcept {
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

std::optional<SegmentFacts> look_at(const SegmentDirectory& directory, std::string_view name) {
  SegmentFacts facts;
  facts.name = std::string(name);
  const auto fail = [&](const Error& error) -> std::optional<SegmentFacts> {
    if (error.code == ErrorCode::kNotFound) return std::nullopt;
    facts.condition = condition_of(error.code);
    facts.fault = error;
    return std::move(facts);
  };
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
