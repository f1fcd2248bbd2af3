// A child that is led through an operation under ptrace: an instruction, or a system call, at a
// time.  x86-64.
//
// The operation stands between two marks in the child's code (mark()), breakpoints that only a
// traced child runs into.  Before the first mark, and behind the second, it runs at full speed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

namespace slipring::crash {

// Where the operation begins, and where it ends.
inline void mark() {
  asm volatile("int3" ::: "memory");
}

class TracedChild {
 public:
  enum class Answer : std::uint8_t {
    kStepped,  // has done what was asked for
    kMarked,   // stands at a mark, which it will pass next
    kEnded,    // has ended by itself; exit_status() says how
    kAsleep,   // sleeps in the kernel; resumed() goes on waiting
  };

  // Forks; the child runs `body` and ends with its answer.
  explicit TracedChild(const std::function<int()>& body);
  TracedChild(const TracedChild&) = delete;
  TracedChild& operator=(const TracedChild&) = delete;
  // Kills it if it is still there.
  ~TracedChild();

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Of an ended child: what body() answered, or 256 and the signal's number.
  [[nodiscard]] int exit_status() const { return exit_status_; }

  // Whether a call that sleeps is waited for or answered with kAsleep.
  void report_sleep(bool reports) { reports_sleep_ = reports; }

  // Runs until the next mark and passes it: kMarked, kEnded or kAsleep.
  Answer run_to_mark();
  // One instruction; is_at_call() says whether it is a system call.  kMarked: nothing was done.
  Answer step();
  [[nodiscard]] bool is_at_call() const;
  // Until the next system call has answered.  kMarked: a mark came first.
  Answer run_through_call();
  // Waits on after kAsleep, until the sleep has ended.
  Answer waited();
  // Lets it run to its end, marks included, under ptrace or not.
  Answer finish();

  // SIGKILL where it stands; returns when it is dead and reaped.
  void kill_now();

 private:
  Answer resume(int request);
  Answer wait_for_stop();
  [[nodiscard]] bool is_asleep() const;
  [[nodiscard]] std::uint64_t instruction_pointer() const;
  [[nodiscard]] bool is_at_mark() const;

  pid_t pid_ = 0;
  int exit_status_ = -1;
  bool has_ended_ = false;
  bool reports_sleep_ = false;
  int last_signal_ = 0;
};

}  // namespace slipring::crash
