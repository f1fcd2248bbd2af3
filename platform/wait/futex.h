// Sleeping on a 32-bit word in shared memory.
//
// Always the shared kind: the key is the file's inode, so that processes which map the word at
// different addresses, or read-only, meet in it.  All calls may be made from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace slipring {

enum class FutexAnswer : std::uint8_t {
  kWoken,        // by a wake, or for no reason: look again
  kChanged,      // the word did not hold the expected value
  kTimedOut,     // the deadline passed
  kInterrupted,  // a signal was handled
  kUnsupported,  // futex_wait_any only: Linux before 5.16, or a filter forbids it
};

struct FutexWord {
  const std::atomic<std::uint32_t>* word;
  std::uint32_t expected;
};

inline constexpr std::size_t kFutexWordCountMax = 128;  // the kernel's FUTEX_WAITV_MAX

// Sleeps while the word holds `expected`, until CLOCK_MONOTONIC passes `deadline_ns` (UINT64_MAX:
// no deadline).  Memory ordering: none promised; load the word again with acquire.
FutexAnswer futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       std::uint64_t deadline_ns) noexcept;

// Sleeps while every word holds its expected value.  Requires: 1 to kFutexWordCountMax words.
FutexAnswer futex_wait_any(std::span<const FutexWord> words, std::uint64_t deadline_ns) noexcept;

inline constexpr std::uint32_t kAllSleepers = INT32_MAX;

// Wakes up to `count` sleepers and returns how many there were; 0 also if the kernel has no memory
// for it, so that a sleeper's bound must wake it.
std::uint32_t futex_wake(const std::atomic<std::uint32_t>& word, std::uint32_t count) noexcept;

// Asked of the kernel once.
[[nodiscard]] bool futex_wait_any_is_available() noexcept;

}  // namespace slipring
