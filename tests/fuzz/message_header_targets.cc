// What stands at the front of messages and segments that other processes write: of calls, and of
// broadcast links.
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>

#include "pipelines/adapter/rpc_protocol.h"
#include "pipelines/link/broadcast_layout.h"
#include "pipelines/link/broadcast_shape.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

struct SoundHeader {
  template <typename Header>
  static std::optional<Header> of(std::span<const std::byte> message) noexcept {
    return rpc_header<Header>(message);
  }
};
// Takes a message for long enough that lacks a byte.
struct ShortHeader {
  template <typename Header>
  static std::optional<Header> of(std::span<const std::byte> message) noexcept {
    if (message.size() + 1 < sizeof(Header)) return std::nullopt;
    Header header{};
    std::memcpy(&header, message.data(), std::min(sizeof header, message.size()));
    return header;
  }
};

// The first byte says whether a request, a reply or a cancellation comes.
template <typename Take>
class RpcHeaderParser {
 public:
  static Corpus corpus() {
    const auto message = [](char kind, std::uint64_t call, std::uint64_t more) {
      std::string text(1, kind);
      text.append(reinterpret_cast<const char*>(&call), 8);
      text.append(reinterpret_cast<const char*>(&more), 8);
      return text;
    };
    return {{message(0, call_number(3, 7, 1), UINT64_MAX) + "body", message(1, 1, 0) + "answer",
             message(1, 1, 5), message(2, call_number(255, 1 << 23, 9), 0).substr(0, 9)},
            {std::string(8, '\xff'), std::string(8, '\0'), std::string(1, '\2')},
            60};
  }
  static void run(std::span<const std::uint8_t> input, Tally& tally) {
    if (input.empty()) return tally.count(Answer::kRefused);
    const std::span<const std::byte> message = std::as_bytes(input.subspan(1));
    switch (input[0] % 3) {
      case 0: {
        const auto header = Take::template of<RpcRequest>(message);
        if (!judge(header.has_value(), sizeof(RpcRequest), message, tally)) return;
        return expect_words(message, header->call, header->deadline_ns, tally);
      }
      case 1: {
        const auto header = Take::template of<RpcReply>(message);
        if (!judge(header.has_value(), sizeof(RpcReply), message, tally)) return;
        tally.expect(name_of(static_cast<RpcStatus>(header->status)) != nullptr,
                     "a status without a name");
        return expect_words(message, header->call,
                            header->status | std::uint64_t{header->reserved} << 32, tally);
      }
      default: {
        const auto call = Take::template of<std::uint64_t>(message);
        if (!judge(call.has_value(), sizeof(std::uint64_t), message, tally)) return;
        return tally.expect(word(message, 0) == *call, "another call is cancelled");
      }
    }
  }

 private:
  static bool judge(bool is_there, std::size_t bytes, std::span<const std::byte> message,
                    Tally& tally) {
    tally.expect(is_there == (message.size() >= bytes), "a header where there is none, or none");
    tally.count(is_there ? Answer::kDone : Answer::kRefused);
    return is_there && tally.broken == nullptr;
  }
  static std::uint64_t word(std::span<const std::byte> message, std::size_t at) {
    std::uint64_t value = 0;
    for (std::size_t i = 8; i-- > 0;) {
      value = value << 8 | std::to_integer<std::uint64_t>(message[at + i]);
    }
    return value;
  }
  static void expect_words(std::span<const std::byte> message, std::uint64_t first,
                           std::uint64_t second, Tally& tally) {
    tally.expect(word(message, 0) == first && word(message, 8) == second,
                 "a header of other numbers");
    tally.look_at(message.subspan(16));
  }
};

// A slot of a broadcast link, as its reader has copied it out.
template <std::optional<std::span<const std::byte>> (*kMessageIn)(
    std::span<const std::byte>) noexcept>
class BroadcastSlotParser {
 public:
  static Corpus corpus() {
    return {{std::string{'\5', '\0', '\0', '\0', '\0', '\0', '\0', '\0'} + "words and more",
             std::string(8, '\0'), std::string{'\x0e', '\0', '\0', '\0'} + std::string(18, 'x')},
            {std::string(4, '\xff'), std::string(4, '\0'), std::string{'\x20', '\0', '\0', '\0'}},
            64};
  }
  static void run(std::span<const std::uint8_t> input, Tally& tally) {
    const std::span<const std::byte> slot = std::as_bytes(input);
    const auto message = kMessageIn(slot);
    tally.count(message ? Answer::kDone : Answer::kRefused);
    const bool has_header = slot.size() >= kBroadcastHeaderBytes;
    std::uint64_t said = 0;
    for (std::size_t i = 4; has_header && i-- > 0;) {
      said = said << 8 | std::to_integer<std::uint64_t>(slot[i]);
    }
    const bool fits = has_header && said <= slot.size() - kBroadcastHeaderBytes;
    tally.expect(message.has_value() == fits, "a message beyond its slot, or none where there is");
    if (!message || tally.broken != nullptr) return;
    tally.expect(message->size() == said, "a message of another length");
    tally.look_at(*message);
  }
};

