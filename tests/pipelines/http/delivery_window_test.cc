#include "pipelines/http/delivery_window.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <vector>

namespace slipring::http {
namespace {

TEST_CASE("delivery_window: what is given back comes before what is new, and is marked") {
  DeliveryWindow<int> window(4);
  for (const int message : {1, 2, 3}) window.add(message, false);
  const auto one = window.hand_out();
  const auto two = window.hand_out();
  CHECK(one.message == 1);
  CHECK(two.message == 2);
  CHECK_FALSE(one.redelivered);
  window.give_back(one.number);
  const auto again = window.hand_out();
  CHECK(again.message == 1);
  CHECK(again.redelivered);
  CHECK(window.hand_out().message == 3);
}

TEST_CASE("delivery_window: messages finish in the ring's order, whoever confirms first") {
  DeliveryWindow<int> window(4);
  for (const int message : {1, 2, 3}) window.add(message, false);
  const auto one = window.hand_out();
  const auto two = window.hand_out();
  window.confirm(two.number);
  CHECK_FALSE(window.finish_one().has_value());
  window.confirm(one.number);
  CHECK(window.finish_one() == 1);
  CHECK(window.finish_one() == 2);
  CHECK_FALSE(window.finish_one().has_value());
  CHECK(window.has_waiting());
  window.clear();
  CHECK(window.is_empty());
}

TEST_CASE("delivery_window: at random, nothing is lost, finished early, or out of order") {
  std::mt19937 random(7);
  DeliveryWindow<std::uint64_t> window(16);
  std::uint64_t next = 0;
  std::uint64_t finished = 0;
  std::vector<DeliveryWindow<std::uint64_t>::Delivery> under_way;
  std::vector<bool> confirmed(200'000, false);
  for (int i = 0; i < 100'000; ++i) {
    switch (random() % 4) {
      case 0:
        if (!window.is_full()) window.add(next++, false);
        break;
      case 1:
        if (window.has_waiting()) under_way.push_back(window.hand_out());
        break;
      default: {
        if (under_way.empty()) break;
        const std::size_t chosen = random() % under_way.size();
        const auto delivery = under_way[chosen];
        under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(chosen));
        if (random() % 3 == 0) {
          window.give_back(delivery.number);
        } else {
          REQUIRE_FALSE(confirmed[delivery.message]);
          confirmed[delivery.message] = true;
          window.confirm(delivery.number);
        }
        while (const auto message = window.finish_one()) {
          REQUIRE(*message == finished++);
          REQUIRE(confirmed[*message]);
        }
      }
    }
    REQUIRE(window.size() == next - finished);
    REQUIRE(window.has_under_way() == !under_way.empty());
  }
  CHECK(finished > 10'000);
}

}  // namespace
}  // namespace slipring::http
