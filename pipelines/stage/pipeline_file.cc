#include "pipelines/stage/pipeline_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include "pipelines/stage/link_table.h"
#include "pipelines/stage/plan_topology.h"
#include "pipelines/stage/quantity.h"
#include "pipelines/stage/table_reader.h"
#include "pipelines/stage/wire_end.h"

namespace slipring {
namespace {

constexpr std::uint64_t kMaxRestartWindowNs = 24 * 3'600'000'000'000;
constexpr std::uint64_t kMaxCpu = 8191;

// Reads one file; the pieces are in the file's own order.
class PipelineReader {
 public:
  explicit PipelineReader(PipelineFile& file) : plan_(file.plan), findings_(file.findings) {}

  void read(const toml::table& root) {
    TableReader reader(root, "the file", {"pipeline", "stage", "link", "oob"}, findings_);
    read_pipeline(reader);
    for (const toml::table* table : tables(reader, "stage", kMaxStageCount)) read_stage(*table);
    if (plan_.stages.empty() && reader.find("stage") == nullptr) {
      reader.report(1, "no stage", "the file has no [[stage]]", "add one with name and program");
    }
    name_stages();
    for (const toml::table* table : tables(reader, "link", kMaxLinkCount)) {
      read_link(*table, stage_names_, plan_, findings_);
    }
    for (const toml::table* table : tables(reader, "oob", kMaxLinkCount)) {
      read_oob(*table, stage_names_, plan_, findings_);
    }
    check_lane_names();
    for (Finding& finding : check_wire_places(plan_)) findings_.push_back(std::move(finding));
  }

 private:
  // The tables of [[key]], or a finding when it is something else.
  std::vector<const toml::table*> tables(TableReader& reader, const std::string& key,
                                         std::size_t most_count) {
    std::vector<const toml::table*> found;
    const toml::node* node = reader.find(key);
    if (node == nullptr) return found;
    const toml::array* array = node->as_array();
    if (array == nullptr) {
      reader.report_type(*node, key, "write [[" + key + "]], in double brackets");
      return found;
    }
    for (const toml::node& element : *array) {
      if (const toml::table* table = element.as_table()) {
        found.push_back(table);
      } else {
        reader.report_type(element, key, "write [[" + key + "]] and its keys below it");
      }
    }
    if (found.size() > most_count) {
      reader.report(line_of(*found[most_count]), "too many of [[" + key + "]]",
                    std::to_string(found.size()), "at most " + std::to_string(most_count));
      found.resize(most_count);
    }
    return found;
  }

  void read_pipeline(TableReader& root) {
    const toml::node* node = root.find("pipeline");
    if (node == nullptr) {
      root.report(1, "missing table", "[pipeline]", "add [pipeline] with name = \"…\"");
      return;
    }
    if (node->as_table() == nullptr) {
      root.report_type(*node, "pipeline", "write [pipeline], in single brackets");
      return;
    }
    TableReader reader(*node->as_table(), "[pipeline]",
                       {"name", "memlock", "wait", "protection", "sandbox"}, findings_);
    plan_.name = reader.name("name = \"settop\"");
    plan_.memlock_line = reader.line("memlock");
    reader.choice<MemlockPolicy>("memlock", kMemlockPolicies, plan_.memlock);
    reader.choice<WaitPolicy>("wait", kWaitPolicies, plan_.wait);
    reader.choice<Protection>("protection", kProtections, plan_.protection);
    reader.choice<Sandbox>("sandbox", kSandboxes, plan_.sandbox);
  }

