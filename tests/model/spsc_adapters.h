// The rings with one producer and one consumer under one interface, on the model: messages are
// numbers, and each carries what only its number makes.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/ring/byte_stream.h"
#include "core/ring/cursor_page.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"
#include "tests/model/model_atomics.h"
#include "tests/model/run.h"

namespace slipring::model {

// How a scene moves messages.
enum class Way : std::uint8_t {
  kCopy,     // push and pop
  kInPlace,  // reserve and commit, peek and release
  kBatch,    // two at a time, published together
};

struct Shape {
  std::uint64_t capacity = 2;  // in messages, of the smallest ring that is not smaller
  std::uint64_t start = 0;     // position of the first message
};

// What was handed out.
struct Handed {
  std::uint64_t number = 0;
  bool is_whole = true;  // all of its bytes are its own
  bool is_redelivered = false;
  bool is_aborted = false;
};
inline constexpr std::size_t kMostHanded = 4;

// Two words, so that a torn one shows.
struct Pair {
  std::uint64_t number;
  std::uint64_t check;

  [[nodiscard]] static Pair of(std::uint64_t number) { return {number + 1, ~number * 3}; }
  [[nodiscard]] Handed handed() const {
    return {number - 1, check == ~(number - 1) * 3, false, false};
  }
};

struct Pages {
  explicit Pages(Run& run)
      : producer(run.place<ProducerPage>()), consumer(run.place<ConsumerPage>()) {}
  ProducerPage* producer;
  ConsumerPage* consumer;
};

// --- Typed ring.

struct TypedRing {
  using Product = SpscProducer<Pair, ModelAtomics>;
  using Taker = SpscConsumer<Pair, ModelAtomics>;

  TypedRing(Run& run, const Shape& shape)
      : geometry{shape.capacity, shape.start},
        pages(run),
        slots(run.place<Pair>(spsc_place_count(geometry))) {}
  [[nodiscard]] std::uint64_t capacity() const { return geometry.slot_count; }

  [[nodiscard]] Result<Product> produce() {
    return Product::attach(*pages.producer, slots, *pages.consumer, geometry);
  }
  [[nodiscard]] Result<Taker> consume() {
    return Taker::attach(*pages.consumer, *pages.producer, slots, geometry);
  }
  [[nodiscard]] std::uint64_t published(const Product& end) const {
    return end.position() - geometry.start_position;
  }
  [[nodiscard]] std::uint64_t done(const Taker& end) const {
    return end.done() - geometry.start_position;
  }
  // Pushes messages from `number` on, `wanted` at most; `pushed` says how many.
  static Transfer push(Product& end, Way way, std::uint64_t number, std::size_t wanted,
                       std::size_t& pushed) {
    const std::array<Pair, 2> values{Pair::of(number), Pair::of(number + 1)};
    pushed = 1;
    if (way == Way::kCopy) return end.try_push(values[0]);
    if (way == Way::kBatch) return end.try_push_batch(std::span(values).first(wanted), pushed);
    std::span<Pair> room;
    const Transfer answer = end.try_reserve(room);
    if (answer != Transfer::kDone) return answer;
    ModelAtomics::write(room[0], values[0]);
    end.commit(1);
    return answer;
  }
  Transfer take(Taker& end, Way way, std::array<Handed, kMostHanded>& handed, std::size_t& count) {
    const std::uint64_t first = end.position();
    std::array<Pair, 2> values{};
    count = 1;
    if (way == Way::kCopy) {
      const Transfer answer = end.try_pop(values[0]);
      handed[0] = values[0].handed();
      return answer;
    }
    if (way == Way::kBatch) {
      const Transfer answer = end.try_pop_batch(values, count);
      for (std::size_t i = 0; i < count; ++i) handed[i] = values[i].handed();
      return answer;
    }
    const std::uint64_t repeated_before = end.done() + end.redelivered_count();
    std::span<const Pair> views;
    const Transfer answer = end.try_peek(views);
    if (answer != Transfer::kDone) return answer;
    count = views.size();
    for (std::size_t i = 0; i < count; ++i) {
      handed[i] = ModelAtomics::read(views[i]).handed();
      handed[i].is_redelivered = first + i < repeated_before;
    }
    return answer;
  }
  // Whether take() has finished them already.
  static bool has_space(const Product& end) { return end.has_space(); }
  static bool has_message(const Taker& end) { return end.has_value(); }
  static bool takes_and_finishes(Way way) { return way != Way::kInPlace; }
  static void finish(TypedRing&, Taker& end, std::size_t count) { end.release(count); }

  SpscGeometry geometry;
  Pages pages;
  Pair* slots;
};

// --- Slot ring.

struct SlotRing {
  using Product = BasicSlotProducer<ModelAtomics>;
  using Taker = BasicSlotConsumer<ModelAtomics>;

  SlotRing(Run& run, const Shape& shape)
      : geometry{shape.capacity < 2 ? 2 : shape.capacity, sizeof(Pair), shape.start},
        pages(run),
        slots(run.place<std::byte>(slot_slots_bytes(geometry))) {}
  [[nodiscard]] std::uint64_t capacity() const { return geometry.slot_count; }

