#include "tools/verify/verify.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "pipelines/link/board_page.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/link_audit.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "platform/memory/mapping.h"
#include "platform/memory/segment_file.h"
#include "tools/cli/json.h"
#include "tools/cli/segment_facts.h"
#include "tools/cli/selection.h"
#include "tools/cli/terminal.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "verify";

struct Verdict {
  SegmentFacts facts;
  LinkAudit audit;
  ExitStatus status = ExitStatus::kOk;
};

Result<Mapping> map_region(const SegmentFile& file, const Region& region) {
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  options.prefaults = false;
  return Mapping::map(file.read_only_fd(), region.offset_bytes, region.size_bytes, options);
}

void audit_board(const BoardPage& board, LinkAudit& audit) {
  // relaxed: a stage adds an entry before it counts it, and only ever adds.
  const std::uint32_t count = board.entry_count.load(std::memory_order_relaxed);
  if (count > kMaxBoardEntries) {
    audit.findings.push_back({"more entries than a board has", count, kMaxBoardEntries});
  }
  for (std::uint32_t i = 0; i < std::min(count, kMaxBoardEntries); ++i) {
    const BoardEntry& entry = board.entries[i];
    if (std::memchr(entry.name, '\0', kBoardNameBytes) == nullptr) {
      audit.findings.push_back({"an entry's name has no end", i, count});
    }
    if (entry.kind != BoardKind::kCounter && entry.kind != BoardKind::kGauge) {
      audit.findings.push_back({"an entry is neither counter nor gauge",
                                static_cast<std::uint64_t>(entry.kind),
                                static_cast<std::uint64_t>(BoardKind::kGauge)});
    }
  }
}

const BoardPage& board_page(std::span<const std::byte> region) {
  return *reinterpret_cast<const BoardPage*>(region.data());
}

void add_findings(const LinkAudit& more, LinkAudit& audit) {
  audit.findings.insert(audit.findings.end(), more.findings.begin(), more.findings.end());
}

Status audit_guarded(const SegmentDirectory& directory, Verdict& verdict) {
  Result<std::vector<std::unique_ptr<GuardedView>>> views =
      GuardedView::attach_lanes(directory, verdict.facts.name);
  if (!views) return views.error();
  bool is_first = true;
  for (const std::unique_ptr<GuardedView>& view : *views) {
    const std::span<const std::byte> writer = view->region(Role::kWriter).bytes();
    if (view->is_board()) {
      audit_board(board_page(writer), verdict.audit);
      continue;
    }
    if (view->is_broadcast()) continue;  // as a named one
    LinkAudit audit =
        audit_link({view->shape(), view->parts(), writer, view->region(Role::kReader).bytes()});
    if (!std::exchange(is_first, false)) {
      add_findings(audit, verdict.audit);
    } else {
      verdict.audit = std::move(audit);
    }
  }
  return {};
}

Status audit_named(const SegmentDirectory& directory, Verdict& verdict) {
  Result<SegmentFile> file = SegmentFile::open(directory, verdict.facts.name);
  if (!file) return file.error();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return header.error();
  if (verdict.facts.name != header->name) {
    verdict.audit.findings.push_back(
        {"the header has another name: the file was copied or renamed", 0, 0});
  }
  Result<Mapping> writer = map_region(*file, header->regions[0]);
  if (!writer) return writer.error();
  if (header->kind == SegmentKind::kBoard) {
    audit_board(board_page(writer->bytes()), verdict.audit);
    return {};
  }
  // Its header and shape were looked at with its facts.
  if (header->kind == SegmentKind::kBroadcastLink) return {};
  Result<LinkShape> shape = shape_of(*header);
  if (!shape) return shape.error();
  Result<Mapping> reader = map_region(*file, header->regions[1]);
  if (!reader) return reader.error();
  const LinkParts parts = parts_of(*shape, header->page_bytes);
  for (std::uint64_t lane = 0; lane < std::max<std::uint32_t>(shape->lane_count, 1); ++lane) {
    const LinkAudit audit = audit_link(
        {*shape, parts, writer->bytes().subspan(lane * parts.writer_bytes, parts.writer_bytes),
         reader->bytes().subspan(lane * parts.reader_bytes, parts.reader_bytes)});
    verdict.audit.findings.insert(verdict.audit.findings.end(), audit.findings.begin(),
                                  audit.findings.end());
    verdict.audit.is_walked = audit.is_walked;
    verdict.audit.record_count += audit.record_count;
  }
  return {};
}

