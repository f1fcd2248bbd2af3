#include "tests/pipelines/wire/message_programs.h"

#include <unistd.h>

#include <cstring>
#include <utility>

#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/value_link.h"
#include "tests/pipelines/wire/wire_fixture.h"

namespace slipring::wire {
namespace {

class Plain final : public MessagePrograms {
 public:
  Plain(LinkWriter writer, LinkReader reader)
      : writer_(std::move(writer)), reader_(std::move(reader)) {}

  [[nodiscard]] std::size_t length(std::uint64_t, std::size_t bytes) const override {
    return writer_.shape().kind == SegmentKind::kSlotLink ? writer_.shape().slot_bytes : bytes;
  }
  bool push(std::string_view text) override {
    std::span<std::byte> place;
    if (writer_.try_reserve(text.size(), place) != Transfer::kDone) return false;
    std::memcpy(place.data(), text.data(), text.size());
    writer_.commit(text.size());
    return true;
  }
  std::vector<std::string> pop_all() override {
    reader_.skip_aborted();
    return wire::pop_all(reader_);
  }
  void abort() override { writer_.abort_published(); }
  void close() override { writer_.close(); }
  [[nodiscard]] bool is_finished() const override { return reader_.is_finished(); }
  [[nodiscard]] DropCounts drops() const override { return writer_.drops().dropped; }

 private:
  LinkWriter writer_;
  LinkReader reader_;
};

// Every third message comes without a buffer.
class Pooled final : public MessagePrograms {
 public:
  Pooled(LinkWriter writer, LinkReader reader)
      : writer_(std::move(writer)), reader_(std::move(reader)) {}

  [[nodiscard]] std::size_t length(std::uint64_t number, std::size_t) const override {
    return number % 3 == 2 ? kTextBytes : kTextBytes + kPooledBufferBytes;
  }
  bool push(std::string_view text) override {
    std::span<std::byte> place;
    if (writer_.try_reserve(kPooledSlotBytes, place) != Transfer::kDone) return false;
    BufferHandle handle = kNullHandle;
    if (text.size() > kTextBytes) {
      std::uint32_t buffer = 0;
      if (writer_.pool()->try_acquire(buffer) != Transfer::kDone) return false;
      std::memcpy(writer_.pool()->bytes(buffer).data(), text.data() + kTextBytes,
                  kPooledBufferBytes);
      handle = writer_.pool()->lend(buffer);
      writer_.pool()->drop(buffer);
    }
    std::memcpy(place.data(), &handle, sizeof handle);
    std::memcpy(place.data() + sizeof handle, text.data(), kTextBytes);
    writer_.commit(kPooledSlotBytes);
    return true;
  }
  std::vector<std::string> pop_all() override {
    reader_.skip_aborted();
    std::vector<std::string> all;
    Message message;
    while (reader_.try_peek(message) == Transfer::kDone) {
      BufferHandle handle;
      std::memcpy(&handle, message.bytes.data(), sizeof handle);
      if (!message.aborted) {
        std::string text(reinterpret_cast<const char*>(message.bytes.data()) + sizeof handle,
                         kTextBytes);
        if (reader_.pool()->holds(handle)) {
          const auto bytes = reader_.pool()->bytes(handle);
          text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        } else {
          REQUIRE(handle.slot == kNoBufferSlot);
        }
        all.push_back(std::move(text));
      }
      reader_.give_back(handle);
      reader_.release(message);
    }
    return all;
  }
  void abort() override { writer_.abort_published(); }
  void close() override { writer_.close(); }
  [[nodiscard]] bool is_finished() const override { return reader_.is_finished(); }
  [[nodiscard]] DropCounts drops() const override { return writer_.drops().dropped; }
  [[nodiscard]] std::uint32_t lent_here() const override { return writer_.pool()->lent_count(); }

 private:
  static constexpr std::size_t kTextBytes = kPooledSlotBytes - sizeof(BufferHandle);
  LinkWriter writer_;
  LinkReader reader_;
};

class Values final : public MessagePrograms {
 public:
  Values(ValueWriter<TextValue> writer, ValueReader<TextValue> reader)
      : writer_(std::move(writer)), reader_(std::move(reader)) {}

