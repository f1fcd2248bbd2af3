#include "tests/crash/link/traced_child.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <utility>

namespace slipring::crash {
namespace {

constexpr unsigned char kBreakpoint = 0xcc;
constexpr int kCallStop = SIGTRAP | 0x80;
// Looks at a running child before the first question whether it sleeps.
constexpr int kLooksBeforeAsking = 50;

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "tracing a child: %s: errno %d\n", what, errno);
  abort();
}

// The child was forked from us and maps no code of its own: its instructions are ours.
const unsigned char* code_at(std::uint64_t address) {
  return reinterpret_cast<const unsigned char*>(address);
}

}  // namespace

TracedChild::TracedChild(const std::function<int()>& body) {
  std::fflush(nullptr);
  pid_ = fork();
  must(pid_ >= 0, "fork");
  if (pid_ == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    _exit(body());
  }
  int status = 0;
  must(waitpid(pid_, &status, 0) == pid_ && WIFSTOPPED(status), "its first stop");
  must(ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) == 0,
       "options");
}

TracedChild::~TracedChild() {
  if (!has_ended_) kill_now();
}

std::uint64_t TracedChild::instruction_pointer() const {
  errno = 0;
  const long value = ptrace(PTRACE_PEEKUSER, pid_, offsetof(user_regs_struct, rip), nullptr);
  must(errno == 0, "its instruction pointer");
  return static_cast<std::uint64_t>(value);
}

bool TracedChild::is_at_mark() const {
  return *code_at(instruction_pointer()) == kBreakpoint;
}

bool TracedChild::is_at_call() const {
  const unsigned char* code = code_at(instruction_pointer());
  return code[0] == 0x0f && code[1] == 0x05;
}

// Asked of the kernel, not of a clock: state S in /proc is a sleep in a system call.
bool TracedChild::is_asleep() const {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/stat", pid_);
  char text[512] = {};
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return false;
  const char* name_end = std::strrchr(text, ')');
  return name_end != nullptr && name_end[1] != '\0' && name_end[2] == 'S';
}

TracedChild::Answer TracedChild::wait_for_stop() {
  int status = 0;
  for (int look = 0;; ++look) {
    const pid_t answer = waitpid(pid_, &status, reports_sleep_ ? WNOHANG : 0);
    if (answer == pid_) break;
    must(answer == 0 || errno == EINTR, "waitpid");
    if (look >= kLooksBeforeAsking && is_asleep()) return Answer::kAsleep;
    sched_yield();
  }
  if (!WIFSTOPPED(status)) {
    has_ended_ = true;
    exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
    return Answer::kEnded;
  }
  last_signal_ = WSTOPSIG(status);
  return Answer::kStepped;
}

TracedChild::Answer TracedChild::resume(int request) {
  must(!has_ended_, "resuming a child that has ended");
  // A signal that is none of ours is the child's to meet.
  const int given = last_signal_ == SIGTRAP || last_signal_ == kCallStop || last_signal_ == SIGSTOP
                        ? 0
                        : last_signal_;
  last_signal_ = 0;
  must(ptrace(static_cast<__ptrace_request>(request), pid_, nullptr, given) == 0, "resume");
  return wait_for_stop();
}

TracedChild::Answer TracedChild::waited() {
  const bool reports = std::exchange(reports_sleep_, false);
  const Answer answer = wait_for_stop();
  reports_sleep_ = reports;
  return answer;
}

TracedChild::Answer TracedChild::run_to_mark() {
  for (;;) {
    const Answer answer = resume(PTRACE_CONT);
    if (answer != Answer::kStepped) return answer;
    if (last_signal_ == SIGTRAP) return Answer::kMarked;
  }
}

TracedChild::Answer TracedChild::step() {
  if (is_at_mark()) return Answer::kMarked;
  // Only a call can sleep; for anything else it is cheaper to wait than to ask.
  const bool reports = reports_sleep_;
  reports_sleep_ = reports && is_at_call();
  const Answer answer = resume(PTRACE_SINGLESTEP);
  reports_sleep_ = reports;
  return answer;
}

TracedChild::Answer TracedChild::run_through_call() {
  for (int half = 0; half < 2;) {
    const Answer answer = resume(PTRACE_SYSCALL);
    if (answer != Answer::kStepped) return answer;
    if (last_signal_ == kCallStop) {
      ++half;
    } else if (last_signal_ == SIGTRAP) {
      return Answer::kMarked;
    }
  }
  return Answer::kStepped;
}

TracedChild::Answer TracedChild::finish() {
  for (;;) {
    const Answer answer = resume(PTRACE_CONT);
    if (answer == Answer::kEnded || answer == Answer::kAsleep) return answer;
  }
}

void TracedChild::kill_now() {
  must(kill(pid_, SIGKILL) == 0, "kill");
  int status = 0;
  do {
    must(waitpid(pid_, &status, 0) == pid_ || errno == EINTR, "reap");
  } while (!WIFEXITED(status) && !WIFSIGNALED(status));
  has_ended_ = true;
  exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

}  // namespace slipring::crash
