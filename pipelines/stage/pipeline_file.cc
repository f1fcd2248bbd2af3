#include "pipelines/stage/pipeline_file.h"

namespace slipring {
namespace {

// Thrown where the TOML library would assert.
struct BrokenPrecondition {};

constexpr void require_precondition(bool holds) {
  if (!holds) throw BrokenPrecondition{};
}

}  // namespace
}  // namespace slipring

// toml++ 3.3 asserts on some malformed files ("[[[a]]]"), and a pipeline file is input: its
// setting for what an assertion does makes that an offence against TOML like any other.  BUILD
// keeps NDEBUG away from this file, since the library drops the setting there.
#define TOML_ASSERT(expr) ::slipring::require_precondition(static_cast<bool>(expr))
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include "core/pool/buffer_pool.h"
#include "core/ring/slot_ring.h"
#include "pipelines/link/link_layout.h"
#include "pipelines/stage/wire_end.h"

namespace slipring {
namespace {

constexpr std::uint64_t kMaxLinkSlotCount = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxCreditCount = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxRestartLimit = 1'000'000;
constexpr std::uint64_t kMaxRestartWindowNs = 24 * 3'600'000'000'000;
constexpr std::uint64_t kMaxCpu = 8191;
constexpr std::size_t kMaxShownBytes = 60;

int line_of(const toml::node& node) noexcept {
  return static_cast<int>(node.source().begin.line);
}

std::string quoted(std::string_view text) {
  if (text.size() <= kMaxShownBytes) return "\"" + std::string(text) + "\"";
  return "\"" + std::string(text.substr(0, kMaxShownBytes)) + "…\"";
}

const char* type_words(const toml::node& node) noexcept {
  switch (node.type()) {
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a float";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::table:
      return "a table";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

std::string comma_list(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string remedy_for(std::string_view word, std::span<const std::string> known) {
  if (const auto meant = nearest_name(word, known)) return "did you mean " + quoted(*meant) + "?";
  return "known here: " + comma_list(known);
}

// Splits "10 ms" into its number and its unit.
struct Quantity {
  std::uint64_t number;
  std::string_view unit;
};

std::optional<Quantity> parse_quantity(std::string_view text) noexcept {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.size() > 1 && unit.front() == ' ') unit.remove_prefix(1);
  return Quantity{number, unit};
}

struct Unit {
  std::string_view name;
  std::uint64_t scale;
};

std::optional<std::uint64_t> scaled(const Quantity& quantity,
                                    std::span<const Unit> units) noexcept {
  for (const Unit& unit : units) {
    if (quantity.unit != unit.name) continue;
    if (quantity.number > UINT64_MAX / unit.scale) return std::nullopt;
    return quantity.number * unit.scale;
  }
  return std::nullopt;
}

struct Bounds {
  std::uint64_t least;
  std::uint64_t most;
};

// One table of the file: hands out its values and notes what is wrong with them.  A value that is
// missing or wrong comes back as nothing, and has been reported.
class TableReader {
 public:
  // `title` names the table in findings: "[[stage]]".  Every key outside `keys` is a finding.
  TableReader(const toml::table& table, std::string title, std::vector<std::string> keys,
              std::vector<Finding>& findings)
      : table_(table), title_(std::move(title)), findings_(findings) {
    for (const auto& [key, value] : table_) {
      if (std::find(keys.begin(), keys.end(), key.str()) != keys.end()) continue;
      report(static_cast<int>(key.source().begin.line), "unknown key in " + title_,
             quoted(key.str()), remedy_for(key.str(), keys));
    }
  }

  [[nodiscard]] int line() const noexcept { return line_of(table_); }
  [[nodiscard]] const std::string& title() const noexcept { return title_; }
  [[nodiscard]] const toml::node* find(std::string_view key) const { return table_.get(key); }
  [[nodiscard]] int line(std::string_view key) const {
    const toml::node* node = find(key);
    return node != nullptr ? line_of(*node) : line();
  }

  void report(int line, std::string wrong, std::string found, std::string remedy) {
    findings_.push_back({line, std::move(wrong), std::move(found), std::move(remedy)});
  }

  void report_type(const toml::node& node, std::string_view key, std::string remedy) {
    report(line_of(node), "wrong type for " + std::string(key), type_words(node),
           std::move(remedy));
  }

  // Reports the key as missing unless it is there.
  const toml::node* require(std::string_view key, const std::string& example) {
    const toml::node* node = find(key);
    if (node == nullptr) {
      report(line(), "missing key in " + title_, std::string(key), "add " + example);
    }
    return node;
  }

  std::optional<std::string> text(std::string_view key, const std::string& example) {
    const toml::node* node = require(key, example);
    if (node == nullptr) return std::nullopt;
    if (const auto* value = node->as_string()) return value->get();
    report_type(*node, key, "write a string, " + example);
    return std::nullopt;
  }

  // A name as segments, stages and links have it.
  std::string name(const std::string& example) {
    const auto value = text("name", example);
    if (!value) return "";
    if (!is_pipeline_name(*value)) {
      report(line("name"), "bad name", quoted(*value),
             "use 1 to 32 of A-Z a-z 0-9 _ -, a letter or digit first");
    }
    return *value;
  }

  template <typename Enum>
  void choice(std::string_view key, std::span<const Enum> values, Enum& result) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    std::vector<std::string> words;
    for (const Enum value : values) words.emplace_back(name_of(value));
    const auto* text = node->as_string();
    if (text == nullptr) return report_type(*node, key, "write one of " + comma_list(words));
    for (const Enum value : values) {
      if (text->get() != name_of(value)) continue;
      result = value;
      return;
    }
    report(line_of(*node), "unknown value for " + std::string(key), quoted(text->get()),
           remedy_for(text->get(), words));
  }

  // Leaves `result` alone when the key is absent.
  void count(std::string_view key, Bounds bounds, std::uint64_t& result) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto* value = node->as_integer();
    if (value == nullptr) return report_type(*node, key, "write an integer");
    const std::int64_t number = value->get();
    if (number < 0 || static_cast<std::uint64_t>(number) < bounds.least ||
        static_cast<std::uint64_t>(number) > bounds.most) {
      report(line_of(*node), std::string(key) + " out of range", std::to_string(number),
             "write " + std::to_string(bounds.least) + " to " + std::to_string(bounds.most));
      return;
    }
    result = static_cast<std::uint64_t>(number);
  }

  // An integer or a string with a unit; within bounds.
  std::optional<std::uint64_t> size(std::string_view key, Bounds bounds) {
    const toml::node* node = find(key);
    if (node == nullptr) return std::nullopt;
    std::optional<std::uint64_t> bytes;
    std::string shown;
    if (const auto* number = node->as_integer()) {
      shown = std::to_string(number->get());
      if (number->get() >= 0) bytes = static_cast<std::uint64_t>(number->get());
    } else if (const auto* text = node->as_string()) {
      shown = quoted(text->get());
      bytes = parse_size_bytes(text->get());
    } else {
      report_type(*node, key, "write bytes, or a string such as \"4MiB\"");
      return std::nullopt;
    }
    if (!bytes) {
      report(line_of(*node), "bad size for " + std::string(key), shown,
             "write bytes, or a string in KiB, MiB or GiB such as \"4MiB\"");
      return std::nullopt;
    }
    if (*bytes < bounds.least) {
      report(line_of(*node), std::string(key) + " too small", format_bytes(*bytes),
             "at least " + format_bytes(bounds.least));
      return std::nullopt;
    }
    if (*bytes > bounds.most) {
      report(line_of(*node), std::string(key) + " too large", format_bytes(*bytes),
             "at most " + format_bytes(bounds.most));
      return std::nullopt;
    }
    return bytes;
  }

 private:
  const toml::table& table_;
  std::string title_;
  std::vector<Finding>& findings_;
};

// The powers of two beside a size that is none; the size is below 2^63.
std::pair<std::uint64_t, std::uint64_t> powers_beside(std::uint64_t size) noexcept {
  std::uint64_t below = 1;
  while (below * 2 <= size) below *= 2;
  return {below, below * 2};
}

bool is_power_of_two(std::uint64_t size) noexcept {
  return size != 0 && (size & (size - 1)) == 0;
}

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
    for (const toml::table* table : tables(reader, "link", kMaxLinkCount)) read_link(*table);
    for (const toml::table* table : tables(reader, "oob", kMaxLinkCount)) read_oob(*table);
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

