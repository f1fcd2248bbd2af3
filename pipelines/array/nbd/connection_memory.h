// What of a client's connection, and of its requests, outlives the process that serves it.
//
// Protocol.  One writer, the process; its successor after it.  Every step writes where nobody
// looks yet, and then settles one word (surviving_word.h) that makes it count:
//   ConnectionMemory::selected   which of two ConnectionStates is the present one: how far input
//                                was taken and output was sent, which requests were accepted
//   RequestMemory::issued_bytes  up to where a request was cut into pieces
//   PieceMemory::state           how far a piece has come
//   Submission::piece            which piece is being put onto the ring, and at which position
// So a process killed anywhere leaves each step done or not done, and never half.
//
// Rules by which a successor reads it.
//   A request lives iff accept_number < accepted_count and done_item is not below item_tail.
//   A piece lives iff its state is not kFree, its request lives with the same accept_number (a read
//   whose reply is being sent: has lived), and issued_bytes reaches beyond its request_offset; else
//   it is a ghost, and free.
//   A piece whose out_item is below item_head has been sent.
//   A piece that is kSpilled has its data at its own place in the spill memory.
//   The piece named by `submission` and still kReady is on the ring iff the ring's position is
//   beyond submission.position.
//
// Bytes in flight.  recvmmsg() and sendmmsg() store the number of bytes into mmsghdr::msg_len
// before they return, and a kill takes effect only at the return to user mode.  SocketTransfer,
// which holds the mmsghdr, lies here: so how much was taken from the socket, or given to it, is
// always known. (The page must be present: a fault on it in the dying process would fail.  It is
// locked if the limit allows, and stored to just before each call.)
//
// Pointers in here are of use only to the process that stored them, and are stored anew before
// each system call.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/pool/buffer_pool.h"
#include "pipelines/array/block_request.h"

