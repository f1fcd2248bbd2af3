#include "tools/rm/removal.h"

#include <optional>
#include <utility>

#include "platform/memory/segment_file.h"
#include "platform/process/certificate.h"
#include "platform/rendezvous/server.h"
#include "tools/cli/segment_facts.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"

namespace slipring::tools {
namespace {

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
Removal remove_guarded(const SegmentDirectory& directory, const std::string& name,
                       std::string_view command) {
  Removal removal;
  removal.name = name;
  const Status removed = remove_stale_rendezvous(directory, name);
  removal.removed = removed.ok();
  if (removed) return removal;
  const std::string what = "cannot remove " + name;
  if (removed.error().code == ErrorCode::kBusy) {
    complain(command, what + ": it is guarded, and its runner is alive; stop that");
    removal.status = ExitStatus::kFailure;
  } else {
    removal.status = complain(command, what, removed.error());
  }
  return removal;
}

// Looks with every role in hand: whoever came since the last look may have left something.
bool is_kept(const SegmentDirectory& directory, const std::string& name, Unread unread,
             std::string_view command) {
  if (unread == Unread::kRemove) return false;
  const std::optional<SegmentFacts> facts = look_at(directory, name);
  if (!facts || !facts->link || facts->link->fill == 0) return false;
  if (unread == Unread::kKeepMail && facts->kind != SegmentKind::kLaneSet) return false;
  remark(command, name + " is kept: it holds " + unread_text(*facts->link) +
                      " of mail that nobody has read; `slipring get " + name +
                      "` reads it, `slipring rm " + name + "` removes it");
  return true;
}

}  // namespace

std::string unread_text(const LinkReport& report) {
  if (is_counted_in_bytes(report.shape)) return binary_size(report.fill);
  return std::to_string(report.fill) + " " + slipring::name_of(segment_kind(report.shape));
}

Removal remove_segment_of_nobody(const SegmentDirectory& directory, const std::string& name,
                                 bool force, std::string_view command, Unread unread) {
  Removal removal;
  removal.name = name;
  const std::string what = "cannot remove " + name;
  const std::optional<SegmentFacts> facts = look_at(directory, name);
  if (facts && facts->is_guarded) return remove_guarded(directory, name, command);
  std::vector<Certificate> taken;
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (file) {
    removal.freed_bytes = file->size_bytes();
    if (Status took = take_roles(*file, taken, removal.holders); !took) {
      removal.status = complain(command, what, took.error());
      return removal;
    }
  } else if (!force) {
    removal.status = complain(command, what, file.error());
    return removal;
  }
  if (!removal.holders.empty() && !force) {
    complain(command, what + ": in use by " + describe_holders(facts, removal.holders) +
                          "; stop it first, or say --force");
    removal.status = ExitStatus::kFailure;
    return removal;
  }
  if (!force && is_kept(directory, name, unread, command)) return removal;
  if (Status removed = remove_segment(directory, name); !removed) {
    removal.status = complain(command, what, removed.error());
    return removal;
  }
  removal.removed = true;
  if (facts && facts->link && facts->link->fill != 0) {
    remark(command,
           name + " held " + unread_text(*facts->link) + " of messages that nobody had finished");
  }
  if (!removal.holders.empty()) {
    remark(command, name + " was in use by " + describe_holders(facts, removal.holders) +
                        ": that process goes on with memory that nobody else can find");
  }
  return removal;
}

}  // namespace slipring::tools
