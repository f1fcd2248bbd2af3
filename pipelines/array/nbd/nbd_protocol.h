// The numbers of the NBD protocol, as its specification has them (doc/proto.md of the NBD project):
// fixed newstyle negotiation, simple and structured replies, base:allocation.
//
// Everything on the wire is big-endian.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace slipring::array {

inline constexpr std::uint64_t kNbdMagic = 0x4e42444d41474943;     // "NBDMAGIC"
inline constexpr std::uint64_t kOptionMagic = 0x49484156454f5054;  // "IHAVEOPT"
inline constexpr std::uint64_t kOptionReplyMagic = 0x0003e889045565a9;
inline constexpr std::uint32_t kRequestMagic = 0x25609513;
inline constexpr std::uint32_t kSimpleReplyMagic = 0x67446698;
inline constexpr std::uint32_t kStructuredReplyMagic = 0x668e33ef;

// Handshake flags of the server, and of the client.
inline constexpr std::uint16_t kFixedNewstyle = 1U << 0;
inline constexpr std::uint16_t kNoZeroes = 1U << 1;

inline constexpr std::size_t kGreetingBytes = 18;
inline constexpr std::size_t kClientFlagsBytes = 4;
inline constexpr std::size_t kOptionHeaderBytes = 16;
inline constexpr std::size_t kOptionReplyBytes = 20;
inline constexpr std::size_t kRequestBytes = 28;
inline constexpr std::size_t kSimpleReplyBytes = 16;
inline constexpr std::size_t kChunkBytes = 20;
inline constexpr std::size_t kExportNameBytesMax = 4096;

enum class NbdOption : std::uint32_t {
  kExportName = 1,
  kAbort = 2,
  kList = 3,
  kStartTls = 5,
  kInfo = 6,
  kGo = 7,
  kStructuredReply = 8,
  kListMetaContext = 9,
  kSetMetaContext = 10,
};

enum class OptionReply : std::uint32_t {
  kAck = 1,
  kServer = 2,
  kInfo = 3,
  kMetaContext = 4,
  kErrorUnsupported = (1U << 31) + 1,
  kErrorPolicy = (1U << 31) + 2,
  kErrorInvalid = (1U << 31) + 3,
  kErrorTlsRequired = (1U << 31) + 5,
  kErrorUnknown = (1U << 31) + 6,
  kErrorTooBig = (1U << 31) + 9,
};

enum class NbdInfo : std::uint16_t { kExport = 0, kName = 1, kDescription = 2, kBlockSize = 3 };

// Transmission flags of an export.
inline constexpr std::uint16_t kHasFlags = 1U << 0;
inline constexpr std::uint16_t kReadOnly = 1U << 1;
inline constexpr std::uint16_t kSendFlush = 1U << 2;
inline constexpr std::uint16_t kSendFua = 1U << 3;
inline constexpr std::uint16_t kRotational = 1U << 4;
inline constexpr std::uint16_t kSendTrim = 1U << 5;
inline constexpr std::uint16_t kSendWriteZeroes = 1U << 6;
inline constexpr std::uint16_t kSendDontFragment = 1U << 7;
inline constexpr std::uint16_t kCanMultiConnection = 1U << 8;
inline constexpr std::uint16_t kSendCache = 1U << 10;
inline constexpr std::uint16_t kSendFastZero = 1U << 11;

enum class NbdCommand : std::uint16_t {
  kRead = 0,
  kWrite = 1,
  kDisconnect = 2,
  kFlush = 3,
  kTrim = 4,
  kCache = 5,
  kWriteZeroes = 6,
  kBlockStatus = 7,
};

// Flags of a request.
inline constexpr std::uint16_t kFlagFua = 1U << 0;
inline constexpr std::uint16_t kFlagNoHole = 1U << 1;
inline constexpr std::uint16_t kFlagDontFragment = 1U << 2;
inline constexpr std::uint16_t kFlagOneExtent = 1U << 3;
inline constexpr std::uint16_t kFlagFastZero = 1U << 4;

// Of a structured reply's chunk.
inline constexpr std::uint16_t kChunkDone = 1U << 0;
enum class ChunkType : std::uint16_t {
  kNone = 0,
  kOffsetData = 1,
  kBlockStatus = 5,
  kError = (1U << 15) + 1,
};

enum class NbdError : std::uint32_t {
  kNone = 0,
  kPermission = 1,
  kIo = 5,
  kNoMemory = 12,
  kInvalid = 22,
  kNoSpace = 28,
  kOverflow = 75,
  kUnsupported = 95,
  kShutdown = 108,
};

inline constexpr std::uint32_t kAllocationContextId = 1;  // ours, of "base:allocation"

// The value in the wire's order, or back.
template <typename Integer>
[[nodiscard]] constexpr Integer big_endian(Integer value) noexcept {
  static_assert(std::endian::native == std::endian::little);
  if constexpr (sizeof(Integer) == 2) return static_cast<Integer>(__builtin_bswap16(value));
  if constexpr (sizeof(Integer) == 4) return static_cast<Integer>(__builtin_bswap32(value));
  if constexpr (sizeof(Integer) == 8) return static_cast<Integer>(__builtin_bswap64(value));
}

// Requires: bytes reach that far.
template <typename Integer>
[[nodiscard]] Integer get_big_endian(std::span<const std::byte> bytes, std::size_t at) noexcept {
  Integer value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return big_endian(value);
}

// A short text on its way out: headers, and what is no data of an export.  Requires of its user:
// no more than fits.
template <std::size_t kCapacity>
class WireText {
 public:
  template <typename Integer>
  void put(Integer value) noexcept {
    const Integer wire = big_endian(value);
    std::memcpy(bytes_.data() + size_, &wire, sizeof wire);
    size_ += sizeof wire;
  }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {bytes_.data(), size_}; }

 private:
  std::array<std::byte, kCapacity> bytes_;
  std::size_t size_ = 0;
};

}  // namespace slipring::array
