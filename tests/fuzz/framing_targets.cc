// Streams that are cut into messages as they come, and where they come from.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "pipelines/adapter/endpoint.h"
#include "pipelines/adapter/message_framer.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

constexpr std::uint64_t kCap = 40;
constexpr std::size_t kReadBytes = 16;

using Bytes = std::span<const std::byte>;

// What must come out, told from the whole stream at once: messages, and whether it ends soundly.
struct Expected {
  std::array<Bytes, kMaxInputBytes> messages;
  std::size_t count = 0;
  bool is_sound = true;

  void cut_lines(Bytes stream) {
    while (!stream.empty()) {
      const auto feed = std::find(stream.begin(), stream.end(), std::byte{'\n'});
      const auto size = static_cast<std::size_t>(feed - stream.begin());
      if (size > kCap) break;
      messages[count++] = stream.first(size);
      stream = stream.subspan(feed == stream.end() ? size : size + 1);
    }
    is_sound = stream.empty();
  }
  void cut_frames(Bytes stream) {
    while (stream.size() >= kFrameHeaderBytes) {
      std::uint32_t size = 0;
      for (std::size_t i = 0; i < kFrameHeaderBytes; ++i) {
        size += std::to_integer<std::uint32_t>(stream[i]) << (8 * i);
      }
      if (size > kCap || size > stream.size() - kFrameHeaderBytes) break;
      messages[count++] = stream.subspan(kFrameHeaderBytes, size);
      stream = stream.subspan(kFrameHeaderBytes + size);
    }
    is_sound = stream.empty();
  }
};

// Forgets that a message may begin in one piece and end in another.
class ForgetfulFramer : public MessageFramer {
 public:
  using MessageFramer::MessageFramer;
  Result<Cut> next(Bytes& message) noexcept {
    Result<Cut> cut = MessageFramer::next(message);
    if (cut.ok() && *cut == Cut::kMessage && was_short_ && message.size() > kReadBytes) {
      message = message.subspan(1);
    }
    was_short_ = cut.ok() && *cut == Cut::kNeedsMore && pending_bytes() != 0;
    return cut;
  }

 private:
  bool was_short_ = false;
};

// Input: the framing, a seed for the cutting into pieces, the stream.
template <typename Framer>
class FramingParser {
 public:
  static Corpus corpus() {
    const std::string lines = std::string(1, '\0') + "sone\ntwo\n\nthis is a longer line\r\nlast";
    std::string frames = std::string(1, '\1') + "s";
    for (const char* text : {"one", "", "a frame longer than one read", "\n"}) {
      frames += std::string{static_cast<char>(std::strlen(text)), '\0', '\0', '\0'} + text;
    }
    return {{lines, frames, std::string(1, '\0') + "t" + std::string(40, 'x') + "\n",
             std::string(1, '\1') + "t" + std::string{'\x28', '\0', '\0', '\0'}},
            {"\n", std::string(4, '\0'), std::string{'\x28', '\0', '\0', '\0'},
             std::string{'\x29', '\0', '\0', '\0'}, std::string(4, '\xff'), std::string(41, 'y')},
            200};
  }
  void run(std::span<const std::uint8_t> input, Tally& tally) {
    if (input.size() < 2) return tally.count(Answer::kRefused);
    const Framing framing = (input[0] & 1U) == 0 ? Framing::kLines : Framing::kFrames;
    std::uint32_t seed = input[1];
    const Bytes stream = std::as_bytes(input.subspan(2));
    Expected expected;
    framing == Framing::kLines ? expected.cut_lines(stream) : expected.cut_frames(stream);

    Framer framer(framing, kCap, kReadBytes);
    std::size_t seen = 0;
    bool is_sound = true;
    Bytes rest = stream;
    for (bool has_ended = false; !has_ended;) {
      has_ended = rest.empty();
      if (!has_ended) rest = rest.subspan(feed(framer, rest, seed));
      is_sound = take_all(framer, has_ended, expected, seen, tally);
      if (!is_sound) break;
    }
    tally.expect(seen == expected.count, "a message is missing, or one too many");
    tally.expect(is_sound == expected.is_sound, "a broken stream passes, or a sound one does not");
    tally.expect(framer.buffer_bytes() <= 2 * (kCap + kFrameHeaderBytes + kReadBytes),
                 "the framer keeps more than a message and a read");
    tally.count(seen != 0 ? Answer::kDone : Answer::kRefused);
  }