  PortPlan read_port(TableReader& reader, const std::string& key) {
    const std::string example = key + " = \"" + (key == "from" ? "ingest.out" : "demux.in") + "\"";
    PortPlan port;
    port.line = reader.line(key);
    if (const toml::node* node = reader.find(key); node != nullptr && node->is_array()) {
      reader.report(port.line,
                    "a link with several " + std::string(key == "from" ? "writers" : "readers"),
                    key + " is an array", "one end each: write a [[link]] for every pair");
      return port;
    }
    const auto text = reader.text(key, example);
    if (!text) return port;
    if (is_wire_end(*text)) {
      reader.report(port.line, "a lane from or to another machine", quoted(*text),
                    "commands are given on the machine where the stage is: write STAGE.PORT");
      return port;
    }
    const std::size_t dot = text->find('.');
    const std::string stage = text->substr(0, dot);
    if (dot != std::string::npos) port.port = text->substr(dot + 1);
    if (!is_pipeline_name(stage) || !is_pipeline_name(port.port)) {
      reader.report(port.line, "bad end of a link", quoted(*text), "write STAGE.PORT, " + example);
      return port;
    }
    const auto found = std::find(stage_names_.begin(), stage_names_.end(), stage);
    if (found == stage_names_.end()) {
      const auto meant = nearest_name(stage, stage_names_);
      reader.report(port.line, "unknown stage", quoted(stage) + " in " + quoted(*text),
                    meant ? "did you mean " + quoted(*meant) + "?"
                          : "the stages are " + comma_list(stage_names_));
      return port;
    }
    port.stage_index = static_cast<std::size_t>(found - stage_names_.begin());
    return port;
  }

