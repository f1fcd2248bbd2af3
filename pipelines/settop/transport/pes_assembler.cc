#include "pipelines/settop/transport/pes_assembler.h"

#include <algorithm>

#include "pipelines/settop/transport/copy_bytes.h"

namespace slipring::settop {
namespace {

bool is_stuffing(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0xff}; });
}

}  // namespace

void PesAssembler::start(const SelectedStream& stream) {
  *this = PesAssembler(kind_);
  stream_ = stream;
}

void PesAssembler::push(const PacketView& packet, Continuity continuity, std::uint64_t origin_ns,
                        const PesContext& context) {
  discontinuity_ |= packet.discontinuity;
  if (!packet.has_payload) {
    random_access_ |= packet.random_access;
    return;
  }
  // An announced jump is in order between PES packets.  Inside one something is missing even so.
  if (continuity == Continuity::kGap ||
      (continuity == Continuity::kAnnouncedJump && !packet.unit_start)) {
    note_gap(context.counters);
  }
  auto payload = packet.payload;
  if (packet.unit_start) begin_unit(packet, origin_ns, context);
  if (state_ == State::kHeader) payload = take_header(payload, context);
  if (payload.empty()) return;
  switch (state_) {
    case State::kPayload:
      take_payload(payload, context);
      break;
    case State::kDone:
      ++context.counters.packets_outside_pes;
      context.counters.pes_surplus_bytes += payload.size();
      discontinuity_ |= !is_stuffing(payload);
      break;
    case State::kIdle:
      ++context.counters.packets_outside_pes;
      break;
    case State::kHeader:
      break;
  }
}

void PesAssembler::note_gap(DemuxCounters& counters) {
  discontinuity_ = true;
  if (state_ == State::kPayload) broken_ = true;
  if (state_ == State::kHeader) refuse_header(counters.pes_header_errors);
}

void PesAssembler::flush(const PesContext& context) {
  if (state_ == State::kPayload) {
    if (bounded_) ++context.counters.pes_short;
    end_pes(bounded_ || broken_ ? PesEnd::kBroken : PesEnd::kWhole, context);
  }
  if (state_ == State::kHeader) refuse_header(context.counters.pes_header_errors);
  state_ = State::kIdle;
}

void PesAssembler::abandon(const PesContext& context) {
  if (state_ == State::kPayload) end_pes(PesEnd::kAbandoned, context);
  state_ = State::kIdle;
}

void PesAssembler::begin_unit(const PacketView& packet, std::uint64_t origin_ns,
                              const PesContext& context) {
  flush(context);
  state_ = State::kHeader;
  random_access_ |= packet.random_access;
  origin_ns_ = origin_ns;
  header_count_ = 0;
  header_wanted_ = kPesFixedHeaderBytes;
}

// Gathers the header, whose length is known after nine bytes.  Returns the bytes behind it, or none
// if the header goes on in the next packet or is not one.
std::span<const std::byte> PesAssembler::take_header(std::span<const std::byte> bytes,
                                                     const PesContext& context) {
  while (state_ == State::kHeader) {
    const std::size_t taken = std::min(header_wanted_ - header_count_, bytes.size());
    copy_bytes(std::span(header_).subspan(header_count_), bytes.first(taken));
    header_count_ += taken;
    bytes = bytes.subspan(taken);
    if (header_count_ < header_wanted_) return {};
    if (header_wanted_ == kPesFixedHeaderBytes) {
      const auto fixed = std::span<const std::byte>(header_).first<kPesFixedHeaderBytes>();
      const PesHeaderParse parse = check_pes_start(fixed);
      if (parse != PesHeaderParse::kOk) {
        refuse_header(parse == PesHeaderParse::kForeign ? context.counters.pes_foreign
                                                        : context.counters.pes_header_errors);
        return {};
      }
      header_wanted_ = pes_header_count(fixed);
      if (header_wanted_ > kPesFixedHeaderBytes) continue;
    }
    open_pes(context);
  }
  return bytes;
}

void PesAssembler::open_pes(const PesContext& context) {
  const PesHeader header = parse_pes_header({header_.data(), header_wanted_});
  PesStart start;
  start.kind = kind_;
  start.codec = stream_.codec;
  start.pid = stream_.pid;
  start.origin_ns = origin_ns_;
  start.random_access = random_access_;
  start.discontinuity = discontinuity_;
  if (header.timestamp_error) ++context.counters.timestamp_errors;
  if (header.pts) {
    // Decoding time only grows, so it leads the line; pts follows from it across B-frames.
    start.dts = context.timestamps.follow(header.dts ? *header.dts : *header.pts);
    start.pts = context.timestamps.nearest(*header.pts);
  }
  if (random_access_) ++context.counters.random_access_points;
  state_ = State::kPayload;
  bounded_ = header.bounded;
  remaining_count_ = header.payload_count;
  broken_ = false;
  random_access_ = false;
  discontinuity_ = false;
  context.sink.pes_begin(start);
  if (bounded_ && remaining_count_ == 0) end_pes(PesEnd::kWhole, context);
}

void PesAssembler::take_payload(std::span<const std::byte> bytes, const PesContext& context) {
  const std::size_t count = bounded_ ? std::min(remaining_count_, bytes.size()) : bytes.size();
  (kind_ == StreamKind::kVideo ? context.counters.video_bytes : context.counters.audio_bytes) +=
      count;
  context.sink.pes_payload(kind_, bytes.first(count));
  if (!bounded_) return;
  remaining_count_ -= count;
  if (remaining_count_ > 0) return;
  end_pes(broken_ ? PesEnd::kBroken : PesEnd::kWhole, context);
  context.counters.pes_surplus_bytes += bytes.size() - count;
  discontinuity_ |= !is_stuffing(bytes.subspan(count));
}

void PesAssembler::end_pes(PesEnd end, const PesContext& context) {
  state_ = State::kDone;
  if (end == PesEnd::kAbandoned) {
    ++context.counters.pes_abandoned;
  } else {
    ++(kind_ == StreamKind::kVideo ? context.counters.pes_video : context.counters.pes_audio);
    if (end == PesEnd::kBroken) ++context.counters.pes_broken;
  }
  context.sink.pes_end(kind_, end);
}

void PesAssembler::refuse_header(std::uint64_t& counter) {
  ++counter;
  state_ = State::kIdle;
  random_access_ = false;
  // Padding takes nothing away from the stream; a header that was lost does.
  discontinuity_ |= header_count_ < kPesFixedHeaderBytes || header_[3] != std::byte{0xbe};
}

}  // namespace slipring::settop
