// What the conformance suite asks of a ring: an adapter of a few lines for each.
//
// An adapter owns guarded memory and both ends.  What a ring does not offer, its adapter leaves
// out, and the suite leaves out the checks for it; a test asserts which parts it means to have.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/ring/transfer.h"

namespace slipring {

struct RingShape {
  std::uint64_t capacity;       // in the ring's own unit: messages, or bytes
  std::uint64_t message_bytes;  // of the longest message; of every message where they are fixed
  std::uint64_t start_position;
};

using Message = std::vector<std::byte>;

// Copying.  footprint(size) is what a message takes of the capacity.
template <typename R>
concept RingAdapter = std::constructible_from<R, const RingShape&> &&
    requires(R ring, std::span<const std::byte> in, Message& out, std::uint64_t size) {
  { R::shapes() } -> std::same_as<std::vector<RingShape>>;
  { R::kIsVariable } -> std::convertible_to<bool>;  // messages may be shorter, and empty
  { R::footprint(size) } -> std::same_as<std::uint64_t>;
  { ring.push(in) } -> std::same_as<Transfer>;
  { ring.pop(out) } -> std::same_as<Transfer>;
  {ring.flush()};  // the consumer gives all that is finished
  { ring.is_intact() } -> std::same_as<bool>;
};

// Many at once: as many as fit, or as are there; the answer is their number.
template <typename R>
concept BatchAdapter = RingAdapter<R> &&
    requires(R ring, std::span<const Message> in, std::span<Message> out) {
  { ring.push_batch(in) } -> std::same_as<std::size_t>;
  { ring.pop_batch(out) } -> std::same_as<std::size_t>;
};

// In place: reserve, write, commit or abandon; peek, read, release.  release() finishes the longest
// held.  taken_count() is how many messages from the longest held on a successor will be told of.
template <typename R>
concept InPlaceAdapter = RingAdapter<R> &&
    requires(R ring, std::span<std::byte>& room, std::span<const std::byte>& seen,
             std::uint64_t size, bool& redelivered) {
  { R::kAlignment } -> std::convertible_to<std::size_t>;
  { ring.reserve(size, room) } -> std::same_as<Transfer>;
  {ring.commit(size)};
  {ring.abandon()};
  { ring.peek(seen, redelivered) } -> std::same_as<Transfer>;
  {ring.release()};
  { ring.taken_count() } -> std::same_as<std::uint64_t>;
  { ring.contains(seen) } -> std::same_as<bool>;
};

// Successors take over either role, from memory alone; what had been popped is finished.
template <typename R>
concept HandOverAdapter = RingAdapter<R> && requires(R ring) {
  { ring.reattach_producer() } -> std::same_as<bool>;
  { ring.reattach_consumer() } -> std::same_as<bool>;
};

// Questions that a waiter asks.
template <typename R>
concept AskableAdapter = RingAdapter<R> && requires(R ring, std::uint64_t size) {
  { ring.has_space(size) } -> std::same_as<bool>;
  { ring.has_message() } -> std::same_as<bool>;
};

// Start positions a little before a counter of each width would wrap, all multiples of 16.
[[nodiscard]] inline std::vector<std::uint64_t> near_wraps() {
  std::vector<std::uint64_t> starts{0};
  for (const unsigned bits : {8U, 16U, 31U, 32U, 63U}) {
    starts.push_back((std::uint64_t{1} << bits) - 16);
  }
  return starts;
}

}  // namespace slipring
