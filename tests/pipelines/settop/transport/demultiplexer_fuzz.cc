// Arbitrary input to the demultiplexer, for libFuzzer and for the replay test.
//
// Byte 0 chooses how the rest is read, byte 1 seeds where it is cut and what is commanded between:
//   1  a sync byte is put before every 187 bytes
//   2  sections that lie in one packet get a right CRC
//   4  a sound stream goes before, so that the PIDs in use are known
//   8  the rest is triplets (place, place, value) that are XORed into a sound stream
// Every chunk is a heap block of its own, so that the address sanitizer sees a byte too many.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/error/check.h"
#include "pipelines/settop/transport/crc32.h"
#include "pipelines/settop/transport/demultiplexer.h"
#include "tests/pipelines/settop/transport/sample_stream.h"
#include "tests/pipelines/settop/transport/watching_sink.h"

namespace slipring::settop {
namespace {

using testing::Bytes;
using testing::WatchingSink;

// A right CRC for a section that starts behind a zero pointer and ends in the packet.
void repair_crc(std::span<std::byte> packet) {
  PacketView view;
  if (parse_packet(std::span<const std::byte>(packet).first<kPacketBytes>(), view) !=
          PacketParse::kOk ||
      !view.unit_start || view.payload.size() < 16 || view.payload[0] != std::byte{0}) {
    return;
  }
  const std::size_t start = kPacketBytes - view.payload.size() + 1;
  const std::size_t count = 3 + (load_u16(packet, start + 1) & 0x0fff);
  if (count < 12 || start + count > kPacketBytes) return;
  const std::uint32_t crc = crc32_mpeg(packet.subspan(start, count - 4));
  for (std::size_t i = 0; i < 4; ++i) {
    packet[start + count - 4 + i] = static_cast<std::byte>(crc >> (24 - 8 * i) & 0xff);
  }
}

const Bytes& sound_stream() {
  static const Bytes stream = testing::sample_stream({.picture_count = 4, .table_interval = 2});
  return stream;
}

Bytes make_stream(unsigned mode, std::span<const std::byte> input) {
  Bytes stream;
  if ((mode & 8) != 0) {
    stream = sound_stream();
    for (; input.size() >= 3; input = input.subspan(3)) {
      stream[load_u16(input, 0) % stream.size()] ^= input[2];
    }
  } else {
    if ((mode & 4) != 0) stream = sound_stream();
    for (std::size_t offset = 0; offset < input.size(); offset += 187) {
      if ((mode & 1) != 0) stream.push_back(kSyncByte);
      testing::append(stream,
                      input.subspan(offset, std::min<std::size_t>(187, input.size() - offset)));
    }
  }
  if ((mode & 2) != 0) {
    for (std::size_t offset = 0; offset + kPacketBytes <= stream.size(); offset += kPacketBytes) {
      repair_crc(std::span(stream).subspan(offset, kPacketBytes));
    }
  }
  return stream;
}

void check_account(const DemuxCounters& c, bool at_end) {
  check(c.packets == sum_of_fates(c), "a packet without a fate");
  const std::uint64_t used =
      c.packets * kPacketBytes + c.trailer_bytes + c.skipped_bytes + c.truncated_bytes;
  check(at_end ? used == c.bytes : used <= c.bytes, "a byte without a fate");
}

void command(Demultiplexer& demux, WatchingSink& sink, unsigned choice) {
  switch (choice % 64) {
    case 0:
      demux.select_program(testing::kSampleFirst, sink);
      break;
    case 1:
      demux.select_program(testing::kSampleSecond, sink);
      break;
    case 2:
      demux.select_program(0, sink);
      break;
    case 3:
      demux.select_program(static_cast<std::uint16_t>(choice >> 6), sink);
      break;
    case 4:
      demux.flush(sink);
      break;
    case 5:
      demux.restart(sink);
      check(demux.selection_state() == SelectionState::kNoPat, "something survived a restart");
      break;
    default:
      break;
  }
}

void run(std::span<const std::byte> input) {
  if (input.size() < 2) return;
  const unsigned mode = load_u8(input, 0);
  std::uint32_t state = load_u8(input, 1);
  const Bytes stream = make_stream(mode, input.subspan(2));
  const auto demux = std::make_unique<Demultiplexer>();
  WatchingSink sink;
  sink.object = std::as_bytes(std::span(demux.get(), 1));
  for (std::size_t offset = 0; offset < stream.size();) {
    state = state * 1664525U + 1013904223U;
    const std::size_t most = (state >> 8 & 3) == 0 ? 40 : 3000;
    const std::size_t count =
        std::min<std::size_t>(stream.size() - offset, 1 + (state >> 10) % most);
    const auto first = stream.begin() + static_cast<std::ptrdiff_t>(offset);
    const std::vector<std::byte> chunk(first, first + static_cast<std::ptrdiff_t>(count));
    sink.chunk = chunk;
    demux->push(chunk, sink, offset);
    sink.chunk = {};
    command(*demux, sink, state >> 16);
    check_account(demux->counters(), false);
    offset += count;
  }
  demux->flush(sink);
  check_account(demux->counters(), true);
  check(!sink.video_open && !sink.audio_open, "a PES packet without an end");
}

}  // namespace
}  // namespace slipring::settop

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  slipring::settop::run(std::as_bytes(std::span(data, size)));
  return 0;
}
