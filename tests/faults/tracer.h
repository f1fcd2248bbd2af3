// Shows every system call of a piece of code to a judge, who may make it fail.
//
// The code runs in a forked child under ptrace, and marks with mark() where the showing begins and
// ends; what it does outside the marks runs at full speed.  Processes that it starts between the
// marks are shown too, until they execute a program.  Nothing in the code under test knows of it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace slipring::faults {

// What a descriptor leads to, where that decides what a call on it can answer.
enum class FileKind : std::uint8_t { kFile, kKernelText, kPipe, kSocket, kEvent, kOther };

struct Call {
  std::size_t process = 0;  // 0: the child; others in the order in which they were started
  std::size_t index = 0;    // of the process's calls between the marks
  long number = 0;
  std::array<std::uint64_t, 6> arguments{};
  FileKind file_kind = FileKind::kOther;  // of a descriptor in the first argument
  std::uint32_t lock_type = 0;            // of fcntl's lock commands: F_WRLCK, F_UNLCK
};

struct Verdict {
  enum class Kind : std::uint8_t {
    kLet,
    kFail,      // not done, and answers os_errno
    kDoneFail,  // done, and answers os_errno nevertheless: what Linux does with close
    kOneByte,   // moves at most one byte
  };
  Kind kind = Kind::kLet;
  int os_errno = 0;
};

struct Ending {
  enum class Kind : std::uint8_t { kExited, kKilled, kHung, kUntraceable };
  Kind kind = Kind::kUntraceable;
  int value = 0;  // the exit code, or the signal
};

// In the traced child, twice: where the calls of interest begin, and where they end.
void mark() noexcept;

// Runs `body` in a child and asks `judge` at each of its calls.  After `deadline_s` seconds, or
// after kCallCountMax calls, the child is killed and counts as hung.  Requires: no other thread
// runs, nobody uses SIGALRM.
inline constexpr std::uint64_t kCallCountMax = 20'000;
[[nodiscard]] Ending trace(const std::function<void()>& body,
                           const std::function<Verdict(const Call&)>& judge, unsigned deadline_s);

}  // namespace slipring::faults
