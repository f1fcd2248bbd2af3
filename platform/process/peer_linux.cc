#include "platform/process/peer.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>

#include "platform/process/proc_file.h"
#include "platform/wait/clock.h"

namespace slipring {

namespace {

// The numbers are the same on every architecture.
constexpr long kPidfdSendSignalCall = 424;
constexpr long kPidfdOpenCall = 434;
constexpr idtype_t kByPidfd = static_cast<idtype_t>(3);  // P_PIDFD

constexpr long kPidfsMagic = 0x50494446;

// A number that means one process for as long as the machine runs; nothing on older kernels.
std::optional<std::uint64_t> pidfs_inode(int pidfd) noexcept {
  struct statfs system = {};
  struct stat found = {};
  if (::fstatfs(pidfd, &system) != 0 || static_cast<long>(system.f_type) != kPidfsMagic ||
      ::fstat(pidfd, &found) != 0) {
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(found.st_ino);
}

// The process's number as the kernel has it now; nothing once it has been reaped.
std::optional<std::uint64_t> number_of(int pidfd) noexcept {
  const std::string path = "/proc/self/fdinfo/" + std::to_string(pidfd);
  Result<std::string> text = read_proc_file(path.c_str());
  if (!text) return std::nullopt;
  const auto field = proc_field(*text, "Pid");
  if (!field) return std::nullopt;
  const auto number = leading_number(*field);
  return number && *number != 0 ? number : std::nullopt;
}

ExitStatus to_status(const siginfo_t& info) noexcept {
  ExitStatus status;
  status.by_signal = info.si_code != CLD_EXITED;
  status.value = info.si_status;
  status.dumped_core = info.si_code == CLD_DUMPED;
  return status;
}

}  // namespace

Result<Peer> Peer::open(pid_t pid) noexcept {
  const long fd = ::syscall(kPidfdOpenCall, pid, 0);
  if (fd < 0) {
    const ErrorCode code = errno == ESRCH    ? ErrorCode::kNotFound
                           : errno == ENOSYS ? ErrorCode::kUnsupported
                           : errno == EINVAL ? ErrorCode::kInvalidArgument
                                             : ErrorCode::kSystem;
    return Error{code, errno, "open a process", static_cast<std::uint64_t>(pid)};
  }
  return Peer(Descriptor(static_cast<int>(fd)), pid);
}

bool Peer::is_same_as(const Peer& other) const noexcept {
  const auto ours = pidfs_inode(poll_fd());
  if (ours) return ours == pidfs_inode(other.poll_fd());
  // Both hold on to their process, so that two which are not reaped have two numbers.
  const auto number = number_of(poll_fd());
  return number && number == number_of(other.poll_fd());
}

Result<bool> Peer::has_ended() const noexcept {
  return wait_ended(0);
}

Result<bool> Peer::wait_ended(std::uint64_t deadline_ns) const noexcept {
  for (;;) {
    struct timespec rest = {};
    const std::uint64_t now_ns = deadline_ns == 0 ? 0 : monotonic_ns();
    if (deadline_ns > now_ns) {
      rest.tv_sec = static_cast<time_t>((deadline_ns - now_ns) / 1'000'000'000u);
      rest.tv_nsec = static_cast<long>((deadline_ns - now_ns) % 1'000'000'000u);
    }
    struct pollfd watched = {pidfd_.get(), POLLIN, 0};
    const int count = ::ppoll(&watched, 1, deadline_ns == kNoDeadline ? nullptr : &rest, nullptr);
    if (count > 0) {
      if ((watched.revents & POLLNVAL) != 0) {
        return Error{ErrorCode::kSystem, EBADF, "wait for a process"};
      }
      return true;
    }
    if (count < 0 && errno != EINTR) {
      return Error{ErrorCode::kSystem, errno, "wait for a process"};
    }
    if (count == 0 && monotonic_ns() >= deadline_ns) return false;
  }
}

Result<std::optional<ExitStatus>> Peer::try_reap() noexcept {
  siginfo_t info = {};
  int answer = 0;
  do {
    answer = ::waitid(kByPidfd, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG);
  } while (answer != 0 && errno == EINTR);
  if (answer != 0) {
    const ErrorCode code = errno == ECHILD ? ErrorCode::kNotFound : ErrorCode::kSystem;
    return Error{code, errno, "reap a child", static_cast<std::uint64_t>(pid_)};
  }
  if (info.si_pid == 0) return std::optional<ExitStatus>{};
  return std::optional<ExitStatus>{to_status(info)};
}

Result<std::optional<ExitStatus>> Peer::reap(std::uint64_t deadline_ns) noexcept {
  Result<bool> ended = wait_ended(deadline_ns);
  if (!ended.ok()) return ended.error();
  return try_reap();
}

Status Peer::send_signal(int signal_number) const noexcept {
  if (::syscall(kPidfdSendSignalCall, pidfd_.get(), signal_number, nullptr, 0) == 0) return {};
  const ErrorCode code = errno == ESRCH    ? ErrorCode::kNotFound
                         : errno == EPERM  ? ErrorCode::kPermission
                         : errno == EINVAL ? ErrorCode::kInvalidArgument
                                           : ErrorCode::kSystem;
  return Error{code, errno, "signal a process", static_cast<std::uint64_t>(pid_)};
}

}  // namespace slipring
