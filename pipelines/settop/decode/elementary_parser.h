// Cuts an elementary stream, which arrives in pieces of any size, into access units.
//
// libavcodec's parser finds the boundaries.  Time stamps and origin are kept here instead: a unit
// belongs to the PES packet in which its first byte stood, however many pieces that packet came in,
// and the first unit that begins in a PES packet takes its time stamps.  The memory of PES packets
// is a fixed table; a stream that never yields a unit is cut off at kMaxUnitBytes.
//
// The parser gives a unit out when it sees the next one begin, so that one unit stays inside until
// more data or finish() comes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/error/result.h"
#include "pipelines/settop/media_record.h"

struct AVCodecContext;
struct AVCodecParserContext;

namespace slipring::settop {

// Where data came from: what a frame inherits from the PES packet that its first byte stood in.
struct PesOrigin {
  std::uint64_t number = 0;  // of the PES packet, counted from 1; 0: unknown
  std::int64_t offset_bytes = 0;
  std::int64_t pts = kNoTimestamp;
  std::int64_t dts = kNoTimestamp;
  std::uint64_t origin_ns = 0;
  std::uint64_t change_ns = 0;
  std::uint32_t program_number = 0;
  bool damaged = false;
};

struct AccessUnit {
  const std::uint8_t* data = nullptr;  // valid until the next call
  int size_bytes = 0;
  std::int64_t pts = kNoTimestamp;
  std::int64_t dts = kNoTimestamp;
  std::uint64_t pes_number = 0;
};

// Not thread safe: one thread calls.
class ElementaryParser {
 public:
  static constexpr std::int64_t kMaxUnitBytes = 16 * 1024 * 1024;

  ElementaryParser() = default;
  ElementaryParser(const ElementaryParser&) = delete;
  ElementaryParser& operator=(const ElementaryParser&) = delete;
  ~ElementaryParser();

  // Starts afresh for this codec.  Errors: kUnsupported, kNoSpace.
  [[nodiscard]] Status open(Codec codec);
  void close();
  [[nodiscard]] bool is_open() const noexcept { return parser_ != nullptr; }

  // Takes one piece in.  Call next() until it answers false before the next push().
  // Requires: is_open() and bytes.size() <= kMaxElementaryBytes.
  void push(const ElementaryRecord& record, std::span<const std::byte> bytes);

  // No more data will come: the next calls of next() give out what is left.
  void finish();

  // True: `unit` is the next access unit.
  [[nodiscard]] bool next(AccessUnit& unit);

  // The PES packet of that number, if the table still holds it; otherwise an unknown origin.
  [[nodiscard]] PesOrigin origin_of(std::uint64_t pes_number) const;

  // Bytes thrown away because they grew past kMaxUnitBytes without a unit boundary, since
  // construction.
  [[nodiscard]] std::uint64_t bytes_dropped() const noexcept { return bytes_dropped_; }

 private:
  // More than any codec's reordering depth, with room for PES packets without a frame of their own.
  static constexpr std::size_t kPesTableSize = 256;

  [[nodiscard]] Status restart();
  void remember(const ElementaryRecord& record);
  void stamp(AccessUnit& unit);

  Codec codec_ = Codec::kUnknown;
  AVCodecParserContext* parser_ = nullptr;
  AVCodecContext* scratch_ = nullptr;  // the parser leaves its findings here; nobody decodes
  std::vector<std::uint8_t> piece_;    // the parser wants padding behind the data
  std::size_t piece_size_bytes_ = 0;
  std::size_t piece_used_bytes_ = 0;
  bool finishing_ = false;
  std::int64_t pushed_bytes_ = 0;  // since restart(): the parser counts from there too
  std::uint64_t newest_pes_ = 0;
  std::uint64_t current_pes_ = 0;  // the PES packet of the unit given out last
  std::uint64_t stamped_pes_ = 0;  // its time stamps are taken
  std::array<PesOrigin, kPesTableSize> pes_table_{};
  std::uint64_t bytes_dropped_ = 0;
};

}  // namespace slipring::settop
