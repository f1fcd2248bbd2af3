// Damages a sound multiplex in thousands of seeded ways.  Whatever happens: nothing crashes, every
// packet and byte is accounted for, what is called whole is what was sent, and behind the damage
// everything comes out as if nothing had been.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "pipelines/settop/transport/demultiplexer.h"
#include "tests/pipelines/settop/transport/recording_sink.h"
#include "tests/pipelines/settop/transport/sample_stream.h"

namespace slipring::settop {
namespace {

using testing::Bytes;
using testing::Demuxed;
using testing::RecordedPes;
using testing::sample_payload;

constexpr std::size_t kPictureCount = 48;
constexpr std::size_t kTailPictures = 12;  // behind the damage, and behind the tables after it
constexpr std::int64_t kFirstDts = 900'000;

using Packets = std::vector<Bytes>;

class Mutator {
 public:
  explicit Mutator(std::uint32_t seed) : random_(seed) {}

  std::size_t below(std::size_t bound) { return random_() % bound; }

  // Faults that lose, repeat and move whole packets: all of them detectable.
  void lose_or_move(Packets& packets, std::size_t damage_end) {
    const std::size_t place = below(damage_end);
    const auto at = packets.begin() + static_cast<std::ptrdiff_t>(place);
    switch (below(5)) {
      case 0:
        packets.erase(at, at + static_cast<std::ptrdiff_t>(1 + below(10)));
        break;
      case 1:
        packets.insert(at, Bytes(*at));
        break;
      case 2:
        std::swap(packets[place], packets[place + 1 + below(4)]);
        break;
      case 3:
        packets[place][0] = static_cast<std::byte>(below(256));
        break;
      default:
        packets[place][1] |= std::byte{0x80};
        break;
    }
  }

  // Faults inside packets, and of a packet's length, which nothing in the stream need give away.
  void corrupt(Packets& packets, std::size_t damage_end) {
    Bytes& packet = packets[below(damage_end)];
    if (packet.empty()) return;
    switch (below(4)) {
      case 0:
        packet[below(packet.size())] ^= static_cast<std::byte>(1U << below(8));
        break;
      case 1:
        for (auto& byte : packet) byte = static_cast<std::byte>(below(256));
        break;
      case 2:
        packet.resize(below(packet.size()));
        break;
      default:
        testing::append(packet,
                        testing::pattern(1 + below(4000), static_cast<std::uint32_t>(random_())));
        break;
    }
  }

 private:
  std::mt19937 random_;
};

Packets split(const Bytes& bytes) {
  Packets packets;
  for (std::size_t offset = 0; offset < bytes.size(); offset += kPacketBytes) {
    const auto packet = std::span(bytes).subspan(offset, kPacketBytes);
    packets.emplace_back(packet.begin(), packet.end());
  }
  return packets;
}

void check_account(Demuxed& demuxed) {
  const DemuxCounters& c = demuxed.counters();
  REQUIRE(c.packets == sum_of_fates(c));
  REQUIRE(c.bytes ==
          c.packets * kPacketBytes + c.trailer_bytes + c.skipped_bytes + c.truncated_bytes);
  REQUIRE(demuxed.sink.broken_promises == 0);
  REQUIRE_FALSE(demuxed.sink.open(StreamKind::kVideo));
  REQUIRE_FALSE(demuxed.sink.open(StreamKind::kAudio));
  std::uint64_t broken = 0;
  for (const auto* list : {&demuxed.sink.video, &demuxed.sink.audio}) {
    for (const RecordedPes& pes : *list) broken += pes.end == PesEnd::kBroken ? 1 : 0;
  }
  REQUIRE(broken == c.pes_broken);
  REQUIRE(demuxed.sink.video.size() == c.pes_video);
  REQUIRE(demuxed.sink.audio.size() == c.pes_audio);
}

void check_tail(const std::vector<RecordedPes>& list, std::uint16_t pid) {
  REQUIRE(list.size() >= kTailPictures);
  for (std::size_t i = 1; i <= kTailPictures; ++i) {
    const RecordedPes& pes = list[list.size() - i];
    REQUIRE(pes.end == PesEnd::kWhole);
    REQUIRE(pes.payload == sample_payload(pid, kPictureCount - i));
  }
}

// Each PES packet that is called whole is one of those sent, byte for byte.
void check_whole(const std::vector<RecordedPes>& list, std::uint16_t pid) {
  for (const RecordedPes& pes : list) {
    if (pes.end != PesEnd::kWhole) continue;
    const std::int64_t picture = (pes.start.dts - kFirstDts) / 3600;
    REQUIRE(picture >= 0);
    REQUIRE(pes.payload == sample_payload(pid, static_cast<std::size_t>(picture)));
  }
}

void run_round(const Packets& clean, std::uint32_t seed, bool corrupting) {
  CAPTURE(seed);
  Mutator mutator(seed);
  Packets packets = clean;
  const std::size_t damage_end = clean.size() / 2;
  for (std::size_t faults = 1 + mutator.below(6); faults > 0; --faults) {
    if (corrupting) {
      mutator.corrupt(packets, damage_end);
    } else {
      mutator.lose_or_move(packets, damage_end);
    }
  }
  Bytes bytes;
  for (const Bytes& packet : packets) testing::append(bytes, packet);

  Demuxed demuxed;
  const std::size_t most = 1 + mutator.below(3000);
  for (std::size_t offset = 0; offset < bytes.size();) {
    const std::size_t count = std::min(bytes.size() - offset, 1 + mutator.below(most));
    demuxed.push(std::span(bytes).subspan(offset, count));
    offset += count;
  }
  demuxed.demux->flush(demuxed.sink);
  check_account(demuxed);
  const std::uint16_t map = testing::kSampleFirstMap;
  check_tail(demuxed.sink.video, testing::sample_video(map));
  check_tail(demuxed.sink.audio, testing::sample_audio(map));
  if (corrupting) return;
  check_whole(demuxed.sink.video, testing::sample_video(map));
  check_whole(demuxed.sink.audio, testing::sample_audio(map));
}

Packets clean_packets() {
  return split(testing::sample_stream({.picture_count = kPictureCount}));
}

TEST_CASE("mutation: lost, repeated, exchanged and marked packets never pass as whole") {
  const Packets clean = clean_packets();
  for (std::uint32_t seed = 1; seed <= 1500; ++seed) run_round(clean, seed, false);
}

TEST_CASE("mutation: corrupted, cut and overlong packets harm nothing behind them") {
  const Packets clean = clean_packets();
  for (std::uint32_t seed = 1; seed <= 1500; ++seed) run_round(clean, 0x8000'0000U + seed, true);
}

TEST_CASE("mutation: a stream cut off anywhere is accounted for to the byte") {
  const Bytes bytes = testing::sample_stream({.picture_count = 3});
  for (std::size_t count = 0; count <= bytes.size(); count += 7) {
    Demuxed demuxed;
    demuxed.push_all(std::span(bytes).first(count));
    check_account(demuxed);
    CHECK(demuxed.counters().bytes == count);
  }
}

}  // namespace
}  // namespace slipring::settop
