// The ring that everybody writes: two indices, each side with a private copy of the other's that it
// renews only when it seems out of room.  Source of the idea: MCRingBuffer (Lee, Bu, Chandranmenon,
// 2009).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace slipring::peers {

// One producer, one consumer; works in memory of any process.
template <typename T, std::size_t kSlots>
class CachedIndexQueue {
 public:
  [[nodiscard]] bool try_push(const T& value) noexcept { return try_push_batch(&value, 1) == 1; }
  [[nodiscard]] bool try_pop(T& value) noexcept { return try_pop_batch(&value, 1) == 1; }

  // Answers how many.
  [[nodiscard]] std::size_t try_push_batch(const T* values, std::size_t count) noexcept {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    std::size_t room = kSlots - static_cast<std::size_t>(tail - head_seen_);
    if (room < count) {
      head_seen_ = head_.load(std::memory_order_acquire);
      room = kSlots - static_cast<std::size_t>(tail - head_seen_);
      if (room < count) count = room;
      if (count == 0) return 0;
    }
    for (std::size_t i = 0; i < count; ++i) slots_[(tail + i) % kSlots] = values[i];
    tail_.store(tail + count, std::memory_order_release);
    return count;
  }
  [[nodiscard]] std::size_t try_pop_batch(T* values, std::size_t count) noexcept {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    auto there = static_cast<std::size_t>(tail_seen_ - head);
    if (there < count) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      there = static_cast<std::size_t>(tail_seen_ - head);
      if (there < count) count = there;
      if (count == 0) return 0;
    }
    for (std::size_t i = 0; i < count; ++i) values[i] = slots_[(head + i) % kSlots];
    head_.store(head + count, std::memory_order_release);
    return count;
  }

 private:
  alignas(128) std::atomic<std::uint64_t> tail_{0};
  alignas(128) std::uint64_t head_seen_ = 0;
  alignas(128) std::atomic<std::uint64_t> head_{0};
  alignas(128) std::uint64_t tail_seen_ = 0;
  alignas(128) std::array<T, kSlots> slots_;
};

}  // namespace slipring::peers
