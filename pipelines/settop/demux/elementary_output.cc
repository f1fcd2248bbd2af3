#include "pipelines/settop/demux/elementary_output.h"

#include <algorithm>
#include <cstring>

namespace slipring::settop {

ElementaryOutput::ElementaryOutput(LinkWriter* output, RoomFinder& room) noexcept
    : output_(output), room_(room) {
  if (output_ == nullptr) return;
  // A quarter of the longest record keeps the ring fed while one is being written.
  const std::uint64_t longest = output_->max_message_bytes() - sizeof(ElementaryRecord);
  piece_bytes_ = std::min<std::uint64_t>(kMaxElementaryBytes, longest / 4);
}

void ElementaryOutput::abort() noexcept {
  if (output_ == nullptr) return;
  if (!place_.empty()) output_->abandon();
  place_ = {};
  dropping_ = true;
  output_->abort_published();
}

void ElementaryOutput::start_stream(Codec codec, std::uint16_t program_number,
                                    std::uint64_t change_ns) {
  header_ = {};
  header_.event = ElementaryEvent::kStreamStart;
  header_.codec = codec;
  header_.program_number = program_number;
  header_.pts = newest_pts_;
  header_.dts = kNoTimestamp;
  header_.change_ns = change_ns;
  newest_pts_ = kNoTimestamp;
  if (output_ != nullptr && open_record()) commit_record();
}

void ElementaryOutput::begin(const PesStart& start, std::uint64_t change_ns) {
  const std::uint32_t program_number = header_.program_number;
  header_ = {};
  header_.event = ElementaryEvent::kData;
  header_.codec = start.codec;
  header_.flags = kPesStart | (start.random_access ? kRandomAccess : 0U) |
                  (start.discontinuity ? kDiscontinuity : 0U);
  header_.program_number = program_number;
  header_.pts = start.pts;
  header_.dts = start.dts;
  header_.origin_ns = start.origin_ns;
  header_.change_ns = change_ns;
  newest_pts_ = std::max(newest_pts_, start.pts);  // kNoTimestamp is less than any
  dropping_ = false;
}

void ElementaryOutput::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (output_ == nullptr || dropping_ || (place_.empty() && !open_record())) {
      dropped_bytes_ += bytes.size();
      return;
    }
    if (filled_bytes_ == place_.size()) {
      commit_record();  // only now: the last record of a PES packet has to say so
      continue;
    }
    const std::size_t piece = std::min(bytes.size(), place_.size() - filled_bytes_);
    std::memcpy(place_.data() + filled_bytes_, bytes.data(), piece);
    filled_bytes_ += piece;
    bytes = bytes.subspan(piece);
  }
}

void ElementaryOutput::end(PesEnd how) {
  if (output_ == nullptr || dropping_) return;
  if (how == PesEnd::kAbandoned) {
    if (!place_.empty()) output_->abandon();
    place_ = {};
    return;
  }
  if (place_.empty()) return;  // without any payload
  header_.flags |= kPesEnd | (how == PesEnd::kBroken ? kDamaged : 0U);
  commit_record();
}

bool ElementaryOutput::open_record() {
  const bool carries_data = header_.event == ElementaryEvent::kData;
  const std::uint64_t size_bytes = sizeof header_ + (carries_data ? piece_bytes_ : 0);
  if (!room_.find_room(*output_, size_bytes, place_)) {
    place_ = {};
    dropping_ = true;
    return false;
  }
  filled_bytes_ = sizeof header_;
  return true;
}

void ElementaryOutput::commit_record() {
  std::memcpy(place_.data(), &header_, sizeof header_);
  output_->commit(filled_bytes_);
  place_ = {};
  header_.flags &= ~kPesStart;
  header_.pts = kNoTimestamp;
  header_.dts = kNoTimestamp;
}

}  // namespace slipring::settop