  void read_stage(const toml::table& table) {
    TableReader reader(
        table, "[[stage]]",
        {"name", "program", "restart", "restart_limit", "restart_window", "cpu", "wait", "options"},
        findings_);
    StagePlan stage;
    stage.line = reader.line();
    stage.wait = plan_.wait;
    stage.name = reader.name("name = \"ingest\"");
    stage.program = reader.text("program", "program = \"ingest\"").value_or("");
    stage.program_line = reader.line("program");
    if (reader.find("program") != nullptr && reader.find("program")->is_string() &&
        (stage.program.empty() || stage.program.find('\0') != std::string::npos)) {
      reader.report(stage.program_line, "bad program", quoted(stage.program),
                    "name a program, or a path with '/'");
      stage.program.clear();
    }
    reader.choice<RestartPolicy>("restart", kRestartPolicies, stage.restart);
    reader.choice<WaitPolicy>("wait", kWaitPolicies, stage.wait);
    std::uint64_t limit = stage.restart_limit;
    reader.count("restart_limit", {0, kMaxRestartLimit}, limit);
    stage.restart_limit = static_cast<std::uint32_t>(limit);
    read_restart_window(reader, stage);
    read_cpus(reader, stage);
    read_options(reader, stage);
    plan_.stages.push_back(std::move(stage));
  }

  void read_restart_window(TableReader& reader, StagePlan& stage) {
    const toml::node* node = reader.find("restart_window");
    if (node == nullptr) return;
    const auto* text = node->as_string();
    if (text == nullptr) {
      return reader.report_type(*node, "restart_window", "write a string such as \"10s\"");
    }
    const auto window_ns = parse_duration_ns(text->get());
    if (!window_ns || *window_ns == 0 || *window_ns > kMaxRestartWindowNs) {
      return reader.report(line_of(*node), "bad duration for restart_window", quoted(text->get()),
                           "write more than 0 and at most 24h, in ms, s, min or h: \"10s\"");
    }
    stage.restart_window_ns = *window_ns;
  }

  void read_cpus(TableReader& reader, StagePlan& stage) {
    const toml::node* node = reader.find("cpu");
    stage.cpu_line = reader.line("cpu");
    if (node == nullptr) return;
    if (const auto* number = node->as_integer()) {
      add_cpu(reader, *number, stage);
    } else if (const toml::array* array = node->as_array()) {
      for (const toml::node& element : *array) {
        if (const auto* cpu = element.as_integer()) {
          add_cpu(reader, *cpu, stage);
        } else {
          reader.report_type(element, "cpu", "write integers, cpu = [0, 1]");
        }
      }
    } else {
      reader.report_type(*node, "cpu", "write integers, cpu = [0, 1]");
    }
    std::sort(stage.cpus.begin(), stage.cpus.end());
    stage.cpus.erase(std::unique(stage.cpus.begin(), stage.cpus.end()), stage.cpus.end());
  }

  void add_cpu(TableReader& reader, const toml::value<std::int64_t>& value, StagePlan& stage) {
    const std::int64_t cpu = value.get();
    if (cpu < 0 || cpu > static_cast<std::int64_t>(kMaxCpu)) {
      reader.report(line_of(value), "no such CPU", std::to_string(cpu),
                    "CPUs are numbered from 0; `lscpu` lists them");
      return;
    }
    stage.cpus.push_back(static_cast<std::uint32_t>(cpu));
  }

  void read_options(TableReader& reader, StagePlan& stage) {
    const toml::node* node = reader.find("options");
    if (node == nullptr) return;
    const toml::table* table = node->as_table();
    if (table == nullptr) {
      return reader.report_type(*node, "options", "write [stage.options] and the options below");
    }
    for (const auto& [key, value] : *table) {
      const int line = static_cast<int>(key.source().begin.line);
      if (!is_pipeline_name(key.str())) {
        reader.report(line, "bad option name", quoted(key.str()),
                      "use 1 to 32 of A-Z a-z 0-9 _ -, a letter or digit first");
        continue;
      }
      auto text = option_text(value);
      if (!text) {
        reader.report_type(value, "option " + std::string(key.str()),
                           "write a string, an integer, a float or a boolean");
        continue;
      }
      if (text->find('\0') != std::string::npos) {
        reader.report(line, "bad option value", std::string(key.str()) + " holds a zero byte",
                      "a program's arguments cannot carry one");
        continue;
      }
      stage.options.push_back({std::string(key.str()), std::move(*text), line});
    }
    // The library keeps keys in the alphabet's order; people expect theirs.
    std::stable_sort(stage.options.begin(), stage.options.end(),
                     [](const OptionPlan& a, const OptionPlan& b) { return a.line < b.line; });
  }

