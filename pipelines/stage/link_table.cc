#include "pipelines/stage/link_table.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "core/pool/buffer_pool.h"
#include "core/ring/slot_ring.h"
#include "pipelines/link/link_layout.h"
#include "pipelines/stage/quantity.h"
#include "pipelines/stage/table_reader.h"
#include "pipelines/stage/wire_end.h"

namespace slipring {
namespace {

constexpr std::uint64_t kMaxLinkSlotCount = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxCreditCount = std::uint64_t{1} << 20;

// The powers of two beside a size that is none; the size is below 2^63.
std::pair<std::uint64_t, std::uint64_t> powers_beside(std::uint64_t size) noexcept {
  std::uint64_t below = 1;
  while (below * 2 <= size) below *= 2;
  return {below, below * 2};
}

bool is_power_of_two(std::uint64_t size) noexcept {
  return size != 0 && (size & (size - 1)) == 0;
}

class LinkTable {
 public:
  LinkTable(const std::vector<std::string>& stage_names, PipelinePlan& plan,
            std::vector<Finding>& findings)
      : stage_names_(stage_names), plan_(plan), findings_(findings) {}

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

 private:
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

  static constexpr std::array kProtections = {Protection::kGuarded, Protection::kNamed};
  static constexpr std::array kWireCalls = {WireCall::kConnect, WireCall::kListen};
  static constexpr std::array kLinkKinds = {LinkKind::kRecords, LinkKind::kSlots};

  const std::vector<std::string>& stage_names_;
  PipelinePlan& plan_;
  std::vector<Finding>& findings_;
};

}  // namespace

void read_link(const toml::table& table, const std::vector<std::string>& stage_names,
               PipelinePlan& plan, std::vector<Finding>& findings) {
  LinkTable(stage_names, plan, findings).read_link(table);
}

void read_oob(const toml::table& table, const std::vector<std::string>& stage_names,
              PipelinePlan& plan, std::vector<Finding>& findings) {
  LinkTable(stage_names, plan, findings).read_oob(table);
}

}  // namespace slipring