  void read_link(const toml::table& table) {
    TableReader reader(table, "[[link]]",
                       {"name", "from", "to", "kind", "capacity", "slots", "slot_bytes", "pool",
                        "credit", "protection", "wire", "restart_limit"},
                       findings_);
    LinkPlan link;
    link.line = reader.line();
    link.name = reader.name("name = \"ts\"");
    read_ends(reader, link);
    const std::size_t findings_before = findings_.size();
    // The sizes tell the kind where the file does not say it.
    if (reader.find("slots") != nullptr && reader.find("capacity") == nullptr) {
      link.kind = LinkKind::kSlots;
    }
    reader.choice<LinkKind>("kind", kLinkKinds, link.kind);
    link.protection = plan_.protection;
    reader.choice<Protection>("protection", kProtections, link.protection);
    // Of a kind that is unknown nothing can be said about the sizes.
    if (findings_.size() == findings_before) {
      if (link.kind == LinkKind::kRecords) {
        read_records(reader, link);
      } else {
        read_slots(reader, link);
      }
      read_credit(reader, link);
    }
    // What the rings themselves ask beyond that.
    if (findings_.size() == findings_before) {
      if (const Status valid = validate_shape(shape_of(link)); !valid) {
        reader.report(link.line, "impossible link", valid.error().doing,
                      "found " + std::to_string(valid.error().found) + ", wanted " +
                          std::to_string(valid.error().wanted));
      }
    }
    const bool is_sound = findings_.size() == findings_before;
    plan_.links.push_back(std::move(link));
    if (plan_.links.back().wire) add_carrier(reader, is_sound);
  }

  static bool is_address(const TableReader& reader, const char* key) {
    const toml::node* node = reader.find(key);
    const auto* text = node != nullptr ? node->as_string() : nullptr;
    return text != nullptr && is_wire_end(text->get());
  }

  void read_ends(TableReader& reader, LinkPlan& link) {
    const bool comes = is_address(reader, "from");
    const bool leads = is_address(reader, "to");
    if (comes && leads) {
      reader.report(reader.line("to"), "a link between two other machines",
                    "from and to are both addresses",
                    "one of them is a stage of this file, STAGE.PORT");
      return;
    }
    if (!comes) link.from = read_port(reader, "from");
    if (!leads) link.to = read_port(reader, "to");
    if (!comes && !leads) {
      constexpr std::array kForeign = {"wire", "restart_limit"};
      refuse_keys(reader, kForeign, "key of a link to another machine on a link of this one",
                  "write an address for from or to, or remove it");
      return;
    }
    const char* key = leads ? "to" : "from";
    WirePlan wire;
    wire.line = reader.line(key);
    wire.sends = leads;
    wire.address = reader.find(key)->as_string()->get();
    reader.choice<WireCall>("wire", kWireCalls, wire.call);
    link.wire = std::move(wire);
  }

  // The runner's own stage at the other machine's end of the link that was read last.
  void add_carrier(TableReader& reader, bool is_sound) {
    std::uint64_t limit = StagePlan().restart_limit;
    reader.count("restart_limit", {0, kMaxRestartLimit}, limit);
    LinkPlan& link = plan_.links.back();
    if (const auto finding = check_wire_end(link, is_sound)) findings_.push_back(*finding);
    join_carrier(plan_, plan_.links.size() - 1, static_cast<std::uint32_t>(limit));
  }

