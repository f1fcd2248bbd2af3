// The ends of every kind of link behind one face, and messages that carry their own proof: a number
// and what follows from it, so that a lost, repeated, reordered or torn message shows.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/value_link.h"

namespace slipring::crash {

enum class LinkSort : std::uint8_t { kRecords, kSlots, kPool, kValues };
inline constexpr LinkSort kLinkSorts[] = {LinkSort::kRecords, LinkSort::kSlots, LinkSort::kPool,
                                          LinkSort::kValues};

[[nodiscard]] inline const char* name_of(LinkSort sort) {
  constexpr const char* kNames[] = {"records", "slots", "pool", "values"};
  return kNames[static_cast<std::size_t>(sort)];
}

struct Payload {
  std::uint64_t handle;  // of the buffer, on a link with a pool
  std::uint64_t number;
  std::uint64_t proof;
};
inline constexpr std::size_t kBufferBytes = 64;
inline constexpr std::uint64_t kRecordStride = sizeof(Payload) + 8;  // a record has a header

[[nodiscard]] inline std::uint64_t proof_of(std::uint64_t number) {
  return (number + 1) * 0x9e3779b97f4a7c15u;
}

[[nodiscard]] inline LinkShape shape_of(LinkSort sort) {
  LinkShape shape;
  if (sort == LinkSort::kValues) return value_link_shape<std::uint64_t>(8);
  if (sort == LinkSort::kRecords) {
    shape.kind = SegmentKind::kRecordLink;
    shape.capacity_bytes = 4096;  // whole records: there is never padding
    return shape;
  }
  shape.kind = SegmentKind::kSlotLink;
  shape.slot_count = 8;
  shape.slot_bytes = sizeof(Payload);
  if (sort == LinkSort::kPool) {
    shape.pool_buffer_count = 4;
    shape.pool_buffer_bytes = kBufferBytes;
  }
  return shape;
}

class Writer {
 public:
  [[nodiscard]] static Result<Writer> attach(const SegmentDirectory& directory,
                                             std::string_view name, LinkSort sort) {
    Writer writer(sort);
    if (sort == LinkSort::kValues) {
      auto end = ValueWriter<std::uint64_t>::attach(directory, name);
      if (!end) return end.error();
      writer.values_.emplace(std::move(end).value());
    } else {
      auto end = LinkWriter::attach(directory, name);
      if (!end) return end.error();
      writer.link_.emplace(std::move(end).value());
    }
    return writer;
  }

  // The number of the first message that has not been published.
  [[nodiscard]] std::uint64_t next_number() const {
    if (values_) return values_->position();
    return sort_ == LinkSort::kRecords ? link_->position() / kRecordStride : link_->position();
  }

  // Publishes the next number, and wakes its reader.
  [[nodiscard]] Transfer put() {
    const std::uint64_t number = next_number();
    if (values_) return values_->try_push(number << 32 | (proof_of(number) >> 32));
    Payload payload{0, number, proof_of(number)};
    std::uint32_t buffer = 0;
    if (sort_ == LinkSort::kPool) {
      const Transfer lent = link_->pool()->try_acquire(buffer);
      if (lent != Transfer::kDone) return lent;
      std::memset(link_->pool()->bytes(buffer).data(), static_cast<int>(number & 0x7f),
                  kBufferBytes);
    }
    std::span<std::byte> place;
    const Transfer reserved = link_->try_reserve(sizeof payload, place);
    if (reserved != Transfer::kDone) {
      if (sort_ == LinkSort::kPool) link_->pool()->drop(buffer);
      return reserved;
    }
    if (sort_ == LinkSort::kPool) {
      const BufferHandle handle = link_->pool()->lend(buffer);
      static_assert(sizeof handle == sizeof payload.handle);
      std::memcpy(&payload.handle, &handle, sizeof handle);
      link_->pool()->drop(buffer);
    }
    std::memcpy(place.data(), &payload, sizeof payload);
    link_->commit(sizeof payload);
    return Transfer::kDone;
  }

  void abort_published() { values_ ? values_->abort_published() : link_->abort_published(); }
  void close() { values_ ? values_->close() : link_->close(); }
  [[nodiscard]] bool has_space() const {
    return values_ ? values_->has_space() : link_->has_space(sizeof(Payload));
  }
  [[nodiscard]] WaitPoint space_point() {
    return values_ ? values_->space_point() : link_->space_point();
  }
  [[nodiscard]] std::uint32_t incarnation() const {
    return values_ ? values_->incarnation() : link_->incarnation();
  }