namespace slipring::array {

inline constexpr std::uint32_t kNoIndex = UINT32_MAX;
inline constexpr std::uint64_t kNoPosition = UINT64_MAX;

inline constexpr std::uint32_t kConnectionCountMax = 80;
// Of these, with an export open; the others are for those who are choosing one.
inline constexpr std::uint32_t kEnteredCountMax = 64;
inline constexpr std::uint32_t kPieceCountMax = 512;
inline constexpr std::uint32_t kPieceIndexBits = 10;     // of an id, the low ones
inline constexpr std::uint32_t kRequestCountMax = 128;   // of a connection, at once
inline constexpr std::uint64_t kInputBytes = 16 * 1024;  // a power of two
inline constexpr std::uint64_t kTextBytes = 32 * 1024;   // a power of two
inline constexpr std::uint64_t kItemCount = 1024;        // a power of two
// Nothing is accepted from a client who leaves so much unread, so that what is under way always
// finds room: a line for each request and each piece.
inline constexpr std::uint64_t kUnsentItemsMax = 256;
inline constexpr std::uint64_t kUnsentTextMax = 8 * 1024;
inline constexpr std::size_t kReplyTextMax = 32;
static_assert(kUnsentItemsMax + kRequestCountMax + kPieceCountMax <= kItemCount);
static_assert(kUnsentTextMax + (kRequestCountMax + kPieceCountMax) * kReplyTextMax <= kTextBytes);
static_assert(kPieceCountMax <= 1U << kPieceIndexBits);

enum class Phase : std::uint32_t {
  kFree = 0,          // nobody's
  kClientFlags = 1,   // greeted; the client says what it understands
  kOptions = 2,       // haggling
  kTransmission = 3,  // requests and replies
  kFinishing = 4,     // no more input; what is under way is answered, and then it is closed
  kClosed = 5,        // the socket is done with; its pieces are still under way
  kStartTls = 6,      // once the answer is sent, the handshake; then kOptions again
};

// Positions count from 0 at the connection's start and only grow; an index is position & mask.
struct ConnectionState {
  Phase phase;
  std::uint32_t export_number;    // from kTransmission on
  std::uint64_t input_head;       // parsed
  std::uint64_t input_tail;       // received
  std::uint64_t receive_number;   // transfers whose bytes are counted above
  std::uint64_t skip_bytes;       // of input, that belong to what was refused
  std::uint32_t payload_request;  // whose data come next; kNoIndex
  std::uint32_t payload_bytes;    // how much of them came
  std::uint64_t accepted_count;   // requests
  std::uint64_t send_number;      // transfers whose bytes are counted below
  std::uint64_t text_head;        // sent
  std::uint64_t text_tail;
  std::uint64_t item_head;  // sent
  std::uint64_t item_tail;
  std::uint32_t item_sent_bytes;  // of the item at item_head
  std::uint8_t has_no_zeroes;
  std::uint8_t has_structured_replies;
  std::uint8_t has_allocation_context;
  std::uint8_t is_encrypted;  // by keys that its process alone has
};
static_assert(sizeof(ConnectionState) == 104);

// A request of a client.
struct RequestMemory {
  std::atomic<std::uint64_t> accept_number;  // kNoPosition while it is rewritten
  std::atomic<std::uint64_t> done_item;      // the item that concludes it; kNoPosition
  std::atomic<std::uint32_t> issued_bytes;   // requests without data: 1 when issued
  std::atomic<std::uint32_t> error;          // the first, as NBD has it
  std::uint64_t cookie;                      // the client's
  std::uint64_t offset;
  std::uint32_t length;
  std::uint16_t command;
  std::uint16_t flags;
};
static_assert(sizeof(RequestMemory) == 48);

// What goes out next: some text, then the data of a piece, if there is one.
struct OutItem {
  std::uint64_t text_begin;
  std::uint32_t text_bytes;
  std::uint32_t payload_bytes;
  std::uint32_t piece;  // kNoIndex
  std::uint32_t reserved;
};
static_assert(sizeof(OutItem) == 24);

inline constexpr std::size_t kTransferPartCount = 64;

// One recvmmsg() or sendmmsg() of one message.
struct SocketTransfer {
  std::atomic<std::uint64_t> number;  // counts when it is one ahead of the state's
  mmsghdr header;                     // msg_len: bytes moved, stored by the kernel
  std::uint64_t bytes_max;            // all parts together
  std::uint64_t payload_bytes_max;    // receive: of these, the first, which are a piece's
  std::array<iovec, kTransferPartCount> parts;
};

struct ConnectionMemory {
  std::array<char, 64> name;  // of the socket in the descriptor store; ends in 0
  std::atomic<std::uint32_t> selected;
  std::uint32_t reserved;
  std::array<ConnectionState, 2> states;
  SocketTransfer receive;
  SocketTransfer send;
  std::array<RequestMemory, kRequestCountMax> requests;
  std::array<OutItem, kItemCount> items;
  std::array<std::byte, kInputBytes> input;
  std::array<std::byte, kTextBytes> text;
};

enum class PieceState : std::uint32_t {
  kFree = 0,
  kFilling = 1,    // of a write: its data are coming
  kReady = 2,      // to be put onto the ring
  kSubmitted = 3,  // the back end has it
  kAnswered = 4,   // a read: its data wait to be sent, or are being sent
  kSpilled = 5,    // as kAnswered, but its data are in memory of our own, and the reply is finished
};

// A part of a request, as large as a message may be.
struct PieceMemory {
  std::atomic<PieceState> state;
  std::uint32_t connection;       // kNoIndex: the front's own
  std::atomic<std::uint64_t> id;  // since it is being put onto the ring
  std::uint64_t sequence;
  std::uint64_t accept_number;   // of its request
  std::uint32_t request;         // index
  std::uint32_t request_offset;  // bytes of the request before it
  std::uint64_t offset;          // in the export
  std::uint32_t length;
  std::uint16_t export_number;
  BlockOperation operation;
  std::uint8_t flags;
  BufferHandle buffer;  // kFilling to kSubmitted: of the requests' pool; kAnswered: replies'
  std::atomic<std::uint64_t> out_item;  // kAnswered: where it is in line; kNoPosition
  std::uint32_t data_bytes;             // kAnswered: how much the reply brought
  std::uint32_t error;                  // kAnswered: an errno, or 0
};
static_assert(sizeof(PieceMemory) == 80);

struct Submission {
  std::uint64_t position;  // of the ring before it
  std::atomic<std::uint32_t> piece;
  std::uint32_t reserved;
};

inline constexpr std::uint64_t kFrontMagic = 0x54'4e'4f'52'46'44'42'4e;  // "NBDFRONT" in memory

struct FrontMemory {
  std::atomic<std::uint64_t> magic;  // the last word that a new one gets
  std::uint64_t size_bytes;
  std::atomic<std::uint64_t> sequence;  // the last one given out
  Submission submission;
  std::array<PieceMemory, kPieceCountMax> pieces;
  std::array<ConnectionMemory, kConnectionCountMax> connections;
};
static_assert(std::is_standard_layout_v<FrontMemory>);

}  // namespace slipring::array
