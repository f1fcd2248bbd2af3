#include "pipelines/array/nbd/link_block_port.h"

#include <sched.h>

#include <cstring>

#include "core/error/check.h"

namespace slipring::array {
namespace {

// As a BlockRequest has it.
std::uint16_t current_processor() noexcept {
  const int cpu = ::sched_getcpu();
  return cpu >= 0 && cpu < UINT16_MAX ? static_cast<std::uint16_t>(cpu + 1) : 0;
}

}  // namespace

Transfer LinkBlockPort::acquire(BufferHandle& buffer) {
  PoolOwner& pool = *requests_->pool();
  std::uint32_t slot = 0;
  const Transfer answer = pool.try_acquire(slot);
  if (answer != Transfer::kDone) return answer;
  buffer = pool.lend(slot);
  return Transfer::kDone;
}

bool LinkBlockPort::acquire_again(BufferHandle& buffer) {
  PoolOwner& pool = *requests_->pool();
  if (!pool.try_acquire_slot(buffer.slot)) return false;
  buffer = pool.lend(buffer.slot);
  return true;
}

std::span<std::byte> LinkBlockPort::bytes_to_fill(const BufferHandle& buffer) {
  return requests_->pool()->bytes(buffer.slot);
}

void LinkBlockPort::withdraw(const BufferHandle& buffer) {
  requests_->pool()->withdraw(buffer.slot);
  requests_->pool()->drop(buffer.slot);
}

Transfer LinkBlockPort::send(const BlockRequest& request) {
  std::span<std::byte> place;
  const Transfer answer = requests_->try_reserve(sizeof request, place);
  if (answer != Transfer::kDone) return answer;
  BlockRequest sent = request;
  sent.processor = current_processor();
  std::memcpy(place.data(), &sent, sizeof sent);
  requests_->commit(sizeof request);
  if (request.buffer_slot != kNoBufferSlot) requests_->pool()->drop(request.buffer_slot);
  return Transfer::kDone;
}

Transfer LinkBlockPort::next_reply(BlockReply& reply, ReplyTicket& ticket) {
  Message message;
  const Transfer answer = replies_->try_peek(message);
  if (answer != Transfer::kDone) return answer;
  // Once: the writer could still change it.
  std::memcpy(&reply, message.bytes.data(), sizeof reply);
  ticket = {message.position, {reply.buffer_slot, reply.buffer_generation}};
  held_.push_back({message, false});
  return Transfer::kDone;
}

std::span<const std::byte> LinkBlockPort::data_of(const BufferHandle& buffer) const {
  const PoolReader& pool = *replies_->pool();
  if (!pool.holds(buffer)) return {};
  return pool.bytes(buffer);
}

void LinkBlockPort::give_back(const BufferHandle& buffer) {
  if (buffer.slot != kNoBufferSlot) replies_->give_back(buffer);
}

void LinkBlockPort::finish(const ReplyTicket& ticket) {
  check(!held_.empty() && ticket.position - held_.front().message.position < held_.size(),
        "finishing a reply that is held");
  held_[ticket.position - held_.front().message.position].is_finished = true;
  // A release finishes all before it, so that one is enough for a run of them.
  while (!held_.empty() && held_.front().is_finished) {
    const bool is_last = held_.size() == 1 || !held_[1].is_finished;
    if (is_last) replies_->release(held_.front().message);
    held_.pop_front();
  }
}

std::optional<std::uint64_t> LinkBlockPort::crowding_position() const {
  if (held_.size() < replies_->shape().slot_count / 2) return std::nullopt;
  return held_.front().message.position;
}

std::uint32_t LinkBlockPort::reply_buffer_count() const {
  return replies_->shape().pool_buffer_count;
}

}  // namespace slipring::array
