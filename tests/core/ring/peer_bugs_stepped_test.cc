// Bugs of other projects that show between two instructions: an end is stopped at each.
// peer_bugs_test.cc has the table.

#include <doctest/doctest.h>

#include <string>

#include "tests/core/ring/peer_bug_subjects.h"
#include "tests/crash/stepper/trace.h"

namespace slipring {
namespace {

using crash::stop_after;
using crash::Trace;
using crash::trace_of;

TEST_CASE(
    "jack2 886, liburing 1039: at no instruction of a push is a message seen before its bytes") {
  for (const Subject& subject : all_subjects()) {
    const SharedBlock block;
    const SharedBlock copy;
    std::uint64_t seen_count = 0;
    std::uint64_t wrong = 0;
    block.clear();
    // Two messages have passed, and left their bytes where the next ones come to lie.
    REQUIRE(subject.push(*block.at, 0, 2) == 2);
    subject.pop(*block.at);
    REQUIRE(block.at->popped_count == 2);
    const Trace trace = trace_of([&] { static_cast<void>(subject.push(*block.at, 2, 3)); },
                                 [&] {
                                   copy.copy(block);
                                   subject.pop(*copy.at);
                                   seen_count += copy.at->popped_count;
                                   wrong += wrong_count(*copy.at, 2);
                                 });
    MESSAGE(std::string(subject.name), ": looks ", trace.instruction_count, ", messages seen ",
            seen_count, ", wrong ", wrong);
    CHECK(trace.instruction_count > 50);
    CHECK(seen_count > 0);
    CHECK(wrong == 0);
  }
}

TEST_CASE("valkey 3878, FreeBSD D46152: stopped anywhere in a pop, what is being read stays") {
  for (const Subject& subject : all_subjects()) {
    const SharedBlock block;
    const auto full = [&] {
      block.clear();
      return subject.push(*block.at, 0, 100);
    };
    const auto pop = [&] { subject.pop(*block.at); };
    full();
    const std::uint64_t total = trace_of(pop).instruction_count;
    REQUIRE(total > 50);
    // Each of them, unless a sanitizer has made them many.
    const std::uint64_t stride = total * total / 60'000 + 1;
    std::uint64_t stop_count = 0;
    std::uint64_t overwritten_count = 0;
    std::uint64_t wrong = 0;
    for (std::uint64_t at = 0; at < total; at += stride) {
      const std::uint64_t count = full();
      const bool ended =
          stop_after(at, pop, [&] { overwritten_count += subject.push(*block.at, count, 100); });
      REQUIRE(ended);
      wrong += wrong_count(*block.at, 0);
      ++stop_count;
    }
    MESSAGE(std::string(subject.name), ": stops ", stop_count, ", overwritten meanwhile ",
            overwritten_count, ", wrong ", wrong);
    CHECK(overwritten_count > 0);
    CHECK(wrong == 0);
  }
}

}  // namespace
}  // namespace slipring
