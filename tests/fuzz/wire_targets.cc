// What comes from other machines: frames, and the addresses that they are reached at.
#include <algorithm>
#include <array>
#include <string>

#include "pipelines/wire/byte_order.h"
#include "pipelines/wire/crc32c.h"
#include "pipelines/wire/frame_parser.h"
#include "pipelines/wire/frame_writer.h"
#include "pipelines/wire/wire_address.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

using wire::FrameHeader;
using wire::FrameParser;
using wire::FrameType;

// A greeting, an opening, data in two fragments, and what else there is.
std::string sound_stream(bool is_sender) {
  std::array<std::byte, 2048> place;
  std::array<std::byte, wire::kControlBytesMax> payload;
  wire::FrameWriter out(place);
  out.put_preamble();
  const auto put = [&](FrameType type, std::uint64_t position, std::size_t payload_bytes) {
    FrameHeader header;
    header.type = type;
    header.position = position;
    out.put(header, std::span(payload).first(payload_bytes));
  };
  const wire::Hello hello{wire::LinkSide::kSender, wire::kDataChecks, {1, 2}, "line"};
  put(FrameType::kHello, 0, wire::encode(hello, payload));
  put(FrameType::kWelcome, 0, wire::encode_welcome(wire::kDataChecks, payload));
  wire::Open open{{1, 2}, {}};
  open.form.message_bytes_max = 2040;
  if (!is_sender) open.form = {wire::WireKind::kPooled, wire::ByteOrder::kNeutral, 64, 0, 4096};
  put(FrameType::kOpen, 64, wire::encode(open, payload));
  put(FrameType::kAck, 128, wire::encode_ack(4096, payload));
  if (is_sender) {
    FrameHeader data{FrameType::kData, 0, 0, 128, 64, 50, 0, 0};
    out.put(data, std::span(payload).first(30));
    data.offset = 30;
    out.put(data, std::span(payload).first(20));
  }
  put(FrameType::kWriter, 0,
      wire::encode(wire::WriterName{4711, 1000, 100, 3, true}, true, payload));
  put(FrameType::kAbort, 192, 0);
  put(FrameType::kPing, 7, 0);
  put(FrameType::kBye, 192, 0);
  put(FrameType::kError, 0, 20);
  return text_of(std::span(place).first(out.used()));
}

// The first byte says how large the pieces are, and whether checks are made to match, so that what
// lies behind them is reached.
class WireFramesParser {
 public:
  static Corpus corpus() {
    return {
        {std::string(1, '\0') + sound_stream(true), std::string(1, '\x81') + sound_stream(false),
         std::string(1, '\x85') + sound_stream(true)},
        {"slwire\1\1", std::string(4, '\0'), std::string(4, '\xff'), std::string("\0\0\1\0", 4)},
        600};
  }

  void run(std::span<const std::uint8_t> input, Tally& tally) {
    if (input.empty()) return tally.count(Answer::kRefused);
    const std::uint8_t mode = input[0];
    const std::span<const std::byte> raw = std::as_bytes(input.subspan(1));
    std::copy(raw.begin(), raw.end(), bytes_.begin());
    const std::span<std::byte> bytes = std::span(bytes_).first(raw.size());
    if ((mode & 0x80U) != 0) mend(bytes);
    const Outcome whole = parse(bytes, bytes.size() + 1, tally);
    const Outcome pieces = parse(bytes, 1 + (mode & 0x7fU), tally);
    tally.expect(whole.frames == pieces.frames && whole.payload == pieces.payload &&
                     whole.fault == pieces.fault,
                 "it matters where a stream is cut");
    tally.count(whole.frames != 0 ? Answer::kDone : Answer::kRefused);
  }

 private:
  struct Outcome {
    std::uint64_t frames = 0;
    std::uint64_t payload = 0;
    wire::Fault fault = wire::Fault::kNone;
  };

  // Of every frame that is there in whole.
  static void mend(std::span<std::byte> bytes) {
    std::size_t at = wire::kPreambleBytes;
    while (bytes.size() >= at + wire::kHeaderBytes) {
      const auto header = bytes.subspan(at).first<wire::kHeaderBytes>();
      const auto payload_bytes = wire::load_little<std::uint32_t>(header.data() + 4);
      at += wire::kHeaderBytes;
      if (payload_bytes > bytes.size() - at) return;
      wire::store_check(header,
                        wire::crc32c(wire::header_check(header), bytes.subspan(at, payload_bytes)));
      at += payload_bytes;
    }
  }

