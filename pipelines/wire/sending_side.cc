#include "pipelines/wire/sending_side.h"

#include <algorithm>
#include <array>

#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {
namespace {

// Less room than this is left to the next call, rather than filled with a small fragment.
constexpr std::size_t kFragmentBytesMin = 4096;

std::span<const std::byte> cut(std::span<const std::byte> part, std::size_t from,
                               std::size_t count) noexcept {
  if (from >= part.size()) return {};
  return part.subspan(from, std::min(count, part.size() - from));
}

}  // namespace

bool SendingSide::resume(std::uint64_t arrived, std::uint64_t limit) noexcept {
  if (!source_.rewind(arrived)) return false;
  acknowledged_ = arrived;
  sent_ = arrived;
  limit_ = limit;
  cost_ = 0;
  is_short_of_credit_ = false;
  piece_.reset();
  // Told before, unless what it lets live has arrived already.
  static_cast<void>(source_.take_abort());
  sent_ = source_.cursor();
  abort_due_ = source_.aborted() != 0 && source_.aborted() >= arrived;
  return true;
}

bool SendingSide::acknowledge(std::uint64_t arrived, std::uint64_t limit) noexcept {
  if (arrived < acknowledged_ || arrived > sent_ || limit < limit_) return false;
  // Of what an abort has passed, the ring knows nothing any more.
  if (arrived > source_.done() && !source_.release(arrived)) return false;
  acknowledged_ = arrived;
  if (limit != limit_) is_short_of_credit_ = false;
  limit_ = limit;
  return true;
}

// The next message within the credit.
Transfer SendingSide::take_piece() noexcept {
  const std::uint64_t left = limit_ - std::min(limit_, cost_);
  if (left == 0) return Transfer::kBlocked;
  Piece piece;
  const Transfer answer = source_.next(piece, std::min<std::uint64_t>(left, kFragmentBytesMax));
  if (answer != Transfer::kDone) return answer;
  const std::uint64_t cost = cost_of(source_.form(), piece.size());
  if (source_.has_abort() || cost > left) {
    source_.put_back(piece);
    is_short_of_credit_ = cost > left;
    return source_.has_abort() ? Transfer::kDone : Transfer::kBlocked;
  }
  cost_ += cost;
  piece_ = piece;
  piece_sent_ = 0;
  return Transfer::kDone;
}

void SendingSide::put_fragment(FrameWriter& out, bool checks_data) noexcept {
  const std::size_t rest = piece_->size() - piece_sent_;
  const std::size_t count = std::min({rest, kFragmentBytesMax, out.room() - kHeaderBytes});
  const std::span<const std::byte> first = cut(piece_->first, piece_sent_, count);
  const std::size_t behind =
      piece_sent_ > piece_->first.size() ? piece_sent_ - piece_->first.size() : std::size_t{0};
  FrameHeader header;
  header.type = FrameType::kData;
  header.position = piece_->begin;
  header.span = static_cast<std::uint32_t>(piece_->end - piece_->begin);
  header.total = static_cast<std::uint32_t>(piece_->size());
  header.offset = static_cast<std::uint32_t>(piece_sent_);
  out.put(header, first, cut(piece_->second, behind, count - first.size()), checks_data);
  piece_sent_ += count;
  if (piece_sent_ != piece_->size()) return;
  sent_ = piece_->end;
  piece_.reset();
}

bool SendingSide::put_writer(FrameWriter& out) noexcept {
  if (naming_ == Naming::kNot || piece_sent_ != 0) return true;
  const WriterName name = source_.writer();
  if (name == told_writer_) return true;
  if (!out.has_room_for(kControlBytesMax)) return false;
  std::array<std::byte, kControlBytesMax> payload;
  FrameHeader header;
  header.type = FrameType::kWriter;
  const bool is_long = naming_ == Naming::kLong;
  if (is_long && name.is_by_kernel) header.flags = kByKernel;
  out.put(header, std::span(payload).first(encode(name, is_long, payload)));
  told_writer_ = name;
  return true;
}

bool SendingSide::put_frames(FrameWriter& out, bool checks_data) noexcept {
  for (;;) {
    if (!out.has_room_for(0)) return true;
    if (source_.has_abort() && source_.take_abort()) {
      abort_due_ = true;
      // In the middle of its fragments it is covered; a writer that says otherwise lies, and the
      // receiver finds that out.  One of which nothing was sent costs nothing there.
      if (piece_ && piece_sent_ == 0) cost_ -= cost_of(source_.form(), piece_->size());
      piece_.reset();
      sent_ = source_.cursor();
    }
    if (abort_due_) {
      abort_due_ = false;
      FrameHeader header;
      header.type = FrameType::kAbort;
      header.position = source_.aborted();
      out.put(header);
      continue;
    }
    if (!piece_) {
      const Transfer answer = take_piece();
      if (answer != Transfer::kDone) return answer == Transfer::kBlocked;
      if (!piece_) continue;  // an abort came first
    }
    if (!put_writer(out)) return true;
    const std::size_t rest = piece_->size() - piece_sent_;
    if (!out.has_room_for(std::min(rest, kFragmentBytesMin))) return true;
    put_fragment(out, checks_data);
  }
}

bool SendingSide::has_frames() const noexcept {
  if (abort_due_ || piece_ || source_.has_abort()) return true;
  return cost_ < limit_ && !is_short_of_credit_ && source_.has_more();
}

}  // namespace slipring::wire
