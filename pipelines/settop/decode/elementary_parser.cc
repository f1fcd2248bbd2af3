#include "pipelines/settop/decode/elementary_parser.h"

#include <algorithm>
#include <cstring>

#include "core/error/check.h"
#include "pipelines/settop/decode/av_format.h"

extern "C" {
#include <libavcodec/avcodec.h>
}

namespace slipring::settop {

ElementaryParser::~ElementaryParser() {
  close();
}

Status ElementaryParser::open(Codec codec) {
  close();
  codec_ = codec;
  piece_.resize(kMaxElementaryBytes + AV_INPUT_BUFFER_PADDING_SIZE);
  return restart();
}

void ElementaryParser::close() {
  av_parser_close(parser_);
  parser_ = nullptr;
  avcodec_free_context(&scratch_);
}

Status ElementaryParser::restart() {
  close();
  const int id = to_av(codec_);
  parser_ = av_parser_init(id);
  if (parser_ == nullptr) {
    return Error{.code = ErrorCode::kUnsupported, .doing = "opening a parser for the codec"};
  }
  scratch_ = avcodec_alloc_context3(nullptr);
  if (scratch_ == nullptr) {
    close();
    return Error{.code = ErrorCode::kNoSpace, .doing = "allocating a parser"};
  }
  const AVCodec* codec = avcodec_find_decoder(static_cast<AVCodecID>(id));
  scratch_->codec_type = codec != nullptr ? codec->type : AVMEDIA_TYPE_UNKNOWN;
  scratch_->codec_id = static_cast<AVCodecID>(id);
  piece_size_bytes_ = 0;
  piece_used_bytes_ = 0;
  finishing_ = false;
  pushed_bytes_ = 0;
  // What is still in the decoder keeps its origin; what was not parsed yet is gone.
  current_pes_ = newest_pes_;
  stamped_pes_ = newest_pes_;
  return {};
}

void ElementaryParser::push(const ElementaryRecord& record, std::span<const std::byte> bytes) {
  check(is_open() && bytes.size() <= kMaxElementaryBytes, "a piece fits the parser's buffer");
  check(piece_used_bytes_ == piece_size_bytes_, "the piece before is used up");
  if (pushed_bytes_ - parser_->next_frame_offset > kMaxUnitBytes) {
    bytes_dropped_ += static_cast<std::uint64_t>(pushed_bytes_ - parser_->next_frame_offset);
    const Status restarted = restart();
    if (!restarted) return;  // is_open() tells
  }
  if ((record.flags & kPesStart) != 0 || newest_pes_ == 0) remember(record);
  if ((record.flags & kDamaged) != 0) pes_table_[newest_pes_ % kPesTableSize].damaged = true;
  std::memcpy(piece_.data(), bytes.data(), bytes.size());
  std::memset(piece_.data() + bytes.size(), 0, AV_INPUT_BUFFER_PADDING_SIZE);
  piece_size_bytes_ = bytes.size();
  piece_used_bytes_ = 0;
  finishing_ = false;
  pushed_bytes_ += static_cast<std::int64_t>(bytes.size());
}

void ElementaryParser::finish() {
  check(piece_used_bytes_ == piece_size_bytes_, "the piece before is used up");
  finishing_ = is_open();
}

bool ElementaryParser::next(AccessUnit& unit) {
  if (!is_open()) return false;
  while (piece_used_bytes_ < piece_size_bytes_ || finishing_) {
    const std::size_t left_bytes = piece_size_bytes_ - piece_used_bytes_;
    std::uint8_t* out = nullptr;
    int out_size_bytes = 0;
    // No time stamps go in: the table here holds them.
    const int used =
        av_parser_parse2(parser_, scratch_, &out, &out_size_bytes,
                         left_bytes == 0 ? nullptr : piece_.data() + piece_used_bytes_,
                         static_cast<int>(left_bytes), AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
    if (used > 0) piece_used_bytes_ += std::min(static_cast<std::size_t>(used), left_bytes);
    if (out_size_bytes > 0) {
      unit = AccessUnit{.data = out, .size_bytes = out_size_bytes};
      stamp(unit);
      return true;
    }
    if (left_bytes == 0) finishing_ = false;
    if (used <= 0 && left_bytes > 0) {
      // No parser of libavcodec stands still with data before it; one that did would hang us.
      bytes_dropped_ += left_bytes;
      piece_used_bytes_ = piece_size_bytes_;
    }
  }
  return false;
}

PesOrigin ElementaryParser::origin_of(std::uint64_t pes_number) const {
  const PesOrigin& found = pes_table_[pes_number % kPesTableSize];
  if (pes_number == 0 || found.number != pes_number) return {};
  return found;
}

void ElementaryParser::remember(const ElementaryRecord& record) {
  ++newest_pes_;
  pes_table_[newest_pes_ % kPesTableSize] = PesOrigin{.number = newest_pes_,
                                                      .offset_bytes = pushed_bytes_,
                                                      .pts = record.pts,
                                                      .dts = record.dts,
                                                      .origin_ns = record.origin_ns,
                                                      .change_ns = record.change_ns,
                                                      .program_number = record.program_number};
}

void ElementaryParser::stamp(AccessUnit& unit) {
  const std::uint64_t oldest =
      newest_pes_ >= kPesTableSize ? newest_pes_ - kPesTableSize + 1 : std::uint64_t{1};
  current_pes_ = std::max(current_pes_, oldest - 1);
  while (current_pes_ < newest_pes_ &&
         pes_table_[(current_pes_ + 1) % kPesTableSize].offset_bytes <= parser_->frame_offset) {
    ++current_pes_;
  }
  unit.pes_number = current_pes_;
  if (current_pes_ == stamped_pes_) return;
  stamped_pes_ = current_pes_;
  const PesOrigin origin = origin_of(current_pes_);
  unit.pts = origin.pts;
  unit.dts = origin.dts;
}

}  // namespace slipring::settop