std::optional<std::span<const std::byte>> believed_message_in(
    std::span<const std::byte> slot) noexcept {
  if (slot.size() < kBroadcastHeaderBytes) return std::nullopt;
  std::uint32_t size_bytes = 0;
  std::memcpy(&size_bytes, slot.data(), sizeof size_bytes);
  return std::span(slot.data() + kBroadcastHeaderBytes, size_bytes);
}

// The size of the regions is believed.
Result<BroadcastShape> believed_shape_of(const SegmentHeader& header) noexcept {
  Result<BroadcastShape> shape = broadcast_shape_of(header);
  if (shape || header.kind != SegmentKind::kBroadcastLink) return shape;
  BroadcastShape said;
  said.slot_count = header.parameters[0];
  said.message_bytes = static_cast<std::uint32_t>(header.parameters[1]);
  said.reader_count = static_cast<std::uint32_t>(header.parameters[2]);
  said.policy = static_cast<BroadcastPolicy>(header.parameters[3]);
  said.lag_limit = header.parameters[4];
  if (Status valid = validate_broadcast(said); !valid) return valid.error();
  return said;
}

// A broadcast link's header with a few fields changed and a right check over them.
template <Result<BroadcastShape> (*kShapeOf)(const SegmentHeader&) noexcept>
class BroadcastHeaderTarget final : public FuzzTarget {
 public:
  void run(std::span<const std::uint8_t> bytes, Tally& tally) override {
    FuzzInput input(bytes);
    const std::uint8_t mode = input.byte();
    BroadcastShape some;
    some.slot_count = 16;
    some.message_bytes = 56;
    some.reader_count = 4;
    some.policy = static_cast<BroadcastPolicy>(mode % 3);
    some.lag_limit = some.policy == BroadcastPolicy::kEvict ? 8 : 0;
    SegmentHeader header = make_broadcast_header(some, "fuzz", 4096);
    const std::uint64_t file_bytes = header.total_bytes;
    for (std::uint32_t changes = mode / 4 % 4; changes != 0; --changes) change(header, input);
    header.check = segment_check(header);
    if (!validate_segment(header, file_bytes)) return tally.count(Answer::kRefused);
    Result<BroadcastShape> shape = kShapeOf(header);
    tally.count(shape.ok() ? Answer::kDone : Answer::kCorruptPeer);
    if (!shape) return;
    tally.expect(shape->reader_count >= 1 && shape->reader_count <= kMaxBroadcastPlaces,
                 "no place, or too many");
    tally.expect(shape->message_bytes <= kMaxBroadcastMessageBytes, "too long a message");
    const BroadcastParts parts = parts_of(*shape, header.page_bytes);
    tally.expect(parts.slots_offset < parts.writer_bytes &&
                     parts.writer_bytes <= header.regions[0].size_bytes,
                 "slots outside the writer's region");
    tally.expect(parts.place_bytes * shape->reader_count <= header.regions[1].size_bytes,
                 "places outside the readers' region");
  }
  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    random.fill(place.first(32));
    return 32;
  }

 private:
  // Mostly the parameters and the two regions.
  static void change(SegmentHeader& header, FuzzInput& input) {
    if (const std::uint8_t which = input.byte(); which < 200) {
      std::uint64_t& parameter = header.parameters[which % 6];
      parameter = hostile_value(input, {parameter, parameter, 16});
      return;
    }
    auto* bytes = reinterpret_cast<unsigned char*>(&header);
    const std::size_t at = input.half() % sizeof header / 8 * 8;
    std::uint64_t now = 0;
    std::memcpy(&now, bytes + at, sizeof now);
    now = hostile_value(input, {now, now, 4096});
    std::memcpy(bytes + at, &now, sizeof now);
  }
};

constexpr std::array<TargetInfo, 3> kPlanted{{
    {"planted_rpc_header", TargetKind::kParser, "a call's header that lacks a byte",
     make_target<ParserTarget<RpcHeaderParser<ShortHeader>>>},
    {"planted_broadcast_header", TargetKind::kParser, "a broadcast link's regions, believed",
     make_target<BroadcastHeaderTarget<believed_shape_of>>},
    {"planted_broadcast_message", TargetKind::kParser, "a message's length, believed",
     make_target<ParserTarget<BroadcastSlotParser<believed_message_in>>>},
}};

constexpr std::array<TargetInfo, 3> kTargets{{
    {"rpc_header", TargetKind::kParser,
     "a message of at most 59 bytes taken for a request, a reply or a cancellation",
     make_target<ParserTarget<RpcHeaderParser<SoundHeader>>>},
    {"broadcast_header", TargetKind::kParser,
     "a broadcast link's header with up to three fields changed, and a right check over them",
     make_target<BroadcastHeaderTarget<broadcast_shape_of>>},
    {"broadcast_message", TargetKind::kParser,
     "a slot of at most 64 bytes taken for a broadcast link's message",
     make_target<ParserTarget<BroadcastSlotParser<broadcast_message_in>>>},
}};

}  // namespace

std::span<const TargetInfo> message_header_targets() {
  return kTargets;
}

std::span<const TargetInfo> planted_message_headers() {
  return kPlanted;
}

}  // namespace slipring::fuzz
