#include "pipelines/stage/pipeline_plan.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <map>
#include <utility>

#include "pipelines/link/board.h"
#include "platform/memory/mapping.h"

namespace slipring {
namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Slips between two words: insertions, deletions, replacements, swapped neighbours.
std::size_t slip_count(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before_last = std::exchange(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                           lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string in_unit(double amount, const char* unit) {
  char text[48];
  std::snprintf(text, sizeof text, "%.1f %s", amount, unit);
  return text;
}

// With one decimal.  What is needed is rounded up and what is there is rounded down, so that the
// two never look equal in a message about a lack.
std::string about(std::uint64_t size_bytes, bool round_up) {
  const char* unit = "KiB";
  std::uint64_t scale = 1024;
  if (size_bytes >= std::uint64_t{1} << 30) {
    unit = "GiB";
    scale = std::uint64_t{1} << 30;
  } else if (size_bytes >= std::uint64_t{1} << 20) {
    unit = "MiB";
    scale = std::uint64_t{1} << 20;
  }
  const std::uint64_t whole = size_bytes / scale;
  const std::uint64_t rest = size_bytes % scale;
  const std::uint64_t tenths = whole * 10 + (rest * 10 + (round_up ? scale - 1 : 0)) / scale;
  return in_unit(static_cast<double>(tenths) / 10.0, unit);
}

std::string need_text(std::uint64_t size_bytes) {
  return about(size_bytes, true);
}
std::string have_text(std::uint64_t size_bytes) {
  return about(size_bytes, false);
}

std::string port_name(const PipelinePlan& plan, const PortPlan& port) {
  return plan.stages[port.stage_index].name + "." + port.port;
}

bool is_known(const PipelinePlan& plan, const PortPlan& port) {
  return port.stage_index < plan.stages.size();
}

bool has_unknown_end(const PipelinePlan& plan) {
  for (const LinkPlan& link : plan.links) {
    if (!is_known(plan, link.from) || !is_known(plan, link.to)) return true;
  }
  for (const OobPlan& oob : plan.oobs) {
    if (!is_known(plan, oob.to)) return true;
  }
  return false;
}

struct FirstUse {
  std::string what;  // "link ts"
  int line;
};
using PortUses = std::map<std::pair<std::size_t, std::string>, FirstUse>;

void note_use(const PipelinePlan& plan, const PortPlan& port, const std::string& what,
              bool is_input, PortUses& uses, std::vector<Finding>& findings) {
  if (!is_known(plan, port)) return;
  const auto [first, is_new] =
      uses.try_emplace({port.stage_index, port.port}, FirstUse{what, port.line});
  if (is_new) return;
  findings.push_back({port.line,
                      is_input ? "input port with two links" : "output port with two links",
                      port_name(plan, port) + " belongs to " + first->second.what + " (line " +
                          std::to_string(first->second.line) + ") and to " + what,
                      is_input ? "a port has one writer; give the stage a second input port"
                               : "a port has one reader; give the stage a second output port"});
}

void check_ports(const PipelinePlan& plan, std::vector<Finding>& findings) {
  PortUses inputs;
  PortUses outputs;
  for (const LinkPlan& link : plan.links) {
    note_use(plan, link.from, "link " + link.name, false, outputs, findings);
    note_use(plan, link.to, "link " + link.name, true, inputs, findings);
  }
  for (const OobPlan& oob : plan.oobs) {
    note_use(plan, oob.to, "oob " + oob.name, true, inputs, findings);
  }
}

void check_joined(const PipelinePlan& plan, std::vector<Finding>& findings) {
  // A misspelt end would be reported a second time here, as the stage that it left alone.
  if (has_unknown_end(plan)) return;
  std::vector<bool> joined(plan.stages.size(), false);
  for (const LinkPlan& link : plan.links) {
    joined[link.from.stage_index] = true;
    joined[link.to.stage_index] = true;
  }
  for (const OobPlan& oob : plan.oobs) joined[oob.to.stage_index] = true;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    if (joined[i]) continue;
    findings.push_back({plan.stages[i].line, "stage joined to nothing",
                        "\"" + plan.stages[i].name + "\" is in no [[link]] and no [[oob]]",
                        "add a link from it or to it, or remove the stage"});
  }
}

// The links that lead from one stage to another, fewest first; empty when none do.
std::vector<const LinkPlan*> path_between(std::size_t start, std::size_t goal,
                                          const std::vector<const LinkPlan*>& links,
                                          std::size_t stage_count) {
  std::vector<const LinkPlan*> came_by(stage_count, nullptr);
  std::deque<std::size_t> waiting{start};
  while (!waiting.empty() && came_by[goal] == nullptr) {
    const std::size_t stage = waiting.front();
    waiting.pop_front();
    for (const LinkPlan* link : links) {
      const std::size_t next = link->to.stage_index;
      if (link->from.stage_index != stage || next == start || came_by[next] != nullptr) continue;
      came_by[next] = link;
      waiting.push_back(next);
    }
  }
  std::vector<const LinkPlan*> path;
  for (std::size_t stage = goal; came_by[stage] != nullptr;
       stage = came_by[stage]->from.stage_index) {
    path.push_back(came_by[stage]);
  }
  std::reverse(path.begin(), path.end());
  return path;
}

// Links are added one after the other, in the file's order; one that closes a circle is reported
// on its own line and left out, so that each circle is reported once.
void check_cycles(const PipelinePlan& plan, std::vector<Finding>& findings) {
  std::vector<const LinkPlan*> joined;
  for (const LinkPlan& link : plan.links) {
    if (link.credit_count != 0 || !is_known(plan, link.from) || !is_known(plan, link.to)) continue;
    const std::size_t from = link.from.stage_index;
    const std::size_t to = link.to.stage_index;
    const auto way_back = path_between(to, from, joined, plan.stages.size());
    if (from != to && way_back.empty()) {
      joined.push_back(&link);
      continue;
    }
    std::string stages = plan.stages[to].name;
    std::string links;
    for (const LinkPlan* step : way_back) {
      stages += " -> " + plan.stages[step->to.stage_index].name;
      links += step->name + ", ";
    }
    stages += " -> " + plan.stages[to].name;
    findings.push_back({link.line, "cycle without credit",
                        stages + " (links " + links + link.name + ")",
                        "when all are full, all wait for ever: give one of these links a credit, "
                        "credit = 16 for instance"});
  }
}

enum class ProgramState { kMissing, kNotFile, kNotExecutable, kGood };

ProgramState look_at_program(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return ProgramState::kMissing;
  if (!S_ISREG(status.st_mode)) return ProgramState::kNotFile;
  return access(path.c_str(), X_OK) == 0 ? ProgramState::kGood : ProgramState::kNotExecutable;
}

std::string joined_by_comma(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

std::optional<Finding> resolve_path(const PipelinePlan& plan, StagePlan& stage) {
  const std::filesystem::path folder = std::filesystem::path(plan.file).parent_path();
  const std::string path = (folder / stage.program).lexically_normal().string();
  switch (look_at_program(path)) {
    case ProgramState::kGood:
      stage.program_path = path;
      return std::nullopt;
    case ProgramState::kMissing:
      return Finding{stage.program_line, "program not found", path,
                     "a program with '/' is taken from the pipeline file's folder; build it or "
                     "correct the path"};
    case ProgramState::kNotFile:
      return Finding{stage.program_line, "program is not a file", path, "name the program itself"};
    case ProgramState::kNotExecutable:
      break;
  }
  return Finding{stage.program_line, "program cannot be run", path, "chmod +x " + path};
}

std::optional<Finding> search_program(StagePlan& stage, std::span<const std::string> places) {
  std::string not_executable;
  for (const std::string& place : places) {
    const std::filesystem::path folder = place;
    // The build tree gives every program a folder of its own, with the program's name.
    for (const auto& path : {folder / stage.program, folder / stage.program / stage.program}) {
      const ProgramState state = look_at_program(path.string());
      if (state == ProgramState::kGood) {
        stage.program_path = path.string();
        return std::nullopt;
      }
      if (state == ProgramState::kNotExecutable && not_executable.empty()) {
        not_executable = path.string();
      }
    }
  }
  if (!not_executable.empty()) {
    return Finding{stage.program_line, "program cannot be run", not_executable,
                   "chmod +x " + not_executable};
  }
  return Finding{stage.program_line, "program not found",
                 "\"" + stage.program + "\" is in none of " + joined_by_comma(places),
                 "build it, or name its folder in $SLIPRING_STAGE_PATH"};
}

std::string cpu_list(std::span<const std::uint32_t> cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    if (!text.empty()) text += ",";
    text += std::to_string(cpus[i]);
    if (last > i) text += "-" + std::to_string(cpus[last]);
    i = last + 1;
  }
  return text;
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string describe_stage(const PipelinePlan& plan, const StagePlan& stage, std::size_t width) {
  std::string text = "  " + padded(stage.name, width) + "  program " + stage.program;
  if (!stage.program_path.empty()) text += " (" + stage.program_path + ")";
  text += std::string(", restart ") + name_of(stage.restart);
  if (stage.restart != RestartPolicy::kNever) {
    text += " (at most " + std::to_string(stage.restart_limit) + " in " +
            format_duration(stage.restart_window_ns) + ")";
  }
  if (!stage.cpus.empty()) text += ", cpu " + cpu_list(stage.cpus);
  if (stage.wait != plan.wait) text += std::string(", wait ") + name_of(stage.wait);
  text += "\n";
  for (const OptionPlan& option : stage.options) {
    text += "  " + std::string(width, ' ') + "  --" + option.key + "=" + option.value + "\n";
  }
  return text;
}

std::string describe_link(const PipelinePlan& plan, const LinkPlan& link, std::size_t width) {
  std::string text = "  " + padded(link.name, width) + "  ";
  text += is_known(plan, link.from) ? port_name(plan, link.from) : "?";
  text += " -> ";
  text += is_known(plan, link.to) ? port_name(plan, link.to) : "?";
  if (link.kind == LinkKind::kRecords) {
    text += ", records, " + format_bytes(link.capacity_bytes);
  } else {
    text += ", " + std::to_string(link.slot_count) + " slots of " + format_bytes(link.slot_bytes);
  }
  if (link.pool) {
    text += ", pool of " + std::to_string(link.pool->buffer_count) + " buffers of " +
            format_bytes(link.pool->buffer_bytes);
  }
  if (link.credit_count != 0) text += ", credit " + std::to_string(link.credit_count);
  if (link.wire) text += ", carried " + slipring::describe(*link.wire);
  return text + "\n";
}

}  // namespace

const char* name_of(MemlockPolicy policy) noexcept {
  switch (policy) {
    case MemlockPolicy::kRequire:
      return "require";
    case MemlockPolicy::kTry:
      return "try";
    case MemlockPolicy::kOff:
      return "off";
  }
  return "?";
}

const char* name_of(Protection protection) noexcept {
  switch (protection) {
    case Protection::kGuarded:
      return "guarded";
    case Protection::kNamed:
      return "named";
  }
  return "?";
}

const char* name_of(Sandbox sandbox) noexcept {
  switch (sandbox) {
    case Sandbox::kOff:
      return "off";
    case Sandbox::kOn:
      return "on";
  }
  return "?";
}

const char* name_of(WireCall call) noexcept {
  return call == WireCall::kListen ? "listen" : "connect";
}

const char* name_of(WaitPolicy policy) noexcept {
  switch (policy) {
    case WaitPolicy::kPoll:
      return "poll";
    case WaitPolicy::kAdaptive:
      return "adaptive";
    case WaitPolicy::kSleep:
      return "sleep";
  }
  return "?";
}

const char* name_of(RestartPolicy policy) noexcept {
  switch (policy) {
    case RestartPolicy::kOnFailure:
      return "on-failure";
    case RestartPolicy::kAlways:
      return "always";
    case RestartPolicy::kNever:
      return "never";
  }
  return "?";
}

const char* name_of(LinkKind kind) noexcept {
  return kind == LinkKind::kRecords ? "records" : "slots";
}

std::string to_string(const Finding& finding, std::string_view file) {
  std::string text(file);
  if (finding.line > 0) text += ":" + std::to_string(finding.line);
  text += ": " + finding.wrong + ": " + finding.found + "; " + finding.remedy;
  // The file's words reach a terminal here: nothing in them may steer it.
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

void sort_findings(std::vector<Finding>& findings) {
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.line < b.line; });
}

std::optional<std::string> nearest_name(std::string_view word,
                                        std::span<const std::string> candidates) {
  // A key that somebody pastes may be long; nothing that long is a slip of a name of ours.
  if (word.size() > 2 * kMaxPipelineNameBytes) return std::nullopt;
  const std::string* best = nullptr;
  std::size_t best_slips = 0;
  for (const std::string& candidate : candidates) {
    const std::size_t slips = slip_count(word, candidate);
    const std::size_t allowed = std::max<std::size_t>(1, candidate.size() / 3);
    // Every letter of a short word replaced is another word.
    if (slips > allowed || slips >= candidate.size()) continue;
    if (best == nullptr || slips < best_slips) {
      best = &candidate;
      best_slips = slips;
    }
  }
  if (best == nullptr) return std::nullopt;
  return *best;
}

bool is_pipeline_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kMaxPipelineNameBytes) return false;
  const auto is_letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (!is_letter_or_digit(name.front())) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_letter_or_digit(c) || c == '_' || c == '-'; });
}

