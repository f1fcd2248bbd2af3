// A process that carries a link, to be killed and started again.
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "pipelines/wire/wire_loop.h"
#include "platform/memory/segment_directory.h"

namespace slipring::wire {

struct WireProcessSpec {
  std::string segments;  // the directory's path
  std::string address;
  std::string link;
  LinkSide side = LinkSide::kSender;
  bool listens = false;
  std::size_t clients_max = 4096;
  bool ends = true;  // with what it carries
};

class WireProcess {
 public:
  explicit WireProcess(WireProcessSpec spec) : spec_(std::move(spec)) {}
  WireProcess(const WireProcess&) = delete;
  WireProcess& operator=(const WireProcess&) = delete;
  ~WireProcess() { kill_now(); }

  // Requires: the calling process has one thread.
  void start() {
    pid_ = ::fork();
    if (pid_ < 0) std::abort();
    if (pid_ == 0) ::_exit(run());
  }
  // SIGKILL wherever it is; returns when it is gone.
  void kill_now() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  // Its exit status, once it has ended by itself.
  [[nodiscard]] std::optional<int> try_reap() {
    int status = 0;
    if (pid_ <= 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  int run() const {
    Result<SegmentDirectory> segments = SegmentDirectory::open_at(spec_.segments);
    std::string fault;
    const std::optional<WireAddress> address = parse_wire_address(spec_.address, fault);
    if (!segments || !address) return 10;
    WireLoopOptions options;
    options.ends_with_offers = spec_.ends;
    options.clients_max = spec_.clients_max;
    options.redial_min_ns = 1'000'000;
    options.redial_max_ns = 5'000'000;
    Result<std::unique_ptr<WireLoop>> loop = WireLoop::create(*segments, options);
    if (!loop) return 11;
    if (spec_.listens) {
      (*loop)->offer(spec_.link, spec_.link, spec_.side);
      if (!(*loop)->listen(*address)) return 12;
    } else if (!(*loop)->dial(*address, spec_.link, spec_.link, spec_.side)) {
      return 13;
    }
    const std::atomic<bool> stop{false};
    return (*loop)->run(stop) ? 0 : 14;
  }

  WireProcessSpec spec_;
  pid_t pid_ = 0;
};

}  // namespace slipring::wire
