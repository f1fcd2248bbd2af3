#include "platform/wait/shared_processor.h"

#include <doctest/doctest.h>

namespace slipring {
namespace {

constexpr std::uint64_t kQuickNs = 300;
constexpr std::uint64_t kLongNs = 50'000;

TEST_CASE("shared processor: a single used yield changes nothing, several do") {
  SharedProcessor shared(false);
  shared.yielded_for(kLongNs);
  CHECK_FALSE(shared.is_wanted());
  for (int i = 0; i < 3; ++i) shared.yielded_for(kLongNs);
  CHECK(shared.is_wanted());
}

TEST_CASE("shared processor: when the other thread has gone it is ours again") {
  SharedProcessor shared(false);
  for (int i = 0; i < 1000; ++i) shared.yielded_for(kLongNs);
  CHECK(shared.is_wanted());
  for (int i = 0; i < 5; ++i) shared.yielded_for(kQuickNs);
  CHECK_FALSE(shared.is_wanted());
}

TEST_CASE("shared processor: the only one of a machine is always shared") {
  SharedProcessor shared(true);
  for (int i = 0; i < 100; ++i) shared.yielded_for(kQuickNs);
  CHECK(shared.is_wanted());
}

}  // namespace
}  // namespace slipring
