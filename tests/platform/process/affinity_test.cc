#include "platform/process/affinity.h"

#include <doctest/doctest.h>

#include <array>
#include <thread>

namespace slipring {
namespace {

TEST_CASE("affinity: a pinned thread is allowed its processors and no other") {
  const std::vector<std::uint32_t> before = allowed_cpus().value();
  REQUIRE_FALSE(before.empty());
  CHECK(allowed_cpu_count() == before.size());
  CHECK(online_cpu_count() >= 1);
  std::vector<std::uint32_t> inside;
  std::thread([&] {
    const std::array<std::uint32_t, 1> one = {before.back()};
    if (pin_this_thread(one).ok()) inside = allowed_cpus().value();
  }).join();
  CHECK(inside == std::vector<std::uint32_t>{before.back()});
  CHECK(allowed_cpus().value() == before);
}

TEST_CASE("affinity: processors that do not exist are refused by number") {
  const std::array<std::uint32_t, 2> beyond = {allowed_cpus()->front(), kCpuNumberMax + 5};
  Status refused = validate_cpus(beyond);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kInvalidArgument);
  CHECK(refused.error().found == kCpuNumberMax + 5);
  CHECK(pin_this_thread(beyond).error().code == ErrorCode::kInvalidArgument);
  CHECK(validate_cpus({}).error().code == ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace slipring
