// What the array's stages say to each other: block requests one way, their replies the other.
//
// Protocol.  Two slot links with pools join a front end (which speaks to clients) to a back end
// (which keeps the blocks):
//   requests  front -> back, BlockRequest; its pool's buffers carry the data of kWrite
//   replies   back -> front, BlockReply; its pool's buffers carry the data of kRead, kBlockStatus
//             and kDescribe
// Every request is answered exactly once as far as the front can see: a reply whose id is not
// pending is dropped there.  Replies come in any order.
//
// Order.  `sequence` rises along the ring, over all incarnations of the front: it is the order in
// which the front accepted the requests.  Requests that overlap and are under way at once have no
// order that a client may rely on.  A request that the front sent after it saw the reply to another
// must see that other's effect; a flush covers the writes whose replies the front saw before it.
//
// Redelivery.  A stage that died is replaced, and what it had taken and not finished is delivered
// again, marked `redelivered`.  So a back end releases a request only when its reply has been
// published or its effect is in memory that outlives the process, and executes a request again as
// if it had never seen it: the same bytes to the same place.  Where later writes may have
// overtaken it meanwhile, `sequence` says which is newer.  The front never sends a request twice.
//
// Buffers.  Data begin at the buffer's first byte.  One message, one buffer: what a client asks
// beyond kBlockBufferBytes is split by the front.  A back end gives a request's buffer back before
// it releases the message; the front does the same with replies.  The front asks for no more data
// at a time than the replies' pool has buffers, as long as the back end keeps none for itself.
//
// All records are fixed-width, without pointers and without padding.  A receiver treats every field
// as input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace slipring::array {

// One pool buffer, and so the most that one message reads or writes.  Larger ones would save
// messages, but a client's 1 MiB is then received as a whole before its first byte moves on;
// smaller ones cost a message where clients ask for 256 KiB at a time, which nbdcopy does.
inline constexpr std::uint32_t kBlockBufferBytes = 256 * 1024;
// Offsets and lengths of requests are multiples of this only if the export says so; a back end must
// take every byte range within an export.
inline constexpr std::uint32_t kExportCountMax = 64;

enum class BlockOperation : std::uint8_t {
  kRead = 1,         // length bytes, at most kBlockBufferBytes; the reply brings them
  kWrite = 2,        // length bytes, at most kBlockBufferBytes; the request brings them
  kFlush = 3,        // offset and length are 0
  kTrim = 4,         // any length; afterwards the bytes are whatever they are
  kWriteZeroes = 5,  // any length
  kCache = 6,        // any length: what will be read soon
  kBlockStatus = 7,  // any length; the reply brings BlockExtents from `offset` on, at least one
  kDescribe = 8,     // offset and length are 0; the reply brings a BlockExport
};

// Flags of a BlockRequest.
// The reply says that the effect is on stable storage.
inline constexpr std::uint8_t kForceUnitAccess = 1U << 0;
// kWriteZeroes: the range stays allocated.
inline constexpr std::uint8_t kNoHole = 1U << 1;
// kWriteZeroes: ENOTSUP at once, and nothing changed, where it would be no faster than writing.
inline constexpr std::uint8_t kFastZero = 1U << 2;
// kBlockStatus: one extent is enough.
inline constexpr std::uint8_t kOneExtent = 1U << 3;

struct BlockRequest {
  std::uint32_t buffer_slot;  // of the request's data; kNoBufferSlot when it has none
  std::uint32_t buffer_generation;
  std::uint64_t id;          // never used twice, over all incarnations of the front
  std::uint64_t sequence;    // from 1; see above
  std::uint64_t offset;      // bytes, from the export's start
  std::uint32_t length;      // bytes
  std::uint32_t connection;  // whose it is, for aborts; 0: the front's own
  BlockOperation operation;
  std::uint8_t flags;
  std::uint16_t export_number;  // below kExportCountMax
  // What a server may go by in choosing how to wait and where to run (serving_place.h).
  // Requests that the sender has under way, this one too, and replies that its clients have not
  // read; 0: not said.
  std::uint16_t under_way;
  std::uint16_t processor;  // 1 + the one that the sender runs on; 0: not said
};
static_assert(sizeof(BlockRequest) == 48);
static_assert(offsetof(BlockRequest, operation) == 40);
static_assert(std::is_trivially_copyable_v<BlockRequest>);

struct BlockReply {
  std::uint32_t buffer_slot;  // of the reply's data; kNoBufferSlot when it has none
  std::uint32_t buffer_generation;
  std::uint64_t id;      // of the request
  std::uint32_t error;   // 0, or a Linux errno; then there are no data
  std::uint32_t length;  // bytes of data; kRead: as many as were asked for
};
static_assert(sizeof(BlockReply) == 24);
static_assert(std::is_trivially_copyable_v<BlockReply>);

// On a link of its own, front -> back end, which is looked at before the requests: of this
// connection nothing with a sequence up to this one is wanted any more.  What has not been begun is
// answered with ESHUTDOWN; what has been is answered as ever.
struct BlockAbort {
  std::uint64_t sequence;
  std::uint32_t connection;  // as BlockRequest has it
  std::uint32_t reserved;    // 0
};
static_assert(sizeof(BlockAbort) == 16);
// Connections are numbered below this.
inline constexpr std::uint32_t kBlockConnectionEnd = 128;

// Of a kBlockStatus reply: a run of bytes in one state.  Big-endian, because that is how the NBD
// protocol has them, and they are sent to the client from where they lie.
struct BlockExtent {
  std::uint32_t length_be;
  std::uint32_t flags_be;  // bit 0: a hole; bit 1: reads as zeroes
};
static_assert(sizeof(BlockExtent) == 8);
inline constexpr std::uint32_t kExtentIsHole = 1U << 0;
inline constexpr std::uint32_t kExtentIsZero = 1U << 1;

// Flags of a BlockExport.
inline constexpr std::uint32_t kExportIsReadOnly = 1U << 0;
inline constexpr std::uint32_t kExportCanTrim = 1U << 1;
inline constexpr std::uint32_t kExportCanWriteZeroes = 1U << 2;
inline constexpr std::uint32_t kExportCanFastZero = 1U << 3;
inline constexpr std::uint32_t kExportIsRotational = 1U << 4;

// Of a kDescribe reply: what an export is.  ENOENT: there is none of that number.
struct BlockExport {
  std::uint64_t size_bytes;
  std::uint32_t block_bytes_min;  // a power of two, 1 to 64 KiB: what requests are multiples of
  std::uint32_t block_bytes_preferred;  // a power of two, from block_bytes_min: what is fastest
  std::uint32_t flags;
  // kExportCanFastZero: that many bytes, at a multiple of as many, are zeroed without being
  // written; of a range that holds none kFastZero is refused.  0: any are.
  std::uint32_t fast_zero_bytes;
};
static_assert(sizeof(BlockExport) == 24);

}  // namespace slipring::array