 private:
  explicit Writer(LinkSort sort) : sort_(sort) {}
  LinkSort sort_;
  std::optional<LinkWriter> link_;
  std::optional<ValueWriter<std::uint64_t>> values_;
};

struct Taken {
  std::uint64_t number = 0;
  bool is_whole = false;
  bool redelivered = false;
  bool aborted = false;
};

class Reader {
 public:
  [[nodiscard]] static Result<Reader> attach(const SegmentDirectory& directory,
                                             std::string_view name, LinkSort sort) {
    Reader reader(sort);
    if (sort == LinkSort::kValues) {
      auto end = ValueReader<std::uint64_t>::attach(directory, name);
      if (!end) return end.error();
      reader.redelivered_count_ = end->redelivered_count();
      reader.values_.emplace(std::move(end).value());
    } else {
      auto end = LinkReader::attach(directory, name);
      if (!end) return end.error();
      reader.link_.emplace(std::move(end).value());
    }
    return reader;
  }

  // Looks at the next message and holds it.
  [[nodiscard]] Transfer take(Taken& taken) {
    if (values_) return take_value(taken);
    Message message;
    const Transfer answer = link_->try_peek(message);
    if (answer != Transfer::kDone) return answer;
    Payload payload{};
    if (message.bytes.size() == sizeof payload) {
      std::memcpy(&payload, message.bytes.data(), sizeof payload);
    }
    bool is_whole = payload.proof == proof_of(payload.number);
    if (sort_ == LinkSort::kPool)
      is_whole = is_whole && is_buffer_whole(payload, message.redelivered);
    taken = {payload.number, is_whole, message.redelivered, message.aborted};
    held_.push_back({message, payload.handle});
    return answer;
  }

  // Finishes the message held longest.  Requires: one is held.
  void release() {
    if (values_) {
      values_->release(1);
      return;
    }
    const Held held = held_.front();
    held_.pop_front();
    if (sort_ == LinkSort::kPool) link_->give_back(handle_of(held.handle));
    link_->release(held.message);
  }

  void close() { values_ ? values_->close() : link_->close(); }
  [[nodiscard]] bool is_finished() const {
    return values_ ? values_->is_finished() : link_->is_finished();
  }
  [[nodiscard]] bool has_message() const {
    return values_ ? values_->has_value() : link_->has_message();
  }
  [[nodiscard]] WaitPoint message_point() {
    return values_ ? values_->value_point() : link_->message_point();
  }
  [[nodiscard]] std::uint32_t incarnation() const {
    return values_ ? values_->incarnation() : link_->incarnation();
  }

 private:
  struct Held {
    Message message;
    std::uint64_t handle;
  };
  explicit Reader(LinkSort sort) : sort_(sort) {}

  [[nodiscard]] Transfer take_value(Taken& taken) {
    if (ahead_.empty()) {
      const Transfer answer = values_->try_peek(ahead_);
      if (answer != Transfer::kDone) return answer;
    }
    const std::uint64_t value = ahead_.front();
    ahead_ = ahead_.subspan(1);
    const std::uint64_t number = value >> 32;
    const bool is_whole = (value & UINT32_MAX) == proof_of(number) >> 32;
    taken = {number, is_whole, redelivered_count_ > 0, false};
    if (redelivered_count_ > 0) --redelivered_count_;
    return Transfer::kDone;
  }
  [[nodiscard]] static BufferHandle handle_of(std::uint64_t word) {
    BufferHandle handle;
    std::memcpy(&handle, &word, sizeof handle);
    return handle;
  }
  [[nodiscard]] bool is_buffer_whole(const Payload& payload, bool redelivered) {
    const BufferHandle handle = handle_of(payload.handle);
    // Given back already: a predecessor had finished the message but for its release.
    if (!link_->pool()->holds(handle)) return redelivered;
    for (const std::byte byte : link_->pool()->bytes(handle)) {
      if (byte != static_cast<std::byte>(payload.number & 0x7f)) return false;
    }
    return true;
  }

  LinkSort sort_;
  std::optional<LinkReader> link_;
  std::optional<ValueReader<std::uint64_t>> values_;
  std::deque<Held> held_;
  std::span<const std::uint64_t> ahead_;
  std::uint64_t redelivered_count_ = 0;
};

}  // namespace slipring::crash
