// The conformance suite, continued: what a ring promises that offers batches, work in place, and
// successors; and the call that runs it all.
#pragma once

#include "tests/core/ring/conformance/suite.h"

namespace slipring::conformance {

// A batch of any length, larger than the ring too, moves what fits and never waits for the rest.
template <BatchAdapter R>
void check_batch(Verdict& verdict, const RingShape& shape) {
  const std::uint64_t size = filling_sizes<R>(shape).back();
  const std::uint64_t room = room_of<R>(shape, size);
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{1}, room / 2 + 1, room, room + 1, 2 * room + 3}) {
    for (std::uint64_t filled = 0; filled <= room; filled += room / 4 + 1) {
      verdict.enter({"batch", shape.capacity, size, shape.start_position, length, filled});
      Scene<R> scene(verdict, shape);
      for (std::uint64_t i = 0; i < filled; ++i) {
        if (!scene.push_one(Mode::kCopying, size)) return;
      }
      std::vector<Message> messages(static_cast<std::size_t>(length));
      for (std::uint64_t i = 0; i < length; ++i) {
        messages[i].resize(static_cast<std::size_t>(size));
        write_pattern(messages[i], filled + i);
      }
      const std::uint64_t fits = std::min(length, room - filled);
      if (!verdict.expect(scene.ring().push_batch(messages) == fits, "a batch moves what fits")) {
        return;
      }
      const std::uint64_t there = std::min(length, filled + fits);
      const std::size_t popped = scene.ring().pop_batch(messages);
      if (!verdict.expect(popped == there, "a batch takes what is there")) return;
      for (std::size_t i = 0; i < popped; ++i) {
        if (!scene.is_next(messages[i], size)) return;
      }
      while (scene.popped() != filled + fits) {
        if (!scene.pop(Mode::kCopying, size)) return;
      }
      if (!scene.is_empty(Mode::kCopying) || !scene.is_intact()) return;
    }
  }
}

// What is reserved is invisible until it is committed, and reserving it again changes nothing.
template <InPlaceAdapter R>
void check_reserved(Verdict& verdict, const RingShape& shape) {
  const std::uint64_t size = filling_sizes<R>(shape).back();
  verdict.enter({"reserved", shape.capacity, size, shape.start_position, 0, 0});
  Scene<R> scene(verdict, shape);
  for (std::uint64_t i = 0; i < 2 * room_of<R>(shape, size) + 1; ++i) {
    std::span<std::byte> room;
    if (!verdict.expect(scene.ring().reserve(size, room) == Transfer::kDone, "room is reserved")) {
      return;
    }
    if (!verdict.expect(scene.ring().contains(room), "what is reserved lies in the ring")) return;
    std::ranges::fill(room.first(static_cast<std::size_t>(size)), std::byte{0xee});
    if (!scene.is_empty(Mode::kInPlace)) return;
    scene.ring().abandon();
    if (!scene.push_one(Mode::kInPlace, size) || !scene.pop(Mode::kInPlace, size)) return;
  }
}

// What is held stays as it is, however much the producer pushes, and is finished from the front.
template <InPlaceAdapter R>
void check_held(Verdict& verdict, const RingShape& shape) {
  const std::uint64_t size = filling_sizes<R>(shape).back();
  const std::uint64_t room = room_of<R>(shape, size);
  for (std::uint64_t held = 1; held <= std::min<std::uint64_t>(room, 9); ++held) {
    verdict.enter({"held", shape.capacity, size, shape.start_position, held, 0});
    Scene<R> scene(verdict, shape);
    for (std::uint64_t i = 0; i < room; ++i) {
      if (!scene.push_one(Mode::kInPlace, size)) return;
    }
    std::vector<std::span<const std::byte>> views;
    for (std::uint64_t i = 0; i < held; ++i) {
      std::span<const std::byte> seen;
      bool again = false;
      if (!verdict.expect(scene.ring().peek(seen, again) == Transfer::kDone, "several are held")) {
        return;
      }
      views.push_back(seen);
    }
    for (std::uint64_t released = 0; released < held; ++released) {
      scene.ring().flush();
      if (!scene.is_full(Mode::kInPlace, size)) return;
      for (std::uint64_t i = released; i < held; ++i) {
        if (!verdict.expect(has_pattern(views[i], i), "what is held stays as it is")) return;
      }
      scene.ring().release();
      scene.ring().flush();
      if (!scene.push_one(Mode::kInPlace, size)) return;
    }
  }
}

