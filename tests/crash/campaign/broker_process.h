// A guarded link's broker, in a process of its own.
#pragma once

#include <poll.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "core/error/result.h"
#include "pipelines/link/guarded_broker.h"
#include "platform/memory/segment_directory.h"

namespace slipring::campaign {

class BrokerProcess {
 public:
  // Returns once the link is there.  Errors: kSystem.
  [[nodiscard]] Status start(const SegmentDirectory& directory, const char* name,
                             const LinkShape& shape) {
    int ready[2];
    if (pipe(ready) != 0) return Error{ErrorCode::kSystem, errno, "make a pipe"};
    pid_ = fork();
    if (pid_ == 0) {
      close(ready[0]);
      serve(directory, name, shape, ready[1]);
    }
    close(ready[1]);
    char answer = 0;
    const bool is_there = pid_ > 0 && read(ready[0], &answer, 1) == 1;
    close(ready[0]);
    if (is_there) return {};
    return Error{ErrorCode::kSystem, 0, "start a broker"};
  }
  void stop() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  [[noreturn]] static void serve(const SegmentDirectory& directory, const char* name,
                                 const LinkShape& shape, int ready) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Result<GuardedBroker> broker = GuardedBroker::create(directory, name, shape);
    if (!broker || write(ready, "y", 1) != 1) _exit(1);
    close(ready);
    for (;;) {
      pollfd watched{broker->poll_fd(), POLLIN, 0};
      poll(&watched, 1, 1000);
      broker->turn();
    }
  }

  pid_t pid_ = 0;
};

}  // namespace slipring::campaign
