// The exchange ring on the model of the C++ memory model, with deaths.
//
// Its words are those of the many-to-many ring, whose mutants mpmc_model_test has; here it is that
// every buffer has one owner, and nobody touches another's.

#include <doctest/doctest.h>

#include <string>

#include "tests/model/checks.h"
#include "tests/model/exchange_scenes.h"
#include "tests/model/mutation.h"

namespace slipring::model {
namespace {

TEST_CASE("exchange: every buffer has one owner, whoever dies") {
  for (const Scene& one : exchange_scenes()) check_scene(one);
}

// An exchange of two steps gives one buffer to two, and a release left out shows a half message.
TEST_CASE("exchange: planted in the one exchange, both are found") {
  SiteList sites;
  ExploreOptions options;
  options.sites = &sites;
  const Scene one = exchange_scene("2P x 1C, 1 slot", 0, {.pushes = {1, 1}, .pops = {2}});
  REQUIRE(explore(one, options).wrong.empty());
  std::uint32_t found_count = 0;
  for (const SiteUse& use : sites) {
    if (use.access != Access::kCompareExchange) continue;
    for (const Mutation& mutation : mutations_of(use)) {
      const bool is_split = mutation.change == Change::kSplit;
      const bool is_acquire =
          mutation.change == Change::kOrder && mutation.order == std::memory_order_acquire;
      if (!is_split && !is_acquire) continue;
      options.mutation = &mutation;
      const Found found = explore(one, options);
      MESSAGE(name_of(mutation), ": ", to_string(found));
      CHECK_FALSE(found.wrong.empty());
      ++found_count;
    }
  }
  CHECK(found_count == 2);
}

}  // namespace
}  // namespace slipring::model