std::vector<std::string> wire_board_names(const PipelinePlan& plan, const LinkPlan& link) {
  if (!link.wire) return {};
  const std::string segment = segment_name(plan, link.name);
  return {segment + ".wire-out", segment + ".wire-in"};
}

std::string describe(const WirePlan& wire) {
  return std::string(wire.sends ? "-> " : "<- ") + wire.address +
         (wire.call == WireCall::kListen ? " (listens)" : "");
}

std::string segment_name(const PipelinePlan& plan, std::string_view link_name) {
  return plan.name + "." + std::string(link_name);
}

std::vector<Finding> check_topology(const PipelinePlan& plan) {
  std::vector<Finding> findings;
  check_ports(plan, findings);
  check_joined(plan, findings);
  check_cycles(plan, findings);
  sort_findings(findings);
  return findings;
}

std::vector<Finding> check_cpus(const PipelinePlan& plan, std::span<const std::uint32_t> allowed) {
  std::vector<Finding> findings;
  for (const StagePlan& stage : plan.stages) {
    std::vector<std::uint32_t> missing;
    for (const std::uint32_t cpu : stage.cpus) {
      if (std::find(allowed.begin(), allowed.end(), cpu) == allowed.end()) missing.push_back(cpu);
    }
    if (missing.empty()) continue;
    findings.push_back({stage.cpu_line, "no such CPU",
                        "stage \"" + stage.name + "\" asks for " + cpu_list(missing),
                        "this process may use CPU " + cpu_list(allowed)});
  }
  return findings;
}

