#include "tools/bench/link_place.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error/check.h"
#include "pipelines/link/guarded_broker.h"
#include "pipelines/link/link_segment.h"

namespace slipring::bench {
namespace {

void remove_all(const std::string& path) {
  std::error_code ignored;  // what stays behind is a name in tmpfs
  std::filesystem::remove_all(path, ignored);
}

// What this process has made; a forked side ends without it.
struct Leavings {
  pid_t maker = getpid();
  std::vector<std::string> paths;
  ~Leavings() {
    if (getpid() != maker) return;
    for (const std::string& path : paths) remove_all(path);
  }
};
Leavings& leavings() {
  static Leavings all;
  return all;
}

}  // namespace

LinkPlace::LinkPlace() {
  char path[] = "/dev/shm/slipring-bench-XXXXXX";
  check(mkdtemp(path) != nullptr, "a directory in /dev/shm");
  path_ = path;
  maker_ = getpid();
  leavings().paths.push_back(path_);
  is_there_ = true;
}

LinkPlace::LinkPlace(const LinkShape& shape, bool is_guarded) : LinkPlace() {
  if (is_guarded) {
    start_broker(shape);
  } else {
    is_there_ = create_link(directory(), kName, shape).ok();
  }
}

LinkPlace::~LinkPlace() {
  if (getpid() != maker_) return;
  if (broker_ != 0) {
    kill(broker_, SIGKILL);
    waitpid(broker_, nullptr, 0);
  }
  remove_all(path_);
}

SegmentDirectory LinkPlace::directory() const {
  return SegmentDirectory::open_at(path_).value();
}

void LinkPlace::start_broker(const LinkShape& shape) {
  int ends[2] = {-1, -1};
  check(pipe(ends) == 0, "a pipe");
  broker_ = fork();
  check(broker_ >= 0, "a process for the broker");
  if (broker_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(ends[0]);
    Result<GuardedBroker> broker = GuardedBroker::create(directory(), kName, shape);
    if (!broker || write(ends[1], ".", 1) != 1) _exit(1);
    close(ends[1]);
    for (;;) {
      pollfd watched{broker->poll_fd(), POLLIN, 0};
      poll(&watched, 1, -1);
      broker->turn();
    }
  }
  close(ends[1]);
  char word = 0;
  is_there_ = read(ends[0], &word, 1) == 1;
  close(ends[0]);
}

}  // namespace slipring::bench
