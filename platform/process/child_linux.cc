#include "platform/process/child.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

#include "platform/process/affinity.h"
#include "platform/process/descriptor.h"

namespace slipring {

namespace {

constexpr long kCloseRangeCall = 436;
constexpr unsigned kCloseRangeCloexec = 4;
constexpr rlim_t kDescriptorScanMax = 65536;

enum class Step : std::int32_t {
  kProcessGroup,
  kDeathSignal,
  kParentDied,
  kAffinity,
  kStandardStreams,
  kDescriptors,
  kExec,
  kStatus,  // the parent's own: whether it went well
};

// What the child says through the status pipe when a step fails; the pipe closes without a word
// when exec succeeds.
struct Failure {
  Step step;
  std::int32_t os_errno;
};

const char* doing_at(Step step) noexcept {
  switch (step) {
    case Step::kProcessGroup:
      return "start a program: its process group";
    case Step::kDeathSignal:
      return "start a program: its death signal";
    case Step::kParentDied:
      return "start a program: the parent died";
    case Step::kAffinity:
      return "start a program: its processors";
    case Step::kStandardStreams:
      return "start a program: its standard streams";
    case Step::kDescriptors:
      return "start a program: closing descriptors";
    case Step::kExec:
      return "start a program: executing it";
    case Step::kStatus:
      return "start a program: hearing whether it runs";
  }
  return "start a program";
}

// Everything that the child needs, made before fork: afterwards it must not allocate.
struct Plan {
  const ChildOptions& options;
  std::vector<char*> argv;
  std::vector<char*> envp;
  CpuSet cpus;
  int null_fd;
  int status_fd;
  pid_t parent;
};

std::string_view key_of(std::string_view entry) noexcept {
  return entry.substr(0, entry.find('='));
}

std::vector<char*> environment_for(const ChildOptions& options) {
  std::vector<char*> envp;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    bool replaced = false;
    for (const std::string& added : options.environment) {
      replaced = replaced || key_of(added) == key_of(*entry);
    }
    if (!replaced) envp.push_back(*entry);
  }
  for (const std::string& added : options.environment) {
    envp.push_back(const_cast<char*>(added.c_str()));
  }
  envp.push_back(nullptr);
  return envp;
}

// From here on the child's side: only calls that are safe after fork in a threaded program.

bool set_streams(const Plan& plan) noexcept {
  const ChildOptions& options = plan.options;
  const std::array<int, 3> wanted = {options.stdin_fd >= 0 ? options.stdin_fd : plan.null_fd,
                                     options.stdout_fd >= 0 ? options.stdout_fd : STDOUT_FILENO,
                                     options.stderr_fd >= 0 ? options.stderr_fd : STDERR_FILENO};
  // First out of the way of 0, 1, 2, so that streams may be exchanged.
  std::array<int, 3> copies = {};
  for (std::size_t i = 0; i < 3; ++i) {
    copies[i] = ::fcntl(wanted[i], F_DUPFD_CLOEXEC, 3);
    // A standard stream of ours that is closed stays closed.
    if (copies[i] < 0 && !(errno == EBADF && wanted[i] == static_cast<int>(i))) return false;
  }
  for (std::size_t i = 0; i < 3; ++i) {
    if (copies[i] < 0) continue;
    while (::dup2(copies[i], static_cast<int>(i)) < 0) {
      if (errno != EINTR) return false;
    }
  }
  return true;
}

bool mark_descriptors(const Plan& plan) noexcept {
  if (::syscall(kCloseRangeCall, 3u, ~0u, kCloseRangeCloexec) != 0) {
    // Linux before 5.11.
    struct rlimit limit = {};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
    const rlim_t end = limit.rlim_cur < kDescriptorScanMax ? limit.rlim_cur : kDescriptorScanMax;
    for (int fd = 3; static_cast<rlim_t>(fd) < end; ++fd) {
      if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 && errno != EBADF) return false;
    }
  }
  for (const int fd : plan.options.kept_fds) {
    if (::fcntl(fd, F_SETFD, 0) != 0) return false;
  }
  return true;
}

// An ignored signal stays ignored through exec, and a program expects the defaults.
void reset_signals() noexcept {
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) {
    // Fails for SIGKILL, SIGSTOP and the C library's own, which cannot be changed anyway.
    static_cast<void>(::sigaction(number, &standard, nullptr));
  }
  sigset_t none;
  sigemptyset(&none);
  static_cast<void>(::sigprocmask(SIG_SETMASK, &none, nullptr));
}

