#include "platform/wait/spin_budget.h"

#include <doctest/doctest.h>

namespace slipring {
namespace {

constexpr std::uint32_t kMax = 2000;

SpinBudget after_waits(std::uint64_t wait_ns, int count) {
  SpinBudget budget(kMax);
  for (int i = 0; i < count; ++i) {
    static_cast<void>(budget.begin());
    budget.slept(wait_ns);
  }
  return budget;
}

TEST_CASE("spin budget: long waits leave a few looks, and none where none are allowed") {
  CHECK(after_waits(10'000'000, 20).looks() == SpinBudget::kLooksMin);
  CHECK_FALSE(after_waits(10'000'000, 20).is_spinning_worth());
  SpinBudget none(0);
  CHECK(none.begin() == 0);
  none.slept(10'000'000);
  CHECK(none.looks() == 0);
}

TEST_CASE("spin budget: twice the typical wait is spun") {
  SpinBudget budget = after_waits(9'000, 100);
  CHECK(budget.typical_ns() == 9'000);
  CHECK(budget.looks() == 2 * 9'000 / 30 + SpinBudget::kLooksMin);
  // Looks that cost more are fewer.
  for (int i = 0; i < 50; ++i) budget.measured(64, 64 * 90);
  CHECK(budget.looks() == 2 * 9'000 / 90 + SpinBudget::kLooksMin);
}

TEST_CASE("spin budget: one long wait among short ones changes little") {
  SpinBudget budget = after_waits(5'000, 100);
  budget.slept(1'000'000'000);
  CHECK(budget.is_spinning_worth());
  for (int i = 0; i < 24; ++i) budget.found_at(100);
  CHECK(budget.typical_ns() < 6'000);
}

TEST_CASE("spin budget: in long waits a full spin is tried once in a while, and no more") {
  SpinBudget budget = after_waits(10'000'000, 20);
  std::uint64_t looks = 0;
  constexpr int kWaits = 3200;
  for (int i = 0; i < kWaits; ++i) {
    looks += budget.begin();
    budget.slept(10'000'000);
  }
  const std::uint64_t trials = kWaits / SpinBudget::kWaitsPerTrial;
  const std::uint64_t full = SpinBudget::kWorthSpinningNs / 30 + SpinBudget::kLooksMin;
  CHECK(looks == trials * full + (kWaits - trials) * SpinBudget::kLooksMin);
  // Of a processor, at one wait a 10 ms.
  CHECK(looks * 30 * 1000 < kWaits * std::uint64_t{10'000'000} * 1);
}

TEST_CASE("spin budget: a trial that pays brings spinning back at once") {
  // A wake-up takes tens of microseconds, and every slept wait looks that long.
  SpinBudget budget = after_waits(60'000, 40);
  CHECK_FALSE(budget.is_spinning_worth());
  std::uint32_t waits = 0;
  while (budget.begin() <= SpinBudget::kLooksMin) {
    budget.slept(60'000);
    REQUIRE(++waits <= SpinBudget::kWaitsPerTrial);
  }
  budget.found_at(200);
  CHECK(budget.is_spinning_worth());
  CHECK(budget.looks() == 2 * 200 + SpinBudget::kLooksMin);
}

TEST_CASE(
    "spin budget: lingering is as long as a full spin while it pays, and rare while it does not") {
  SpinBudget budget = after_waits(20'000, 40);
  CHECK(budget.begin_lingering_ns() == SpinBudget::kWorthSpinningNs);
  budget = after_waits(10'000'000, 40);
  std::uint64_t lingered_ns = 0;
  constexpr std::uint32_t kWaits = 10 * SpinBudget::kWaitsPerTrial;
  for (std::uint32_t i = 0; i < kWaits; ++i) {
    lingered_ns += budget.begin_lingering_ns();
    budget.slept(10'000'000);
  }
  CHECK(lingered_ns == 10 * SpinBudget::kWorthSpinningNs);
  budget.found_after(7'000);
  CHECK(budget.typical_ns() == 7'000);
  CHECK(budget.begin_lingering_ns() == SpinBudget::kWorthSpinningNs);
}

TEST_CASE("spin budget: a pre-emption between two clock readings is not a look's cost") {
  SpinBudget budget(kMax);
  budget.measured(64, 10'000'000);
  CHECK(budget.looks() >= 2 * 2'000 / 60);
}

}  // namespace
}  // namespace slipring