  static void refuse_keys(TableReader& reader, std::span<const char* const> keys,
                          const std::string& what, const std::string& remedy) {
    for (const char* key : keys) {
      if (reader.find(key) == nullptr) continue;
      reader.report(reader.line(key), what, key, remedy);
    }
  }

  static void read_records(TableReader& reader, LinkPlan& link) {
    constexpr std::array kForeign = {"slots", "slot_bytes", "pool"};
    refuse_keys(reader, kForeign, "key of a slots link on a records link",
                "write kind = \"slots\", or remove it");
    if (reader.require("capacity", "capacity = \"4MiB\"") == nullptr) return;
    const auto bytes = reader.size("capacity", {kMinCapacityBytes, kMaxRegionBytes});
    if (!bytes) return;
    if (!is_power_of_two(*bytes)) {
      const auto [below, above] = powers_beside(*bytes);
      reader.report(reader.line("capacity"), "capacity is not a power of two", format_bytes(*bytes),
                    "take " + format_bytes(below) + " or " + format_bytes(above));
      return;
    }
    link.capacity_bytes = *bytes;
  }

  void read_slots(TableReader& reader, LinkPlan& link) {
    constexpr std::array kForeign = {"capacity"};
    refuse_keys(reader, kForeign, "key of a records link on a slots link",
                "a slots link has slots and slot_bytes instead");
    if (reader.require("slots", "slots = 64") != nullptr) {
      std::uint64_t count = 0;
      reader.count("slots", {2, kMaxLinkSlotCount}, count);
      if (count != 0 && !is_power_of_two(count)) {
        const auto [below, above] = powers_beside(count);
        reader.report(reader.line("slots"), "slots is not a power of two", std::to_string(count),
                      "take " + std::to_string(below) + " or " + std::to_string(above));
      } else {
        link.slot_count = count;
      }
    }
    if (reader.require("slot_bytes", "slot_bytes = 192") != nullptr) {
      link.slot_bytes =
          static_cast<std::uint32_t>(reader.size("slot_bytes", {1, kMaxSlotBytes}).value_or(0));
    }
    const std::uint64_t ring_bytes = slot_slots_bytes({link.slot_count, link.slot_bytes, 0});
    if (ring_bytes > kMaxRegionBytes) {
      reader.report(reader.line("slots"), "ring too large",
                    std::to_string(link.slot_count) + " slots of " + format_bytes(link.slot_bytes),
                    "at most " + format_bytes(kMaxRegionBytes) + " together");
    }
    read_pool(reader, link);
  }

  void read_pool(TableReader& link_reader, LinkPlan& link) {
    const toml::node* node = link_reader.find("pool");
    if (node == nullptr) return;
    const toml::table* table = node->as_table();
    if (table == nullptr) {
      return link_reader.report_type(*node, "pool",
                                     "write pool = { buffers = 40, buffer_bytes = \"4MiB\" }");
    }
    TableReader reader(*table, "pool", {"buffers", "buffer_bytes"}, findings_);
    PoolPlan pool;
    const bool has_count = reader.require("buffers", "buffers = 40") != nullptr;
    const bool has_bytes = reader.require("buffer_bytes", "buffer_bytes = \"4MiB\"") != nullptr;
    if (has_count) reader.count("buffers", {1, kMaxPoolBuffers}, pool.buffer_count);
    if (has_bytes) {
      pool.buffer_bytes =
          reader.size("buffer_bytes", {kPoolBufferGrainBytes, kMaxRegionBytes}).value_or(0);
    }
    if (pool.buffer_bytes % kPoolBufferGrainBytes != 0) {
      const std::uint64_t above =
          (pool.buffer_bytes / kPoolBufferGrainBytes + 1) * kPoolBufferGrainBytes;
      reader.report(reader.line("buffer_bytes"), "buffer_bytes is not a multiple of 64",
                    format_bytes(pool.buffer_bytes), "take " + format_bytes(above));
      pool.buffer_bytes = 0;
    }
    if (pool.buffer_bytes != 0 && pool.buffer_count > kMaxRegionBytes / pool.buffer_bytes) {
      reader.report(
          reader.line("buffers"), "pool too large",
          std::to_string(pool.buffer_count) + " buffers of " + format_bytes(pool.buffer_bytes),
          "at most " + format_bytes(kMaxRegionBytes) + " together");
    }
    link.pool = pool;
  }

