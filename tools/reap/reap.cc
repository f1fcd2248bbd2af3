#include "tools/reap/reap.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/memory/segment_file.h"
#include "tools/cli/json.h"
#include "tools/cli/segment_facts.h"
#include "tools/cli/selection.h"
#include "tools/cli/table.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"
#include "tools/rm/removal.h"
#include "tools/rm/kept_beside.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "reap";

enum class Kind : std::uint8_t { kSegment, kRendezvous, kLock };

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kSegment:
      return "segment";
    case Kind::kRendezvous:
      return "rendezvous";
    case Kind::kLock:
      return "lock";
  }
  return "unknown";
}

struct Leftover {
  Kind kind;
  std::string name;
  std::string why;
  std::uint64_t total_bytes = 0;
  std::uint64_t unread = 0;  // in `unit`
  std::string unit;
  bool kept = false;  // for its unread messages
  bool removed = false;
};

std::string last_holders(const SegmentFacts& facts) {
  std::string text;
  for (const EndFacts& end : facts.ends) {
    if (end.presence == Presence::kNever) continue;
    text += (text.empty() ? "" : ", ") + std::string(end.role) + " " + name_of(end.presence);
    if (end.process_id != 0) text += " (was " + std::to_string(end.process_id) + ")";
  }
  return text;
}

std::optional<Leftover> judge(const SegmentFacts& facts, bool takes_unread) {
  if (facts.is_guarded) {
    if (facts.fault.code != ErrorCode::kClosed) return std::nullopt;
    return Leftover{
        Kind::kRendezvous, facts.name, "nobody listens at its socket", 0, 0, "", false, false};
  }
  if (!facts.is_stale()) return std::nullopt;
  Leftover leftover{Kind::kSegment, facts.name, last_holders(facts), facts.total_bytes, 0, "",
                    false,          false};
  if (facts.link && facts.link->fill != 0) {
    leftover.unread = facts.link->fill;
    leftover.unit = is_counted_in_bytes(facts.link->shape) ? "bytes" : kind_of(facts);
    leftover.kept = !takes_unread;
  }
  return leftover;
}

Result<std::vector<Leftover>> find_leftovers(const SegmentDirectory& directory, bool takes_unread) {
  Result<std::vector<std::string>> names = list_segments(directory);
  if (!names) return names.error();
  std::vector<Leftover> leftovers;
  for (const std::string& name : *names) {
    const std::optional<SegmentFacts> facts = look_at(directory, name);
    if (!facts) continue;
    // What the wire keeps beside a link is left behind when that is; names are sorted, links first.
    if (const std::optional<std::string> keeper = keeper_of(*names, name)) {
      const auto link = std::find_if(leftovers.begin(), leftovers.end(), [&](const Leftover& one) {
        return one.name == *keeper && !one.kept;
      });
      if (link == leftovers.end()) continue;
    }
    if (std::optional<Leftover> leftover = judge(*facts, takes_unread)) {
      leftovers.push_back(std::move(*leftover));
    } else if (!facts->is_guarded && facts->condition != Condition::kSound) {
      remark(kCommand, name + " is left (" + kind_of(*facts) +
                           "): whether it is used cannot be told; see `slipring verify`");
    }
  }
  Result<std::vector<std::string>> locks = list_orphaned_locks(directory);
  if (!locks) return locks.error();
  for (const std::string& name : *locks) {
    leftovers.push_back(
        {Kind::kLock, name, "its segment is gone, and so is who made it", 0, 0, "", false, false});
  }
  return leftovers;
}

ExitStatus remove(const SegmentDirectory& directory, Leftover& leftover, bool takes_unread) {
  if (leftover.kind == Kind::kLock) {
    const Status swept = sweep_orphaned_locks(directory, leftover.name);
    leftover.removed = swept.ok();
    return swept ? ExitStatus::kOk
                 : complain(kCommand, "cannot remove " + leftover.name, swept.error());
  }
  // Looks again, with every role in its hands: who came meanwhile keeps the segment.
  const Removal removal = remove_segment_of_nobody(directory, leftover.name, false, kCommand,
                                                   takes_unread ? Unread::kRemove : Unread::kKeep);
  leftover.removed = removal.removed;
  return removal.status;
}

// A board of the wire goes when its link has gone.
bool is_link_gone(const std::vector<Leftover>& leftovers, const Leftover& board) {
  const std::optional<std::string> link = link_of_wire_board(board.name);
  return !link || std::none_of(leftovers.begin(), leftovers.end(), [&](const Leftover& one) {
    return one.name == *link && one.kind != Kind::kLock && !one.removed;
  });
}

void print_text(const std::vector<Leftover>& leftovers, bool yes) {
  Table table(
      {{"KIND"}, {"NAME"}, {"SIZE", Align::kRight}, {"UNREAD", Align::kRight}, {"WHY"}, {""}});
  for (const Leftover& leftover : leftovers) {
    const char* fate = leftover.removed ? "removed" : leftover.kept ? "kept" : yes ? "left" : "";
    table.add_row({name_of(leftover.kind),
                   leftover.name,
                   leftover.total_bytes != 0 ? binary_size(leftover.total_bytes) : "-",
                   leftover.unread == 0       ? std::string("-")
                   : leftover.unit == "bytes" ? binary_size(leftover.unread)
                                              : std::to_string(leftover.unread),
                   leftover.why,
                   {fate, leftover.removed ? Tone::kGood : Tone::kFaint}});
  }
  print(table.text(wants_colour(STDOUT_FILENO)));
}

void print_json(const SegmentDirectory& directory, const std::vector<Leftover>& leftovers,
                bool yes) {
  JsonWriter json;
  json.begin_document();
  json.member("directory", directory.path());
  json.member("dry_run", !yes);
  json.begin_array("leftovers");
  for (const Leftover& leftover : leftovers) {
    json.begin_object();
    json.member("kind", name_of(leftover.kind));
    json.member("name", leftover.name);
    json.member("why", leftover.why);
    json.member("total_bytes", leftover.total_bytes);
    json.member("unread", leftover.unread);
    if (leftover.unread != 0) json.member("unread_unit", leftover.unit);
    json.member("kept", leftover.kept);
    json.member("removed", leftover.removed);
    json.end_object();
  }
  json.end_array();
  print(json.end_document());
}

}  // namespace

ExitStatus reap(const ReapRequest& request) {
  if (request.yes && request.dry_run) {
    complain(kCommand, "--yes and --dry-run exclude each other");
    return ExitStatus::kUsage;
  }
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;
  Result<std::vector<Leftover>> leftovers = find_leftovers(*directory, request.unread);
  if (!leftovers) return complain(kCommand, "cannot list " + directory->path(), leftovers.error());
  std::size_t kept_count = 0;
  std::size_t removable_count = 0;
  for (Leftover& leftover : *leftovers) {
    kept_count += leftover.kept ? 1 : 0;
    if (leftover.kept) continue;
    ++removable_count;
    if (!request.yes || !is_link_gone(*leftovers, leftover)) continue;
    status = first_failure(status, remove(*directory, leftover, request.unread));
  }
  if (request.json) {
    print_json(*directory, *leftovers, request.yes);
    return status;
  }
  if (leftovers->empty()) {
    remark(kCommand, "nothing is left behind in " + directory->path());
    return status;
  }
  print_text(*leftovers, request.yes);
  if (removable_count != 0 && !request.yes) {
    remark(kCommand, "nothing was removed; --yes does that");
  }
  if (kept_count != 0) {
    remark(kCommand, "what holds unread messages is kept for a successor; --unread takes it too");
  }
  return status;
}

}  // namespace slipring::tools
