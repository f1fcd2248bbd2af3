// platform/wait: futexes, bells, the waiter's ways to sleep; and what the machine allows.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <utility>

#include "platform/machine/capabilities.h"
#include "platform/process/descriptor.h"
#include "platform/wait/clock.h"
#include "platform/wait/doorbell.h"
#include "platform/wait/event_bell.h"
#include "platform/wait/futex.h"
#include "platform/wait/waiter.h"
#include "tests/faults/scenario.h"

namespace slipring::faults {

namespace {

constexpr std::uint64_t kShortNs = 3'000'000;
constexpr std::uint64_t kLongNs = 2'000'000'000;

// Two wakers and their one sleeper, all of it here.
struct Bells {
  std::array<BellLine, 2> bell = {};
  std::array<ArmLine, 2> arm = {};
  std::array<WaitPoint, 2> points = {WaitPoint::of(bell[0], arm[0]),
                                     WaitPoint::of(bell[1], arm[1])};
};

void prepare_bells(Stage& stage) {
  stage.kept = std::make_shared<Bells>();
}

Bells& bells_of(Stage& stage) {
  return *std::any_cast<std::shared_ptr<Bells>&>(stage.kept);
}

// A wait for something that comes, at a later look; and one for something that never does.
Outcome wait_for_both(std::span<const WaitPoint> points, const WaitAids& aids = {}) {
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = kShortNs});
  int looks = 0;
  const WaitOutcome found = waiter.wait(
      points, [&] { return ++looks > 5; }, deadline_after(kLongNs), aids);
  if (found != WaitOutcome::kReady) return Outcome::lying("what was ready was not found");
  const std::uint64_t deadline_ns = deadline_after(kShortNs);
  const WaitOutcome none = waiter.wait(
      points, [] { return false; }, deadline_ns, aids);
  if (none != WaitOutcome::kDeadline) return Outcome::lying("nothing was found ready");
  return monotonic_ns() >= deadline_ns ? Outcome::done() : Outcome::lying("a deadline came early");
}

std::vector<Scenario> futex_scenarios() {
  std::vector<Scenario> all;
  all.push_back({.name = "futex: wait and wake", .run = [](Stage&) {
                   std::atomic<std::uint32_t> word{1};
                   if (futex_wait(word, 2, kNoDeadline) == FutexAnswer::kTimedOut) {
                     return Outcome::done();  // which the fault said
                   }
                   static_cast<void>(futex_wait(word, 1, deadline_after(1'000'000)));
                   return futex_wake(word, 1) == 0 ? Outcome::done()
                                                   : Outcome::lying("nobody was woken");
                 }});
  all.push_back(
      {.name = "futex: wait for any", .run = [](Stage&) {
         std::atomic<std::uint32_t> words[2] = {};
         const std::array<FutexWord, 2> both{FutexWord{&words[0], 0}, FutexWord{&words[1], 0}};
         if (!futex_wait_any_is_available()) return Outcome::downgraded(kAnyErrno, "not available");
         static_cast<void>(futex_wait_any(both, deadline_after(1'000'000)));
         return Outcome::done();
       }});
  return all;
}

// One that is open whenever an adoption begins; adopting closes it in any case.
void event_to_adopt(Stage& stage) {
  const int* before = std::any_cast<int>(&stage.kept);
  if (before != nullptr && ::fcntl(*before, F_GETFD) >= 0) return;
  stage.kept = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

std::vector<Scenario> bell_scenarios() {
  std::vector<Scenario> all;
  all.push_back({.name = "event bell: make, signal, drain", .run = [](Stage&) {
                   Result<EventBell> bell = EventBell::create();
                   if (!bell.ok()) return Outcome::failed(bell.error());
                   bell->signal();
                   bell->drain();
                   return Outcome::done();
                 }});
  all.push_back({.name = "event bell: adopt",
                 .arrange = event_to_adopt,
                 .run =
                     [](Stage& stage) {
                       return Outcome::of(
                           EventBell::adopt(Descriptor(std::any_cast<int>(stage.kept))));
                     },
                 .undo = event_to_adopt,
                 .may_leave = "; descriptor gone: anon_inode:[eventfd]"});
  all.push_back(
      {.name = "doorbell: make and ring", .prepare = prepare_bells, .run = [](Stage& stage) {
         Bells& bells = bells_of(stage);
         Doorbell doorbell(bells.bell[0], bells.arm[0]);
         const std::uint32_t before = bells.bell[0].bell.load();
         const Arming arming({bells.points.data(), 1});
         doorbell.ring_if_armed();
         return bells.bell[0].bell.load() == before + 1 ? Outcome::done()
                                                        : Outcome::lying("it did not ring");
       }});
  return all;
}

std::vector<Scenario> waiter_scenarios() {
  std::vector<Scenario> all;
  all.push_back({.name = "waiter: one bell", .prepare = prepare_bells, .run = [](Stage& stage) {
                   return wait_for_both({bells_of(stage).points.data(), 1});
                 }});
  all.push_back({.name = "waiter: two bells", .prepare = prepare_bells, .run = [](Stage& stage) {
                   return wait_for_both(bells_of(stage).points);
                 }});
  all.push_back(
      {.name = "waiter: nobody to ring", .run = [](Stage&) { return wait_for_both({}); }});
  all.push_back(
      {.name = "waiter: bells and descriptors", .prepare = prepare_bells, .run = [](Stage& stage) {
         Result<EventBell> event = EventBell::create();
         if (!event.ok()) return Outcome::failed(event.error());
         std::array<int, 2> ends = {-1, -1};
         if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
           return Outcome::failed({ErrorCode::kSystem, errno, "make the test's pipe"});
         }
         const Descriptor from(ends[0]);
         const Descriptor to(ends[1]);
         std::array<WaitDescriptor, 1> descriptors = {};
         descriptors[0].fd = from.get();
         const WaitAids aids{.event = &*event, .descriptors = descriptors};
         Outcome quiet = wait_for_both(bells_of(stage).points, aids);
         if (quiet.lie != nullptr) return quiet;
         while (::write(to.get(), "x", 1) < 0) {
           if (errno != EINTR) {
             return Outcome::failed({ErrorCode::kSystem, errno, "write to it"});
           }
         }
         Waiter waiter({.strategy = WaitStrategy::kSleep});
         const WaitOutcome found = waiter.wait(
             bells_of(stage).points, [] { return false; }, deadline_after(kLongNs), aids);
         return found == WaitOutcome::kDescriptor
                    ? Outcome::done()
                    : Outcome::lying("a ready descriptor was not found");
       }});
  return all;
}

std::vector<Scenario> machine_scenarios() {
  std::vector<Scenario> all;
  // Its answer is a list of findings: what fails is one, and never an end.
  all.push_back({.name = "machine: inspect", .run = [](Stage&) {
                   return inspect_machine().size() > 10
                              ? Outcome::downgraded(kAnyErrno, "a finding")
                              : Outcome::lying("findings are missing");
                 }});
  return all;
}

}  // namespace

std::vector<Scenario> wait_scenarios() {
  std::vector<Scenario> all;
  for (auto* part : {futex_scenarios, bell_scenarios, waiter_scenarios, machine_scenarios}) {
    for (Scenario& scenario : part()) all.push_back(std::move(scenario));
  }
  return all;
}

}  // namespace slipring::faults