  [[nodiscard]] Result<Product> produce() {
    return Product::attach(*pages.producer, slots, *pages.consumer, geometry);
  }
  [[nodiscard]] Result<Taker> consume() {
    return Taker::attach(*pages.consumer, *pages.producer, slots, geometry);
  }
  [[nodiscard]] std::uint64_t published(const Product& end) const {
    return end.position() - geometry.start_position;
  }
  [[nodiscard]] std::uint64_t done(const Taker& end) const {
    return end.done() - geometry.start_position;
  }
  static Transfer push(Product& end, Way way, std::uint64_t number, std::size_t,
                       std::size_t& pushed) {
    const Pair value = Pair::of(number);
    pushed = 1;
    if (way == Way::kCopy) return end.try_push(std::as_bytes(std::span(&value, 1)));
    std::span<std::byte> slot;
    const Transfer answer = end.try_reserve(slot);
    if (answer != Transfer::kDone) return answer;
    ModelAtomics::copy_in(slot.data(), &value, sizeof value);
    end.commit();
    return answer;
  }
  Transfer take(Taker& end, Way way, std::array<Handed, kMostHanded>& handed, std::size_t& count) {
    Pair value{};
    if (way == Way::kCopy) {
      count = 1;
      const Transfer answer = end.try_pop(std::as_writable_bytes(std::span(&value, 1)));
      handed[0] = value.handed();
      return answer;
    }
    const std::size_t most = way == Way::kBatch ? 2 : 1;
    Transfer answer = Transfer::kBlocked;
    SlotView view;
    for (count = 0; count < most; ++count) {
      answer = end.try_peek(view);
      if (answer != Transfer::kDone) break;
      ModelAtomics::copy_out(&value, view.message.data(), sizeof value);
      handed[count] = value.handed();
      handed[count].is_redelivered = view.redelivered;
      handed[count].is_aborted = view.aborted;
    }
    return count != 0 ? Transfer::kDone : answer;
  }
  static bool has_space(const Product& end) { return end.has_space(); }
  static bool has_message(const Taker& end) { return end.has_message(); }
  static bool takes_and_finishes(Way way) { return way == Way::kCopy; }
  static void finish(SlotRing&, Taker& end, std::size_t count) {
    SlotView view;
    view.position = end.done() + count - 1;
    end.release(view);
  }

  SlotGeometry geometry;
  Pages pages;
  std::byte* slots;
};

// --- Record ring: of 64 bytes, with records of 24, so that each other lap begins with padding.

struct RecordRing {
  using Product = BasicRecordProducer<ModelAtomics>;
  using Taker = BasicRecordConsumer<ModelAtomics>;
  static constexpr std::uint64_t kWhole = 24;

  RecordRing(Run& run, const Shape& shape)
      : geometry{64, shape.start / 8 * 8}, pages(run), bytes(run.place<std::byte>(64)) {}
  [[nodiscard]] static std::uint64_t capacity() { return 2; }

  [[nodiscard]] Result<Product> produce() {
    return Product::attach(*pages.producer, bytes, *pages.consumer, geometry);
  }
  [[nodiscard]] Result<Taker> consume() {
    return Taker::attach(*pages.consumer, *pages.producer, bytes, geometry);
  }
  // How many records end at `position`.
  [[nodiscard]] std::uint64_t count_at(std::uint64_t position) const {
    std::uint64_t at = geometry.start_position;
    std::uint64_t count = 0;
    while (at < position) {
      const std::uint64_t to_end = 64 - at % 64;
      at += kWhole > to_end ? to_end + kWhole : kWhole;
      ++count;
    }
    return at == position ? count : UINT64_MAX;
  }
  [[nodiscard]] std::uint64_t published(const Product& end) const {
    return count_at(end.position());
  }
  [[nodiscard]] std::uint64_t done(const Taker& end) const { return count_at(end.done()); }
  static Transfer push(Product& end, Way way, std::uint64_t number, std::size_t wanted,
                       std::size_t& pushed) {
    const std::array<Pair, 2> values{Pair::of(number), Pair::of(number + 1)};
    pushed = 1;
    if (way == Way::kCopy) return end.try_push(std::as_bytes(std::span(values).first(1)));
    if (way == Way::kBatch) {
      const std::array<std::span<const std::byte>, 2> two{
          std::as_bytes(std::span(values).subspan(0, 1)),
          std::as_bytes(std::span(values).subspan(1, 1))};
      const Transfer answer = end.try_push_many(std::span(two).first(wanted), pushed);
      return pushed != 0 ? Transfer::kDone : answer;
    }
    std::span<std::byte> payload;
    const Transfer answer = end.try_reserve(sizeof(Pair), payload);
    if (answer != Transfer::kDone) return answer;
    ModelAtomics::copy_in(payload.data(), values.data(), sizeof(Pair));
    end.commit(sizeof(Pair));
    return answer;
  }
  Transfer take(Taker& end, Way way, std::array<Handed, kMostHanded>& handed, std::size_t& count) {
    Pair value{};
    if (way == Way::kCopy) {
      count = 1;
      std::uint64_t size_bytes = 0;
      const Transfer answer = end.try_pop(std::as_writable_bytes(std::span(&value, 1)), size_bytes);
      handed[0] = value.handed();
      return answer;
    }
    std::array<RecordView, 2> views;
    const Transfer answer =
        end.try_peek_many(std::span(views).first(way == Way::kBatch ? 2 : 1), count);
    for (std::size_t i = 0; i < count; ++i) {
      handed[i].is_whole = views[i].message.size() == sizeof value;
      if (!handed[i].is_whole) continue;
      ModelAtomics::copy_out(&value, views[i].message.data(), sizeof value);
      handed[i] = value.handed();
      handed[i].is_redelivered = views[i].redelivered;
      handed[i].is_aborted = views[i].aborted;
      last_end = views[i].end_position;
    }
    return answer;
  }
  static bool has_space(const Product& end) { return end.has_space(sizeof(Pair)); }
  static bool has_message(const Taker& end) { return end.has_message(); }
  static bool takes_and_finishes(Way way) { return way == Way::kCopy; }
  static void finish(RecordRing& ring, Taker& end, std::size_t) {
    RecordView view;
    view.end_position = ring.last_end;
    end.release(view);
  }

