// How a link's segment is cut: the two ends' pages, the ring, and the buffer pool if it has one.
//
// Three regions, one a role.  The offsets below are relative to the region; specified in
// core/LAYOUT.md, change both or neither.
//   writer's region:    ProducerPage | EndPage | lent table | ring | pool buffers
//   reader's region:    ConsumerPage | EndPage | returned table
//   commander's region: ControlPage
// The ring and the pool buffers start on pages of their own.  On a link with a pool every message
// begins with the BufferHandle {slot:32, generation:32} of the buffer that it sends, or with slot
// kNoBuffer when it sends none, so that a successor knows what is under way.
//
// A lane set (lane_reader.h) is such regions side by side: all lanes' writer's regions, then all
// reader's.  Each lane's writer is a role of its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/cpu/cache_line.h"
#include "core/error/result.h"
#include "core/pool/buffer_pool.h"
#include "core/ring/byte_stream.h"
#include "core/ring/cursor_page.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"
#include "core/segment/segment_layout.h"
#include "pipelines/link/control_page.h"
#include "pipelines/link/drop_words.h"
#include "platform/wait/doorbell.h"

namespace slipring {

inline constexpr std::uint32_t kNoBufferSlot = UINT32_MAX;

// Lanes of a set: two futexes each, to be slept on at once.
inline constexpr std::uint32_t kMaxSetLanes = 32;
// The byte of the lock file that the writer of lane 0 holds; the others follow.
inline constexpr std::uint32_t kFirstLaneByte = 8;

enum class EndState : std::uint32_t {
  kNever = 0,   // nobody has attached yet
  kOpen = 1,    // attached, or dead without having closed
  kClosed = 2,  // finished for good
};

// What an end counts, for observers.  Each is written by the end alone and only grows, over all
// incarnations.
struct EndCounters {
  std::atomic<std::uint64_t> message_count;      // published, or finished
  std::atomic<std::uint64_t> payload_bytes;      // of these
  std::atomic<std::uint64_t> blocked_count;      // times the ring was full, or empty
  std::atomic<std::uint64_t> sleep_count;        // times the end slept
  std::atomic<std::uint64_t> abort_count;        // writer: aborts; reader: aborted messages dropped
  std::atomic<std::uint64_t> redelivered_count;  // reader: messages seen by a predecessor before
  std::atomic<std::uint64_t> recovered_count;  // writer: pool buffers taken back from predecessors
  std::atomic<std::uint64_t> corrupt_count;    // impossible values met in the peer's memory
};

// One end's page, written by that end only.
struct EndPage {
  BellLine bell;                                            // rung for the other end
  ArmLine arm;                                              // odd while this end sleeps
  alignas(kAbiLineBytes) std::atomic<std::uint32_t> state;  // an EndState
  std::atomic<std::uint32_t> incarnation;                   // attachments so far
  std::atomic<std::uint32_t> process_id;                    // for people; never an identity
  std::atomic<std::uint32_t> is_locked;                     // 1: the end's memory is locked down
  // Of the other's memory that this end looks at; of a broadcast link's writer, that of the writer
  // with whom its stream began.
  std::atomic<std::uint32_t> peer_generation;
  // Who wrote the first impossible value that this end met, for people: the process (0: not
  // visible here) and its user.  Meaningful while corrupt_count is not 0.
  std::atomic<std::uint32_t> offender_process_id;
  std::atomic<std::uint32_t> offender_user;
  // Of the process, as it says itself.
  std::atomic<std::uint32_t> user;
  std::atomic<std::uint32_t> group;
  // The reader of a guarded link: it reads nothing more of the writer of this generation.
  std::atomic<std::uint32_t> given_up;
  alignas(kAbiLineBytes) EndCounters counters;
  DropWords drops;  // the reader's; of the writer's only a mark
};
static_assert(offsetof(EndPage, arm) == 128);
static_assert(offsetof(EndPage, state) == 256);
static_assert(offsetof(EndPage, counters) == 384);
static_assert(offsetof(EndPage, drops) == 448);
static_assert(sizeof(EndPage) == 512);

inline constexpr std::uint64_t kEndPageOffset = 256;
inline constexpr std::uint64_t kTableOffset = 1024;
static_assert(sizeof(ProducerPage) == kEndPageOffset && sizeof(ConsumerPage) == kEndPageOffset);
static_assert(kEndPageOffset + sizeof(EndPage) <= kTableOffset);

[[nodiscard]] inline EndPage& end_page_of(std::span<std::byte> region) noexcept {
  return *reinterpret_cast<EndPage*>(region.data() + kEndPageOffset);
}

// "slots", "records", "values", "stream", "board", "lanes", "broadcast": as the command line and
// JSON have it.
[[nodiscard]] const char* name_of(SegmentKind kind) noexcept;

// What a link is made of, as its creator asks and as its header says.
struct LinkShape {
  SegmentKind kind = SegmentKind::kRecordLink;  // or kSlotLink, kValueLink, kStreamLink
  std::uint64_t capacity_bytes = 0;             // record and stream links
  std::uint64_t slot_count = 0;                 // slot links; value links: of values
  std::uint32_t slot_bytes = 0;                 // slot links; value links: sizeof a value
  std::uint64_t value_mark = 0;                 // value links: which type; 0: not said
  std::uint32_t pool_buffer_count = 0;          // 0: no pool; slot links only
  std::uint64_t pool_buffer_bytes = 0;
  // At most so many messages under way, and a full link answers instead of blocking; 0: no limit,
  // and a writer that waits is blocked until there is space.
  std::uint64_t credit_count = 0;
  // 0: a link of one writer.  Otherwise a set of so many lanes, each of the shape that the rest
  // describes; record links only.
  std::uint32_t lane_count = 0;
  // A named set that was made in passing: remove_if_idle() takes it when nobody uses it any more.
  bool goes_when_idle = false;
};

[[nodiscard]] inline bool is_lane_set(const LinkShape& shape) noexcept {
  return shape.lane_count != 0;
}
// As the segment's header has it.
[[nodiscard]] inline SegmentKind segment_kind(const LinkShape& shape) noexcept {
  return is_lane_set(shape) ? SegmentKind::kLaneSet : shape.kind;
}
// The byte of the lock file that the writer's certificate is about.
[[nodiscard]] inline std::uint32_t writer_byte(const LinkShape& shape,
                                               std::uint32_t lane) noexcept {
  return is_lane_set(shape) ? kFirstLaneByte + lane : static_cast<std::uint32_t>(Role::kWriter);
}

// Whether positions and capacity are bytes, and not slots.
[[nodiscard]] inline bool is_counted_in_bytes(const LinkShape& shape) noexcept {
  return shape.kind == SegmentKind::kRecordLink || shape.kind == SegmentKind::kStreamLink;
}

// Of a header and of a broker's grant: the word that a value link has no capacity for.
[[nodiscard]] inline std::uint64_t capacity_word(const LinkShape& shape) noexcept {
  return shape.kind == SegmentKind::kValueLink ? shape.value_mark : shape.capacity_bytes;
}
// Requires: shape.kind is known.
inline void set_capacity_word(LinkShape& shape, std::uint64_t word) noexcept {
  (shape.kind == SegmentKind::kValueLink ? shape.value_mark : shape.capacity_bytes) = word;
}

// Errors: kVersion for a link whose ends are those of other headers (value_link.h, stream_link.h);
// its kind is `found`.
[[nodiscard]] Status require_messages(const LinkShape& shape) noexcept;

// Where the parts lie, from the start of their region.
struct LinkParts {
  std::uint64_t ring_offset = 0;
  std::uint64_t ring_bytes = 0;
  std::uint64_t buffers_offset = 0;
  std::uint64_t writer_bytes = 0;
  std::uint64_t reader_bytes = 0;
  std::uint64_t control_bytes = 0;  // of all lanes of a set, a page each
};

[[nodiscard]] inline SlotGeometry slot_geometry(const LinkShape& shape) noexcept {
  return {shape.slot_count, shape.slot_bytes, 0};
}
[[nodiscard]] inline SpscGeometry value_geometry(const LinkShape& shape) noexcept {
  return {shape.slot_count, 0};
}
[[nodiscard]] inline RecordGeometry record_geometry(const LinkShape& shape) noexcept {
  return {shape.capacity_bytes, 0};
}
[[nodiscard]] inline StreamGeometry stream_geometry(const LinkShape& shape) noexcept {
  return {shape.capacity_bytes, 0};
}
[[nodiscard]] inline PoolGeometry pool_geometry(const LinkShape& shape) noexcept {
  return {shape.pool_buffer_count, 0, shape.pool_buffer_bytes};
}

// Errors: kInvalidArgument with the offending value.
[[nodiscard]] Status validate_shape(const LinkShape& shape) noexcept;

// Of a lane set: of each lane, whose region begins at lane × writer_bytes (reader_bytes).
// Requires: validate_shape(shape) is ok; page_bytes is a power of two.
[[nodiscard]] LinkParts parts_of(const LinkShape& shape, std::uint64_t page_bytes) noexcept;

// Fills a header for a link called `name`; lock_inode and check are left to the creator.
// Requires: validate_shape(shape) is ok.
[[nodiscard]] SegmentHeader make_link_header(const LinkShape& shape, std::string_view name,
                                             std::uint64_t page_bytes) noexcept;

// What the writer's region says is published, of any kind of link: its first bytes up to the ring.
// A commit that is under way may count or not.  Any values in it give a boundary, perhaps an
// impossible one.
[[nodiscard]] LinkBoundary published_boundary(const LinkShape& shape,
                                              std::span<const std::byte> writer_region) noexcept;

// The shape that a validated header describes.  Errors: kCorruptPeer when the header is not a
// link's or its regions do not fit its shape.
[[nodiscard]] Result<LinkShape> shape_of(const SegmentHeader& header) noexcept;

}  // namespace slipring
