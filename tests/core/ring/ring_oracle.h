// What a ring must do, as a deque: for walks of random operations.
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <deque>

#include "tests/core/ring/ring_memory.h"

namespace slipring {

inline constexpr int kStepCount = 30'000;  // of one walk

struct Published {
  std::uint64_t number;
  std::uint64_t size_bytes;
  std::uint64_t end_position;
  bool was_taken;
  bool is_aborted;
};

// What is common to the rings: messages between done and published, and which of them the
// present consumer holds.
struct Oracle {
  std::deque<Published> messages;  // from done on
  std::size_t held_count = 0;      // of these, from the front
  std::uint64_t next_number = 0;
  std::uint64_t delivered_count = 0;
  std::uint64_t blocked_count = 0;
  std::uint64_t death_count = 0;

  void add(std::uint64_t size_bytes, std::uint64_t end_position) {
    messages.push_back({next_number++, size_bytes, end_position, false, false});
  }
  void abort() {
    for (Published& message : messages) message.is_aborted = true;
  }
  void consumer_dies() {
    held_count = 0;
    ++death_count;
  }
  template <typename View>
  void take(const View& view) {
    REQUIRE(held_count < messages.size());
    Published& wanted = messages[held_count++];
    REQUIRE(view.message.size() >= wanted.size_bytes);
    REQUIRE(has_pattern(view.message.first(wanted.size_bytes), wanted.number));
    REQUIRE(view.redelivered == wanted.was_taken);
    REQUIRE(view.aborted == wanted.is_aborted);
    wanted.was_taken = true;
    ++delivered_count;
  }
  // Finishes the first `count` messages.
  void finish(std::size_t count) {
    messages.erase(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(count));
    held_count = held_count > count ? held_count - count : 0;
  }
  std::size_t skip() {
    std::size_t count = 0;
    while (count < messages.size() && messages[count].is_aborted) ++count;
    finish(count);
    return count;
  }
};

}  // namespace slipring
