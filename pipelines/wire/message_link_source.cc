#include "pipelines/wire/message_link_source.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {

Result<std::unique_ptr<LinkSource>> attach_message_source(const SegmentDirectory& directory,
                                                          std::string_view name,
                                                          MemoryLock memory_lock) noexcept {
  Result<LinkReader> messages = LinkReader::attach(directory, name, memory_lock);
  if (!messages) return messages.error();
  if (Status fits = check_wire_shape(messages->shape()); !fits) return fits.error();
  return std::unique_ptr<LinkSource>(new MessageLinkSource(std::move(messages).value()));
}

MessageLinkSource::MessageLinkSource(LinkReader messages) noexcept
    : messages_(std::move(messages)), held_(kHeldMessagesMax) {
  form_ = wire_form_of(messages_.shape());
  cursor_ = messages_.done();
  doomed_.reserve(kHeldMessagesMax);
  // A command is told to the other side before it is obeyed: take_abort() does both.
  messages_.set_control_interval(kControlByHand);
}

// Into held_, if there is a message and a place.
bool MessageLinkSource::peek_one() noexcept {
  if (held_count_ == held_.size()) return false;
  Held one;
  const Transfer answer = messages_.try_peek(one.message);
  is_corrupt_ = answer == Transfer::kCorruptPeer;
  if (answer != Transfer::kDone) return false;
  if (form_.kind == WireKind::kPooled) {
    std::memcpy(&one.handle, one.message.bytes.data(), sizeof one.handle);
  }
  held_[(held_first_ + held_count_) % held_.size()] = one;
  ++held_count_;
  return true;
}

Transfer MessageLinkSource::next(Piece& piece, std::size_t) noexcept {
  if (handed_out_ == held_count_ && !peek_one()) {
    return is_corrupt_ ? Transfer::kCorruptPeer : Transfer::kBlocked;
  }
  const Held& one = held(handed_out_);
  ++handed_out_;
  piece = {one.message.bytes, {}, cursor_, one.message.end_position};
  if (PoolReader* const pool = messages_.pool(); pool != nullptr && pool->holds(one.handle)) {
    piece.second = pool->bytes(one.handle);
  }
  cursor_ = piece.end;
  return Transfer::kDone;
}

// The first `count` of what is held; buffers before the messages that brought them.
void MessageLinkSource::finish_first(std::size_t count) noexcept {
  if (count == 0) return;
  if (form_.kind == WireKind::kPooled) {
    for (std::size_t i = 0; i < count; ++i) messages_.give_back(held(i).handle);
  }
  messages_.release(held(count - 1).message);
  held_first_ = (held_first_ + count) % held_.size();
  held_count_ -= count;
  handed_out_ -= std::min(handed_out_, count);
}

bool MessageLinkSource::release(std::uint64_t position) noexcept {
  if (position > cursor_) return false;
  // How many messages end there or before.
  std::size_t count = 0;
  std::uint64_t end = messages_.done();
  while (count < handed_out_ && held(count).message.end_position <= position) {
    end = held(count).message.end_position;
    ++count;
  }
  if (count == 0) return position <= messages_.done() || position == cursor_;
  finish_first(count);
  return end == position || position == cursor_;
}

bool MessageLinkSource::rewind(std::uint64_t position) noexcept {
  handed_out_ = 0;
  std::uint64_t at = messages_.done();
  while (at < position) {
    if (handed_out_ == held_count_ && !peek_one()) {
      // Full of what is to be finished: the place is needed.
      if (is_corrupt_ || held_count_ != held_.size()) return false;
      cursor_ = at;
      if (!release(at)) return false;
      continue;
    }
    at = held(handed_out_).message.end_position;
    ++handed_out_;
  }
  cursor_ = at;
  return at == position && (handed_out_ == 0 || release(position));
}

void MessageLinkSource::drop_before(std::uint64_t before) noexcept {
  std::size_t count = 0;
  while (count < held_count_ && held(count).message.end_position <= before) ++count;
  doomed_.clear();
  for (std::size_t i = 0; i < count; ++i) doomed_.push_back(held(i).message.end_position);
  doomed_count_ += count;
  finish_first(count);
  if (held_count_ == 0) messages_.skip_aborted();
  messages_.obey_commands();
}

std::uint64_t MessageLinkSource::settle_doomed(std::uint64_t aborted,
                                               std::uint64_t arrived) noexcept {
  if (aborted == 0 || aborted != aborted_) return 0;
  const auto count = std::count_if(doomed_.begin(), doomed_.end(),
                                   [&](std::uint64_t end) { return end <= arrived; });
  doomed_.clear();
  return static_cast<std::uint64_t>(count);
}

WriterName MessageLinkSource::writer() noexcept {
  const std::uint32_t incarnation = messages_.writer_incarnation();
  // One that is just attaching is not known yet: asked for again with the next messages.
  const bool is_new = incarnation != writer_incarnation_;
  const bool may_show =
      writer_ == WriterName{} && writer_tries_ != 0 && cursor_ != writer_asked_at_;
  if (!is_new && !may_show) return writer_;
  writer_tries_ = is_new ? kWriterTries : writer_tries_ - 1;
  writer_asked_at_ = cursor_;
  writer_incarnation_ = incarnation;
  const LinkPeer known = messages_.sender();
  const LinkPeer peer = known.is_known ? known : messages_.look_at_writer();
  writer_ = {};
  if (peer.is_known) {
    // Its number stays untold: one link's messages may be of several, side by side.
    writer_ = {static_cast<std::uint32_t>(peer.process_id), peer.user, peer.group, 0, true};
  }
  return writer_;
}

bool MessageLinkSource::has_more() const noexcept {
  if (has_abort() || handed_out_ < held_count_) return true;
  return held_count_ < held_.size() && messages_.has_message();
}

}  // namespace slipring::wire