std::vector<std::string> program_places(std::string_view pipeline_name, std::string_view own_folder,
                                        std::string_view stage_path) {
  std::vector<std::string> places;
  while (!stage_path.empty()) {
    const std::size_t colon = stage_path.find(':');
    const std::string_view folder = stage_path.substr(0, colon);
    if (!folder.empty()) places.emplace_back(folder);
    stage_path = colon == std::string_view::npos ? "" : stage_path.substr(colon + 1);
  }
  const std::filesystem::path own = own_folder;
  const std::filesystem::path pipelines = "pipelines";
  const std::filesystem::path appliance = pipelines / pipeline_name;
  for (const auto& place : {own, own / "../libexec/slipring", own / ".." / appliance,
                            own / "../.." / appliance, own / ".." / pipelines / "stage"}) {
    places.push_back(place.lexically_normal().string());
  }
  return places;
}

std::vector<Finding> resolve_programs(PipelinePlan& plan, std::span<const std::string> places) {
  std::vector<Finding> findings;
  for (StagePlan& stage : plan.stages) {
    if (stage.program.empty()) continue;  // missing in the file, and reported there
    auto finding = stage.program.find('/') != std::string::npos ? resolve_path(plan, stage)
                                                                : search_program(stage, places);
    if (finding) findings.push_back(std::move(*finding));
  }
  return findings;
}

