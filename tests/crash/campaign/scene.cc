#include "tests/crash/campaign/scene.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

namespace slipring::campaign {

const char* name_of(Wrong wrong) {
  constexpr const char* kNames[kWrongCount] = {"lost", "duplicated", "torn",    "order", "invented",
                                               "mark", "leaked",     "corrupt", "hang",  "crash"};
  return kNames[static_cast<std::uint32_t>(wrong)];
}

const char* name_of(Plant plant) {
  constexpr const char* kNames[kPlantCount] = {
      "none",       "lost", "repeat",      "torn",         "order",    "hang", "unmarked",
      "false-mark", "leak", "no-recovery", "wrong-reaper", "miscount", "hasty"};
  return kNames[static_cast<std::uint32_t>(plant)];
}

void Context::report(Wrong wrong, const char* what, std::uint64_t a, std::uint64_t b) const {
  ++tally->wrong[static_cast<std::uint32_t>(wrong)];
  const std::uint32_t at = sayings->count.fetch_add(1);
  if (at >= kMaxSayings) return;
  std::snprintf(sayings->texts[at], kSayingBytes, "%s: %s: %s %llu, %llu (seed of the round %llu)",
                scene, name_of(wrong), what, static_cast<unsigned long long>(a),
                static_cast<unsigned long long>(b), static_cast<unsigned long long>(stage->seed));
}

void Life::fail(Wrong wrong, const char* what, std::uint64_t a, std::uint64_t b) {
  context_->report(wrong, what, a, b);
  _exit(3);
}

void Life::doom(std::uint64_t span_ns, bool after_message) {
  doom_ns_ = after_message ? span_ns : 0;
  if (after_message) return;
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  itimerspec at{};
  at.it_value.tv_sec = static_cast<time_t>(span_ns / 1'000'000'000);
  at.it_value.tv_nsec = static_cast<long>(span_ns % 1'000'000'000) + 1;
  if ((!has_timer_ && timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0) ||
      timer_settime(timer_, 0, &at, nullptr) != 0) {
    fail(Wrong::kCrash, "no timer to be killed by: errno", static_cast<std::uint64_t>(errno));
  }
  has_timer_ = true;
}

void Life::idle() {
  now(Op::kWait);
  // Rarely: a death ought to find lives in their operations, not off the processor.
  if (++idle_count_ % 128 != 0) return;
  if (has_timer_ && !dies_waiting_) {
    // Death waits until there is something to do again.
    const itimerspec never{};
    timer_settime(timer_, 0, &never, nullptr);
    doom_ns_ = 1 + chance_.below(100'000);
  }
  sched_yield();
}

bool Life::stays(Phase last) {
  if (looks_last_) return false;
  if (context_->plant == Plant::kHasty) {
    // As if others had had the processor.
    for (int i = 0; i < 200 && context_->phase() != Phase::kRun; ++i) sched_yield();
    if (context_->phase() >= last) return false;
  }
  looks_last_ = context_->phase() >= last;
  idle();
  return true;
}

bool Life::goes_on(const Sender& sender) {
  while (context_->phase() == Phase::kRun) {
    if (sender.next() < kEnoughIds) return true;
    stage().enough.store(1, std::memory_order_relaxed);
    moved();  // a death ends the round
    sched_yield();
  }
  if (context_->phase() != Phase::kFinish) return false;
  if (finish_at_ == 0) finish_at_ = sender.next() + kLastMessages;
  return sender.next() < finish_at_;
}

}  // namespace slipring::campaign
