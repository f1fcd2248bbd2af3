#include "pipelines/wire/receiving_side.h"

#include <algorithm>

#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {

std::optional<ErrorReason> ReceivingSide::open(const Open& open, std::uint64_t first,
                                               bool resumes) noexcept {
  if (const std::optional<ErrorReason> reason = sink_.refuses(open.form)) return reason;
  const std::optional<std::uint64_t> arrived = ledger_.arrived(open.session);
  if (!arrived && resumes && ledger_.has_forgotten()) return ErrorReason::kForgotten;
  open_ = open;
  knew_session_ = arrived.has_value();
  // What the sender has no longer, and we have not, it has aborted.
  arrived_ = std::max(arrived.value_or(0), first);
  if (!arrived) ledger_.begin(open.session, arrived_);
  return std::nullopt;
}

// Whether a fragment is the one whose turn it is.
bool ReceivingSide::is_next(const FrameHeader& header) const noexcept {
  if (header.position != arrived_) return false;
  if (sink_.is_open()) {
    return header.offset == filled_ && header.total == total_ && header.span == span_;
  }
  if (header.offset != 0) return false;
  const WireForm& form = open_.form;
  switch (form.kind) {
    case WireKind::kStream:
      return header.total == header.span && header.total <= kFragmentBytesMax &&
             header.total <= sink_.place_bytes_max();
    case WireKind::kValues:
      return header.total == std::uint64_t{header.span} * form.message_bytes_max &&
             header.total <= sink_.place_bytes_max();
    case WireKind::kSlots:
      return header.total == form.message_bytes_max && header.span == 1;
    case WireKind::kPooled:
      return header.span == 1 && (header.total == form.message_bytes_max ||
                                  header.total == form.message_bytes_max + form.buffer_bytes);
    case WireKind::kRecords:
      break;
  }
  return header.total <= form.message_bytes_max && header.total < header.span;
}

std::optional<Transfer> ReceivingSide::begin(const FrameHeader& header) noexcept {
  if (!is_next(header)) return std::nullopt;
  if (sink_.is_open()) return Transfer::kDone;
  wanted_bytes_ = header.total;
  const Transfer answer = sink_.reserve(header.total);
  if (answer != Transfer::kDone) return answer;
  total_ = header.total;
  span_ = header.span;
  filled_ = 0;
  return Transfer::kDone;
}

void ReceivingSide::put(std::span<const std::byte> piece) noexcept {
  sink_.put(filled_, piece);
  filled_ += static_cast<std::uint32_t>(piece.size());
}

void ReceivingSide::end() noexcept {
  if (filled_ != total_) return;
  ledger_.note(open_.session, arrived_ + span_, sink_.position_after());
  sink_.commit();
  cost_ += cost_of(open_.form, total_);
  arrived_ += span_;
}

void ReceivingSide::abort_before(std::uint64_t position) noexcept {
  // Heard before, and what it lets live has arrived since.
  if (position < arrived_) return;
  // The sender has counted it.
  if (sink_.is_open()) cost_ += cost_of(open_.form, total_);
  sink_.abandon();
  sink_.abort_published();
  if (position != aborted_) stood_ = arrived_;
  aborted_ = position;
  aborted_ring_ = sink_.position();
  arrived_ = position;
}

Dropped ReceivingSide::dropped() const noexcept {
  // In this order: what is said to be obeyed is counted.
  const bool is_obeyed = aborted_ != 0 && sink_.done() >= aborted_ring_;
  const DropCounts counts = sink_.drops().dropped;
  return {counts.messages, counts.bytes, stood_, is_obeyed ? aborted_ : 0};
}

bool ReceivingSide::end_stream(std::uint64_t position) noexcept {
  if (position != arrived_ || sink_.is_open()) return false;
  sink_.close();
  return true;
}

std::uint64_t ReceivingSide::limit() const noexcept {
  return std::max(told_limit_, cost_ + sink_.credit(open_.form));
}

bool ReceivingSide::has_news() const noexcept {
  if (arrived_ != told_arrived_) return true;
  const std::uint64_t more = limit() - told_limit_;
  if (more == 0) return false;
  // A sender that may send its longest message is not kept waiting: tell it now and then.
  const std::uint64_t longest =
      open_.form.kind == WireKind::kStream ? 1 : cost_of(open_.form, open_.form.message_bytes_max);
  const bool may_wait = told_limit_ >= cost_ && told_limit_ - cost_ >= longest;
  return !may_wait || more >= sink_.capacity() / 4;
}

}  // namespace slipring::wire
