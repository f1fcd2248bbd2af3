#include "platform/wait/futex.h"

#include <linux/futex.h>
#include <linux/time_types.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

#include "core/error/check.h"

namespace slipring {

namespace {

// One number on every architecture.
constexpr long kFutexWaitvCall = 449;

// 32-bit systems have a second call with 64-bit times; the first one's time type is the C library's
// business, and not a fixed one.
#if defined(SYS_futex_time64)
constexpr long kFutexCall = SYS_futex_time64;
#else
constexpr long kFutexCall = SYS_futex;
#endif

// The kernel's struct futex_waitv, which Debian's headers may be too old for.
struct WaitvWord {
  std::uint64_t value;
  std::uint64_t address;
  std::uint32_t flags;
  std::uint32_t reserved;
};
static_assert(sizeof(WaitvWord) == 24);
constexpr std::uint32_t kFutex32 = 2;

__kernel_timespec to_timespec(std::uint64_t time_ns) noexcept {
  __kernel_timespec spec = {};
  spec.tv_sec = static_cast<decltype(spec.tv_sec)>(time_ns / 1'000'000'000u);
  spec.tv_nsec = static_cast<decltype(spec.tv_nsec)>(time_ns % 1'000'000'000u);
  return spec;
}

FutexAnswer answer_of(long result) noexcept {
  if (result >= 0) return FutexAnswer::kWoken;
  switch (errno) {
    case EAGAIN:
      return FutexAnswer::kChanged;
    case ETIMEDOUT:
      return FutexAnswer::kTimedOut;
    case EINTR:
      return FutexAnswer::kInterrupted;
    case ENOSYS:
    case EPERM:
      return FutexAnswer::kUnsupported;
    default:
      check(errno != EFAULT, "a futex word that is not mapped");
      check(errno != EINVAL, "a futex word that is not aligned, or too many words");
      // ENOMEM: the kernel could not set the sleep up.  Look again, after the caller's own pacing.
      return FutexAnswer::kWoken;
  }
}

}  // namespace

FutexAnswer futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       std::uint64_t deadline_ns) noexcept {
  const __kernel_timespec deadline = to_timespec(deadline_ns);
  // FUTEX_WAIT_BITSET, because its time is an absolute one.
  return answer_of(::syscall(kFutexCall, &word, FUTEX_WAIT_BITSET, expected,
                             deadline_ns == UINT64_MAX ? nullptr : &deadline, nullptr,
                             FUTEX_BITSET_MATCH_ANY));
}

FutexAnswer futex_wait_any(std::span<const FutexWord> words, std::uint64_t deadline_ns) noexcept {
  check(!words.empty() && words.size() <= kFutexWordCountMax, "1 to 128 words to wait on");
  std::array<WaitvWord, kFutexWordCountMax> waiters;
  for (std::size_t i = 0; i < words.size(); ++i) {
    waiters[i] = {words[i].expected, reinterpret_cast<std::uintptr_t>(words[i].word), kFutex32, 0};
  }
  const __kernel_timespec deadline = to_timespec(deadline_ns);
  return answer_of(::syscall(kFutexWaitvCall, waiters.data(), words.size(), 0,
                             deadline_ns == UINT64_MAX ? nullptr : &deadline, CLOCK_MONOTONIC));
}

std::uint32_t futex_wake(const std::atomic<std::uint32_t>& word, std::uint32_t count) noexcept {
  const std::uint32_t most = count < INT_MAX ? count : INT_MAX;
  const long woken = ::syscall(kFutexCall, &word, FUTEX_WAKE, most, nullptr, nullptr, 0);
  // ENOMEM: the kernel could not look the word's page up.  Nobody was woken, and every sleep is
  // bounded.
  check(woken >= 0 || errno == ENOMEM, "a futex word that is not mapped or not aligned");
  return woken < 0 ? 0 : static_cast<std::uint32_t>(woken);
}

bool futex_wait_any_is_available() noexcept {
  // No words at all is an error of every kernel that knows the call.
  static const bool available =
      ::syscall(kFutexWaitvCall, nullptr, 0, 0, nullptr, CLOCK_MONOTONIC) < 0 && errno == EINVAL;
  return available;
}

}  // namespace slipring
