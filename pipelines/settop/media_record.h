// What the set-top box's stages say to each other: the records that travel on its links.
//
// All records are fixed-width, without pointers and without implicit padding, so that a 32-bit
// stage may sit beside a 64-bit one.  A receiver treats every field as input: sizes and codes are
// checked before use.  Times named *_ns are CLOCK_MONOTONIC; pts and dts count 90 kHz ticks,
// unwrapped past 33 bits, and audio and video of one programme share their origin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace slipring::settop {

inline constexpr std::int64_t kNoTimestamp = INT64_MIN;

enum class StreamKind : std::uint32_t { kVideo = 1, kAudio = 2 };

enum class Codec : std::uint32_t {
  kUnknown = 0,
  kMpeg2Video = 1,  // MPEG-1 video too
  kH264 = 2,
  kMpegAudio = 3,  // layers I, II and III
  kAacAdts = 4,
  kAacLatm = 5,
  kHevc = 6,
  kAc3 = 7,
};

// ingest -> demux: whole received bytes, as they came (a datagram, or a piece of a file).
struct TransportRecord {
  std::uint64_t origin_ns;  // when the bytes arrived
  std::uint64_t
      change_ns;  // when the channel change that these bytes belong to was commanded; 0: none
  // The bytes follow, up to the end of the record.
};
static_assert(sizeof(TransportRecord) == 16);

enum class ElementaryEvent : std::uint32_t {
  kData = 1,  // a piece of elementary stream follows
  // A new programme or codec: what came before is over.  pts is the newest of what came before, so
  // that the receiver knows how much was queued.
  kStreamStart = 2,
};

// Flags of an ElementaryRecord.
inline constexpr std::uint32_t kPesStart = 1U
                                           << 0;   // first piece of a PES packet; pts and dts count
inline constexpr std::uint32_t kPesEnd = 1U << 1;  // last piece of a PES packet
inline constexpr std::uint32_t kDamaged = 1U << 2;        // something is missing inside
inline constexpr std::uint32_t kDiscontinuity = 1U << 3;  // something is missing before
inline constexpr std::uint32_t kRandomAccess = 1U << 4;   // the multiplexer marked an entry point

// demux -> decode: a piece of at most kMaxElementaryBytes.
struct ElementaryRecord {
  ElementaryEvent event;
  Codec codec;
  std::uint32_t flags;
  std::uint32_t program_number;
  std::int64_t pts;  // kNoTimestamp on every piece but the first
  std::int64_t dts;
  std::uint64_t origin_ns;  // arrival of the first transport packet of this PES packet
  std::uint64_t change_ns;  // as in TransportRecord
  // The bytes follow, up to the end of the record.
};
static_assert(sizeof(ElementaryRecord) == 48);
inline constexpr std::size_t kMaxElementaryBytes = 64 * 1024;

enum class FrameEvent : std::uint32_t {
  kFrame = 1,
  kStreamStart = 2,  // a new programme: what came before is over; pts as in ElementaryEvent
};

enum class PixelFormat : std::uint32_t {
  kNone = 0,
  kYuv420p = 1,
  kYuv422p = 2,
  kYuv444p = 3,
  kYuv420p10 = 4,  // little endian, two bytes a sample
  kYuv422p10 = 5,
  kYuvj420p = 6,  // full range
  kYuvj422p = 7,
  kYuvj444p = 8,
  kGray8 = 9,
};

enum class SampleFormat : std::uint32_t {
  kNone = 0,
  kFloatPlanar = 1,
  kFloat = 2,
  kS16Planar = 3,
  kS16 = 4,
  kS32Planar = 5,
  kS32 = 6,
};

inline constexpr std::size_t kMaxPlanes = 8;

inline constexpr std::uint32_t kNoBuffer = UINT32_MAX;

// Flags of a FrameRecord.
inline constexpr std::uint32_t kKeyFrame = 1U << 0;
inline constexpr std::uint32_t kInterlaced = 1U << 1;
inline constexpr std::uint32_t kTopFieldFirst = 1U << 2;
inline constexpr std::uint32_t kCorruptFrame = 1U << 3;  // the decoder concealed something

// decode -> render: one decoded picture or block of sound, which stays where it was decoded, in the
// pool buffer that the first two words name: on a link with a pool every message begins with its
// handle (pipelines/link/link_layout.h).  An event without a buffer has kNoBuffer there.
struct FrameRecord {
  std::uint32_t buffer_slot;
  std::uint32_t buffer_generation;
  FrameEvent event;
  StreamKind kind;
  std::int64_t pts;              // kNoTimestamp when unknown
  std::uint64_t origin_ns;       // arrival of the data that this was decoded from
  std::uint64_t change_ns;       // as in TransportRecord
  std::uint64_t sequence_count;  // frames given out by this decoder process before this one
  std::uint32_t flags;
  std::uint32_t format;  // PixelFormat or SampleFormat
  std::uint32_t width_px;
  std::uint32_t height_px;
  std::uint32_t sample_aspect_num;
  std::uint32_t sample_aspect_den;
  std::uint32_t frame_rate_num;  // 0 when unknown
  std::uint32_t frame_rate_den;
  std::uint32_t sample_rate_hz;
  std::uint32_t channel_count;
  std::uint32_t sample_count;  // a channel
  std::uint32_t plane_count;
  std::uint32_t plane_offset_bytes[kMaxPlanes];  // from the buffer's first byte
  std::int32_t plane_stride_bytes[kMaxPlanes];   // sound: bytes of the plane
  std::uint32_t program_number;
  std::uint32_t reserved;
};
static_assert(sizeof(FrameRecord) == 168);
static_assert(std::is_trivially_copyable_v<FrameRecord>);

}  // namespace slipring::settop
