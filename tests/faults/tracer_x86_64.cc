#include "tests/faults/tracer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <map>
#include <string_view>

namespace slipring::faults {

namespace {

constexpr int kSyscallStop = SIGTRAP | 0x80;

struct Tracee {
  std::size_t ordinal = 0;
  std::size_t call_count = 0;
  Verdict pending;  // of the call that it is in
};

void ignore_alarm(int) {}

// Interrupts waitpid once, when the time is up.
class Watchdog {
 public:
  explicit Watchdog(unsigned deadline_s) {
    struct sigaction action = {};
    action.sa_handler = ignore_alarm;  // and no SA_RESTART
    ::sigaction(SIGALRM, &action, &before_);
    ::alarm(deadline_s);
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() {
    ::alarm(0);
    ::sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  struct sigaction before_ = {};
};

bool takes_descriptor(long number) {
  switch (number) {
    case SYS_read:
    case SYS_write:
    case SYS_pread64:
    case SYS_pwrite64:
    case SYS_close:
      return true;
    default:
      return false;
  }
}

FileKind kind_of_descriptor(pid_t pid, std::uint64_t fd) {
  std::array<char, 64> link = {};
  std::array<char, 256> target = {};
  std::snprintf(link.data(), link.size(), "/proc/%d/fd/%d", pid, static_cast<int>(fd));
  const ssize_t size = ::readlink(link.data(), target.data(), target.size());
  if (size <= 0) return FileKind::kOther;
  const std::string_view name(target.data(), static_cast<std::size_t>(size));
  if (name.starts_with("/proc/") || name.starts_with("/sys/")) return FileKind::kKernelText;
  if (name.starts_with("pipe:")) return FileKind::kPipe;
  if (name.starts_with("socket:")) return FileKind::kSocket;
  if (name.starts_with("anon_inode:[eventfd]")) return FileKind::kEvent;
  return name.starts_with("/") ? FileKind::kFile : FileKind::kOther;
}

class Trace {
 public:
  Trace(pid_t child, const std::function<Verdict(const Call&)>& judge)
      : child_(child), judge_(judge) {
    tracees_[child] = Tracee{};
  }

  Ending run() {
    for (;;) {
      int status = 0;
      const pid_t pid = ::waitpid(-1, &status, __WALL);
      if (pid < 0 || shown_count_ > kCallCountMax) return give_up();
      if (WIFSTOPPED(status)) {
        stopped(pid, status);
        continue;
      }
      tracees_.erase(pid);
      if (pid != child_) continue;
      end_the_others();
      if (WIFSIGNALED(status)) return {Ending::Kind::kKilled, WTERMSIG(status)};
      return {Ending::Kind::kExited, WEXITSTATUS(status)};
    }
  }

 private:
  void resume(pid_t pid, int signal = 0) const {
    ::ptrace(is_shown_ ? PTRACE_SYSCALL : PTRACE_CONT, pid, nullptr, signal);
  }

  void stopped(pid_t pid, int status) {
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    if (tracees_.count(pid) == 0) {
      // A new process, at its first instruction.
      if (!is_shown_) {
        ::ptrace(PTRACE_DETACH, pid, nullptr, 0);
        return;
      }
      tracees_[pid].ordinal = ++started_count_;
      resume(pid);
      return;
    }
    if (event == PTRACE_EVENT_EXEC && pid != child_) {
      tracees_.erase(pid);
      ::ptrace(PTRACE_DETACH, pid, nullptr, 0);
      return;
    }
    if (event != 0) {
      resume(pid);
    } else if (signal == kSyscallStop) {
      at_call(pid, tracees_[pid]);
      resume(pid);
    } else if (signal == SIGTRAP && pid == child_) {
      is_shown_ = !is_shown_;
      resume(pid);
    } else {
      resume(pid, signal);
    }
  }

  void at_call(pid_t pid, Tracee& tracee) {
    __ptrace_syscall_info info = {};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0) {
      return;
    }
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      if (!is_shown_) return;
      ++shown_count_;
      Call call;
      call.process = tracee.ordinal;
      call.index = tracee.call_count++;
      call.number = static_cast<long>(info.entry.nr);
      for (std::size_t i = 0; i < 6; ++i) call.arguments[i] = info.entry.args[i];
      look_closer(pid, call);
      tracee.pending = judge_(call);
      enter(pid, tracee.pending);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
      leave(pid, tracee.pending);
      tracee.pending = {};
    }
  }

  static void look_closer(pid_t pid, Call& call) {
    if (takes_descriptor(call.number)) {
      call.file_kind = kind_of_descriptor(pid, call.arguments[0]);
    }
    if (call.number == SYS_fcntl && (call.arguments[1] == F_SETLK || call.arguments[1] == 36)) {
      const long word = ::ptrace(PTRACE_PEEKDATA, pid, call.arguments[2], nullptr);
      call.lock_type = static_cast<std::uint16_t>(word);  // l_type is the first short
    }
  }

  static void enter(pid_t pid, const Verdict& verdict) {
    if (verdict.kind != Verdict::Kind::kFail && verdict.kind != Verdict::Kind::kOneByte) return;
    user_regs_struct registers = {};
    ::ptrace(PTRACE_GETREGS, pid, nullptr, &registers);
    if (verdict.kind == Verdict::Kind::kFail) {
      registers.orig_rax = ~0ull;  // no such call: the kernel does nothing
    } else {
      registers.rdx = 1;
    }
    ::ptrace(PTRACE_SETREGS, pid, nullptr, &registers);
  }

  static void leave(pid_t pid, const Verdict& verdict) {
    if (verdict.kind != Verdict::Kind::kFail && verdict.kind != Verdict::Kind::kDoneFail) return;
    user_regs_struct registers = {};
    ::ptrace(PTRACE_GETREGS, pid, nullptr, &registers);
    registers.rax = static_cast<unsigned long long>(-static_cast<long long>(verdict.os_errno));
    ::ptrace(PTRACE_SETREGS, pid, nullptr, &registers);
  }

  // Processes that the child has left behind.
  void end_the_others() {
    for (const auto& [pid, tracee] : tracees_) {
      ::kill(pid, SIGKILL);
      int status = 0;
      pid_t answer = 0;
      do {
        answer = ::waitpid(pid, &status, __WALL);
      } while ((answer < 0 && errno == EINTR) || (answer == pid && WIFSTOPPED(status)));
    }
    tracees_.clear();
  }

  Ending give_up() {
    end_the_others();
    return {Ending::Kind::kHung, 0};
  }

  pid_t child_;
  const std::function<Verdict(const Call&)>& judge_;
  std::map<pid_t, Tracee> tracees_;
  std::size_t started_count_ = 0;
  std::uint64_t shown_count_ = 0;
  bool is_shown_ = false;
};

}  // namespace

void mark() noexcept {
  asm volatile("int3" ::: "memory");
}

Ending trace(const std::function<void()>& body, const std::function<Verdict(const Call&)>& judge,
             unsigned deadline_s) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return {};
  if (child == 0) {
    // A sanitizer's or a test framework's handlers would turn a crash into something else.
    for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTERM, SIGINT}) {
      ::signal(number, SIG_DFL);
    }
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(127);
    ::raise(SIGSTOP);
    body();
    ::_exit(0);
  }
  const Watchdog watchdog(deadline_s);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return {};
  constexpr long kOptions = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK |
                            PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, kOptions);
  ::ptrace(PTRACE_CONT, child, nullptr, 0);
  return Trace(child, judge).run();
}

}  // namespace slipring::faults
