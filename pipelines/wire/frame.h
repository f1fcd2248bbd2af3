// The frames of the wire, as WIRE.md has them byte by byte; change both or neither.
//
// Encoding and decoding only: no socket, no state, no allocation.  What is decoded is hostile input
// and comes out checked against every limit that the format itself knows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace slipring::wire {

inline constexpr std::uint8_t kWireVersion = 1;  // spoken here, lowest and highest
inline constexpr std::size_t kPreambleBytes = 8;
inline constexpr std::size_t kHeaderBytes = 32;
inline constexpr std::size_t kControlBytesMax = 128;     // payload of any frame but kData
inline constexpr std::size_t kFragmentBytesMax = 65536;  // payload of a kData frame
inline constexpr std::size_t kLinkNameBytesMax = 80;

enum class FrameType : std::uint8_t {
  kHello = 1,     // client: which link, and which side of it
  kWelcome = 2,   // server: the features agreed on
  kOpen = 3,      // sender: session, kind of link, where it starts
  kAck = 4,       // receiver: how far it has published, and how much more it takes
  kData = 5,      // sender: a message, or a fragment of one
  kAbort = 6,     // sender: everything before a position is no longer wanted
  kBye = 7,       // either: nothing more will be sent, or read
  kPing = 8,      // either
  kPong = 9,      // answers kPing
  kError = 10,    // either: why the connection ends now
  kDropped = 11,  // receiver: how much of its link was dropped unread, if both can
  kWriter = 12,   // sender: who writes its link, if both can
};

// Of kOpen.
inline constexpr std::uint8_t kResumes = 1;  // the receiver has welcomed this session before
// Of kAck.
inline constexpr std::uint8_t kKnown = 1;  // the first one: this session had been here before
// Of kBye.
inline constexpr std::uint8_t kEndOfStream = 1;   // sender: the writer has closed at `position`
inline constexpr std::uint8_t kAllArrived = 2;    // receiver: answers kEndOfStream
inline constexpr std::uint8_t kReaderClosed = 4;  // receiver: the reader has closed
inline constexpr std::uint8_t kOthersFollow = 8;  // sender, of a lane: its next writers may follow
// Of kWriter.
inline constexpr std::uint8_t kByKernel = 1;  // by its kernel's word; else it says so itself

// Of kHello, kWelcome.
inline constexpr std::uint32_t kDataChecks = 1;   // kData frames carry a CRC, too
inline constexpr std::uint32_t kTellsDrops = 2;   // a receiver says kDropped
inline constexpr std::uint32_t kLongOpens = 4;    // kOpen may be the long one: values, pools
inline constexpr std::uint32_t kNamesWriter = 8;  // a sender says kWriter
inline constexpr std::uint32_t kTopics = 16;      // kOpen may be a topic's
// kHello and kOpen may name a lane of the sender's set, and kWriter is the long one.
inline constexpr std::uint32_t kKnowsLanes = 32;
inline constexpr std::uint32_t kLanesMax = 32;  // of a set

struct FrameHeader {
  FrameType type{};
  std::uint8_t flags = 0;
  std::uint32_t payload_bytes = 0;
  std::uint64_t position = 0;
  std::uint32_t span = 0;    // kData: to the position behind the message; kError: an ErrorReason
  std::uint32_t total = 0;   // kData: bytes of the whole message
  std::uint32_t offset = 0;  // kData: of this fragment in it
  std::uint32_t check = 0;   // CRC-32C of the header without this field, and of the payload
};

enum class Fault : std::uint8_t {
  kNone,
  kNotOurs,      // the first bytes are not the preamble's
  kVersion,      // no version in common
  kUnknownType,  // no such frame
  kTooLong,      // a payload longer than its frame may have
  kReserved,     // bits that have to be zero are not
  kCheck,        // the CRC does not match
  kMalformed,    // a payload that is not what its frame says
};
[[nodiscard]] const char* name_of(Fault fault) noexcept;

enum class ErrorReason : std::uint32_t {
  kProtocol = 1,       // what came was no frame, or not the one whose turn it was
  kUnknownLink = 2,    // no such link here, or not in that direction
  kBusyLink = 3,       // another session has it now
  kMismatch = 4,       // the two links are not of one kind, or messages do not fit
  kForgotten = 5,      // a session that resumes, and is known no more: what had arrived is unknown
  kForeignWriter = 6,  // somebody else has published into the link: likewise unknown
  kLink = 7,           // the local link failed
  kTooMany = 8,        // no place for another client
  kOtherType = 9,      // values of another size, or marked as another type's
  kByteOrder = 10,     // values of a machine whose bytes lie the other way round
  kTooOld = 11,        // the other side does not know this kind of link
};
[[nodiscard]] const char* name_of(ErrorReason reason) noexcept;

struct SessionId {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  [[nodiscard]] bool is_none() const noexcept { return a == 0 && b == 0; }
  friend bool operator==(const SessionId&, const SessionId&) = default;
};

enum class LinkSide : std::uint8_t { kSender = 1, kReceiver = 2 };
[[nodiscard]] constexpr LinkSide other(LinkSide side) noexcept {
  return side == LinkSide::kSender ? LinkSide::kReceiver : LinkSide::kSender;
}

