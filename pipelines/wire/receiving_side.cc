#include "pipelines/wire/receiving_side.h"

#include <algorithm>

#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {

std::optional<ErrorReason> ReceivingSide::open(const Open& open, std::uint64_t first,
                                               bool resumes) noexcept {
  if (const std::optional<ErrorReason> reason = sink_.refuses(open.form)) return reason;
  // All that subscribe to a topic read the same ring.
  const bool is_topic = open.form.kind == WireKind::kTopic;
  noted_ = is_topic ? SessionId{open.session.a, 0} : open.session;
  const std::optional<std::uint64_t> arrived = ledger_.arrived(noted_);
  if (!arrived && resumes && ledger_.has_forgotten()) return ErrorReason::kForgotten;
  open_ = open;
  knew_session_ = arrived.has_value();
  // What the sender has no longer, and we have not, it has aborted; of a topic it is lost, and
  // shows in the position of what comes next.
  arrived_ = is_topic ? arrived.value_or(first) : std::max(arrived.value_or(0), first);
  if (!arrived && !is_topic) ledger_.begin(open.session, arrived_);
  return std::nullopt;
}

// Whether a fragment is the one whose turn it is.
bool ReceivingSide::is_next(const FrameHeader& header) const noexcept {
  const bool is_ahead = is_topic() && !sink_.is_open() && header.position > arrived_;
  if (header.position != arrived_ && !is_ahead) return false;
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
    case WireKind::kTopic:
      return header.span == 1 && header.total <= form.message_bytes_max;
    case WireKind::kRecords:
      break;
  }
  return header.total <= form.message_bytes_max && header.total < header.span;
}

// Of a topic: what lies before `position` will not come.
bool ReceivingSide::pass_over_to(std::uint64_t position) noexcept {
  const std::uint64_t count = position - arrived_;
  if (count == 0) return true;
  if (!is_topic() || !sink_.may_pass_over(count)) return false;
  ledger_.note(noted_, position, sink_.position() + count);
  sink_.pass_over(count);
  arrived_ = position;
  return true;
}

std::optional<Transfer> ReceivingSide::begin(const FrameHeader& header) noexcept {
  if (!is_next(header)) return std::nullopt;
  if (sink_.is_open()) return Transfer::kDone;
  if (!pass_over_to(header.position)) return std::nullopt;
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
  ledger_.note(noted_, arrived_ + span_, sink_.position_after());
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
  if (position != aborted_) stood_ = arrived_;
  // What had not arrived is lost, and what had is aborted.
  if (is_topic()) static_cast<void>(pass_over_to(position));
  sink_.abort_published();
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
  if (sink_.is_open() || (is_topic() && position > arrived_ && !pass_over_to(position))) {
    return false;
  }
  if (position != arrived_) return false;
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