LinkShape shape_of(const LinkPlan& link) noexcept {
  LinkShape shape;
  shape.kind = link.kind == LinkKind::kRecords ? SegmentKind::kRecordLink : SegmentKind::kSlotLink;
  shape.capacity_bytes = link.capacity_bytes;
  shape.slot_count = link.slot_count;
  shape.slot_bytes = link.slot_bytes;
  shape.credit_count = link.credit_count;
  if (link.pool) {
    shape.pool_buffer_count = static_cast<std::uint32_t>(link.pool->buffer_count);
    shape.pool_buffer_bytes = link.pool->buffer_bytes;
  }
  return shape;
}

LinkShape oob_shape() noexcept {
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = kOobCapacityBytes;
  return shape;
}

std::uint64_t segment_bytes(const LinkShape& shape) noexcept {
  return make_link_header(shape, "", page_size_bytes()).total_bytes;
}

std::uint64_t mapped_bytes(const LinkShape& shape) noexcept {
  const LinkParts parts = parts_of(shape, page_size_bytes());
  return parts.writer_bytes + parts.reader_bytes;
}

std::uint64_t board_segment_bytes() noexcept {
  const std::uint64_t page_bytes = page_size_bytes();
  // The header's page and the board's.
  return page_bytes + (sizeof(BoardPage) + page_bytes - 1) / page_bytes * page_bytes;
}

