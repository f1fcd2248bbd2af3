#include "platform/wait/processor_wait.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>

#include "platform/wait/clock.h"

namespace slipring {
namespace {

constexpr std::uint64_t kFarNs = 20'000'000'000;

TEST_CASE("processor wait: a word that has changed already is not waited for") {
  const std::atomic<std::uint64_t> wide{7};
  const std::atomic<std::uint32_t> narrow{7};
  CHECK(processor_wait(wide, 6, kFarNs));
  CHECK(processor_wait(narrow, 6, kFarNs));
  CHECK_FALSE(processor_wait(wide, 7, 0));
}

TEST_CASE("processor wait: it ends at its bound and not before") {
  const std::atomic<std::uint64_t> wide{7};
  const std::atomic<std::uint32_t> narrow{7};
  for (const std::uint64_t bound_ns : {1'000u, 100'000u, 2'000'000u}) {
    std::uint64_t start_ns = monotonic_ns();
    CHECK_FALSE(processor_wait(wide, 7, bound_ns));
    CHECK(monotonic_ns() - start_ns >= bound_ns);
    start_ns = monotonic_ns();
    CHECK_FALSE(processor_wait(narrow, 7, bound_ns));
    CHECK(monotonic_ns() - start_ns >= bound_ns);
  }
}

// Hands a number to and fro, each side waiting in the processor for the other's store.
template <typename Word>
bool play(std::uint64_t rounds) {
  alignas(128) std::atomic<Word> there{0};
  alignas(128) std::atomic<Word> back{0};
  bool heard_all = true;
  std::thread other([&] {
    for (Word i = 1; i <= rounds; ++i) {
      heard_all = heard_all && processor_wait(there, static_cast<Word>(i - 1), kFarNs);
      back.store(i, std::memory_order_release);
    }
  });
  bool answered_all = true;
  for (Word i = 1; i <= rounds; ++i) {
    there.store(i, std::memory_order_release);
    answered_all = answered_all && processor_wait(back, static_cast<Word>(i - 1), kFarNs);
  }
  other.join();
  return heard_all && answered_all;
}

TEST_CASE("processor wait: a store of another thread ends it") {
  CHECK(play<std::uint64_t>(200));
  CHECK(play<std::uint32_t>(200));
}

TEST_CASE("processor wait: what is used is what is offered, or pauses") {
  const LineWait usable = usable_line_wait();
  CHECK((usable == offered_line_wait() || usable == LineWait::kNone));
  CHECK(usable == usable_line_wait());
  CHECK_FALSE(std::string(name_of(usable)).empty());
  MESSAGE("offered: ", name_of(offered_line_wait()), ", used: ", name_of(usable));
}

}  // namespace
}  // namespace slipring