  static std::optional<std::string> option_text(const toml::node& value) {
    if (const auto* text = value.as_string()) return text->get();
    if (const auto* number = value.as_integer()) return std::to_string(number->get());
    if (const auto* flag = value.as_boolean()) return flag->get() ? "true" : "false";
    if (const auto* real = value.as_floating_point()) {
      std::array<char, 64> digits;
      const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), real->get()).ptr;
      return std::string(digits.data(), end);
    }
    return std::nullopt;
  }

  // Reports stages of one name, and lists the names for the ends of links.
  void name_stages() {
    for (const StagePlan& stage : plan_.stages) {
      const auto first =
          std::find_if(plan_.stages.begin(), plan_.stages.end(),
                       [&](const StagePlan& other) { return other.name == stage.name; });
      if (&*first != &stage && !stage.name.empty()) {
        findings_.push_back({stage.line, "duplicate stage name",
                             quoted(stage.name) + ", first on line " + std::to_string(first->line),
                             "give each stage a name of its own"});
      }
      stage_names_.push_back(stage.name);
    }
  }

  // Reports links and OOB lanes of one name: each names a segment.
  void check_lane_names() {
    std::vector<std::pair<std::string, int>> lanes;
    for (const LinkPlan& link : plan_.links) lanes.emplace_back(link.name, link.line);
    for (const OobPlan& oob : plan_.oobs) lanes.emplace_back(oob.name, oob.line);
    std::stable_sort(lanes.begin(), lanes.end());
    for (std::size_t i = 1; i < lanes.size(); ++i) {
      if (lanes[i].first.empty() || lanes[i].first != lanes[i - 1].first) continue;
      findings_.push_back(
          {lanes[i].second, "duplicate link name",
           quoted(lanes[i].first) + ", first on line " + std::to_string(lanes[i - 1].second),
           "give each [[link]] and [[oob]] a name of its own"});
    }
  }

  static constexpr std::array kMemlockPolicies = {MemlockPolicy::kRequire, MemlockPolicy::kTry,
                                                  MemlockPolicy::kOff};
  static constexpr std::array kProtections = {Protection::kGuarded, Protection::kNamed};
  static constexpr std::array kSandboxes = {Sandbox::kOn, Sandbox::kOff};
  static constexpr std::array kWaitPolicies = {WaitPolicy::kPoll, WaitPolicy::kAdaptive,
                                               WaitPolicy::kSleep};
  static constexpr std::array kRestartPolicies = {RestartPolicy::kOnFailure, RestartPolicy::kAlways,
                                                  RestartPolicy::kNever};

  PipelinePlan& plan_;
  std::vector<Finding>& findings_;
  std::vector<std::string> stage_names_;
};

}  // namespace

PipelineFile parse_pipeline(std::string_view text, std::string file) {
  PipelineFile result;
  result.plan.file = std::move(file);
  toml::table root;
  if (auto offence = parse_toml(text, root)) {
    result.findings.push_back(std::move(*offence));
    return result;
  }
  PipelineReader(result).read(root);
  const auto topology = check_topology(result.plan);
  result.findings.insert(result.findings.end(), topology.begin(), topology.end());
  sort_findings(result.findings);
  return result;
}

PipelineFile load_pipeline(const std::string& path) {
  PipelineFile failed;
  failed.plan.file = path;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             &std::fclose);
  if (!file) {
    failed.findings.push_back(
        {0, "cannot open the pipeline file", std::strerror(errno), "name a file that is there"});
    return failed;
  }
  std::string text(kMaxPipelineFileBytes + 1, '\0');
  errno = 0;
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    failed.findings.push_back(
        {0, "cannot read the pipeline file", std::strerror(errno), "name a TOML file"});
    return failed;
  }
  if (text.size() > kMaxPipelineFileBytes) {
    failed.findings.push_back({0, "pipeline file too large",
                               "more than " + format_bytes(kMaxPipelineFileBytes),
                               "this is hardly a pipeline file"});
    return failed;
  }
  return parse_pipeline(text, path);
}

}  // namespace slipring
