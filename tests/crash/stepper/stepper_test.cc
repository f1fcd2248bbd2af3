// The stepper itself: it counts what is executed, no more and no less; it comes back to where it
// was; it kills and stops for real; and what it is to see it sees.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <cstdint>

#include "tests/crash/stepper/trace.h"
#include "tests/crash/stepper/walk.h"

namespace slipring::crash {
namespace {

// Two counters that a correct body moves together, the first before the second.
struct Scene {
  std::atomic<std::uint64_t> first{0};
  std::atomic<std::uint64_t> second{0};
  double sum = 0;

  [[nodiscard]] std::span<const std::byte> image() const {
    return {reinterpret_cast<const std::byte*>(this), sizeof(Scene)};
  }
};

// Ten stores, with work in vector registers that live across them.
void count_up(Scene& scene) {
  double sum = 1;
  for (int i = 0; i < 5; ++i) {
    scene.first.store(scene.first.load() + 1, std::memory_order_release);
    sum = sum * 1.5 + static_cast<double>(i);
    asm volatile("" : "+x"(sum));
    scene.second.store(scene.second.load() + 1, std::memory_order_release);
  }
  scene.sum = sum;
}

TEST_CASE("stepper: it counts what is executed, no more and no less") {
  const Trace none = trace_of([] { asm volatile("" ::: "memory"); });
  const Trace ten = trace_of([] {
    asm volatile("nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop" ::: "memory");
  });
  REQUIRE(none.instruction_count > 0);
  CHECK(ten.instruction_count == none.instruction_count + 10);
  // A system call is one, a repeated string instruction one a round.
  const Trace call = trace_of([] {
    long answer = 110;  // getppid
    asm volatile("syscall" : "+a"(answer)::"rcx", "r11", "memory");
  });
  CHECK(call.instruction_count == none.instruction_count + 2);
  const Trace rounds = trace_of([] {
    char bytes[7];
    void* to = bytes;
    std::uint64_t count = sizeof(bytes);
    asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0) : "memory");
  });
  CHECK(rounds.instruction_count >= none.instruction_count + 7);
}

TEST_CASE("stepper: looks do not disturb, and each of them sees the next instant") {
  Stage<Scene> stage;
  std::uint64_t look_count = 0;
  Images images;
  const std::uint64_t count = walk(
      stage, 0, [&stage] { count_up(*stage); },
      [&](SteppedChild& child) {
        ++look_count;
        images.add(stage->image());
        const std::uint64_t first = stage->first.load();
        CHECK(first - stage->second.load() <= 1);
        stage->first.store(100);  // undone
        if (!child.is_over()) CHECK(child.finish());
        CHECK(child.is_over());
      });
  CHECK(count > 40);
  CHECK(look_count == count + 1);
  CHECK(images.count() == 12);  // none, ten stores, and the sum
  CHECK(stage->first.load() == 5);
  CHECK(stage->second.load() == 5);
  Scene by_itself;
  count_up(by_itself);
  CHECK(stage->sum == by_itself.sum);
  MESSAGE(count, " instructions, ", look_count, " looks");
}

TEST_CASE("stepper: a death leaves what was there, a real one the same, and a bug is seen") {
  Stage<Scene> stage;
  for (const bool has_bug : {false, true}) {
    stage.clear();
    Tally tally;
    kill_everywhere(
        stage,
        [&stage, has_bug] {
          if (has_bug) stage->second.store(stage->second.load() + 1);
          count_up(*stage);
        },
        tally,
        [&] {
          tally.findings.expect(stage->second.load() <= stage->first.load(), Oracle::kOrder,
                                "the second counter is ahead");
        });
    CHECK(tally.kill_count == tally.instruction_count + 1);
    CHECK(tally.real_kill_count == tally.image_count);
    CHECK(tally.findings.of(Oracle::kHarness) == 0);
    CHECK((tally.findings.of(Oracle::kOrder) > 0) == has_bug);
  }
}

TEST_CASE("stepper: one stopped by a real SIGSTOP anywhere goes on and ends well") {
  Stage<Scene> stage;
  const auto body = [&stage] { count_up(*stage); };
  const std::uint64_t total = trace_of(body).instruction_count;
  REQUIRE(total > 0);
  std::uint64_t stop_count = 0;
  for (std::uint64_t at = 0; at < total; ++at, ++stop_count) {
    stage.clear();
    SteppedChild child(body, stage.stack(0));
    for (std::uint64_t i = 0; i < at; ++i) child.advance();
    const pid_t stopped = child.release_stopped();
    REQUIRE(stopped > 0);
    const std::uint64_t seen = stage->first.load();
    int status = 0;
    CHECK(waitpid(stopped, &status, WNOHANG) == 0);  // it does not move
    CHECK(stage->first.load() == seen);
    REQUIRE(kill(stopped, SIGCONT) == 0);
    REQUIRE(waitpid(stopped, &status, 0) == stopped);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
    CHECK(stage->second.load() == 5);
  }
  MESSAGE(stop_count, " stops");
}

TEST_CASE("stepper: a signal from elsewhere is delivered, and costs no step") {
  Stage<Scene> stage;
  static std::atomic<std::uint64_t>* place;
  place = &stage->second;
  const auto body = [&stage] {
    std::signal(SIGUSR1, [](int) { place->store(1000); });
    count_up(*stage);
  };
  SteppedChild child(body, stage.stack(0));
  for (int i = 0; i < 400 && stage->first.load() == 0; ++i) child.advance();
  REQUIRE(stage->first.load() == 1);
  kill(child.pid(), SIGUSR1);
  child.advance();
  CHECK(child.is_inside());
  while (child.is_inside()) child.advance();
  CHECK(child.is_over());
  CHECK(stage->first.load() == 5);
  CHECK(stage->second.load() >= 1000);
}

TEST_CASE("stepper: a body that aborts is no body that ended") {
  Stage<Scene> stage;
  const auto body = [] { check(false, "on purpose"); };
  const int quiet = open("/dev/null", O_WRONLY);
  const int own = dup(2);
  dup2(quiet, 2);
  SteppedChild child(body, stage.stack(0));
  CHECK(!child.finish());
  dup2(own, 2);
  CHECK(child.failure() != 0);
}

}  // namespace
}  // namespace slipring::crash
