#include "pipelines/wire/frame.h"

#include <algorithm>
#include <cstring>

#include "pipelines/wire/byte_order.h"
#include "pipelines/wire/crc32c.h"

namespace slipring::wire {
namespace {

constexpr std::array<char, 6> kMagic{'s', 'l', 'w', 'i', 'r', 'e'};
constexpr std::size_t kCheckOffset = 28;

constexpr std::size_t kHelloNameOffset = 28;
constexpr std::size_t kOpenBytes = 24;
constexpr std::size_t kLongOpenBytes = 48;
constexpr std::size_t kWelcomeBytes = 8;
constexpr std::size_t kAckBytes = 8;
constexpr std::size_t kDroppedBytes = 32;
constexpr std::size_t kWriterBytes = 8;
constexpr std::size_t kLongWriterBytes = 16;

bool is_known_type(std::uint8_t type) noexcept {
  return type >= static_cast<std::uint8_t>(FrameType::kHello) &&
         type <= static_cast<std::uint8_t>(FrameType::kWriter);
}

std::uint8_t allowed_flags(FrameType type) noexcept {
  switch (type) {
    case FrameType::kOpen:
      return kResumes;
    case FrameType::kAck:
      return kKnown;
    case FrameType::kBye:
      return kEndOfStream | kAllArrived | kReaderClosed | kOthersFollow;
    case FrameType::kWriter:
      return kByKernel;
    default:
      return 0;
  }
}

// Fields that the type has no use for.
bool has_zeros(const FrameHeader& header) noexcept {
  if ((header.flags & ~allowed_flags(header.type)) != 0) return false;
  if (header.type == FrameType::kData) return true;
  if (header.total != 0 || header.offset != 0) return false;
  return header.span == 0 || header.type == FrameType::kError;
}

bool fits(const FrameHeader& header) noexcept {
  switch (header.type) {
    case FrameType::kData:
      return header.payload_bytes <= kFragmentBytesMax;
    case FrameType::kHello:
    case FrameType::kError:
      return header.payload_bytes <= kControlBytesMax;
    case FrameType::kWelcome:
      return header.payload_bytes <= kWelcomeBytes;
    case FrameType::kOpen:
      return header.payload_bytes <= kLongOpenBytes;
    case FrameType::kAck:
      return header.payload_bytes <= kAckBytes;
    case FrameType::kDropped:
      return header.payload_bytes <= kDroppedBytes;
    case FrameType::kWriter:
      return header.payload_bytes <= kLongWriterBytes;
    default:
      return header.payload_bytes == 0;
  }
}

// A fragment lies within its message, and a position does not come round.
bool is_sound(const FrameHeader& header) noexcept {
  if (header.type != FrameType::kData) return true;
  return header.offset <= header.total && header.payload_bytes <= header.total - header.offset &&
         (header.payload_bytes != 0 || header.total == 0) && header.span != 0 &&
         header.position + header.span > header.position;
}

void store_session(std::byte* place, const SessionId& session) noexcept {
  store_little(place, session.a);
  store_little(place + 8, session.b);
}
SessionId load_session(const std::byte* from) noexcept {
  return {load_little<std::uint64_t>(from), load_little<std::uint64_t>(from + 8)};
}

bool are_zeros(std::span<const std::byte> bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

const char* name_of(Fault fault) noexcept {
  switch (fault) {
    case Fault::kNone:
      return "no fault";
    case Fault::kNotOurs:
      return "the other side does not speak the wire protocol";
    case Fault::kVersion:
      return "the other side speaks another version of the wire protocol";
    case Fault::kUnknownType:
      return "a frame of an unknown type";
    case Fault::kTooLong:
      return "a frame longer than its type may be";
    case Fault::kReserved:
      return "a frame with bits that have to be zero";
    case Fault::kCheck:
      return "a frame whose check does not match";
    case Fault::kMalformed:
      return "a frame that contradicts itself";
  }
  return "an unknown fault";
}

const char* name_of(ErrorReason reason) noexcept {
  switch (reason) {
    case ErrorReason::kProtocol:
      return "protocol error";
    case ErrorReason::kUnknownLink:
      return "no such link";
    case ErrorReason::kBusyLink:
      return "link in use";
    case ErrorReason::kMismatch:
      return "links do not match";
    case ErrorReason::kForgotten:
      return "session forgotten";
    case ErrorReason::kForeignWriter:
      return "foreign writer";
    case ErrorReason::kLink:
      return "link failed";
    case ErrorReason::kTooMany:
      return "too many clients";
    case ErrorReason::kOtherType:
      return "values of another type";
    case ErrorReason::kByteOrder:
      return "values of another byte order";
    case ErrorReason::kTooOld:
      return "the other side does not know this kind of link";
  }
  return "unknown reason";
}

Preamble encode_preamble() noexcept {
  Preamble bytes;
  std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
  bytes[6] = std::byte{kWireVersion};
  bytes[7] = std::byte{kWireVersion};
  return bytes;
}

Fault decode_preamble(std::span<const std::byte, kPreambleBytes> bytes) noexcept {
  if (std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) return Fault::kNotOurs;
  const bool is_spoken = bytes[6] <= std::byte{kWireVersion} && bytes[7] >= std::byte{kWireVersion};
  return is_spoken ? Fault::kNone : Fault::kVersion;
}

void encode_header(const FrameHeader& header, std::span<std::byte, kHeaderBytes> place) noexcept {
  std::byte* const to = place.data();
  to[0] = static_cast<std::byte>(header.type);
  to[1] = std::byte{header.flags};
  store_little(to + 2, std::uint16_t{0});
  store_little(to + 4, header.payload_bytes);
  store_little(to + 8, header.position);
  store_little(to + 16, header.span);
  store_little(to + 20, header.total);
  store_little(to + 24, header.offset);
  store_little(to + kCheckOffset, std::uint32_t{0});
}

Fault decode_header(std::span<const std::byte, kHeaderBytes> bytes, FrameHeader& header) noexcept {
  const std::byte* const from = bytes.data();
  const auto type = std::to_integer<std::uint8_t>(from[0]);
  if (!is_known_type(type)) return Fault::kUnknownType;
  header = {static_cast<FrameType>(type),          std::to_integer<std::uint8_t>(from[1]),
            load_little<std::uint32_t>(from + 4),  load_little<std::uint64_t>(from + 8),
            load_little<std::uint32_t>(from + 16), load_little<std::uint32_t>(from + 20),
            load_little<std::uint32_t>(from + 24), load_little<std::uint32_t>(from + kCheckOffset)};
  if (load_little<std::uint16_t>(from + 2) != 0 || !has_zeros(header)) return Fault::kReserved;
  if (!fits(header)) return Fault::kTooLong;
  return is_sound(header) ? Fault::kNone : Fault::kMalformed;
}

std::uint32_t header_check(std::span<const std::byte, kHeaderBytes> bytes) noexcept {
  return crc32c(0, bytes.first<kCheckOffset>());
}

void store_check(std::span<std::byte, kHeaderBytes> place, std::uint32_t check) noexcept {
  store_little(place.data() + kCheckOffset, check);
}

std::size_t encode(const Hello& hello, std::span<std::byte, kControlBytesMax> place) noexcept {
  std::memset(place.data(), 0, kHelloNameOffset);
  place[0] = static_cast<std::byte>(hello.side);
  place[1] = static_cast<std::byte>(hello.link.size());
  store_little(place.data() + 4, hello.features);
  store_session(place.data() + 8, hello.session);
  store_little(place.data() + 24, hello.lane);
  std::memcpy(place.data() + kHelloNameOffset, hello.link.data(), hello.link.size());
  return kHelloNameOffset + hello.link.size();
}

std::optional<Hello> decode_hello(std::span<const std::byte> payload) noexcept {
  if (payload.size() < kHelloNameOffset) return std::nullopt;
  const auto side = std::to_integer<std::uint8_t>(payload[0]);
  const auto name_bytes = std::to_integer<std::size_t>(payload[1]);
  if (side != 1 && side != 2) return std::nullopt;
  if (name_bytes == 0 || name_bytes > kLinkNameBytesMax) return std::nullopt;
  if (payload.size() != kHelloNameOffset + name_bytes) return std::nullopt;
  if (!are_zeros(payload.subspan(2, 2))) return std::nullopt;
  Hello hello;
  hello.lane = load_little<std::uint32_t>(payload.data() + 24);
  if (hello.lane > kLanesMax || (hello.lane != 0 && side != 2)) return std::nullopt;
  hello.side = static_cast<LinkSide>(side);
  hello.features = load_little<std::uint32_t>(payload.data() + 4);
  hello.session = load_session(payload.data() + 8);
  hello.link = {reinterpret_cast<const char*>(payload.data()) + kHelloNameOffset, name_bytes};
  return hello;
}

std::size_t encode(const Open& open, std::span<std::byte, kControlBytesMax> place) noexcept {
  const WireForm& form = open.form;
  std::memset(place.data(), 0, kLongOpenBytes);
  store_session(place.data(), open.session);
  place[16] = static_cast<std::byte>(form.kind);
  place[17] = static_cast<std::byte>(form.byte_order);
  store_little(place.data() + 20, form.message_bytes_max);
  if (!open.is_long()) return kOpenBytes;
  store_little(place.data() + 24, form.value_mark);
  store_little(place.data() + 32, form.buffer_bytes);
  store_little(place.data() + 40, open.lane_count);
  return kLongOpenBytes;
}

namespace {

// Of what a kind has use for there is something, and of the rest nothing.
bool is_sound(const WireForm& form) noexcept {
  const bool is_values = form.kind == WireKind::kValues;
  if (is_values != (form.byte_order != ByteOrder::kNeutral)) return false;
  if (form.is_long() && form.message_bytes_max == 0) return false;
  if (!is_values && form.value_mark != 0) return false;
  return (form.kind == WireKind::kPooled) == (form.buffer_bytes != 0);
}

}  // namespace

std::optional<Open> decode_open(std::span<const std::byte> payload) noexcept {
  if (payload.size() != kOpenBytes && payload.size() != kLongOpenBytes) return std::nullopt;
  const bool is_long = payload.size() == kLongOpenBytes;
  const auto kind = std::to_integer<std::uint8_t>(payload[16]);
  const auto order = std::to_integer<std::uint8_t>(payload[17]);
  if (kind < 1 || kind > static_cast<std::uint8_t>(WireKind::kTopic)) return std::nullopt;
  if (order > static_cast<std::uint8_t>(ByteOrder::kBig)) return std::nullopt;
  if (!are_zeros(payload.subspan(18, 2))) return std::nullopt;
  Open open;
  open.session = load_session(payload.data());
  open.form.kind = static_cast<WireKind>(kind);
  open.form.byte_order = static_cast<ByteOrder>(order);
  open.form.message_bytes_max = load_little<std::uint32_t>(payload.data() + 20);
  if (is_long) {
    open.form.value_mark = load_little<std::uint64_t>(payload.data() + 24);
    open.form.buffer_bytes = load_little<std::uint64_t>(payload.data() + 32);
    open.lane_count = load_little<std::uint32_t>(payload.data() + 40);
    if (!are_zeros(payload.subspan(44, 4))) return std::nullopt;
  }
  if (open.session.is_none() || is_long != open.is_long() || !is_sound(open.form)) {
    return std::nullopt;
  }
  // The lanes of a set are links of records.
  const bool may_be_lane = open.form.kind == WireKind::kRecords && open.lane_count <= kLanesMax;
  if (open.lane_count != 0 && !may_be_lane) return std::nullopt;
  return open;
}

std::size_t encode_welcome(std::uint32_t features,
                           std::span<std::byte, kControlBytesMax> place) noexcept {
  store_little(place.data(), features);
  store_little(place.data() + 4, std::uint32_t{0});
  return kWelcomeBytes;
}

std::optional<std::uint32_t> decode_welcome(std::span<const std::byte> payload) noexcept {
  if (payload.size() != kWelcomeBytes || !are_zeros(payload.subspan(4))) return std::nullopt;
  return load_little<std::uint32_t>(payload.data());
}

std::size_t encode_ack(std::uint64_t credit_bytes,
                       std::span<std::byte, kControlBytesMax> place) noexcept {
  store_little(place.data(), credit_bytes);
  return kAckBytes;
}

std::optional<std::uint64_t> decode_ack(std::span<const std::byte> payload) noexcept {
  if (payload.size() != kAckBytes) return std::nullopt;
  return load_little<std::uint64_t>(payload.data());
}

std::size_t encode(const Dropped& dropped, std::span<std::byte, kControlBytesMax> place) noexcept {
  store_little(place.data(), dropped.messages);
  store_little(place.data() + 8, dropped.bytes);
  store_little(place.data() + 16, dropped.stood);
  store_little(place.data() + 24, dropped.obeyed);
  return kDroppedBytes;
}

std::optional<Dropped> decode_dropped(std::span<const std::byte> payload) noexcept {
  if (payload.size() != kDroppedBytes) return std::nullopt;
  return Dropped{load_little<std::uint64_t>(payload.data()),
                 load_little<std::uint64_t>(payload.data() + 8),
                 load_little<std::uint64_t>(payload.data() + 16),
                 load_little<std::uint64_t>(payload.data() + 24)};
}

std::size_t encode(const WriterName& name, bool is_long,
                   std::span<std::byte, kControlBytesMax> place) noexcept {
  store_little(place.data(), name.process_id);
  store_little(place.data() + 4, name.user);
  if (!is_long) return kWriterBytes;
  store_little(place.data() + 8, name.group);
  store_little(place.data() + 12, name.incarnation);
  return kLongWriterBytes;
}

std::optional<WriterName> decode_writer(std::span<const std::byte> payload,
                                        std::uint8_t flags) noexcept {
  const bool is_long = payload.size() == kLongWriterBytes;
  if (!is_long && payload.size() != kWriterBytes) return std::nullopt;
  WriterName name;
  name.process_id = load_little<std::uint32_t>(payload.data());
  name.user = load_little<std::uint32_t>(payload.data() + 4);
  // A short one knows the kernel's word alone.
  name.is_by_kernel = is_long ? (flags & kByKernel) != 0 : name.process_id != 0;
  if (!is_long) return flags == 0 ? std::optional(name) : std::nullopt;
  name.group = load_little<std::uint32_t>(payload.data() + 8);
  name.incarnation = load_little<std::uint32_t>(payload.data() + 12);
  return name;
}

}  // namespace slipring::wire
