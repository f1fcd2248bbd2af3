#include "tools/serve/metrics.h"

#include <array>
#include <cstdio>
#include <functional>
#include <utility>
#include <vector>

#include "core/segment/segment_layout.h"
#include "tools/cli/version.h"

namespace slipring::tools {
namespace {

struct Label {
  const char* name;
  std::string_view value;
};

// All samples of a family stand together, behind its HELP and TYPE; a family without samples is
// left out.
class Family {
 public:
  Family(std::string& text, const char* name, const char* type, const char* help)
      : text_(text), name_(name) {
    head_ = std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  }

  void add(std::initializer_list<Label> labels, const std::string& value) {
    text_ += std::exchange(head_, "");
    text_ += name_;
    const char* separator = "{";
    for (const Label& label : labels) {
      text_ += separator;
      text_ += std::string(label.name) + "=\"" + escaped_label(label.value) + "\"";
      separator = ",";
    }
    text_ += (labels.size() != 0 ? "} " : " ") + value + "\n";
  }
  void add(std::initializer_list<Label> labels, std::uint64_t value) {
    add(labels, std::to_string(value));
  }

 private:
  std::string& text_;
  const char* name_;
  std::string head_;
};

std::string seconds(std::uint64_t duration_ns) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%llu.%09llu",
                static_cast<unsigned long long>(duration_ns / 1'000'000'000),
                static_cast<unsigned long long>(duration_ns % 1'000'000'000));
  return text.data();
}

void add_end_counters(std::string& text, const Sample& sample) {
  struct Counter {
    const char* name;
    std::uint64_t EndReport::*value;
    const char* help;
  };
  constexpr std::array<Counter, 8> kCounters = {{
      {"slipring_link_messages_total", &EndReport::message_count,
       "Messages published (writer) or finished (reader), over all incarnations."},
      {"slipring_link_payload_bytes_total", &EndReport::payload_bytes, "Bytes of these messages."},
      {"slipring_link_blocked_total", &EndReport::blocked_count,
       "Times the end found the ring full (writer) or empty (reader)."},
      {"slipring_link_sleeps_total", &EndReport::sleep_count, "Times the end went to sleep."},
      {"slipring_link_aborts_total", &EndReport::abort_count,
       "Aborts (writer), and aborted messages that were dropped (reader)."},
      {"slipring_link_redelivered_total", &EndReport::redelivered_count,
       "Messages that a dead predecessor had taken and not finished."},
      {"slipring_link_recovered_buffers_total", &EndReport::recovered_count,
       "Pool buffers taken back from dead predecessors."},
      {"slipring_link_corrupt_total", &EndReport::corrupt_count,
       "Impossible values that the end met in the other end's memory."},
  }};
  for (const Counter& counter : kCounters) {
    Family family(text, counter.name, "counter", counter.help);
    for (const LinkSample& link : sample.links) {
      family.add({{"link", link.name}, {"end", "writer"}}, link.report.writer.*counter.value);
      family.add({{"link", link.name}, {"end", "reader"}}, link.report.reader.*counter.value);
    }
  }
}

using EndValue = std::function<std::uint64_t(const EndReport&)>;

void add_end_values(std::string& text, const Sample& sample, const char* name, const char* type,
                    const char* help, const EndValue& value) {
  Family family(text, name, type, help);
  for (const LinkSample& link : sample.links) {
    family.add({{"link", link.name}, {"end", "writer"}}, value(link.report.writer));
    family.add({{"link", link.name}, {"end", "reader"}}, value(link.report.reader));
  }
}

void add_end_states(std::string& text, const Sample& sample) {
  {
    Family family(text, "slipring_link_end_state", "gauge",
                  "1 for the state that the end is in, certified by the kernel.");
    for (const LinkSample& link : sample.links) {
      for (const auto& [role, end] :
           {std::pair<const char*, const EndReport*>{"writer", &link.report.writer},
            {"reader", &link.report.reader}}) {
        for (const Presence state :
             {Presence::kHeld, Presence::kGone, Presence::kNever, Presence::kClosed}) {
          family.add({{"link", link.name}, {"end", role}, {"state", name_of(state)}},
                     std::uint64_t{presence_of(*end) == state});
        }
      }
    }
  }
  add_end_values(text, sample, "slipring_link_end_incarnations_total", "counter",
                 "Processes that have held the end so far.",
                 [](const EndReport& end) { return end.incarnation; });
  add_end_values(text, sample, "slipring_link_end_asleep", "gauge", "1 while the end sleeps.",
                 [](const EndReport& end) { return std::uint64_t{end.is_asleep}; });
  add_end_values(text, sample, "slipring_link_end_memory_locked", "gauge",
                 "1 if the end's memory is locked down.",
                 [](const EndReport& end) { return std::uint64_t{end.is_locked}; });
  Family family(text, "slipring_link_end_protection_info", "gauge",
                "How the end's memory is kept from everybody else, as a label.");
  for (const LinkSample& link : sample.links) {
    family.add({{"link", link.name},
                {"end", "writer"},
                {"level", slipring::name_of(link.report.writer.protection)}},
               1);
    family.add({{"link", link.name},
                {"end", "reader"},
                {"level", slipring::name_of(link.report.reader.protection)}},
               1);
  }
}

void add_links(std::string& text, const Sample& sample) {
  {
    Family family(text, "slipring_link_info", "gauge", "What kind of link it is, as labels.");
    for (const LinkSample& link : sample.links) {
      family.add({{"link", link.name},
                  {"kind", slipring::name_of(link.report.shape.kind)},
                  {"unit", is_counted_in_bytes(link.report.shape) ? "bytes" : "slots"},
                  {"guarded", link.report.is_guarded ? "1" : "0"}},
                 1);
    }
  }
  struct Gauge {
    const char* name;
    std::uint64_t LinkReport::*value;
    const char* help;
  };
  constexpr std::array<Gauge, 3> kGauges = {{
      {"slipring_link_depth", &LinkReport::fill,
       "Published and not finished: bytes of records and streams, else slots."},
      {"slipring_link_capacity", &LinkReport::capacity, "What the ring holds, in the same unit."},
      {"slipring_link_memory_bytes", &LinkReport::total_bytes, "Memory of the whole link."},
  }};
  for (const Gauge& gauge : kGauges) {
    Family family(text, gauge.name, "gauge", gauge.help);
    for (const LinkSample& link : sample.links) {
      family.add({{"link", link.name}}, link.report.*gauge.value);
    }
  }
  Family buffers(text, "slipring_link_pool_buffers", "gauge", "Buffers of the link's pool.");
  for (const LinkSample& link : sample.links) {
    const std::uint64_t count = link.report.shape.pool_buffer_count;
    if (count != 0) buffers.add({{"link", link.name}}, count);
  }
  Family lent(text, "slipring_link_pool_buffers_lent", "gauge", "Of these, on their way or read.");
  for (const LinkSample& link : sample.links) {
    if (link.report.shape.pool_buffer_count == 0) continue;
    lent.add({{"link", link.name}}, std::uint64_t{link.report.pool_lent_count});
  }
}

void add_boards(std::string& text, const Sample& sample, BoardKind kind, const char* name,
                const char* type, const char* help) {
  Family family(text, name, type, help);
  for (const BoardSample& board : sample.boards) {
    for (const BoardObserver::Entry& entry : board.entries) {
      if (entry.kind != kind || is_private_entry(entry.name)) continue;
      family.add({{"board", board.name}, {"name", entry.name}}, entry.value);
    }
  }
}

void add_processes(std::string& text, const Sample& sample) {
  Family cpu(text, "slipring_process_cpu_seconds_total", "counter",
             "Processor time of a process that holds an end or a board.");
  for (const ProcessSample& process : sample.processes) {
    const std::string pid = std::to_string(process.process_id);
    cpu.add({{"process", process.name}, {"pid", pid}}, seconds(process.usage.cpu_time_ns));
  }
  Family resident(text, "slipring_process_resident_memory_bytes", "gauge", "Its resident memory.");
  for (const ProcessSample& process : sample.processes) {
    const std::string pid = std::to_string(process.process_id);
    resident.add({{"process", process.name}, {"pid", pid}}, process.usage.resident_bytes);
  }
}

void add_server(std::string& text, const ServerCounts& counts) {
  struct One {
    const char* name;
    const char* type;
    std::uint64_t value;
    const char* help;
  };
  const std::array<One, 5> all = {{
      {"slipring_http_connections", "gauge", counts.connections, "Connections that are open."},
      {"slipring_http_requests_total", "counter", counts.requests, "Requests that were read."},
      {"slipring_http_delivered_total", "counter", counts.delivered,
       "Messages that their takers confirmed."},
      {"slipring_http_returned_total", "counter", counts.returned,
       "Messages whose takers vanished, and that are delivered again."},
      {"slipring_http_evicted_total", "counter", counts.evicted,
       "Silent connections that made room for others."},
  }};
  for (const One& one : all) Family(text, one.name, one.type, one.help).add({}, one.value);
}

}  // namespace

std::string escaped_label(std::string_view text) {
  std::string out;
  for (const char letter : text) {
    if (letter == '\\' || letter == '"') out += '\\';
    if (letter == '\n') {
      out += "\\n";
    } else {
      out += letter;
    }
  }
  return out;
}

std::string metrics_text(const Sample& sample, const ServerCounts& counts) {
  std::string text;
  {
    Family family(text, "slipring_build_info", "gauge", "Which slipring this is, as labels.");
    const std::string layout = std::to_string(kSegmentVersion);
    family.add({{"version", kProgramVersion}, {"layout_version", layout}}, 1);
  }
  add_links(text, sample);
  add_end_counters(text, sample);
  add_end_states(text, sample);
  {
    Family family(text, "slipring_segment_unsound", "gauge",
                  "Segments that cannot be looked into, and why.");
    for (const SegmentFacts& facts : sample.unsound) {
      family.add({{"segment", facts.name}, {"condition", name_of(facts.condition)}}, 1);
    }
  }
  add_boards(text, sample, BoardKind::kCounter, "slipring_stage_counter_total", "counter",
             "A stage's own counters.");
  add_boards(text, sample, BoardKind::kGauge, "slipring_stage_gauge", "gauge",
             "A stage's own gauges.");
  add_processes(text, sample);
  add_server(text, counts);
  return text;
}

}  // namespace slipring::tools
