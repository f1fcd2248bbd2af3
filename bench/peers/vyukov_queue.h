// The bounded queue of many producers and many consumers that others are measured against: a
// sequence in every cell, and a shared counter on each side that a compare-and-swap moves.
//
// A producer first claims a position and then writes: one that is stopped or dies in between holds
// up every consumer.  Source of the algorithm: D. Vyukov, "Bounded MPMC queue", 1024cores.net,
// 2010.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace slipring::peers {

// Any number of threads.  Requires: T is copied without exceptions.
template <typename T>
class VyukovQueue {
 public:
  // Requires: slot_count is a power of two, at least 2.
  explicit VyukovQueue(std::size_t slot_count)
      : cells_(new Cell[slot_count]), mask_(slot_count - 1) {
    for (std::size_t i = 0; i < slot_count; ++i) {
      cells_[i].sequence.store(i, std::memory_order_relaxed);
    }
  }

  [[nodiscard]] bool try_push(const T& value) noexcept {
    std::uint64_t position = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[position & mask_];
      const std::uint64_t sequence = cell.sequence.load(std::memory_order_acquire);
      const auto distance = static_cast<std::int64_t>(sequence - position);
      if (distance == 0) {
        if (tail_.compare_exchange_weak(position, position + 1, std::memory_order_relaxed)) {
          cell.value = value;
          cell.sequence.store(position + 1, std::memory_order_release);
          return true;
        }
      } else if (distance < 0) {
        return false;
      } else {
        position = tail_.load(std::memory_order_relaxed);
      }
    }
  }

  [[nodiscard]] bool try_pop(T& value) noexcept {
    std::uint64_t position = head_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[position & mask_];
      const std::uint64_t sequence = cell.sequence.load(std::memory_order_acquire);
      const auto distance = static_cast<std::int64_t>(sequence - (position + 1));
      if (distance == 0) {
        if (head_.compare_exchange_weak(position, position + 1, std::memory_order_relaxed)) {
          value = cell.value;
          cell.sequence.store(position + mask_ + 1, std::memory_order_release);
          return true;
        }
      } else if (distance < 0) {
        return false;
      } else {
        position = head_.load(std::memory_order_relaxed);
      }
    }
  }

 private:
  struct Cell {
    std::atomic<std::uint64_t> sequence;
    T value;
  };
  alignas(128) std::unique_ptr<Cell[]> cells_;
  std::size_t mask_;
  alignas(128) std::atomic<std::uint64_t> tail_{0};
  alignas(128) std::atomic<std::uint64_t> head_{0};
};

}  // namespace slipring::peers