  static void read_credit(TableReader& reader, LinkPlan& link) {
    reader.count("credit", {1, kMaxCreditCount}, link.credit_count);
    // A credit out of range is reported once, and not as a cycle without credit too.
    if (reader.find("credit") != nullptr && link.credit_count == 0) link.credit_count = 1;
    if (link.slot_count != 0 && link.credit_count > link.slot_count) {
      reader.report(reader.line("credit"), "credit beyond the slots",
                    std::to_string(link.credit_count) + " messages under way in " +
                        std::to_string(link.slot_count) + " slots",
                    "write at most " + std::to_string(link.slot_count));
    }
  }

  void read_oob(const toml::table& table) {
    TableReader reader(table, "[[oob]]", {"name", "to", "protection"}, findings_);
    OobPlan oob;
    oob.line = reader.line();
    oob.name = reader.name("name = \"channel\"");
    oob.to = read_port(reader, "to");
    oob.protection = plan_.protection;
    reader.choice<Protection>("protection", kProtections, oob.protection);
    plan_.oobs.push_back(std::move(oob));
  }

  static constexpr std::array kMemlockPolicies = {MemlockPolicy::kRequire, MemlockPolicy::kTry,
                                                  MemlockPolicy::kOff};
  static constexpr std::array kProtections = {Protection::kGuarded, Protection::kNamed};
  static constexpr std::array kSandboxes = {Sandbox::kOn, Sandbox::kOff};
  static constexpr std::array kWireCalls = {WireCall::kConnect, WireCall::kListen};
  static constexpr std::array kWaitPolicies = {WaitPolicy::kPoll, WaitPolicy::kAdaptive,
                                               WaitPolicy::kSleep};
  static constexpr std::array kRestartPolicies = {RestartPolicy::kOnFailure, RestartPolicy::kAlways,
                                                  RestartPolicy::kNever};
  static constexpr std::array kLinkKinds = {LinkKind::kRecords, LinkKind::kSlots};

  PipelinePlan& plan_;
  std::vector<Finding>& findings_;
  std::vector<std::string> stage_names_;
};

// The line whose text breaks the library's precondition.  The parser goes from front to back, so
// that a beginning of the text breaks it exactly when it holds that line.
int broken_line(std::string_view text) {
  std::vector<std::size_t> ends;  // of the lines
  for (std::size_t end = text.find('\n'); end != std::string_view::npos;
       end = text.find('\n', end + 1)) {
    ends.push_back(end + 1);
  }
  ends.push_back(text.size());
  const auto holds_it = [&](std::size_t end) {
    try {
      static_cast<void>(toml::parse(text.substr(0, end)));
    } catch (const toml::parse_error&) {
      return false;
    } catch (const BrokenPrecondition&) {
      return true;
    }
    return false;
  };
  const auto first = std::partition_point(ends.begin(), ends.end() - 1,
                                          [&](std::size_t end) { return !holds_it(end); });
  return static_cast<int>(first - ends.begin()) + 1;
}

std::optional<Finding> parse_toml(std::string_view text, toml::table& root) {
  try {
    root = toml::parse(text);
    return std::nullopt;
  } catch (const toml::parse_error& error) {
    const auto where = error.source().begin;
    return Finding{static_cast<int>(where.line), "not valid TOML", std::string(error.description()),
                   "look at column " + std::to_string(where.column)};
  } catch (const BrokenPrecondition&) {
    return Finding{broken_line(text), "not valid TOML", "this line cannot be read",
                   "look at its brackets"};
  }
}

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

std::optional<std::uint64_t> parse_size_bytes(std::string_view text) noexcept {
  constexpr Unit kUnits[] = {{"", 1},
                             {"B", 1},
                             {"KiB", std::uint64_t{1} << 10},
                             {"MiB", std::uint64_t{1} << 20},
                             {"GiB", std::uint64_t{1} << 30}};
  const auto quantity = parse_quantity(text);
  return quantity ? scaled(*quantity, kUnits) : std::nullopt;
}

std::optional<std::uint64_t> parse_duration_ns(std::string_view text) noexcept {
  constexpr Unit kUnits[] = {{"ns", 1},
                             {"us", 1'000},
                             {"ms", 1'000'000},
                             {"s", 1'000'000'000},
                             {"min", 60'000'000'000},
                             {"h", 3'600'000'000'000}};
  const auto quantity = parse_quantity(text);
  return quantity ? scaled(*quantity, kUnits) : std::nullopt;
}

}  // namespace slipring