Verdict judge(const SegmentDirectory& directory, SegmentFacts facts) {
  Verdict verdict{std::move(facts), {}, ExitStatus::kOk};
  if (verdict.facts.condition == Condition::kSound) {
    const Status audited = verdict.facts.is_guarded ? audit_guarded(directory, verdict)
                                                    : audit_named(directory, verdict);
    if (!audited) {
      verdict.facts.condition = Condition::kUnreadable;
      verdict.facts.fault = audited.error();
    }
  }
  if (verdict.facts.condition != Condition::kSound) {
    verdict.status = exit_status_of(verdict.facts.fault.code);
  } else if (!verdict.audit.findings.empty()) {
    verdict.status = ExitStatus::kFailure;
  }
  return verdict;
}

std::string sentence(const AuditFinding& finding) {
  std::string text = finding.what;
  if (finding.found != 0 || finding.wanted != 0) {
    text += " (" + std::to_string(finding.found) + ", and not " + std::to_string(finding.wanted) +
            " or what goes with it)";
  }
  return text;
}

void print_text(const Verdict& verdict) {
  const bool in_colour = wants_colour(STDOUT_FILENO);
  const bool is_sound = verdict.status == ExitStatus::kOk;
  std::string text =
      toned(is_sound ? "OK  " : "FAIL", is_sound ? Tone::kGood : Tone::kBad, in_colour) + "  " +
      verdict.facts.name + "  " + kind_of(verdict.facts);
  if (verdict.audit.is_walked) {
    text += ", " + std::to_string(verdict.audit.record_count) + " records walked";
  }
  text += "\n";
  if (verdict.facts.condition != Condition::kSound) {
    text += "      " + describe_error(verdict.facts.fault) + "\n";
  }
  for (const AuditFinding& finding : verdict.audit.findings) {
    text += "      " + sentence(finding) + "\n";
  }
  print(text);
}

void write_verdict(JsonWriter& json, const Verdict& verdict) {
  json.begin_object();
  json.member("name", verdict.facts.name);
  json.member("kind", kind_of(verdict.facts));
  json.member("condition", name_of(verdict.facts.condition));
  json.member("guarded", verdict.facts.is_guarded);
  json.member("sound", verdict.status == ExitStatus::kOk);
  if (verdict.audit.is_walked) json.member("records", verdict.audit.record_count);
  json.begin_array("findings");
  if (verdict.facts.condition != Condition::kSound) {
    json.begin_object();
    json.member("what", describe_error(verdict.facts.fault));
    json.end_object();
  }
  for (const AuditFinding& finding : verdict.audit.findings) {
    json.begin_object();
    json.member("what", finding.what);
    json.member("found", finding.found);
    json.member("wanted", finding.wanted);
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

// What the request means among `names`; nothing when a wish means nothing.
std::optional<std::vector<std::string>> choose(const SegmentDirectory& directory,
                                               const std::vector<std::string>& names,
                                               const VerifyRequest& request) {
  if (request.names.empty()) return names;
  std::vector<std::string> chosen;
  for (const std::string& wanted : request.names) {
    const std::vector<std::string> found = matching(names, wanted, PipelineNames::kYes);
    if (found.empty()) {
      complain(kCommand, explain_missing(directory, names, wanted));
      return std::nullopt;
    }
    chosen.insert(chosen.end(), found.begin(), found.end());
  }
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

}  // namespace

ExitStatus verify(const VerifyRequest& request) {
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;
  Result<std::vector<std::string>> names = list_segments(*directory);
  if (!names) return complain(kCommand, "cannot list " + directory->path(), names.error());
  const std::optional<std::vector<std::string>> chosen = choose(*directory, *names, request);
  if (!chosen) return ExitStatus::kNotFound;
  JsonWriter json;
  json.begin_document();
  json.member("directory", directory->path());
  json.begin_array("segments");
  for (const std::string& name : *chosen) {
    std::optional<SegmentFacts> facts = look_at(*directory, name);
    if (!facts) continue;  // removed since it was listed
    const Verdict verdict = judge(*directory, std::move(*facts));
    status = first_failure(status, verdict.status);
    if (request.json) {
      write_verdict(json, verdict);
    } else {
      print_text(verdict);
    }
  }
  json.end_array();
  if (request.json) {
    print(json.end_document());
  } else if (chosen->empty()) {
    remark(kCommand, "no segments in " + directory->path());
  }
  return status;
}

}  // namespace slipring::tools
