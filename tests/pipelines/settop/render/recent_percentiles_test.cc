#include "pipelines/settop/render/recent_percentiles.h"

#include <doctest/doctest.h>

namespace slipring::settop {
namespace {

TEST_CASE("recent_percentiles: ranks are exact, whatever the order") {
  RecentPercentiles values;
  CHECK(values.at(50) == 0);
  for (std::uint64_t value = 0; value < 100; ++value) values.add((value * 37) % 100 + 1);
  CHECK(values.at(0) == 1);
  CHECK(values.at(1) == 1);
  CHECK(values.at(50) == 50);
  CHECK(values.at(99) == 99);
  CHECK(values.at(100) == 100);
}

TEST_CASE("recent_percentiles: the past is forgotten") {
  RecentPercentiles values;
  for (int count = 0; count < 1000; ++count) values.add(1'000'000);
  for (int count = 0; count < 512; ++count) values.add(3);
  CHECK(values.at(100) == 3);
  values.add(9);
  CHECK(values.at(100) == 9);
  values.clear();
  CHECK(values.at(100) == 0);
}

}  // namespace
}  // namespace slipring::settop
