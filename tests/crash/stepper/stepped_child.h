// A child process that is led through a piece of code one instruction at a time: held before any
// of them, killed there, or let go on.  x86-64 Linux only: it reads the processor's registers and
// knows its breakpoint instruction.
//
// Protocol.  The child is traced from its start.  It stops itself by int3 just before the call of
// the body, and would do so again just behind it: whoever steps sees that instruction coming, and
// whoever lets the child run is called back there.  Parent and child have the same text at the same
// addresses, so that the parent reads the child's instructions in its own memory.
//
// A child that is held executes nothing; to the others it is what one stopped by SIGSTOP is.
// Requires: no other thread runs in the parent.
#pragma once

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/error/check.h"

namespace slipring::crash {

class SteppedChild {
 public:
  // Forks a child that calls `body`, and holds it before the first instruction of that.  Memory is
  // shared with the child only where it is mapped so; `stack`, if given, is what the body runs on.
  template <typename Body>
  explicit SteppedChild(Body& body, std::span<std::byte> stack = {})
      : SteppedChild([](void* it) { (*static_cast<Body*>(it))(); },
                     const_cast<void*>(static_cast<const void*>(std::addressof(body))), stack) {}
  SteppedChild(const SteppedChild&) = delete;
  SteppedChild& operator=(const SteppedChild&) = delete;
  ~SteppedChild() { kill_now(); }

  [[nodiscard]] pid_t pid() const { return child_; }
  // Whether it stands before an instruction of the body.  False: it is through, or has not held.
  [[nodiscard]] bool is_inside() const { return state_ == State::kInside; }
  // Whether the body came to its end.
  [[nodiscard]] bool is_over() const { return state_ == State::kOver; }
  // The signal that it died of or was refused for, when it is neither inside nor over.
  [[nodiscard]] int failure() const { return failure_; }
  // The instruction that comes next.
  [[nodiscard]] const std::uint8_t* next_instruction() const {
    return reinterpret_cast<const std::uint8_t*>(registers_.rip);
  }

  // Executes one instruction; of a repeated string instruction, one round.
  void advance() {
    resume(PTRACE_SINGLESTEP, 0);
    if (state_ == State::kInside && *next_instruction() == kBreakpoint) state_ = State::kOver;
  }
  // Lets it run to the end of the body, after delivering `signal` if there is one; whether it got
  // there.  Where it stood is remembered for go_back().
  bool finish(int signal = 0) {
    if (state_ == State::kInside) {
      save();
      resume(PTRACE_CONT, signal);
    }
    if (state_ == State::kInside) {
      state_ = next_instruction()[-1] == kBreakpoint ? State::kOver : State::kGone;
    }
    return state_ == State::kOver;
  }
  // SIGKILL where it stands; its memory is gone when this returns.
  void kill_now() {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    int status = 0;
    while (waitpid(child_, &status, 0) == child_ && !WIFSIGNALED(status) && !WIFEXITED(status)) {
    }
    child_ = 0;
    state_ = State::kGone;
  }
  // Lets go of it where it stands, stopped by a real SIGSTOP.  Whoever called sends SIGCONT, and
  // waits for it to exit with 0.
  pid_t release_stopped() {
    const pid_t child = child_;
    int status = 0;
    const bool is_stopped = ptrace(PTRACE_DETACH, child, nullptr, SIGSTOP) == 0 &&
                            waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status);
    if (!is_stopped) return 0;
    child_ = 0;
    state_ = State::kGone;
    return child;
  }

  // Back to where it stood when finish() was called; whoever calls puts the memory back to what it
  // was then, and the child goes on as if nothing had been in between.  Without a finish() nothing.
  void go_back() {
    if (!is_saved_) return;
    iovec vector{extended_.data(), extended_bytes_};
    check(ptrace(PTRACE_SETREGS, child_, nullptr, &saved_) == 0 &&
              ptrace(PTRACE_SETREGSET, child_, NT_X86_XSTATE, &vector) == 0,
          "registers are written");
    registers_ = saved_;
    state_ = State::kInside;
    is_saved_ = false;
  }