  [[nodiscard]] std::size_t length(std::uint64_t, std::size_t) const override {
    return sizeof(TextValue);
  }
  bool push(std::string_view text) override {
    TextValue value{};
    std::memcpy(value.text.data(), text.data(), sizeof value.text);
    return writer_.try_push(value) == Transfer::kDone;
  }
  std::vector<std::string> pop_all() override {
    reader_.skip_aborted();
    std::vector<std::string> all;
    TextValue value{};
    while (reader_.try_pop(value) == Transfer::kDone) {
      all.emplace_back(value.text.data(), value.text.size());
    }
    return all;
  }
  void abort() override { writer_.abort_published(); }
  void close() override { writer_.close(); }
  [[nodiscard]] bool is_finished() const override { return reader_.is_finished(); }
  [[nodiscard]] DropCounts drops() const override { return writer_.drops().dropped; }

 private:
  ValueWriter<TextValue> writer_;
  ValueReader<TextValue> reader_;
};

// Records here, a lane of a set there.  What a sender of that machine puts in between is counted.
class Lanes final : public MessagePrograms {
 public:
  Lanes(LinkWriter writer, LaneReader reader)
      : writer_(std::move(writer)), reader_(std::move(reader)) {}

  [[nodiscard]] std::size_t length(std::uint64_t, std::size_t bytes) const override {
    return bytes;
  }
  bool push(std::string_view text) override {
    std::span<std::byte> place;
    if (writer_.try_reserve(text.size(), place) != Transfer::kDone) return false;
    std::memcpy(place.data(), text.data(), text.size());
    writer_.commit(text.size());
    return true;
  }
  std::vector<std::string> pop_all() override {
    std::vector<std::string> all;
    LaneMessage message;
    while (reader_.try_peek(message) == Transfer::kDone) {
      const auto bytes = message.message.bytes;
      std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      const bool is_local = text.starts_with(kLocalText);
      REQUIRE(is_local != message.origin.has_value());
      if (!is_local) {
        REQUIRE(!message.origin->name().empty());
        REQUIRE(message.origin->process.process_id == static_cast<std::uint32_t>(getpid()));
        all.push_back(std::move(text));
      }
      reader_.release(message);
    }
    return all;
  }
  void abort() override { writer_.abort_published(); }
  [[nodiscard]] DropCounts drops() const override { return writer_.drops().dropped; }
  void close() override { writer_.close(); }
  [[nodiscard]] bool is_finished() const override { return reader_.is_finished(); }
  [[nodiscard]] bool is_read_between() const override { return true; }

 private:
  LinkWriter writer_;
  LaneReader reader_;
};

}  // namespace

LinkShape text_values(std::uint64_t value_count) {
  return value_link_shape<TextValue>(value_count);
}

LinkShape pooled_slots(std::uint64_t slot_count, std::uint32_t buffer_count) {
  LinkShape shape = test::slots(slot_count, kPooledSlotBytes);
  shape.pool_buffer_count = buffer_count;
  shape.pool_buffer_bytes = kPooledBufferBytes;
  return shape;
}

std::unique_ptr<MessagePrograms> MessagePrograms::start(const SegmentDirectory& here,
                                                        const SegmentDirectory& there,
                                                        std::string_view name,
                                                        const LinkShape& shape) {
  if (shape.kind == SegmentKind::kValueLink) {
    return std::make_unique<Values>(must(ValueWriter<TextValue>::attach(here, name)),
                                    must(ValueReader<TextValue>::attach(there, name)));
  }
  LinkWriter writer = must(LinkWriter::attach(here, name));
  if (is_lane_set(must(LinkObserver::attach(there, name)).shape())) {
    return std::make_unique<Lanes>(std::move(writer), must(LaneReader::attach(there, name)));
  }
  LinkReader reader = must(LinkReader::attach(there, name));
  if (shape.pool_buffer_count != 0) {
    return std::make_unique<Pooled>(std::move(writer), std::move(reader));
  }
  return std::make_unique<Plain>(std::move(writer), std::move(reader));
}

}  // namespace slipring::wire
