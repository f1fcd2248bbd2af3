// A second process in a test: forked, with a line to talk over, and always reaped.
#pragma once

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace slipring {

// One end of a line between two processes.
class Line {
 public:
  explicit Line(int fd) : fd_(fd) {}

  void say(char word) const {
    if (::send(fd_, &word, 1, MSG_NOSIGNAL) != 1 && errno != EPIPE) std::abort();
  }

  // Waits for the other end; 0 when it is gone.
  char hear() const {
    char word = 0;
    ssize_t count = 0;
    do {
      count = ::recv(fd_, &word, 1, 0);
    } while (count < 0 && errno == EINTR);
    return count == 1 ? word : '\0';
  }

  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

// Runs `body(line)` in a forked child, whose exit code is what body returns.
class OtherProcess {
 public:
  template <typename Body>
  explicit OtherProcess(Body body) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
    // What is buffered here must not come out of the child, too.
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) std::abort();
    if (pid_ == 0) {
      ::close(ends[0]);
      // A sanitizer's handler would turn the fault into an exit.
      ::signal(SIGSEGV, SIG_DFL);
      ::signal(SIGBUS, SIG_DFL);
      ::_exit(body(Line(ends[1])));
    }
    ::close(ends[1]);
    fd_ = ends[0];
  }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;
  ~OtherProcess() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      wait();
    }
    ::close(fd_);
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] Line line() const { return Line(fd_); }

  void kill_now() const { ::kill(pid_, SIGKILL); }

  // Reaps; the exit code, or minus the signal's number.
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  // Waits until it has ended and leaves it a zombie.
  void wait_zombie() const {
    siginfo_t info = {};
    while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) < 0 &&
           errno == EINTR) {
    }
  }

 private:
  pid_t pid_ = 0;
  int fd_ = -1;
};

}  // namespace slipring