 private:
  static std::size_t feed(Framer& framer, Bytes rest, std::uint32_t& seed) {
    seed = seed * 1664525U + 1013904223U;
    const std::span<std::byte> room = framer.room();
    const std::size_t count =
        std::min({rest.size(), room.size(), std::size_t{1 + (seed >> 8) % kReadBytes}});
    std::memcpy(room.data(), rest.data(), count);
    framer.add(count);
    return count;
  }
  static Result<MessageFramer::Cut> take(Framer& framer, bool has_ended, Bytes& message) {
    Result<MessageFramer::Cut> cut = framer.next(message);
    if (!has_ended || !cut.ok() || *cut == MessageFramer::Cut::kMessage) return cut;
    return framer.finish(message);
  }
  // False when the framer finds the stream broken.
  static bool take_all(Framer& framer, bool has_ended, const Expected& expected, std::size_t& seen,
                       Tally& tally) {
    for (;;) {
      Bytes message;
      const Result<MessageFramer::Cut> cut = take(framer, has_ended, message);
      if (!cut.ok()) return false;
      if (cut.value() == MessageFramer::Cut::kNeedsMore) return true;
      tally.look_at(message);
      const bool is_right = seen < expected.count && std::equal(message.begin(), message.end(),
                                                                expected.messages[seen].begin(),
                                                                expected.messages[seen].end());
      tally.expect(is_right, "a message of other bytes");
      ++seen;
    }
  }
};

class EndpointParser {
 public:
  static Corpus corpus() {
    return {{"udp://@239.1.1.1:5000?iface=eth0&ttl=4&buffer=8MiB", "tcp://[::1]:80?listen",
             "unix+seqpacket:///run/x?listen&clients=1000", "ring:a", "file:b", "-", "c",
             "tcp+tls://a:1?ca=a.pem&cert=c.pem&key=k.pem&name=b"},
            {"?", "&", "=", ":", "listen", "clients=", "65536", "65537", "ttl=255", "MiB",
             "4294967296", "unix://", "@", "[", "]", std::string(1, '\0')},
            120};
  }
  static void run(std::span<const std::uint8_t> input, Tally& tally) {
    std::string fault;
    const auto endpoint =
        parse_endpoint({reinterpret_cast<const char*>(input.data()), input.size()}, fault);
    tally.count(endpoint ? Answer::kDone : Answer::kRefused);
    tally.expect(endpoint.has_value() == fault.empty(),
                 "refused without a word, or against its own");
    if (!endpoint) return;
    tally.expect(endpoint->client_count <= kMaxClientCount, "more clients than are allowed");
    tally.expect(endpoint->client_count == 0 || endpoint->listens, "clients of nobody");
    tally.expect(endpoint->buffer_bytes <= 1U << 30, "a buffer without a bound");
    tally.expect(
        endpoint->host.empty() || std::strtoul(endpoint->port.c_str(), nullptr, 10) - 1 < 65535,
        "no port");
  }
};

constexpr TargetInfo kPlanted{"planted_framer", TargetKind::kParser,
                              "a message that is cut anew where a read ended within it",
                              make_target<ParserTarget<FramingParser<ForgetfulFramer>>>};

constexpr std::array<TargetInfo, 2> kTargets{{
    {"message_framer", TargetKind::kParser,
     "one stream of at most 198 bytes, in pieces of 1 to 16, cut into lines or frames",
     make_target<ParserTarget<FramingParser<MessageFramer>>>},
    {"endpoint", TargetKind::kParser, "one text of at most 120 bytes parsed as an endpoint",
     make_target<ParserTarget<EndpointParser>>},
}};

}  // namespace

std::span<const TargetInfo> framing_targets() {
  return kTargets;
}

const TargetInfo& planted_framer() {
  return kPlanted;
}

}  // namespace slipring::fuzz
