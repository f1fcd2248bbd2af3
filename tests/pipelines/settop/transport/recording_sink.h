// A sink that keeps all it is told, and watches over the promises of demux_sink.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "pipelines/settop/transport/demultiplexer.h"

namespace slipring::settop::testing {

struct RecordedPes {
  PesStart start;
  std::vector<std::byte> payload;
  PesEnd end = PesEnd::kWhole;
  bool ended = false;
};

struct RecordedClock {
  std::int64_t clock_27mhz = 0;
  bool discontinuity = false;
};

class RecordingSink : public DemuxSink {
 public:
  void program_selected(const ProgramSelection& selection) override {
    if (open(StreamKind::kVideo) && selection.video_changed) ++broken_promises;
    if (open(StreamKind::kAudio) && selection.audio_changed) ++broken_promises;
    selections.push_back(selection);
  }

  void pes_begin(const PesStart& start) override {
    if (open(start.kind)) ++broken_promises;
    list(start.kind).push_back({.start = start, .payload = {}});
  }

  void pes_payload(StreamKind kind, std::span<const std::byte> bytes) override {
    if (!open(kind) || bytes.empty() || bytes.size() > 184) {
      ++broken_promises;
      return;
    }
    if (inside && !inside(bytes)) ++broken_promises;
    auto& payload = list(kind).back().payload;
    payload.insert(payload.end(), bytes.begin(), bytes.end());
  }

  void pes_end(StreamKind kind, PesEnd end) override {
    if (!open(kind)) {
      ++broken_promises;
      return;
    }
    list(kind).back().end = end;
    list(kind).back().ended = true;
  }

  void clock_reference(std::int64_t clock_27mhz, bool discontinuity) override {
    clocks.push_back({clock_27mhz, discontinuity});
  }

  [[nodiscard]] std::vector<RecordedPes>& list(StreamKind kind) {
    return kind == StreamKind::kVideo ? video : audio;
  }
  [[nodiscard]] bool open(StreamKind kind) {
    return !list(kind).empty() && !list(kind).back().ended;
  }

  [[nodiscard]] static std::vector<std::byte> joined(const std::vector<RecordedPes>& list) {
    std::vector<std::byte> all;
    for (const auto& pes : list) all.insert(all.end(), pes.payload.begin(), pes.payload.end());
    return all;
  }

  std::vector<RecordedPes> video;
  std::vector<RecordedPes> audio;
  std::vector<ProgramSelection> selections;
  std::vector<RecordedClock> clocks;
  int broken_promises = 0;
  // Whether a payload may lie there; not asked when empty.
  std::function<bool(std::span<const std::byte>)> inside;
};

// A demultiplexer with a sink, off the stack for its size.
struct Demuxed {
  explicit Demuxed(const DemuxOptions& options = {})
      : demux(std::make_unique<Demultiplexer>(options)) {}

  void push(std::span<const std::byte> bytes) { demux->push(bytes, sink); }
  void push_all(std::span<const std::byte> bytes) {
    push(bytes);
    demux->flush(sink);
  }
  [[nodiscard]] const DemuxCounters& counters() const { return demux->counters(); }

  std::unique_ptr<Demultiplexer> demux;
  RecordingSink sink;
};

}  // namespace slipring::settop::testing