// Returns the step that failed, with errno; never returns when exec succeeds.
Step become_program(const Plan& plan) noexcept {
  const ChildOptions& options = plan.options;
  if (options.own_process_group && ::setpgid(0, 0) != 0) return Step::kProcessGroup;
  if (options.death_signal != 0) {
    if (::prctl(PR_SET_PDEATHSIG, options.death_signal) != 0) return Step::kDeathSignal;
    // Had the parent died before the call, no signal would ever come.
    errno = 0;
    if (::getppid() != plan.parent) return Step::kParentDied;
  }
  if (!plan.cpus.is_empty() && !plan.cpus.pin_this_thread().ok()) return Step::kAffinity;
  if (!set_streams(plan)) return Step::kStandardStreams;
  if (!mark_descriptors(plan)) return Step::kDescriptors;
  reset_signals();
  ::execvpe(options.program.c_str(), plan.argv.data(), plan.envp.data());
  return Step::kExec;
}

[[noreturn]] void run_child(const Plan& plan) noexcept {
  Failure failure{};
  failure.step = become_program(plan);
  failure.os_errno = errno;
  // Fits into the pipe at once; a parent that is gone does not care.
  while (::write(plan.status_fd, &failure, sizeof(failure)) < 0 && errno == EINTR) {
  }
  ::_exit(127);
}

// The parent's side again: false if exec succeeded.  What cannot be read is a failure, too.
bool read_failure(int fd, Failure& failure) noexcept {
  std::size_t filled = 0;
  while (filled < sizeof(failure)) {
    const ssize_t count =
        ::read(fd, reinterpret_cast<char*>(&failure) + filled, sizeof(failure) - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      failure = {Step::kStatus, errno};
      return true;
    }
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  return filled != 0;
}

Error to_error(const Failure& failure) noexcept {
  ErrorCode code = ErrorCode::kSystem;
  if (failure.step == Step::kExec) {
    if (failure.os_errno == ENOENT || failure.os_errno == ENOTDIR) code = ErrorCode::kNotFound;
    if (failure.os_errno == EACCES || failure.os_errno == EPERM) code = ErrorCode::kPermission;
  }
  return {code, failure.os_errno, doing_at(failure.step)};
}

Status validate(const ChildOptions& options) noexcept {
  if (options.program.empty()) {
    return Error{ErrorCode::kInvalidArgument, 0, "start a program without a name"};
  }
  for (const std::string& entry : options.environment) {
    if (entry.find('=') == std::string::npos || entry[0] == '=') {
      return Error{ErrorCode::kInvalidArgument, 0, "set an environment entry without KEY="};
    }
  }
  return {};
}

}  // namespace

Result<Peer> start_child(const ChildOptions& options) noexcept {
  if (Status valid = validate(options); !valid.ok()) return valid.error();

  int pipe_fds[2] = {-1, -1};
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) {
    return Error{ErrorCode::kSystem, errno, "start a program: its status pipe"};
  }
  Descriptor status_read(pipe_fds[0]);
  Descriptor status_write(pipe_fds[1]);
  int null_fd = -1;
  do {
    null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (null_fd < 0 && errno == EINTR);
  const Descriptor null_file(null_fd);
  if (!null_file.is_open()) {
    return Error{ErrorCode::kSystem, errno, "start a program: opening /dev/null"};
  }
  Plan plan{options,   {}, environment_for(options), {}, null_file.get(), status_write.get(),
            ::getpid()};
  if (!options.cpus.empty()) {
    Result<CpuSet> cpus = CpuSet::of(options.cpus);
    if (!cpus.ok()) return cpus.error();
    plan.cpus = *cpus;
  }
  plan.argv.push_back(const_cast<char*>(options.program.c_str()));
  for (const std::string& argument : options.arguments) {
    plan.argv.push_back(const_cast<char*>(argument.c_str()));
  }
  plan.argv.push_back(nullptr);

  // Our handlers must not run in the child before it has reset them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) run_child(plan);
  const int fork_errno = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return Error{ErrorCode::kSystem, fork_errno, "start a program: forking"};

  status_write.reset();
  // The child is not reaped yet, so that the number still means it.
  Result<Peer> peer = Peer::open(pid);
  Failure failure{};
  const bool failed = read_failure(status_read.get(), failure);
  if (failed || !peer.ok()) {
    // Dead already, if it said why.
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return failed ? to_error(failure) : peer.error();
  }
  return peer;
}

}  // namespace slipring
