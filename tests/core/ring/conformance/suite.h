// The conformance suite: what every ring promises, checked once for all of them.
//
// Each check builds scenes of its own, tells a Verdict what it expects, and leaves a scene that has
// come apart, so that a broken ring ends the check and not the test.  Message number n, counted
// from 0 in each scene, has the bytes of write_pattern(n): every byte is compared.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>

#include "tests/core/ring/conformance/ring_adapter.h"
#include "tests/core/ring/conformance/verdict.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring::conformance {

// The two element modes.
enum class Mode { kCopying, kInPlace };

template <RingAdapter R>
[[nodiscard]] std::vector<Mode> modes() {
  if constexpr (InPlaceAdapter<R>) return {Mode::kCopying, Mode::kInPlace};
  return {Mode::kCopying};
}

// A ring, and the numbers of what goes in and comes out.
template <RingAdapter R>
class Scene {
 public:
  Scene(Verdict& verdict, const RingShape& shape) : verdict_(&verdict), ring_(shape) {}

  [[nodiscard]] R& ring() { return ring_; }
  [[nodiscard]] std::uint64_t pushed() const { return pushed_; }
  [[nodiscard]] std::uint64_t popped() const { return popped_; }
  void step_back(std::uint64_t count) { popped_ -= count; }

  Transfer push(Mode mode, std::uint64_t size) {
    Transfer answer = Transfer::kBlocked;
    if constexpr (InPlaceAdapter<R>) {
      if (mode == Mode::kInPlace) return push_in_place(size);
    }
    message_.resize(static_cast<std::size_t>(size));
    write_pattern(message_, pushed_);
    answer = ring_.push(message_);
    if (answer == Transfer::kDone) ++pushed_;
    return answer;
  }

  // Whether the next message is there and is the right one.
  bool pop(Mode mode, std::uint64_t size) {
    has_message();
    if constexpr (InPlaceAdapter<R>) {
      if (mode == Mode::kInPlace) {
        if (!peek(size, false)) return false;
        ring_.release();
        return true;
      }
    }
    Message out;
    if (!verdict_->expect(ring_.pop(out) == Transfer::kDone, "a published message is there")) {
      return false;
    }
    return is_next(out, size);
  }

  // The next message, held.
  bool peek(std::uint64_t size, bool redelivered) requires InPlaceAdapter<R> {
    has_message();
    std::span<const std::byte> seen;
    bool again = false;
    if (!verdict_->expect(ring_.peek(seen, again) == Transfer::kDone, "a message can be peeked")) {
      return false;
    }
    verdict_->expect(seen.empty() || ring_.contains(seen), "a peeked message lies in the ring");
    verdict_->expect(is_aligned(seen), "a peeked message is aligned");
    verdict_->expect(again == redelivered, "the redelivery mark is right");
    return is_next(seen, size);
  }

  bool is_empty(Mode mode) {
    if constexpr (AskableAdapter<R>) {
      verdict_->expect(!ring_.has_message(), "has_message() of an empty ring is false");
    }
    Transfer answer = Transfer::kDone;
    if (mode == Mode::kCopying) {
      Message out;
      answer = ring_.pop(out);
    } else if constexpr (InPlaceAdapter<R>) {
      std::span<const std::byte> seen;
      bool again = false;
      answer = ring_.peek(seen, again);
    }
    return verdict_->expect(answer == Transfer::kBlocked, "an empty ring answers kBlocked");
  }
  bool is_full(Mode mode, std::uint64_t size) {
    if constexpr (AskableAdapter<R>) {
      verdict_->expect(!ring_.has_space(size), "has_space() of a full ring is false");
    }
    return verdict_->expect(push(mode, size) == Transfer::kBlocked, "a full ring answers kBlocked");
  }
  bool push_one(Mode mode, std::uint64_t size) {
    if constexpr (AskableAdapter<R>) {
      verdict_->expect(ring_.has_space(size), "has_space() is true while there is room");
    }
    return verdict_->expect(push(mode, size) == Transfer::kDone, "there is room as promised");
  }
  bool is_intact() { return verdict_->expect(ring_.is_intact(), "nothing is written beside it"); }

