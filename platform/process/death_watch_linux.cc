#include "platform/process/death_watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "platform/process/descriptor.h"
#include "platform/wait/futex.h"

namespace slipring {

struct DeathWatch::Watcher {
  Peer process;
  Descriptor stop;
  pthread_t thread{};
  Words* words = nullptr;

  static void* run(void* self) noexcept {
    auto& watcher = *static_cast<Watcher*>(self);
    pollfd watched[2] = {{watcher.process.poll_fd(), POLLIN, 0}, {watcher.stop.get(), POLLIN, 0}};
    while (::poll(watched, 2, -1) < 0 && errno == EINTR) {
    }
    if (watched[0].revents == 0) return nullptr;
    Words& words = *watcher.words;
    words.died.store(1, std::memory_order_release);      // death.A pairs with death.B
    words.bell.fetch_add(1, std::memory_order_release);  // doorbell.C pairs with doorbell.A
    futex_wake(words.bell, UINT32_MAX);
    return nullptr;
  }
};

DeathWatch::DeathWatch() noexcept : words_(std::make_unique<Words>()) {}
DeathWatch::DeathWatch(DeathWatch&&) noexcept = default;

DeathWatch::~DeathWatch() {
  if (!watcher_) return;
  const std::uint64_t one = 1;
  // An eventfd of ours takes it always.
  static_cast<void>(!::write(watcher_->stop.get(), &one, sizeof one));
  pthread_join(watcher_->thread, nullptr);
}

pid_t DeathWatch::pid() const noexcept {
  return watcher_->process.pid();
}

Result<DeathWatch> DeathWatch::start(Peer process) noexcept {
  Descriptor stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop.is_open()) return Error{ErrorCode::kSystem, errno, "watch a process: a descriptor"};
  DeathWatch watch;
  watch.watcher_.reset(new Watcher{std::move(process), std::move(stop), {}, watch.words_.get()});
  // Signals are for the program's own threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int fault =
      pthread_create(&watch.watcher_->thread, nullptr, &Watcher::run, watch.watcher_.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (fault == 0) return watch;
  watch.watcher_.reset();
  return Error{ErrorCode::kSystem, fault, "watch a process: a thread"};
}

}  // namespace slipring