std::string board_name(const PipelinePlan& plan, std::string_view stage_name) {
  return plan.name + "." + std::string(stage_name) + ".board";
}

std::string runner_board_name(const PipelinePlan& plan) {
  return plan.name + ".runner";
}

std::uint64_t total_segment_bytes(const PipelinePlan& plan) {
  std::uint64_t bytes = plan.oobs.size() * segment_bytes(oob_shape()) +
                        (plan.stages.size() + 1) * board_segment_bytes();
  for (const LinkPlan& link : plan.links) bytes += segment_bytes(shape_of(link));
  return bytes;
}

std::uint64_t stage_locked_bytes(const PipelinePlan& plan, std::size_t stage_index) {
  std::uint64_t bytes = board_segment_bytes();
  for (const LinkPlan& link : plan.links) {
    // A stage that feeds itself holds both ends, and each end maps the segment.
    if (link.from.stage_index == stage_index) bytes += mapped_bytes(shape_of(link));
    if (link.to.stage_index == stage_index) bytes += mapped_bytes(shape_of(link));
  }
  for (const OobPlan& oob : plan.oobs) {
    if (oob.to.stage_index == stage_index) bytes += mapped_bytes(oob_shape());
  }
  return bytes;
}

std::vector<Finding> check_memlock(const PipelinePlan& plan, std::uint64_t limit_bytes) {
  std::vector<Finding> findings;
  if (plan.memlock != MemlockPolicy::kRequire) return findings;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const std::uint64_t need = stage_locked_bytes(plan, i);
    if (need <= limit_bytes) continue;
    findings.push_back(
        {plan.memlock_line, "memory-lock limit too small",
         "stage \"" + plan.stages[i].name + "\" locks " + need_text(need) + ", the limit is " +
             have_text(limit_bytes),
         "raise it with `ulimit -l " + std::to_string((need + 1023) / 1024) +
             "` or LimitMEMLOCK=, make the links smaller, or write memlock = \"try\""});
  }
  return findings;
}

std::vector<Finding> check_space(const PipelinePlan& plan, std::string_view directory,
                                 std::uint64_t free_bytes) {
  const std::uint64_t need = total_segment_bytes(plan);
  if (need <= free_bytes) return {};
  return {{0, "not enough shared memory",
           "the links need " + need_text(need) + ", " + std::string(directory) + " has " +
               have_text(free_bytes) + " free",
           "enlarge that file system (mount -o remount,size=…), set SLIPRING_DIR to a larger "
           "tmpfs, or make the links smaller"}};
}