// Both roles change hands at every fill level and index: all go on where their predecessors were.
template <HandOverAdapter R>
void check_succession(Verdict& verdict, const RingShape& shape) {
  const std::uint64_t size = filling_sizes<R>(shape).back();
  const std::uint64_t room = room_of<R>(shape, size);
  const std::uint64_t stride = room / 16 + 1;
  for (std::uint64_t filled = 0; filled <= room; filled += stride) {
    for (std::uint64_t popped = 0; popped <= filled; popped += stride) {
      verdict.enter({"succession", shape.capacity, size, shape.start_position, filled, popped});
      Scene<R> scene(verdict, shape);
      for (std::uint64_t i = 0; i < filled; ++i) {
        if (!scene.push_one(Mode::kCopying, size)) return;
      }
      for (std::uint64_t i = 0; i < popped; ++i) {
        if (!scene.pop(Mode::kCopying, size)) return;
      }
      for (int generation = 0; generation < 3; ++generation) {
        if (!verdict.expect(scene.ring().reattach_producer(), "a producer is succeeded")) return;
        while (scene.pushed() != scene.popped() + room) {
          if (!scene.push_one(Mode::kCopying, size)) return;
        }
        if (!scene.is_full(Mode::kCopying, size)) return;
        if (!verdict.expect(scene.ring().reattach_consumer(), "a consumer is succeeded")) return;
        for (std::uint64_t i = 0; i < room / 2 + 1; ++i) {
          if (!scene.pop(Mode::kCopying, size)) return;
        }
      }
      while (scene.popped() != scene.pushed()) {
        if (!scene.pop(Mode::kCopying, size)) return;
      }
      if (!scene.is_empty(Mode::kCopying) || !scene.is_intact()) return;
    }
  }
}

// The same with messages held and finished: none is lost, none comes twice unmarked.
template <typename R>
requires HandOverAdapter<R> && InPlaceAdapter<R>
void check_hand_over(Verdict& verdict, const RingShape& shape) {
  const std::uint64_t size = filling_sizes<R>(shape).back();
  const std::uint64_t room = room_of<R>(shape, size);
  const std::uint64_t stride = room / 16 + 1;
  for (std::uint64_t filled = 0; filled <= room; filled += stride) {
    for (std::uint64_t held = 0; held <= filled; held += stride) {
      for (std::uint64_t finished = 0; finished <= held; finished += stride) {
        verdict.enter({"hand-over", shape.capacity, size, shape.start_position, filled,
                       held << 8 | finished});
        Scene<R> scene(verdict, shape);
        for (std::uint64_t i = 0; i < filled; ++i) {
          if (!scene.push_one(Mode::kCopying, size)) return;
        }
        for (std::uint64_t i = 0; i < held; ++i) {
          if (!scene.peek(size, false)) return;
        }
        for (std::uint64_t i = 0; i < finished; ++i) scene.ring().release();
        const std::uint64_t taken = finished + scene.ring().taken_count();
        if (!verdict.expect(taken >= held, "what was peeked is taken")) return;
        if (!verdict.expect(scene.ring().reattach_producer(), "a producer is succeeded")) return;
        while (scene.pushed() != room + finished) {
          if (!scene.push_one(Mode::kInPlace, size)) return;
        }
        if (!scene.is_full(Mode::kInPlace, size)) return;
        if (!verdict.expect(scene.ring().reattach_consumer(), "a consumer is succeeded")) return;
        scene.step_back(held - finished);
        while (scene.popped() != room + finished) {
          if (!scene.peek(size, scene.popped() < taken)) return;
          scene.ring().release();
        }
        if (!scene.is_empty(Mode::kInPlace) || !scene.is_intact()) return;
      }
    }
  }
}

// Everything that R has adapters for, on every shape.
template <RingAdapter R>
void check_all(Verdict& verdict) {
  for (const RingShape& shape : R::shapes()) {
    check_capacity<R>(verdict, shape);
    check_edges<R>(verdict, shape);
    check_wrap<R>(verdict, shape);
    check_order<R>(verdict, shape);
    if constexpr (BatchAdapter<R>) check_batch<R>(verdict, shape);
    if constexpr (InPlaceAdapter<R>) {
      check_reserved<R>(verdict, shape);
      check_held<R>(verdict, shape);
    }
    if constexpr (HandOverAdapter<R>) check_succession<R>(verdict, shape);
    if constexpr (HandOverAdapter<R> && InPlaceAdapter<R>) check_hand_over<R>(verdict, shape);
  }
}

// As a doctest: every failure is shown, and how much was looked at.
template <RingAdapter R>
void conforms(const std::string& name) {
  Verdict verdict;
  check_all<R>(verdict);
  for (const std::string& failure : verdict.failures()) FAIL_CHECK(failure);
  MESSAGE(name, ": shapes ", R::shapes().size(), ", scenes ", verdict.scene_count(),
          ", expectations ", verdict.expectation_count(), ", failed ", verdict.failure_count());
  CHECK(verdict.failure_count() == 0);
  CHECK(verdict.expectation_count() > 1000);
}

}  // namespace slipring::conformance