  RecordGeometry geometry;
  Pages pages;
  std::byte* bytes;
  std::uint64_t last_end = 0;
};

// --- Byte stream: a message is a byte.

struct ByteStream {
  using Product = BasicStreamProducer<ModelAtomics>;
  using Taker = BasicStreamConsumer<ModelAtomics>;

  ByteStream(Run& run, const Shape& shape)
      : geometry{shape.capacity, shape.start}, pages(run), bytes(run.place<std::byte>(128)) {}
  [[nodiscard]] std::uint64_t capacity() const { return geometry.capacity_bytes; }

  [[nodiscard]] Result<Product> produce() {
    return Product::attach(*pages.producer, bytes, *pages.consumer, geometry);
  }
  [[nodiscard]] Result<Taker> consume() {
    return Taker::attach(*pages.consumer, *pages.producer, bytes, geometry);
  }
  [[nodiscard]] std::uint64_t published(const Product& end) const {
    return end.position() - geometry.start_position;
  }
  [[nodiscard]] std::uint64_t done(const Taker& end) const {
    return end.done() - geometry.start_position;
  }
  static std::byte byte_of(std::uint64_t number) { return static_cast<std::byte>(number * 7 + 1); }
  Transfer push(Product& end, Way way, std::uint64_t number, std::size_t wanted,
                std::size_t& pushed) {
    const std::array<std::byte, 2> two{byte_of(number), byte_of(number + 1)};
    if (way != Way::kInPlace) {
      return end.try_write(std::span(two).first(way == Way::kBatch ? wanted : 1), pushed);
    }
    StreamParts<std::byte> room;
    const Transfer answer = end.try_reserve(room);
    if (answer != Transfer::kDone) return answer;
    ModelAtomics::copy_in(room.first.data(), two.data(), 1);
    pushed = 1;
    end.commit(1);
    return answer;
  }
  Transfer take(Taker& end, Way way, std::array<Handed, kMostHanded>& handed, std::size_t& count) {
    std::array<std::byte, kMostHanded> got{};
    const std::uint64_t first = done(end);
    std::uint64_t redelivered = 0;
    std::uint64_t aborted = 0;
    Transfer answer;
    if (way == Way::kInPlace) {
      StreamView view;
      answer = end.try_peek(view);
      if (answer != Transfer::kDone) return answer;
      count = view.bytes.size();
      if (count > got.size()) return Transfer::kCorruptPeer;
      ModelAtomics::copy_out(got.data(), view.bytes.first.data(), view.bytes.first.size());
      ModelAtomics::copy_out(got.data() + view.bytes.first.size(), view.bytes.second.data(),
                             view.bytes.second.size());
      redelivered = view.redelivered_bytes;
      aborted = view.aborted_bytes;
    } else {
      answer = end.try_read(std::span(got).first(way == Way::kBatch ? 2 : 1), count);
    }
    for (std::size_t i = 0; i < count; ++i) {
      handed[i] = {first + i, got[i] == byte_of(first + i), i < redelivered, i < aborted};
    }
    return answer;
  }
  static bool has_space(const Product& end) { return end.has_space(sizeof(std::uint8_t)); }
  static bool has_message(const Taker& end) { return end.has_bytes(sizeof(std::uint8_t)); }
  static bool takes_and_finishes(Way way) { return way != Way::kInPlace; }
  static void finish(ByteStream&, Taker& end, std::size_t count) { end.consume(count); }

  StreamGeometry geometry;
  Pages pages;
  std::byte* bytes;
};

}  // namespace slipring::model
