#include "pipelines/link/link_reader.h"

#include <utility>

namespace slipring {

Result<LinkReader> LinkReader::attach(const SegmentDirectory& directory, std::string_view name,
                                      MemoryLock memory_lock) noexcept {
  Result<LinkHold> hold = take_role(directory, name, Role::kReader, memory_lock);
  if (!hold) return hold.error();
  return attach(std::move(hold).value());
}

Result<LinkReader> LinkReader::attach(LinkHold hold) noexcept {
  if (Status kind = require_messages(hold.shape); !kind) return kind.error();
  LinkReader reader(std::move(hold));
  if (Status attached = reader.attach_ring(); !attached) return attached.error();
  if (Status attached = reader.attach_pool(); !attached) return attached.error();
  reader.end_.open();
  return reader;
}

Status LinkReader::attach_ring() noexcept {
  auto& consumer = *reinterpret_cast<ConsumerPage*>(end_.own_bytes());
  const std::byte* region = end_.peer_bytes();
  const auto& producer = *reinterpret_cast<const ProducerPage*>(region);
  const std::byte* ring = region + end_.parts().ring_offset;
  if (end_.shape().kind == SegmentKind::kSlotLink) {
    Result<SlotConsumer> end =
        SlotConsumer::attach(consumer, producer, ring, slot_geometry(end_.shape()));
    if (!end) return end.error();
    slots_.emplace(std::move(end).value());
    return {};
  }
  Result<RecordConsumer> end =
      RecordConsumer::attach(consumer, producer, ring, record_geometry(end_.shape()));
  if (!end) return end.error();
  records_.emplace(std::move(end).value());
  return {};
}

Status LinkReader::attach_pool() noexcept {
  if (end_.shape().pool_buffer_count == 0) return {};
  auto* returned = reinterpret_cast<PoolWord*>(end_.own_bytes() + kTableOffset);
  const std::byte* region = end_.peer_bytes();
  const auto* lent = reinterpret_cast<const PoolWord*>(region + kTableOffset);
  Result<PoolReader> reader = PoolReader::attach(
      returned, lent, region + end_.parts().buffers_offset, pool_geometry(end_.shape()));
  if (!reader) return reader.error();
  pool_.emplace(std::move(reader).value());
  return {};
}

Transfer LinkReader::look(Message& message) noexcept {
  Transfer answer = Transfer::kBlocked;
  if (slots_) {
    SlotView view;
    answer = slots_->try_peek(view);
    if (answer == Transfer::kDone) {
      message = {view.message, view.redelivered, view.aborted, view.position, view.position + 1};
    }
  } else {
    RecordView view;
    answer = records_->try_peek(view);
    if (answer == Transfer::kDone) {
      message = {view.message, view.redelivered, view.aborted, view.position, view.end_position};
    }
  }
  return answer;
}

Transfer LinkReader::try_peek(Message& message) noexcept {
  if (corrupt_) return Transfer::kCorruptPeer;
  Transfer answer = look(message);
  if (answer == Transfer::kBlocked && end_.take_news()) answer = look(message);
  if (answer == Transfer::kDone) {
    if (message.redelivered) count(end_.own().counters.redelivered_count);
    if (message.aborted) count(end_.own().counters.abort_count);
    return answer;
  }
  corrupt_ = answer == Transfer::kCorruptPeer;
  if (!corrupt_) ring_for_credit();
  end_.note(answer);
  return answer;
}

void LinkReader::release(const Message& message) noexcept {
  if (slots_) {
    slots_->release({message.bytes, message.position, message.redelivered, message.aborted});
  } else {
    records_->release({message.bytes, message.position, message.end_position, message.redelivered,
                       message.aborted});
  }
  EndCounters& counters = end_.own().counters;
  count(counters.message_count);
  count(counters.payload_bytes, message.bytes.size());
  ring_for_credit();
}

void LinkReader::skip_aborted() noexcept {
  check(!pool_, "skipping would lose the pool's buffers");
  const std::uint64_t skipped = slots_ ? slots_->skip_aborted() : records_->skip_aborted();
  if (skipped != 0) count(end_.own().counters.abort_count);
  ring_for_credit();
}

void LinkReader::ring_for_credit() noexcept {
  const std::uint64_t credit = credit_given();
  if (credit == rung_credit_ && end_.shape().credit_count == 0) return;
  rung_credit_ = credit;
  end_.ring();
}

bool LinkReader::has_message() const noexcept {
  return corrupt_ || end_.has_news() || (slots_ ? slots_->has_message() : records_->has_message());
}

bool LinkReader::is_finished() const noexcept {
  // In this order: what was published before closing is seen now.
  return end_.is_peer_closed() && !has_message();
}

void LinkReader::give_back(const BufferHandle& handle) noexcept {
  if (!pool_ || !pool_->holds(handle)) return;
  pool_->give_back(handle);
  end_.ring();
}

}  // namespace slipring
