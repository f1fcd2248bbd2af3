#include "tools/ls/ls.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/cli/json.h"
#include "tools/cli/segment_facts.h"
#include "tools/cli/selection.h"
#include "tools/cli/table.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "ls";

Cell end_cell(const EndFacts& end) {
  const std::string pid = end.process_id != 0 ? " " + std::to_string(end.process_id) : "";
  switch (end.presence) {
    case Presence::kHeld:
      if (end.holder_count > 1) {
        return {std::to_string(end.holder_count) + " " + std::string(end.role) + "s", Tone::kGood};
      }
      return {"pid" + (pid.empty() ? " elsewhere" : pid), Tone::kGood};
    case Presence::kGone:
      return {"gone" + pid, Tone::kWarning};
    case Presence::kClosed:
      return {"closed", Tone::kPlain};
    case Presence::kNever:
      break;
  }
  return {"never", Tone::kFaint};
}

Cell note_cell(const SegmentFacts& facts) {
  switch (facts.condition) {
    case Condition::kForeign:
      return {"another layout", Tone::kWarning};
    case Condition::kCorrupt:
      return {"corrupt", Tone::kBad};
    case Condition::kUnreadable:
      return {name_of(facts.fault.code), Tone::kWarning};
    case Condition::kSound:
      break;
  }
  if (facts.is_stale() && !facts.is_guarded) return {"stale", Tone::kWarning};
  if (!facts.is_guarded) return {};
  // The least that any end's memory has.
  ProtectionLevel least = ProtectionLevel::kSealed;
  for (const EndFacts& end : facts.ends) least = std::max(least, end.protection);
  return {slipring::name_of(least),
          least == ProtectionLevel::kSealed ? Tone::kFaint : Tone::kWarning};
}

void print_text(const std::vector<SegmentFacts>& segments) {
  Table table({{"NAME"},
               {"KIND"},
               {"SIZE", Align::kRight},
               {"FILL", Align::kRight},
               {"WRITER"},
               {"READER"},
               {"AGE", Align::kRight},
               {""}});
  for (const SegmentFacts& facts : segments) {
    std::vector<Cell> row = {facts.name, kind_of(facts), binary_size(facts.total_bytes)};
    row.emplace_back(facts.link ? percentage(facts.link->fill, facts.link->capacity) : "-");
    row.push_back(facts.ends.empty() ? Cell("-") : end_cell(facts.ends[0]));
    row.push_back(facts.ends.size() < 2 ? Cell("-") : end_cell(facts.ends[1]));
    row.emplace_back(facts.created_ns != 0 ? age(age_ns(facts.created_ns)) : "-");
    row.push_back(note_cell(facts));
    table.add_row(std::move(row));
  }
  print(table.text(wants_colour(STDOUT_FILENO)));
}

void write_segment(JsonWriter& json, const SegmentFacts& facts) {
  json.begin_object();
  json.member("name", facts.name);
  json.member("kind", kind_of(facts));
  json.member("condition", name_of(facts.condition));
  json.member("guarded", facts.is_guarded);
  json.member("total_bytes", facts.total_bytes);
  if (facts.created_ns != 0) {
    json.member("created_ns", facts.created_ns);
    json.member("age_ns", age_ns(facts.created_ns));
  }
  if (facts.link) {
    const SegmentKind kind = facts.link->shape.kind;
    json.member("fill", facts.link->fill);
    json.member("capacity", facts.link->capacity);
    json.member("fill_unit",
                is_counted_in_bytes(facts.link->shape) ? "bytes" : slipring::name_of(kind));
    if (is_lane_set(facts.link->shape)) json.member("lane_count", facts.link->shape.lane_count);
  }
  json.begin_array("ends");
  for (const EndFacts& end : facts.ends) {
    json.begin_object();
    json.member("role", end.role);
    json.member("state", name_of(end.presence));
    json.member("pid", end.process_id);
    const bool is_many = (facts.kind == SegmentKind::kLaneSet && end.role == "writer") ||
                         (facts.kind == SegmentKind::kBroadcastLink && end.role == "reader");
    if (is_many) json.member("holders", end.holder_count);
    json.member("incarnation", end.incarnation);
    json.member("protection_level", slipring::name_of(end.protection));
    json.end_object();
  }
  json.end_array();
  json.member("stale", facts.is_stale());
  json.end_object();
}

}  // namespace

ExitStatus list(const ListRequest& request) {
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;
  Result<std::vector<std::string>> names = list_segments(*directory);
  if (!names) return complain(kCommand, "cannot list " + directory->path(), names.error());
  std::vector<SegmentFacts> segments;
  for (const std::string& name : *names) {
    if (std::optional<SegmentFacts> facts = look_at(*directory, name)) {
      segments.push_back(std::move(*facts));
    }
  }
  if (request.json) {
    JsonWriter json;
    json.begin_document();
    json.member("directory", directory->path());
    json.begin_array("segments");
    for (const SegmentFacts& facts : segments) write_segment(json, facts);
    json.end_array();
    print(json.end_document());
  } else if (segments.empty()) {
    remark(kCommand, "no segments in " + directory->path());
  } else {
    print_text(segments);
  }
  return ExitStatus::kOk;
}

}  // namespace slipring::tools