struct Hello {
  LinkSide side = LinkSide::kSender;  // the client's
  std::uint32_t features = 0;         // that it can do
  SessionId session;                  // the last one that it knows of; may be none
  std::string_view link;              // borrows the payload
  std::uint32_t lane = 0;             // of a set there, which the client receives: 1 for the first
};

enum class WireKind : std::uint8_t {
  kRecords = 1,
  kSlots = 2,
  kStream = 3,
  kValues = 4,  // this and what follows: in a long kOpen
  kPooled = 5,  // slots, each of which may come with a buffer
  kTopic = 6,   // a broadcast link's messages: what is not there any more is passed over
};
enum class ByteOrder : std::uint8_t { kNeutral = 0, kLittle = 1, kBig = 2 };

// What a link carries.
struct WireForm {
  WireKind kind = WireKind::kRecords;
  ByteOrder byte_order = ByteOrder::kNeutral;  // kValues: the sender's
  std::uint32_t message_bytes_max = 0;         // kSlots, kPooled, kValues: of every one; kStream: 0
  std::uint64_t value_mark = 0;                // kValues: of the type; 0: not said
  std::uint64_t buffer_bytes = 0;              // kPooled

  [[nodiscard]] bool is_long() const noexcept { return kind >= WireKind::kValues; }
  // Features without which the other side does not know it.
  [[nodiscard]] std::uint32_t needs() const noexcept {
    return (is_long() ? kLongOpens : 0) | (kind == WireKind::kTopic ? kTopics : 0);
  }
  friend bool operator==(const WireForm&, const WireForm&) = default;
};

struct Open {
  SessionId session;  // never none
  WireForm form;
  std::uint32_t lane_count = 0;  // of the set whose lane is sent; 0: it is no lane

  [[nodiscard]] bool is_long() const noexcept { return form.is_long() || lane_count != 0; }
};

// Of kDropped, whose position is the last abort that was heard; 0: none since the connection began.
struct Dropped {
  // By the receiver's reader, since its ring was made.
  std::uint64_t messages = 0;  // 0 of a stream
  std::uint64_t bytes = 0;     // as pipelines/link/drop_words.h counts them
  // What had arrived when that abort was heard: what lies between the two never did.
  std::uint64_t stood = 0;
  // The last abort of which nothing is read any more; 0: none since the connection began.
  std::uint64_t obeyed = 0;
  friend bool operator==(const Dropped&, const Dropped&) = default;
};

// Of kWriter: the process that writes the sender's link.
struct WriterName {
  std::uint32_t process_id = 0;  // 0: not known
  std::uint32_t user = 0;
  std::uint32_t group = 0;        // this and what follows: of a long one
  std::uint32_t incarnation = 0;  // as a writer of that link, or lane; 0: not known
  bool is_by_kernel = false;      // the sender's kernel says so
  friend bool operator==(const WriterName&, const WriterName&) = default;
};

using Preamble = std::array<std::byte, kPreambleBytes>;

[[nodiscard]] Preamble encode_preamble() noexcept;
// kNone if a version in common is offered.
[[nodiscard]] Fault decode_preamble(std::span<const std::byte, kPreambleBytes> bytes) noexcept;

// Writes the header without its check.
void encode_header(const FrameHeader& header, std::span<std::byte, kHeaderBytes> place) noexcept;
// Reads a header and holds it against the limits of its type.
[[nodiscard]] Fault decode_header(std::span<const std::byte, kHeaderBytes> bytes,
                                  FrameHeader& header) noexcept;

// The check of a frame whose header stands in `bytes`, over the header alone; a payload's bytes are
// added with crc32c().
[[nodiscard]] std::uint32_t header_check(std::span<const std::byte, kHeaderBytes> bytes) noexcept;
void store_check(std::span<std::byte, kHeaderBytes> place, std::uint32_t check) noexcept;

// Payloads.  Each answers how many bytes it wrote; `place` has room for kControlBytesMax.
std::size_t encode(const Hello& hello, std::span<std::byte, kControlBytesMax> place) noexcept;
std::size_t encode(const Open& open, std::span<std::byte, kControlBytesMax> place) noexcept;
std::size_t encode_welcome(std::uint32_t features,
                           std::span<std::byte, kControlBytesMax> place) noexcept;
std::size_t encode_ack(std::uint64_t credit_bytes,
                       std::span<std::byte, kControlBytesMax> place) noexcept;
std::size_t encode(const Dropped& dropped, std::span<std::byte, kControlBytesMax> place) noexcept;
// `is_long`: both know lanes.
std::size_t encode(const WriterName& name, bool is_long,
                   std::span<std::byte, kControlBytesMax> place) noexcept;

// Nothing for what is malformed.
[[nodiscard]] std::optional<Hello> decode_hello(std::span<const std::byte> payload) noexcept;
[[nodiscard]] std::optional<Open> decode_open(std::span<const std::byte> payload) noexcept;
[[nodiscard]] std::optional<std::uint32_t> decode_welcome(
    std::span<const std::byte> payload) noexcept;
[[nodiscard]] std::optional<std::uint64_t> decode_ack(std::span<const std::byte> payload) noexcept;
[[nodiscard]] std::optional<Dropped> decode_dropped(std::span<const std::byte> payload) noexcept;
[[nodiscard]] std::optional<WriterName> decode_writer(std::span<const std::byte> payload,
                                                      std::uint8_t flags) noexcept;

}  // namespace slipring::wire
