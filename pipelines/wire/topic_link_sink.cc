#include "pipelines/wire/topic_link_sink.h"

#include <algorithm>
#include <utility>

#include "core/error/check.h"
#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {
namespace {

// Where nobody is waited for, so much may be under way, however few messages the ring holds.
constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 20;

}  // namespace

Result<std::unique_ptr<LinkSink>> attach_topic_sink(const SegmentDirectory& directory,
                                                    std::string_view name,
                                                    MemoryLock memory_lock) noexcept {
  Result<BroadcastSender> messages = BroadcastSender::attach(directory, name, memory_lock);
  if (!messages) return messages.error();
  return std::unique_ptr<LinkSink>(new TopicLinkSink(std::move(messages).value()));
}

TopicLinkSink::TopicLinkSink(BroadcastSender messages)
    : messages_(std::move(messages)), message_(messages_.max_message_bytes()) {
  form_ = {WireKind::kTopic, ByteOrder::kNeutral, messages_.max_message_bytes(), 0, 0};
}

std::optional<ErrorReason> TopicLinkSink::refuses(const WireForm& form) const noexcept {
  const bool is_ours = form.kind == WireKind::kTopic || form.kind == WireKind::kRecords ||
                       form.kind == WireKind::kSlots;
  if (is_ours && form.message_bytes_max <= form_.message_bytes_max) return std::nullopt;
  return ErrorReason::kMismatch;
}

std::uint64_t TopicLinkSink::messages_at_once() const noexcept {
  const std::uint64_t cost = cost_of(form_, form_.message_bytes_max);
  if (messages_.shape().policy == BroadcastPolicy::kBlock) return messages_.room();
  return std::max(messages_.shape().slot_count, kWindowBytes / cost);
}

std::uint64_t TopicLinkSink::capacity() const noexcept {
  return messages_.shape().slot_count * cost_of(form_, form_.message_bytes_max);
}

std::uint64_t TopicLinkSink::credit(const WireForm& form) const noexcept {
  return messages_at_once() * cost_of(form, form.message_bytes_max);
}

Transfer TopicLinkSink::open(std::uint32_t bytes) noexcept {
  place_ = {std::span(message_).first(bytes), {}};
  return messages_.try_make_room();
}

void TopicLinkSink::publish() noexcept {
  const Transfer answer = messages_.try_send(place_.first);
  check(answer == Transfer::kDone, "no room where there was some");
}

void TopicLinkSink::tend() noexcept {
  if (messages_.shape().policy != BroadcastPolicy::kBlock || messages_.room() != 0) return;
  static_cast<void>(messages_.drop_dead_readers());
}

}  // namespace slipring::wire