  bool is_next(std::span<const std::byte> message, std::uint64_t size) {
    return verdict_->expect(message.size() == size, "the size arrives") &&
           verdict_->expect(has_pattern(message, popped_++), "order and every byte arrive");
  }

 private:
  Transfer push_in_place(std::uint64_t size) requires InPlaceAdapter<R> {
    std::span<std::byte> room;
    const Transfer answer = ring_.reserve(size, room);
    if (answer != Transfer::kDone) return answer;
    if (!verdict_->expect(room.size() >= size, "as much is reserved as was asked for")) {
      return Transfer::kBlocked;
    }
    room = room.first(static_cast<std::size_t>(size));
    if (!verdict_->expect(size == 0 || ring_.contains(room), "what is reserved lies in the ring")) {
      return Transfer::kBlocked;
    }
    verdict_->expect(is_aligned(room), "what is reserved is aligned");
    write_pattern(room, pushed_);
    ring_.commit(size);
    ++pushed_;
    return answer;
  }
  void has_message() {
    if constexpr (AskableAdapter<R>) {
      verdict_->expect(ring_.has_message(), "has_message() is true while there is one");
    }
  }
  [[nodiscard]] static bool is_aligned(std::span<const std::byte> bytes) requires
      InPlaceAdapter<R> {
    return bytes.empty() || reinterpret_cast<std::uintptr_t>(bytes.data()) % R::kAlignment == 0;
  }

  Verdict* verdict_;
  R ring_;
  Message message_;
  std::uint64_t pushed_ = 0;
  std::uint64_t popped_ = 0;
};

// Sizes that can fill the ring without a gap, the longest last.
template <RingAdapter R>
[[nodiscard]] std::vector<std::uint64_t> filling_sizes(const RingShape& shape) {
  if (!R::kIsVariable) return {shape.message_bytes};
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t size = 0; size <= shape.message_bytes; ++size) {
    const std::uint64_t whole = R::footprint(size);
    if (whole != 0 && shape.capacity % whole == 0 && shape.start_position % whole == 0) {
      sizes.push_back(size);
    }
  }
  return sizes;
}
template <RingAdapter R>
[[nodiscard]] std::uint64_t room_of(const RingShape& shape, std::uint64_t size) {
  return shape.capacity / R::footprint(size);
}

// It holds exactly what was asked for, lap after lap, and answers at both edges.
template <RingAdapter R>
void check_capacity(Verdict& verdict, const RingShape& shape) {
  for (const std::uint64_t size : filling_sizes<R>(shape)) {
    for (const Mode mode : modes<R>()) {
      verdict.enter({"capacity", shape.capacity, size, shape.start_position, 0, 0});
      Scene<R> scene(verdict, shape);
      const std::uint64_t room = room_of<R>(shape, size);
      for (int lap = 0; lap < 3; ++lap) {
        if (!scene.is_empty(mode)) return;
        for (std::uint64_t i = 0; i < room; ++i) {
          if (!scene.push_one(mode, size)) return;
        }
        if (!scene.is_full(mode, size)) return;
        for (std::uint64_t i = 0; i < room; ++i) {
          if (!scene.pop(mode, size)) return;
        }
      }
      if (!scene.is_intact()) return;
    }
  }
}

