#include "tools/doctor/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "platform/machine/capabilities.h"
#include "tools/cli/json.h"
#include "tools/cli/terminal.h"

namespace slipring::tools {
namespace {

constexpr std::size_t kVerdictColumns = 6;

const char* word_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::kOk:
      return "OK";
    case Verdict::kWarn:
      return "WARN";
    case Verdict::kFail:
      return "FAIL";
  }
  return "?";
}

Tone tone_of(Verdict verdict) noexcept {
  return verdict == Verdict::kOk     ? Tone::kGood
         : verdict == Verdict::kWarn ? Tone::kWarning
                                     : Tone::kBad;
}

std::string padded(std::string_view text, std::size_t columns) {
  std::string all(text);
  all.resize(std::max(columns, all.size() + 1), ' ');
  return all;
}

void print_text(const std::vector<Capability>& capabilities) {
  const bool in_colour = wants_colour(STDOUT_FILENO);
  const std::size_t columns = terminal_columns(STDOUT_FILENO);
  std::size_t name_columns = 0;
  for (const Capability& capability : capabilities) {
    name_columns = std::max(name_columns, display_width(capability.name) + 2);
  }
  const std::size_t indent = kVerdictColumns + name_columns;
  for (const Capability& capability : capabilities) {
    print(toned(padded(word_of(capability.verdict), kVerdictColumns), tone_of(capability.verdict),
                in_colour) +
          padded(capability.name, name_columns) +
          wrapped(capability.found, columns, indent, indent) + "\n");
    if (capability.remedy.empty()) continue;
    print(std::string(indent, ' ') +
          wrapped("remedy: " + capability.remedy, columns, indent, indent) + "\n");
  }
}

void print_json(const std::vector<Capability>& capabilities) {
  JsonWriter json;
  json.begin_document();
  json.begin_array("capabilities");
  for (const Capability& capability : capabilities) {
    json.begin_object();
    json.member("name", capability.name);
    json.member("verdict", word_of(capability.verdict));
    json.member("found", capability.found);
    json.member("remedy", capability.remedy);
    json.end_object();
  }
  json.end_array();
  print(json.end_document());
}

}  // namespace

ExitStatus doctor(const DoctorRequest& request) {
  const std::vector<Capability> capabilities = inspect_machine();
  if (request.json) {
    print_json(capabilities);
  } else {
    print_text(capabilities);
  }
  const bool fails = std::any_of(
      capabilities.begin(), capabilities.end(),
      [](const Capability& capability) { return capability.verdict == Verdict::kFail; });
  return fails ? ExitStatus::kFailure : ExitStatus::kOk;
}

}  // namespace slipring::tools
