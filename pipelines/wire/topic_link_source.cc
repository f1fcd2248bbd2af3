#include "pipelines/wire/topic_link_source.h"

#include <algorithm>
#include <utility>

namespace slipring::wire {

Result<std::unique_ptr<LinkSource>> attach_topic_source(const SegmentDirectory& directory,
                                                        std::string_view name,
                                                        MemoryLock memory_lock) noexcept {
  Result<BroadcastReceiver> messages = BroadcastReceiver::attach(
      directory, name, {BroadcastJoin::kNewest, std::nullopt, memory_lock});
  if (!messages) return messages.error();
  return std::unique_ptr<LinkSource>(new TopicLinkSource(std::move(messages).value()));
}

TopicLinkSource::TopicLinkSource(BroadcastReceiver messages) noexcept
    : messages_(std::move(messages)), stream_(messages_.stream()), done_(messages_.position()) {
  form_ = {WireKind::kTopic, ByteOrder::kNeutral, messages_.shape().message_bytes, 0, 0};
  cursor_ = done_;
}

bool TopicLinkSource::rewind(std::uint64_t position) noexcept {
  if (!messages_.go_to(position)) return false;
  is_put_back_ = false;
  cursor_ = position;
  done_ = position;
  return true;
}

Transfer TopicLinkSource::next(Piece& piece, std::size_t) noexcept {
  if (has_left_) return Transfer::kBlocked;
  if (!is_put_back_) {
    const Transfer answer = messages_.try_receive(message_);
    // Positions of another stream mean nothing in this one.
    if (answer == Transfer::kCorruptPeer || messages_.stream() != stream_) {
      return Transfer::kCorruptPeer;
    }
    if (answer != Transfer::kDone) {
      cursor_ = messages_.position();  // past what is known to be lost
      return answer;
    }
  }
  is_put_back_ = false;
  piece = {message_.bytes, {}, message_.position, message_.position + 1};
  cursor_ = piece.end;
  return Transfer::kDone;
}

bool TopicLinkSource::release(std::uint64_t position) noexcept {
  if (position > cursor_) return false;
  if (position <= done_) return true;
  done_ = position;
  BroadcastMessage last;
  last.position = position - 1;
  messages_.release(last);
  return true;
}

void TopicLinkSource::drop_before(std::uint64_t before) noexcept {
  if (is_put_back_ && message_.position < before) is_put_back_ = false;
  if (before > cursor_ && !is_put_back_) {
    if (messages_.go_to(before)) done_ = std::max(done_, before);
    return;
  }
  static_cast<void>(release(before));
}

void TopicLinkSource::close() noexcept {
  if (has_left_) return;
  has_left_ = true;
  messages_.leave();
}

}  // namespace slipring::wire
