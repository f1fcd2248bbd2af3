#include "pipelines/link/control_alarm.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <atomic>
#include <optional>
#include <utility>

#include "platform/wait/clock.h"
#include "platform/wait/event_bell.h"
#include "platform/wait/futex.h"

namespace slipring {

struct ControlAlarm::Thread {
  ControlWatch watch;
  std::optional<EventBell> bell;
  pthread_t reader{};
  int signal_number = 0;
  std::atomic<bool> is_over{false};
  pthread_t id{};

  void run() noexcept;
  void pass_on() const noexcept {
    if (bell) {
      bell->signal();
    } else {
      // The reader's thread outlives the alarm, which it holds.
      static_cast<void>(pthread_kill(reader, signal_number));
    }
  }
  [[nodiscard]] Status start() noexcept;
};

namespace {

void look_again(int) {}

}  // namespace

void ControlAlarm::Thread::run() noexcept {
  // 0 is no number of a command before four thousand million of them.
  std::uint32_t told = 0;
  // relaxed: nothing is published with it.
  while (!is_over.load(std::memory_order_relaxed)) {
    const std::uint32_t count =
        watch.count->load(std::memory_order_acquire);  // control.B pairs with control.A
    const bool is_obeyed =
        watch.obeyed->load(std::memory_order_acquire) == count;  // drop.D pairs with drop.C
    const bool needs_again = !is_obeyed && !bell;
    if (!is_obeyed && (count != told || needs_again)) pass_on();
    told = count;
    static_cast<void>(
        futex_wait(*watch.count, count, needs_again ? deadline_after(kAlarmAgainNs) : kNoDeadline));
  }
}

Status ControlAlarm::Thread::start() noexcept {
  // Its signals are the other threads' to handle.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int fault = pthread_create(
      &id, nullptr,
      [](void* self) -> void* {
        static_cast<Thread*>(self)->run();
        return nullptr;
      },
      this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (fault == 0) return {};
  return Error{ErrorCode::kSystem, fault, "start the thread that waits for commands"};
}

ControlAlarm::ControlAlarm(std::unique_ptr<Thread> thread) noexcept : thread_(std::move(thread)) {}
ControlAlarm::ControlAlarm(ControlAlarm&&) noexcept = default;
ControlAlarm& ControlAlarm::operator=(ControlAlarm&& other) noexcept {
  std::swap(thread_, other.thread_);
  return *this;
}

ControlAlarm::~ControlAlarm() {
  if (!thread_) return;
  // relaxed: nothing is published with it.
  thread_->is_over.store(true, std::memory_order_relaxed);
  // Woken again and again: it may be about to sleep.
  for (;;) {
    futex_wake(*thread_->watch.count, kAllSleepers);
    timespec soon{};
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 1'000'000;
    if (soon.tv_nsec >= 1'000'000'000) {
      soon.tv_nsec -= 1'000'000'000;
      ++soon.tv_sec;
    }
    if (pthread_timedjoin_np(thread_->id, nullptr, &soon) != ETIMEDOUT) return;
  }
}

Result<ControlAlarm> ControlAlarm::by_event(const ControlWatch& watch) noexcept {
  auto thread = std::make_unique<Thread>();
  Result<EventBell> bell = EventBell::create();
  if (!bell) return bell.error();
  thread->watch = watch;
  thread->bell.emplace(std::move(bell).value());
  if (Status started = thread->start(); !started) return started.error();
  return ControlAlarm(std::move(thread));
}

Result<ControlAlarm> ControlAlarm::by_signal(const ControlWatch& watch,
                                             int signal_number) noexcept {
  if (signal_number < SIGRTMIN || signal_number > SIGRTMAX) {
    return Error{ErrorCode::kInvalidArgument, 0, "wake by a signal that is not a real-time one",
                 static_cast<std::uint64_t>(signal_number), static_cast<std::uint64_t>(SIGRTMIN)};
  }
  struct sigaction action {};
  if (sigaction(signal_number, nullptr, &action) != 0) {
    return Error{ErrorCode::kSystem, errno, "look at a signal's handler"};
  }
  if ((action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL) {
    action.sa_handler = look_again;
    action.sa_flags = 0;
    if (sigaction(signal_number, &action, nullptr) != 0) {
      return Error{ErrorCode::kSystem, errno, "handle a signal"};
    }
  }
  auto thread = std::make_unique<Thread>();
  thread->watch = watch;
  thread->reader = pthread_self();
  thread->signal_number = signal_number;
  if (Status started = thread->start(); !started) return started.error();
  return ControlAlarm(std::move(thread));
}

int ControlAlarm::fd() const noexcept {
  return thread_->bell ? thread_->bell->fd() : -1;
}

void ControlAlarm::drain() const noexcept {
  if (thread_->bell) thread_->bell->drain();
}

}  // namespace slipring
