#include "tools/rm/rm.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "tools/cli/json.h"
#include "tools/cli/segment_facts.h"
#include "tools/cli/selection.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"
#include "tools/rm/kept_beside.h"
#include "tools/rm/removal.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "rm";

void print_json(const std::vector<Removal>& removals) {
  JsonWriter json;
  json.begin_document();
  json.begin_array("segments");
  for (const Removal& removal : removals) {
    json.begin_object();
    json.member("name", removal.name);
    json.member("removed", removal.removed);
    json.member("total_bytes", removal.freed_bytes);
    json.begin_array("holders");
    for (const Holding& holding : removal.holders) {
      json.begin_object();
      json.member("role", holding.role_byte);
      json.member("pid", holding.process_id);
      json.end_object();
    }
    json.end_array();
    json.end_object();
  }
  json.end_array();
  print(json.end_document());
}

// Appends what is stale; what cannot be judged is left, and said to be.
void select_stale(const SegmentDirectory& directory, const std::vector<std::string>& names,
                  std::vector<std::string>& chosen) {
  for (const std::string& name : names) {
    const std::optional<SegmentFacts> facts = look_at(directory, name);
    if (!facts || keeper_of(names, name)) continue;  // a board of the wire goes with its link
    if (facts->is_guarded) {
      if (facts->fault.code == ErrorCode::kClosed) chosen.push_back(name);
    } else if (facts->condition != Condition::kSound) {
      remark(kCommand, name + " is left (" + kind_of(*facts) +
                           "): whether it is used cannot be told; name it to remove it");
    } else if (facts->is_stale()) {
      chosen.push_back(name);
    }
  }
}

// With each link what the wire keeps beside it.
void add_kept_beside(const std::vector<std::string>& names, std::vector<std::string>& chosen) {
  for (const std::string& name : names) {
    const std::optional<std::string> keeper = keeper_of(names, name);
    if (keeper && is_named(chosen, *keeper)) chosen.push_back(name);
  }
}

bool was_removed(const std::vector<Removal>& removals, const std::string& name) {
  return std::any_of(removals.begin(), removals.end(), [&](const Removal& removal) {
    return removal.name == name && removal.removed;
  });
}

}  // namespace

ExitStatus remove(const RemoveRequest& request) {
  if (request.names.empty() && !request.stale) {
    complain(kCommand, "nothing to remove: give names, a pattern such as 'settop.*', or --stale");
    return ExitStatus::kUsage;
  }
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;
  Result<std::vector<std::string>> names = list_segments(*directory);
  if (!names) return complain(kCommand, "cannot list " + directory->path(), names.error());

  std::vector<std::string> chosen;
  for (const std::string& wanted : request.names) {
    std::vector<std::string> found = matching(*names, wanted, PipelineNames::kNo);
    // A file that is no segment is not listed, but --force may still name it.
    if (found.empty() && request.force && is_segment_name(wanted)) found.push_back(wanted);
    if (found.empty()) {
      complain(kCommand, explain_missing(*directory, *names, wanted));
      status = first_failure(status, ExitStatus::kNotFound);
    }
    chosen.insert(chosen.end(), found.begin(), found.end());
  }
  const std::vector<std::string> asked_for = chosen;
  if (request.stale) select_stale(*directory, *names, chosen);
  add_kept_beside(*names, chosen);
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());

  std::vector<Removal> removals;
  std::uint64_t freed_bytes = 0;
  std::size_t removed_count = 0;
  for (const std::string& name : chosen) {
    const bool is_asked_for = is_named(asked_for, name);
    // Sorted, a link comes before its boards: they go if it went.
    const std::optional<std::string> keeper = keeper_of(*names, name);
    if (keeper && !is_asked_for && !was_removed(removals, *keeper)) continue;
    removals.push_back(
        remove_segment_of_nobody(*directory, name, request.force, kCommand,
                                 is_asked_for ? Unread::kRemove : Unread::kKeepMail));
    const Removal& removal = removals.back();
    status = first_failure(status, removal.status);
    if (!removal.removed) continue;
    freed_bytes += removal.freed_bytes;
    ++removed_count;
    if (!request.json) print("removed " + name + "\n");
  }
  const bool found_nothing = removals.empty() && status != ExitStatus::kOk;
  if (request.json && !found_nothing) print_json(removals);
  if (request.stale && chosen.empty() && !request.json) remark(kCommand, "nothing is stale");
  if (removed_count > 1 && !request.json) {
    remark(kCommand, std::to_string(removed_count) + " segments, " + binary_size(freed_bytes));
  }
  return status;
}

}  // namespace slipring::tools
