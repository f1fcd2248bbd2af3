#include "pipelines/wire/message_link_sink.h"

#include <algorithm>
#include <cstring>

#include "core/error/check.h"
#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {

Result<std::unique_ptr<LinkSink>> attach_message_sink(const SegmentDirectory& directory,
                                                      std::string_view name,
                                                      MemoryLock memory_lock) noexcept {
  Result<LinkWriter> messages = LinkWriter::attach(directory, name, memory_lock);
  if (!messages) return messages.error();
  if (Status fits = check_wire_shape(messages->shape()); !fits) return fits.error();
  return std::unique_ptr<LinkSink>(new MessageLinkSink(std::move(messages).value()));
}

MessageLinkSink::MessageLinkSink(LinkWriter messages) noexcept : messages_(std::move(messages)) {
  form_ = wire_form_of(messages_.shape());
}

std::optional<ErrorReason> MessageLinkSink::refuses(const WireForm& form) const noexcept {
  const auto unless = [](bool fits) {
    return fits ? std::nullopt : std::optional(ErrorReason::kMismatch);
  };
  // A slot is always sent whole.
  const bool is_as_long = form.message_bytes_max == form_.message_bytes_max;
  switch (form_.kind) {
    case WireKind::kPooled:
      return unless(form.kind == form_.kind && is_as_long &&
                    form.buffer_bytes == form_.buffer_bytes);
    case WireKind::kSlots:
      return unless(form.kind == form_.kind && is_as_long);
    default:
      return unless((form.kind == WireKind::kRecords || form.kind == WireKind::kSlots) &&
                    form.message_bytes_max <= form_.message_bytes_max);
  }
}

bool MessageLinkSink::tell_writer(const WriterName& name) noexcept {
  if (!lane()) return true;
  const LaneProcess told = messages_.told_origin_process();
  const bool is_same = told.incarnation == name.incarnation;
  // The kernel's word stays, where the process has died since.
  if (is_same && told.incarnation != 0 && told.is_by_kernel && !name.is_by_kernel) return true;
  // Only who names writers by their number says exactly which messages are whose.
  const bool is_exact = told.incarnation != 0 && name.incarnation != 0;
  if (is_exact && !is_same && position() != done()) return false;
  messages_.tell_origin_process(
      {name.process_id, name.user, name.group, name.incarnation, name.is_by_kernel});
  return true;
}

Transfer MessageLinkSink::open(std::uint32_t bytes) noexcept {
  std::span<std::byte> room;
  const bool is_pooled = form_.kind == WireKind::kPooled;
  Transfer answer = messages_.try_reserve(is_pooled ? form_.message_bytes_max : bytes, room);
  if (answer != Transfer::kDone) return answer;
  place_ = {room, {}};
  if (!is_pooled || bytes == form_.message_bytes_max) return answer;
  std::uint32_t buffer = 0;
  answer = messages_.pool()->try_acquire(buffer);
  if (answer != Transfer::kDone) return answer;
  buffer_ = buffer;
  place_.second = messages_.pool()->bytes(buffer);
  return answer;
}

void MessageLinkSink::publish() noexcept {
  if (form_.kind != WireKind::kPooled) return messages_.commit(open_bytes_);
  const BufferHandle handle = buffer_ ? messages_.pool()->lend(*buffer_) : kNullHandle;
  std::memcpy(place_.first.data(), &handle, sizeof handle);
  messages_.commit(form_.message_bytes_max);
  drop();
}

void MessageLinkSink::drop() noexcept {
  if (form_.kind != WireKind::kPooled) return messages_.abandon();
  if (buffer_) messages_.pool()->drop(*buffer_);
  buffer_.reset();
}

bool MessageLinkSink::has_space(std::uint32_t bytes) const noexcept {
  if (form_.kind != WireKind::kPooled) return messages_.has_space(bytes);
  if (!messages_.has_space(form_.message_bytes_max)) return false;
  return bytes == form_.message_bytes_max || free_buffers() != 0;
}

std::uint64_t MessageLinkSink::position_after() const noexcept {
  check(is_open(), "no message is open");
  const std::uint64_t position = this->position();
  if (form_.kind != WireKind::kRecords) return position + 1;
  // As core/ring/record_ring.h places a record: behind the last, or at the start of the next lap.
  const std::uint64_t capacity = messages_.shape().capacity_bytes;
  const std::uint64_t whole = record_detail::whole_bytes(open_bytes_);
  const std::uint64_t to_end = capacity - (position & (capacity - 1));
  return whole > to_end ? position + to_end + whole : position + whole;
}

std::uint64_t MessageLinkSink::capacity() const noexcept {
  if (form_.kind == WireKind::kRecords) return messages_.shape().capacity_bytes;
  return messages_.shape().slot_count * cost_of(form_, form_.message_bytes_max);
}

std::uint64_t MessageLinkSink::credit(const WireForm& form) const noexcept {
  const std::uint64_t used = messages_.position() - messages_.done();
  const std::uint64_t longest = cost_of(form, form.message_bytes_max);
  if (form_.kind == WireKind::kRecords) {
    // The free bytes wrap round once at most, and then leave out less than one message.
    const std::uint64_t free_bytes = messages_.shape().capacity_bytes - used;
    return free_bytes > longest ? free_bytes - longest : 0;
  }
  const std::uint64_t slots = messages_.shape().slot_count - used;
  return (form_.kind == WireKind::kPooled ? std::min(slots, free_buffers()) : slots) * longest;
}

}  // namespace slipring::wire
