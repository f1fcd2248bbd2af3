// A sink for fuzzing: holds what calls it to demux_sink.h, and reads every byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "core/error/check.h"
#include "pipelines/settop/transport/demux_sink.h"

namespace slipring::settop::testing {

// Holds the demultiplexer to demux_sink.h.
class WatchingSink : public DemuxSink {
 public:
  void program_selected(const ProgramSelection& selection) override {
    check(!selection.video_changed || !open(StreamKind::kVideo), "changed inside a PES packet");
    check(!selection.audio_changed || !open(StreamKind::kAudio), "changed inside a PES packet");
  }
  void pes_begin(const PesStart& start) override {
    check(!open(start.kind), "begin inside a PES packet");
    check(start.codec != Codec::kUnknown, "a stream that nobody can decode");
    open(start.kind) = true;
  }
  void pes_payload(StreamKind kind, std::span<const std::byte> bytes) override {
    check(open(kind), "payload outside a PES packet");
    check(!bytes.empty() && bytes.size() <= 184, "payload of no packet");
    check(lies_in(bytes, chunk) || lies_in(bytes, object), "payload from elsewhere");
    for (const std::byte byte : bytes) sum = sum + std::to_integer<unsigned>(byte);
  }
  void pes_end(StreamKind kind, PesEnd /*end*/) override {
    check(open(kind), "end outside a PES packet");
    open(kind) = false;
  }
  void clock_reference(std::int64_t /*clock_27mhz*/, bool /*discontinuity*/) override {}

  bool& open(StreamKind kind) { return kind == StreamKind::kVideo ? video_open : audio_open; }

  std::span<const std::byte> chunk;
  std::span<const std::byte> object;
  volatile unsigned sum = 0;  // so that every byte is read
  bool video_open = false;
  bool audio_open = false;

 private:
  static bool lies_in(std::span<const std::byte> bytes, std::span<const std::byte> region) {
    const std::less_equal<> not_after;
    return not_after(region.data(), bytes.data()) &&
           not_after(bytes.data() + bytes.size(), region.data() + region.size());
  }
};

}  // namespace slipring::settop::testing