// One out makes room for exactly one, and one in is one to be had, at every index.
template <RingAdapter R>
void check_edges(Verdict& verdict, const RingShape& shape) {
  for (const std::uint64_t size : filling_sizes<R>(shape)) {
    for (const Mode mode : modes<R>()) {
      const std::uint64_t room = room_of<R>(shape, size);
      verdict.enter({"edges", shape.capacity, size, shape.start_position, 0, 0});
      Scene<R> full(verdict, shape);
      for (std::uint64_t i = 0; i < room; ++i) {
        if (!full.push_one(mode, size)) return;
      }
      Scene<R> empty(verdict, shape);
      for (std::uint64_t i = 0; i < 2 * room + 1; ++i) {
        if (!full.pop(mode, size)) return;
        full.ring().flush();
        if (!full.push_one(mode, size) || !full.is_full(mode, size)) return;
        if (!empty.push_one(mode, size) || !empty.pop(mode, size) || !empty.is_empty(mode)) return;
      }
    }
  }
}

// Every size at every offset: whatever lies where the ring's end is, it arrives whole.
template <RingAdapter R>
void check_wrap(Verdict& verdict, const RingShape& shape) {
  const std::uint64_t unit_size = R::kIsVariable ? (R::footprint(0) != 0 ? 0 : 1)  //
                                                 : shape.message_bytes;
  const std::uint64_t unit = R::footprint(unit_size);
  const std::uint64_t first_size = R::kIsVariable ? 0 : shape.message_bytes;
  for (std::uint64_t size = first_size; size <= shape.message_bytes; ++size) {
    for (std::uint64_t offset = 0; offset < shape.capacity; offset += unit) {
      // In a long ring of equal slots only the ends of the lap differ.
      if (shape.capacity / unit > 100 && offset == 3 * unit) offset = shape.capacity - 3 * unit;
      for (const Mode mode : modes<R>()) {
        verdict.enter({"wrap", shape.capacity, size, shape.start_position, offset, 0});
        Scene<R> scene(verdict, shape);
        for (std::uint64_t at = 0; at < offset; at += unit) {
          if (!scene.push_one(mode, unit_size) || !scene.pop(mode, unit_size)) return;
        }
        if (!scene.is_empty(mode)) return;
        std::uint64_t count = 0;
        while (count <= shape.capacity && scene.push(mode, size) == Transfer::kDone) ++count;
        if (!verdict.expect(count != 0, "the longest message fits wherever the ring stands"))
          return;
        if (!verdict.expect(count * R::footprint(size) <= shape.capacity || size == 0,
                            "no more than the capacity fits")) {
          return;
        }
        for (std::uint64_t i = 0; i < count; ++i) {
          if (!scene.pop(mode, size)) return;
        }
        if (!scene.is_empty(mode) || !scene.is_intact()) return;
      }
    }
  }
}

// A long random walk with all sizes, both modes mixed: first in, first out.
template <RingAdapter R>
void check_order(Verdict& verdict, const RingShape& shape) {
  verdict.enter({"order", shape.capacity, shape.message_bytes, shape.start_position, 0, 0});
  Scene<R> scene(verdict, shape);
  std::mt19937_64 random(shape.capacity * 31 + shape.message_bytes);
  std::vector<std::uint64_t> sizes;
  for (int step = 0; step < 2000; ++step) {
    const Mode mode = modes<R>()[random() % modes<R>().size()];
    if (random() % 2 == 0) {
      const std::uint64_t size =
          R::kIsVariable ? random() % (shape.message_bytes + 1) : shape.message_bytes;
      const Transfer answer = scene.push(mode, size);
      if (!verdict.expect(answer != Transfer::kCorruptPeer, "nobody is corrupt")) return;
      if (answer == Transfer::kDone) sizes.push_back(size);
    } else if (scene.popped() == sizes.size()) {
      if (!scene.is_empty(mode)) return;
    } else if (!scene.pop(mode, sizes[scene.popped()])) {
      return;
    }
  }
  while (scene.popped() != sizes.size()) {
    if (!scene.pop(Mode::kCopying, sizes[scene.popped()])) return;
  }
  verdict.expect(sizes.size() > 100, "the walk has moved something");
  scene.is_intact();
}

}  // namespace slipring::conformance
