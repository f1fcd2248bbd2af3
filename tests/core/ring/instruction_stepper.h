// What a piece of code executes, instruction by instruction: a child runs it under single-step, on
// x86-64.
#pragma once

#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace slipring {

struct Trace {
  std::uint64_t instruction_count = 0;  // 0: the child could not be stepped
  std::uint64_t locked_count = 0;       // a lock prefix, or an exchange with memory
  std::uint64_t fence_count = 0;        // mfence, lfence, sfence
};

namespace stepper_detail {

enum class Kind { kOther, kLocked, kFence };

// The kind of the x86-64 instruction that begins with these bytes.
[[nodiscard]] inline Kind kind_of(const std::array<std::uint8_t, 16>& code) {
  std::size_t at = 0;
  constexpr std::array<std::uint8_t, 10> kPrefixes{0x66, 0x67, 0xf2, 0xf3, 0x2e,
                                                   0x36, 0x3e, 0x26, 0x64, 0x65};
  const auto is_prefix = [&](std::uint8_t byte) {
    for (const std::uint8_t prefix : kPrefixes) {
      if (byte == prefix) return true;
    }
    return false;
  };
  while (at < 12 && is_prefix(code[at])) ++at;
  if (code[at] == 0xf0) return Kind::kLocked;
  if ((code[at] & 0xf0) == 0x40) ++at;  // REX
  const bool is_register = code[at + 1] >> 6 == 3;
  if ((code[at] == 0x86 || code[at] == 0x87) && !is_register) return Kind::kLocked;
  const std::uint8_t third = code[at + 2];
  if (code[at] == 0x0f && code[at + 1] == 0xae && third >= 0xe8) return Kind::kFence;
  return Kind::kOther;
}

template <typename Body>
[[gnu::noinline]] void enter(Body& body) {
  body();
  asm volatile("" ::: "memory");  // no tail call: the caller is where counting ends
}

// One instruction of the child; false when it has stopped for anything else.
[[nodiscard]] inline bool step(pid_t child, user_regs_struct& registers) {
  int status = 0;
  return ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0 &&
         waitpid(child, &status, 0) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP &&
         ptrace(PTRACE_GETREGS, child, nullptr, &registers) == 0;
}

// A child that runs `body` and is stopped at its first instruction.
class SteppedChild {
 public:
  template <typename Body>
  explicit SteppedChild(Body& body) {
    void (*const entry)(Body&) = enter<Body>;
    child_ = fork();
    if (child_ < 0) return;
    if (child_ == 0) {
      ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      raise(SIGSTOP);
      entry(body);
      _exit(0);
    }
    int status = 0;
    if (waitpid(child_, &status, 0) != child_ || !WIFSTOPPED(status)) return;
    do {
      if (!step(child_, registers_)) return;
    } while (registers_.rip != reinterpret_cast<std::uintptr_t>(entry));
    stack_ = registers_.rsp;
    errno = 0;
    back_ = static_cast<std::uint64_t>(ptrace(PTRACE_PEEKDATA, child_, stack_, nullptr));
    is_inside_ = errno == 0;
  }
  SteppedChild(const SteppedChild&) = delete;
  SteppedChild& operator=(const SteppedChild&) = delete;
  ~SteppedChild() {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }

  // Whether there is an instruction of `body` to come.
  [[nodiscard]] bool is_inside() const { return is_inside_; }
  [[nodiscard]] Kind next_kind() const {
    std::array<std::uint8_t, 16> code;
    for (std::size_t i = 0; i < 16; i += 8) {
      const long word = ptrace(PTRACE_PEEKTEXT, child_, registers_.rip + i, nullptr);
      std::memcpy(code.data() + i, &word, 8);
    }
    return kind_of(code);
  }
  void advance() {
    is_inside_ = step(child_, registers_) && (registers_.rip != back_ || registers_.rsp <= stack_);
  }
  // Lets it run to its end; false when it does not end well.
  [[nodiscard]] bool finish() {
    int status = 0;
    const bool ended =
        ptrace(PTRACE_CONT, child_, nullptr, nullptr) == 0 && waitpid(child_, &status, 0) == child_;
    if (ended && !WIFSTOPPED(status)) child_ = 0;
    return ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  pid_t child_ = 0;
  bool is_inside_ = false;
  user_regs_struct registers_{};
  std::uint64_t stack_ = 0;
  std::uint64_t back_ = 0;  // where `body` returns to
};

}  // namespace stepper_detail

// Runs `body` in a child, whose effects are lost with it where memory is not shared, and calls
// `look` before each of its instructions.  Requires: no other thread runs.
template <typename Body, typename Look>
[[nodiscard]] Trace trace_of(Body body, Look look) {
  Trace trace;
  for (stepper_detail::SteppedChild child(body); child.is_inside(); child.advance()) {
    const stepper_detail::Kind kind = child.next_kind();
    ++trace.instruction_count;
    if (kind == stepper_detail::Kind::kLocked) ++trace.locked_count;
    if (kind == stepper_detail::Kind::kFence) ++trace.fence_count;
    look();
  }
  return trace;
}
template <typename Body>
[[nodiscard]] Trace trace_of(Body body) {
  return trace_of(body, [] {});
}

// Runs `body` in a child that is stopped after `count` instructions while `meanwhile` is called,
// and then goes on to its end.  Whether it has so many, and ended well.
template <typename Body, typename Meanwhile>
[[nodiscard]] bool stop_after(std::uint64_t count, Body body, Meanwhile meanwhile) {
  stepper_detail::SteppedChild child(body);
  for (std::uint64_t i = 0; i < count && child.is_inside(); ++i) child.advance();
  if (!child.is_inside()) return false;
  meanwhile();
  return child.finish();
}

}  // namespace slipring