  static Outcome parse(std::span<const std::byte> bytes, std::size_t piece_bytes, Tally& tally) {
    FrameParser parser;
    parser.check_data(true);
    Outcome outcome;
    while (!bytes.empty()) {
      const std::span<const std::byte> piece = bytes.first(std::min(piece_bytes, bytes.size()));
      bytes = bytes.subspan(piece.size());
      std::span<const std::byte> rest = piece;
      for (bool goes_on = true; goes_on;) {
        switch (parser.next(rest)) {
          case FrameParser::Event::kMore:
            tally.expect(rest.empty(), "bytes are left over");
            goes_on = false;
            break;
          case FrameParser::Event::kPreamble:
            break;
          case FrameParser::Event::kData:
            look_at(parser.header(), tally);
            break;
          case FrameParser::Event::kPiece:
            tally.expect(
                parser.piece().data() >= piece.data() &&
                    parser.piece().data() + parser.piece().size() <= piece.data() + piece.size(),
                "a piece outside the input");
            tally.look_at(parser.piece());
            outcome.payload += parser.piece().size();
            break;
          case FrameParser::Event::kFrame:
            ++outcome.frames;
            if (parser.header().type != FrameType::kData) look_at_control(parser, tally);
            break;
          case FrameParser::Event::kFault:
            outcome.fault = parser.fault();
            return outcome;
        }
      }
    }
    return outcome;
  }

  static void look_at(const FrameHeader& header, Tally& tally) {
    tally.expect(header.payload_bytes <= wire::kFragmentBytesMax && header.offset <= header.total &&
                     header.payload_bytes <= header.total - header.offset,
                 "a fragment outside its message");
  }

  static void look_at_control(const FrameParser& parser, Tally& tally) {
    tally.expect(parser.control().size() <= wire::kControlBytesMax, "a control frame too long");
    tally.look_at(parser.control());
    if (const auto hello = wire::decode_hello(parser.control())) {
      tally.expect(!hello->link.empty() && hello->link.size() <= wire::kLinkNameBytesMax,
                   "a link without a name");
      tally.look_at(std::as_bytes(std::span(hello->link.data(), hello->link.size())));
    }
    if (const auto open = wire::decode_open(parser.control())) {
      const wire::WireForm& form = open->form;
      tally.expect(!open->session.is_none(), "a session without a number");
      tally.expect(!form.is_long() || form.message_bytes_max != 0, "messages without a length");
      tally.expect((form.kind == wire::WireKind::kPooled) == (form.buffer_bytes != 0),
                   "a pool without a length, or a length without a pool");
    }
    static_cast<void>(wire::decode_writer(parser.control(), parser.header().flags));
    static_cast<void>(wire::decode_welcome(parser.control()));
    static_cast<void>(wire::decode_ack(parser.control()));
  }

  std::array<std::byte, kMaxInputBytes> bytes_{};
};

class WireAddressParser {
 public:
  static Corpus corpus() {
    return {{"tcp://127.0.0.1:9000/ts", "unix:///run/wire.sock#ts", "tcp://[::1]:0",
             "tcp+tls://box:9000/ts?ca=ca.pem&cert=me.pem&key=me.key&name=box", "ts"},
            {"tcp://", "tcp+tls://", "unix://", "?ca=", "&cert=", "&key=", "&name=", ":65535",
             ":65536", "#", "/", "[", "]"},
            160};
  }
  static void run(std::span<const std::uint8_t> input, Tally& tally) {
    const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
    std::string fault;
    const auto address = wire::parse_wire_address(text, fault);
    tally.count(address ? Answer::kDone : Answer::kRefused);
    tally.expect(address.has_value() == fault.empty(),
                 "refused without a word, or against its own");
    if (!address) return;
    tally.expect(wire::is_wire_address(text), "an address that is none");
    using Kind = wire::WireAddress::Kind;
    tally.expect(address->kind == Kind::kUnix ? !address->path.empty() : !address->port.empty(),
                 "an address of nothing");
    tally.expect(address->kind != Kind::kTls || !address->tls.key_file.empty(),
                 "TLS without a certificate");
  }
};

constexpr std::array<TargetInfo, 2> kTargets{{
    {"wire_frames", TargetKind::kParser,
     "at most 600 bytes of frames, in one piece and in several, their checks mended or not",
     make_target<ParserTarget<WireFramesParser>>},
    {"wire_address", TargetKind::kParser,
     "one text of at most 160 bytes parsed as an address of a link on another machine",
     make_target<ParserTarget<WireAddressParser>>},
}};

}  // namespace

std::span<const TargetInfo> wire_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz
