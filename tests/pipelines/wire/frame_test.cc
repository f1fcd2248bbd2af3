#include "pipelines/wire/frame.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/wire/crc32c.h"
#include "pipelines/wire/frame_parser.h"
#include "pipelines/wire/frame_writer.h"

namespace slipring::wire {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Of WIRE.md, behind "## Example".
std::vector<std::byte> example() {
  std::ifstream file("pipelines/wire/WIRE.md");
  std::stringstream all;
  all << file.rdbuf();
  const std::string text = all.str();
  const std::size_t heading = text.find("## Example");
  REQUIRE(heading != std::string::npos);
  const std::size_t begin = text.find("```", heading) + 3;
  std::stringstream words(text.substr(begin, text.find("```", begin) - begin));
  std::vector<std::byte> bytes;
  for (std::string word; words >> word;) {
    bytes.push_back(static_cast<std::byte>(std::strtoul(word.c_str(), nullptr, 16)));
  }
  return bytes;
}

// The same from our own encoders.
std::vector<std::byte> encoded() {
  std::vector<std::byte> bytes(1024);
  FrameWriter out(bytes);
  std::array<std::byte, kControlBytesMax> payload;
  out.put_preamble();
  FrameHeader header;
  header.type = FrameType::kHello;
  const SessionId session{0x1111111111111111, 0x2222222222222222};
  const Hello hello{LinkSide::kSender, kDataChecks, session, "line"};
  out.put(header, std::span(payload).first(encode(hello, payload)));
  header.type = FrameType::kOpen;
  Open open{session, {}};
  open.form.message_bytes_max = 2040;
  out.put(header, std::span(payload).first(encode(open, payload)));
  header.type = FrameType::kData;
  header.span = 16;
  header.total = 3;
  out.put(header, bytes_of("a"), bytes_of("bc"));
  bytes.resize(out.used());
  return bytes;
}

// What comes of a stream, as text, given in pieces.
std::string parsed(std::span<const std::byte> stream, std::size_t piece_bytes) {
  FrameParser parser;
  parser.check_data(true);
  std::string text;
  while (!stream.empty()) {
    std::span<const std::byte> input = stream.first(std::min(piece_bytes, stream.size()));
    stream = stream.subspan(input.size());
    for (bool goes_on = true; goes_on;) {
      switch (parser.next(input)) {
        case FrameParser::Event::kMore:
          goes_on = false;
          break;
        case FrameParser::Event::kPreamble:
          text += "preamble ";
          break;
        case FrameParser::Event::kData:
          text += "data:";
          break;
        case FrameParser::Event::kPiece:
          text.append(reinterpret_cast<const char*>(parser.piece().data()), parser.piece().size());
          break;
        case FrameParser::Event::kFrame:
          text += "frame" + std::to_string(static_cast<int>(parser.header().type)) + " ";
          break;
        case FrameParser::Event::kFault:
          return text + name_of(parser.fault());
      }
    }
  }
  return text;
}

TEST_CASE("crc32c: the check values of RFC 3720") {
  CHECK(crc32c(0, bytes_of("123456789")) == 0xe3069283U);
  const std::vector<std::byte> zeros(32);
  CHECK(crc32c(0, zeros) == 0x8a9136aaU);
  CHECK(crc32c(crc32c(0, bytes_of("1234")), bytes_of("56789")) == 0xe3069283U);
}

TEST_CASE("frame: the example of the specification, byte by byte") {
  CHECK(example() == encoded());
  CHECK(parsed(example(), SIZE_MAX) == "preamble frame1 frame3 data:abcframe5 ");
}

TEST_CASE("frame_parser: it does not matter where the stream is cut") {
  const std::vector<std::byte> stream = encoded();
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    CHECK(parsed(stream, piece) == "preamble frame1 frame3 data:abcframe5 ");
  }
}

TEST_CASE("frame_parser: every flipped bit is noticed") {
  const std::vector<std::byte> stream = encoded();
  for (std::size_t bit = 0; bit < stream.size() * 8; ++bit) {
    std::vector<std::byte> damaged = stream;
    damaged[bit / 8] ^= std::byte{1} << bit % 8;
    const std::string text = parsed(damaged, SIZE_MAX);
    // A version range that still holds ours is no damage; a frame cut short is not complete.
    const bool is_noticed = text != "preamble frame1 frame3 data:abcframe5 ";
    CHECK_MESSAGE((is_noticed || bit / 8 == 6 || bit / 8 == 7), "bit " << bit);
  }
}

TEST_CASE("frame: what a type does not allow is refused with its reason") {
  const auto fault_of = [](FrameHeader header) {
    std::array<std::byte, kHeaderBytes> bytes;
    encode_header(header, bytes);
    FrameHeader read;
    return decode_header(bytes, read);
  };
  FrameHeader header;
  header.type = static_cast<FrameType>(13);
  CHECK(fault_of(header) == Fault::kUnknownType);
  header.type = FrameType::kPing;
  CHECK(fault_of(header) == Fault::kNone);
  header.payload_bytes = 1;
  CHECK(fault_of(header) == Fault::kTooLong);
  header = {};
  header.type = FrameType::kAck;
  header.flags = 2;
  CHECK(fault_of(header) == Fault::kReserved);
  header = {};
  header.type = FrameType::kData;
  header.span = 8;
  header.payload_bytes = kFragmentBytesMax + 1;
  header.total = header.payload_bytes;
  CHECK(fault_of(header) == Fault::kTooLong);
  header.payload_bytes = 5;
  header.total = 8;
  header.offset = 4;
  CHECK(fault_of(header) == Fault::kMalformed);
  header.offset = 3;
  CHECK(fault_of(header) == Fault::kNone);
  header.position = UINT64_MAX - 4;  // comes round
  CHECK(fault_of(header) == Fault::kMalformed);
}

TEST_CASE("frame: payloads of the wrong length or with impossible values are malformed") {
  std::array<std::byte, kControlBytesMax> payload;
  const std::size_t hello_bytes = encode(Hello{LinkSide::kSender, 0, {}, "line"}, payload);
  CHECK(decode_hello(std::span(payload).first(hello_bytes))->link == "line");
  CHECK(!decode_hello(std::span(payload).first(hello_bytes - 1)));
  CHECK(!decode_hello(std::span(payload).first(10)));
  payload[0] = std::byte{3};
  CHECK(!decode_hello(std::span(payload).first(hello_bytes)));
  const Open stream{{1, 2}, {WireKind::kStream}};
  const std::size_t open_bytes = encode(stream, payload);
  CHECK(decode_open(std::span(payload).first(open_bytes))->session == SessionId{1, 2});
  payload[16] = std::byte{4};
  CHECK(!decode_open(std::span(payload).first(open_bytes)));
  const Open none{{}, {WireKind::kStream}};
  const std::size_t none_bytes = encode(none, payload);
  CHECK(!decode_open(std::span(payload).first(none_bytes)));
}

TEST_CASE("frame: a long opening says all of its kind, and nothing that is not of it") {
  std::array<std::byte, kControlBytesMax> payload;
  const WireForm values{WireKind::kValues, ByteOrder::kLittle, 24, 0x1234'5678'9abc'def0, 0};
  const WireForm pooled{WireKind::kPooled, ByteOrder::kNeutral, 64, 0, 4096};
  for (const WireForm& form : {values, pooled}) {
    const std::size_t count = encode(Open{{1, 2}, form}, payload);
    CHECK(count == 48);
    const std::optional<Open> back = decode_open(std::span(payload).first(count));
    REQUIRE(back);
    CHECK(back->form == form);
    CHECK(!decode_open(std::span(payload).first(24)));  // a kind that the short one does not know
    // Every byte that says nothing has to be zero, and nobody's lengths are 0.
    for (const std::size_t at : {18U, 19U, 40U, 47U}) {
      payload[at] = std::byte{1};
      CHECK(!decode_open(std::span(payload).first(count)));
      payload[at] = std::byte{0};
    }
    REQUIRE(decode_open(std::span(payload).first(count)));
  }
  const auto refuses = [&](WireForm form) {
    const std::size_t count = encode(Open{{1, 2}, form}, payload);
    return !decode_open(std::span(payload).first(count));
  };
  WireForm form = values;
  form.byte_order = ByteOrder::kNeutral;
  CHECK(refuses(form));
  form = values;
  form.buffer_bytes = 64;
  CHECK(refuses(form));
  form = pooled;
  form.value_mark = 1;
  CHECK(refuses(form));
  form = pooled;
  form.buffer_bytes = 0;
  CHECK(refuses(form));
  form = values;
  form.message_bytes_max = 0;
  CHECK(refuses(form));
  WireForm short_one;
  short_one.byte_order = ByteOrder::kBig;
  CHECK(refuses(short_one));
}

TEST_CASE("frame: a lane is one of at most 32, of records, and its writer comes with its number") {
  std::array<std::byte, kControlBytesMax> payload;
  Open open{{1, 2}, {}, 32};
  std::size_t count = encode(open, payload);
  CHECK(count == 48);
  CHECK(decode_open(std::span(payload).first(count))->lane_count == 32);
  payload[40] = std::byte{33};
  CHECK(!decode_open(std::span(payload).first(count)));
  open.form = {WireKind::kPooled, ByteOrder::kNeutral, 64, 0, 4096};
  CHECK(!decode_open(std::span(payload).first(encode(open, payload))));

  for (const LinkSide side : {LinkSide::kSender, LinkSide::kReceiver}) {
    for (const std::uint32_t lane : {0U, 32U, 33U}) {
      count = encode(Hello{side, 0, {}, "line", lane}, payload);
      const std::optional<Hello> hello = decode_hello(std::span(payload).first(count));
      // Only who receives asks for a lane.
      const bool is_sound = lane == 0 || (lane == 32 && side == LinkSide::kReceiver);
      REQUIRE(hello.has_value() == is_sound);
      if (hello) CHECK(hello->lane == lane);
    }
  }

  const WriterName name{4711, 1000, 100, 3, true};
  count = encode(name, true, payload);
  CHECK(count == 16);
  CHECK(decode_writer(std::span(payload).first(count), kByKernel) == name);
  CHECK(!decode_writer(std::span(payload).first(count), 0)->is_by_kernel);
  count = encode(name, false, payload);
  CHECK(count == 8);
  CHECK(decode_writer(std::span(payload).first(count), 0) == WriterName{4711, 1000, 0, 0, true});
  CHECK(!decode_writer(std::span(payload).first(count), kByKernel));
  CHECK(!decode_writer(std::span(payload).first(12), 0));
}

}  // namespace
}  // namespace slipring::wire