std::optional<Finding> apply_override(PipelinePlan& plan, std::string_view assignment) {
  const Finding refused{0, "bad override", "\"" + std::string(assignment) + "\"",
                        "write --set STAGE.OPTION=VALUE"};
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) return refused;
  const std::string_view target = assignment.substr(0, equals);
  const std::string value(assignment.substr(equals + 1));
  const std::size_t dot = target.find('.');
  if (dot == std::string_view::npos) return refused;
  const std::string stage_name(target.substr(0, dot));
  const std::string key(target.substr(dot + 1));
  if (!is_pipeline_name(key) || value.find('\0') != std::string::npos) return refused;

  const auto stage =
      std::find_if(plan.stages.begin(), plan.stages.end(),
                   [&](const StagePlan& candidate) { return candidate.name == stage_name; });
  if (stage == plan.stages.end()) {
    std::vector<std::string> names;
    for (const StagePlan& candidate : plan.stages) names.push_back(candidate.name);
    const auto meant = nearest_name(stage_name, names);
    return Finding{
        0, "unknown stage in override", "\"" + stage_name + "\"",
        meant ? "did you mean \"" + *meant + "\"?" : "the stages are " + joined_by_comma(names)};
  }
  for (OptionPlan& option : stage->options) {
    if (option.key != key) continue;
    option.value = value;
    return std::nullopt;
  }
  stage->options.push_back({key, value, 0});
  return std::nullopt;
}

std::string describe(const PipelinePlan& plan) {
  std::size_t width = 0;
  for (const StagePlan& stage : plan.stages) width = std::max(width, stage.name.size());
  for (const LinkPlan& link : plan.links) width = std::max(width, link.name.size());
  for (const OobPlan& oob : plan.oobs) width = std::max(width, oob.name.size());

  std::string text = "pipeline " + plan.name;
  if (!plan.file.empty()) text += " (" + plan.file + ")";
  text += std::string(": memlock ") + name_of(plan.memlock) + ", wait " + name_of(plan.wait) +
          ", " + name_of(plan.protection) + " links";
  if (std::all_of(plan.links.begin(), plan.links.end(),
                  [](const LinkPlan& link) { return validate_shape(shape_of(link)).ok(); })) {
    text += ", " + need_text(total_segment_bytes(plan)) + " of shared memory";
  }
  text += "\n";
  text += "stages\n";
  for (const StagePlan& stage : plan.stages) text += describe_stage(plan, stage, width);
  text += "links\n";
  for (const LinkPlan& link : plan.links) text += describe_link(plan, link, width);
  if (!plan.oobs.empty()) text += "oob\n";
  for (const OobPlan& oob : plan.oobs) {
    text += "  " + padded(oob.name, width) + "  -> ";
    text += (is_known(plan, oob.to) ? port_name(plan, oob.to) : "?") + "\n";
  }
  return text;
}

std::string format_bytes(std::uint64_t size_bytes) {
  constexpr std::pair<const char*, int> kUnits[] = {{" GiB", 30}, {" MiB", 20}, {" KiB", 10}};
  for (const auto& [unit, shift] : kUnits) {
    const std::uint64_t scale = std::uint64_t{1} << shift;
    if (size_bytes >= scale && size_bytes % scale == 0) {
      return std::to_string(size_bytes >> shift) + unit;
    }
  }
  return std::to_string(size_bytes) + " B";
}

std::string format_duration(std::uint64_t duration_ns) {
  constexpr std::pair<const char*, std::uint64_t> kUnits[] = {{" h", 3'600'000'000'000},
                                                              {" min", 60'000'000'000},
                                                              {" s", 1'000'000'000},
                                                              {" ms", 1'000'000},
                                                              {" us", 1'000}};
  for (const auto& [unit, scale] : kUnits) {
    if (duration_ns >= scale && duration_ns % scale == 0) {
      return std::to_string(duration_ns / scale) + unit;
    }
  }
  return std::to_string(duration_ns) + " ns";
}

}  // namespace slipring
