// A whole small multiplex: two programmes with a video and an audio stream each, B-frame order, a
// clock on its own PID, null packets, tables repeated.  Every payload says where it belongs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/pipelines/settop/transport/stream_builder.h"

namespace slipring::settop::testing {

inline constexpr std::uint16_t kSampleFirst = 11;  // programme numbers
inline constexpr std::uint16_t kSampleSecond = 22;
inline constexpr std::uint16_t kSampleFirstMap = 0x100;
inline constexpr std::uint16_t kSampleSecondMap = 0x200;
inline constexpr std::uint16_t kSampleClock = 0x1f0;  // of the first programme; the second has its
                                                      // clock on its video
// Of a programme whose map is on `map_pid`.
constexpr std::uint16_t sample_video(std::uint16_t map_pid) {
  return static_cast<std::uint16_t>(map_pid + 1);
}
constexpr std::uint16_t sample_audio(std::uint16_t map_pid) {
  return static_cast<std::uint16_t>(map_pid + 2);
}

inline void add_sample_tables(StreamBuilder& builder, std::uint8_t version = 0) {
  builder.add_sections(
      kPatPid,
      {make_pat({{0, 0x10}, {kSampleFirst, kSampleFirstMap}, {kSampleSecond, kSampleSecondMap}},
                {.version = version})});
  builder.add_sections(
      kSampleFirstMap,
      {make_pmt(kSampleFirst, kSampleClock,
                {{0x1b, sample_video(kSampleFirstMap)}, {0x0f, sample_audio(kSampleFirstMap)}},
                {.version = version})});
  builder.add_sections(
      kSampleSecondMap,
      {make_pmt(kSampleSecond, sample_video(kSampleSecondMap),
                {{0x02, sample_video(kSampleSecondMap)}, {0x03, sample_audio(kSampleSecondMap)}},
                {.version = version})});
}

// The payload of picture `number` of a stream.
inline Bytes sample_payload(std::uint16_t pid, std::size_t number) {
  const auto seed = static_cast<std::uint32_t>(pid * 100'000U + number);
  return pattern(40 + seed * 7 % 700, seed);
}

struct SampleSpec {
  std::size_t picture_count = 20;
  std::uint64_t first_dts = 900'000;
  std::size_t table_interval = 5;  // pictures
};

// Each picture in 25 Hz order: tables now and then, clock, video (unbounded), audio (bounded).
inline void add_sample_pictures(StreamBuilder& builder, const SampleSpec& spec = {}) {
  constexpr std::uint64_t kStampMask = (std::uint64_t{1} << 33) - 1;
  for (std::size_t i = 0; i < spec.picture_count; ++i) {
    if (i % spec.table_interval == 0) add_sample_tables(builder);
    const std::uint64_t dts = spec.first_dts + i * 3600;
    const std::uint64_t clock = ((dts - 20'000) & kStampMask) * 300 + i;
    builder.add_without_payload({.pid = kSampleClock, .clock_27mhz = clock});
    for (const std::uint16_t map_pid : {kSampleFirstMap, kSampleSecondMap}) {
      const std::uint16_t video = sample_video(map_pid);
      const std::uint16_t audio = sample_audio(map_pid);
      const std::uint64_t pts = dts + 3600 * (i % 3 == 0 ? 3 : 1);
      PacketSpec first{.pid = video, .random_access = i % 10 == 0};
      if (map_pid == kSampleSecondMap) first.clock_27mhz = clock;
      builder.add_pes(first, make_pes({.pts = pts & kStampMask, .dts = dts & kStampMask},
                                      sample_payload(video, i)));
      builder.add_pes({.pid = audio},
                      make_pes({.stream_id = 0xc0, .pts = dts & kStampMask, .bounded = true},
                               sample_payload(audio, i)));
    }
    builder.add_null(static_cast<std::uint8_t>(i * 5 & 0xf));
  }
}

inline Bytes sample_stream(const SampleSpec& spec = {}) {
  StreamBuilder builder;
  add_sample_pictures(builder, spec);
  return builder.take();
}

}  // namespace slipring::settop::testing
