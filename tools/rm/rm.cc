#include "tools/rm/rm.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "pipelines/stage/stage.h"
#include "platform/memory/segment_file.h"
#include "platform/process/certificate.h"
#include "platform/rendezvous/server.h"
#include "tools/cli/json.h"
#include "tools/cli/segment_facts.h"
#include "tools/cli/selection.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "rm";

struct Holding {
  std::uint32_t role_byte;
  std::uint64_t process_id;  // 0: not visible from here
};

struct Outcome {
  std::string name;
  bool removed = false;
  std::uint64_t freed_bytes = 0;
  std::vector<Holding> holders;
  ExitStatus status = ExitStatus::kOk;
};

std::string role_word(const std::optional<SegmentFacts>& facts, std::uint32_t role_byte) {
  const bool known = facts && facts->condition == Condition::kSound;
  if (known && role_byte == static_cast<std::uint32_t>(Role::kWriter)) {
    return facts->kind == SegmentKind::kBoard ? "stage" : "writer";
  }
  if (known && role_byte == static_cast<std::uint32_t>(Role::kReader)) return "reader";
  return "role " + std::to_string(role_byte);
}

std::string describe_holders(const std::optional<SegmentFacts>& facts,
                             const std::vector<Holding>& holders) {
  std::string text;
  for (const Holding& holding : holders) {
    text += text.empty() ? "" : ", ";
    text += role_word(facts, holding.role_byte) + " " +
            (holding.process_id != 0 ? std::to_string(holding.process_id)
                                     : std::string("in another PID namespace"));
  }
  return text;
}

// Takes every role that can be taken; answers who holds the others.
Status take_roles(const SegmentFile& file, std::vector<Certificate>& taken,
                  std::vector<Holding>& holders) {
  for (std::uint32_t byte = 0; byte < kForeignRoleCount; ++byte) {
    Result<Certificate> certificate = Certificate::acquire(file.lock_file(), byte);
    if (certificate) {
      taken.push_back(std::move(certificate).value());
    } else if (certificate.error().code == ErrorCode::kBusy) {
      holders.push_back({byte, certificate.error().found});
    } else {
      return certificate.error();
    }
  }
  return {};
}

// A guarded segment goes with its broker; what a killed one leaves is a name.
Outcome remove_guarded(const SegmentDirectory& directory, const std::string& name) {
  Outcome outcome;
  outcome.name = name;
  const Status removed = remove_stale_rendezvous(directory, name);
  outcome.removed = removed.ok();
  if (removed) return outcome;
  const std::string what = "cannot remove " + name;
  if (removed.error().code == ErrorCode::kBusy) {
    complain(kCommand, what + ": it is guarded, and its runner is alive; stop that");
    outcome.status = ExitStatus::kFailure;
  } else {
    outcome.status = complain(kCommand, what, removed.error());
  }
  return outcome;
}

Outcome remove_one(const SegmentDirectory& directory, const std::string& name, bool force) {
  Outcome outcome;
  outcome.name = name;
  const std::string what = "cannot remove " + name;
  const std::optional<SegmentFacts> facts = look_at(directory, name);
  if (facts && facts->is_guarded) return remove_guarded(directory, name);
  std::vector<Certificate> taken;
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (file) {
    outcome.freed_bytes = file->size_bytes();
    if (Status took = take_roles(*file, taken, outcome.holders); !took) {
      outcome.status = complain(kCommand, what, took.error());
      return outcome;
    }
  } else if (!force) {
    outcome.status = complain(kCommand, what, file.error());
    return outcome;
  }
  if (!outcome.holders.empty() && !force) {
    complain(kCommand, what + ": in use by " + describe_holders(facts, outcome.holders) +
                           "; stop it first, or say --force");
    outcome.status = ExitStatus::kFailure;
    return outcome;
  }
  if (Status removed = remove_segment(directory, name); !removed) {
    outcome.status = complain(kCommand, what, removed.error());
    return outcome;
  }
  outcome.removed = true;
  if (facts && facts->link && facts->link->fill != 0) {
    const bool is_records = is_counted_in_bytes(facts->link->shape);
    remark(kCommand, name + " held " +
                         (is_records ? binary_size(facts->link->fill)
                                     : std::to_string(facts->link->fill) + " " +
                                           slipring::name_of(facts->kind)) +
                         " of messages that nobody had finished");
  }
  if (!outcome.holders.empty()) {
    remark(kCommand, name + " was in use by " + describe_holders(facts, outcome.holders) +
                         ": that process goes on with memory that nobody else can find");
  }
  return outcome;
}

void print_json(const std::vector<Outcome>& outcomes) {
  JsonWriter json;
  json.begin_document();
  json.begin_array("segments");
  for (const Outcome& outcome : outcomes) {
    json.begin_object();
    json.member("name", outcome.name);
    json.member("removed", outcome.removed);
    json.member("total_bytes", outcome.freed_bytes);
    json.begin_array("holders");
    for (const Holding& holding : outcome.holders) {
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
    if (!facts) continue;
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
  if (request.stale) select_stale(*directory, *names, chosen);
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());

  std::vector<Outcome> outcomes;
  std::uint64_t freed_bytes = 0;
  std::size_t removed_count = 0;
  for (const std::string& name : chosen) {
    outcomes.push_back(remove_one(*directory, name, request.force));
    const Outcome& outcome = outcomes.back();
    status = first_failure(status, outcome.status);
    if (!outcome.removed) continue;
    freed_bytes += outcome.freed_bytes;
    ++removed_count;
    if (!request.json) print("removed " + name + "\n");
  }
  if (request.json) print_json(outcomes);
  if (request.stale && chosen.empty() && !request.json) remark(kCommand, "nothing is stale");
  if (removed_count > 1 && !request.json) {
    remark(kCommand, std::to_string(removed_count) + " segments, " + binary_size(freed_bytes));
  }
  return status;
}

}  // namespace slipring::tools