 private:
  enum class State { kInside, kOver, kGone };
  using Call = void (*)(void*);

  static constexpr std::uint8_t kBreakpoint = 0xcc;
  static constexpr rlim_t kCpuLimitSeconds = 120;  // a body that does not end is a failure

  SteppedChild(Call call, void* body, std::span<std::byte> stack) {
    child_ = fork();
    check(child_ >= 0, "fork");
    if (child_ == 0) begin(call, body, stack);
    int status = 0;
    const bool is_held = waitpid(child_, &status, 0) == child_ && WIFSTOPPED(status) &&
                         WSTOPSIG(status) == SIGTRAP &&
                         ptrace(PTRACE_SETOPTIONS, child_, nullptr, PTRACE_O_EXITKILL) == 0 &&
                         ptrace(PTRACE_GETREGS, child_, nullptr, &registers_) == 0;
    state_ = is_held ? State::kInside : State::kGone;
  }

  // All of a held child that is not in memory: general registers, and the vector and
  // floating-point state.
  void save() {
    saved_ = registers_;
    iovec vector{extended_.data(), extended_.size()};
    check(ptrace(PTRACE_GETREGSET, child_, NT_X86_XSTATE, &vector) == 0, "registers are read");
    extended_bytes_ = vector.iov_len;
    is_saved_ = true;
  }

  [[gnu::noinline]] static void run(Call call, void* body) {
    asm volatile("int3" ::: "memory");
    call(body);
    asm volatile("int3" ::: "memory");
    _exit(0);
  }
  // In the child.
  [[noreturn]] static void begin(Call call, void* body, std::span<std::byte> stack) {
    static Call the_call;
    static void* the_body;
    the_call = call;
    the_body = body;
    std::signal(SIGTRAP, [](int) { _exit(0); });  // the last int3, when nobody traces any more
    const rlimit limit{kCpuLimitSeconds, kCpuLimitSeconds};
    setrlimit(RLIMIT_CPU, &limit);
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    if (stack.empty()) {
      run(call, body);
    } else {
      ucontext_t context;
      getcontext(&context);
      context.uc_stack.ss_sp = stack.data();
      context.uc_stack.ss_size = stack.size();
      context.uc_link = nullptr;
      makecontext(
          &context, [] { run(the_call, the_body); }, 0);
      setcontext(&context);
    }
    _exit(1);
  }

  // Goes on until it stops by itself.  A signal that comes from elsewhere is handed to it, and the
  // step that it interrupted is made.
  void resume(__ptrace_request how, int signal) {
    if (state_ != State::kInside) return;
    int status = 0;
    for (;;) {
      const bool is_held = ptrace(how, child_, nullptr, signal) == 0 &&
                           waitpid(child_, &status, 0) == child_ && WIFSTOPPED(status);
      if (!is_held) {
        state_ = State::kGone;
        failure_ = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        child_ = 0;
        return;
      }
      signal = WSTOPSIG(status);
      if (signal == SIGTRAP) break;
      if (signal == SIGSEGV || signal == SIGABRT || signal == SIGILL || signal == SIGBUS ||
          signal == SIGFPE || signal == SIGXCPU) {
        failure_ = signal;
        state_ = State::kGone;
        return;
      }
    }
    ptrace(PTRACE_GETREGS, child_, nullptr, &registers_);
  }

  pid_t child_ = 0;
  State state_ = State::kGone;
  int failure_ = 0;
  user_regs_struct registers_{};
  user_regs_struct saved_{};
  std::array<std::byte, 12 * 1024> extended_;
  std::size_t extended_bytes_ = 0;
  bool is_saved_ = false;
};

}  // namespace slipring::crash
