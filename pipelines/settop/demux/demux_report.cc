#include "pipelines/settop/demux/demux_report.h"

#include <cstring>
#include <string_view>

#include "platform/wait/clock.h"

namespace slipring::settop {
namespace {

inline constexpr std::uint64_t kUpdateIntervalNs = 50'000'000;
inline constexpr std::uint64_t kTellIntervalNs = 1'000'000'000;

// Whether a person wants to hear of it when it grows.
[[nodiscard]] bool is_trouble(std::string_view name) {
  static constexpr std::string_view kTrouble[] = {
      "skipped_bytes",           "truncated_bytes",         "sync_losses",
      "sync_byte_error_packets", "transport_error_packets", "malformed_packets",
      "scrambled_packets",       "duplicate_packets",       "continuity_errors_tables",
      "continuity_errors_video", "continuity_errors_audio", "adaptation_errors",
      "section_crc_errors",      "section_errors",          "programs_refused",
      "streams_refused",         "unsupported_streams",     "selections_lost"};
  for (const std::string_view word : kTrouble) {
    if (name == word) return true;
  }
  return name.find("damaged") != std::string_view::npos ||
         name.find("error") != std::string_view::npos ||
         name.find("malformed") != std::string_view::npos;
}

}  // namespace

DemuxReport::DemuxReport(Stage& stage)
    : stage_(stage), program_(stage.gauge("program_number")), state_(stage.gauge("is_selected")) {
  DemuxCounters{}.for_each([&](const char* name, std::uint64_t) {
    Entry entry{stage.counter(name), name, is_trouble(name)};
    entry.base = entry.number.get();
    entries_.push_back(entry);
  });
  // What a predecessor had selected is not selected yet.
  state_.set(0);
  program_.set(0);
  told_ns_ = monotonic_ns();
}

void DemuxReport::update(const Demultiplexer& demultiplexer, bool now) {
  const std::uint64_t time_ns = monotonic_ns();
  if (!now && time_ns - updated_ns_ < kUpdateIntervalNs) return;
  updated_ns_ = time_ns;
  std::size_t index = 0;
  demultiplexer.counters().for_each([&](const char*, std::uint64_t value) {
    Entry& entry = entries_[index++];
    entry.number.set(entry.base + value);
  });
  const bool selected = demultiplexer.selection_state() == SelectionState::kSelected;
  state_.set(selected ? 1 : 0);
  program_.set(selected ? demultiplexer.selection().program_number : 0);
  if (!now && time_ns - told_ns_ < kTellIntervalNs) return;
  told_ns_ = time_ns;
  tell(demultiplexer);
}

void DemuxReport::tell(const Demultiplexer& demultiplexer) {
  std::string line;
  std::size_t index = 0;
  demultiplexer.counters().for_each([&](const char* name, std::uint64_t value) {
    Entry& entry = entries_[index++];
    if (!entry.is_trouble || value == entry.reported) return;
    line += line.empty() ? "" : ", ";
    line += name;
    line += " +" + std::to_string(value - entry.reported);
    entry.reported = value;
  });
  if (!line.empty()) stage_.log(Severity::kWarning, "%s", line.c_str());
  const SelectionState state = demultiplexer.selection_state();
  if (state != told_state_ && demultiplexer.counters().bytes != 0) {
    told_state_ = state;
    if (state != SelectionState::kSelected) {
      stage_.log(Severity::kWarning, "no programme to show: %s", name_of(state));
    }
  }
}

}  // namespace slipring::settop
