// What a server makes of what its requests say of their sender.

#include "pipelines/array/serving_place.h"

#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace slipring::array {
namespace {

BlockRequest request_of(std::uint16_t under_way, std::uint32_t cpu) {
  BlockRequest request{};
  request.under_way = under_way;
  request.processor = static_cast<std::uint16_t>(cpu + 1);
  return request;
}

template <typename Server>
void heed_many(Server& server, std::uint16_t under_way, std::uint32_t cpu) {
  for (int i = 0; i < 100; ++i) server.heed(request_of(under_way, cpu));
}

TEST_CASE("serving place: a sender that says nothing changes nothing") {
  ServingChoice choice({3, 5});
  heed_many(choice, 0, 5);
  CHECK_FALSE(choice.is_served_singly());
  CHECK_FALSE(choice.place());
}

TEST_CASE("serving place: singly up to a few under way, a crowd above, with a margin between") {
  ServingChoice choice({3, 5});
  heed_many(choice, 1, 5);
  CHECK(choice.is_served_singly());
  CHECK_FALSE(choice.place());
  heed_many(choice, 5, 5);
  CHECK(choice.is_served_singly());
  heed_many(choice, 64, 5);
  CHECK_FALSE(choice.is_served_singly());
  CHECK(choice.place() == 1);
  heed_many(choice, 5, 5);
  CHECK_FALSE(choice.is_served_singly());
  heed_many(choice, 1, 5);
  CHECK(choice.is_served_singly());
  CHECK_FALSE(choice.place());
}

TEST_CASE("serving place: one small batch among many requests is no change") {
  ServingChoice choice({3, 5});
  heed_many(choice, 64, 3);
  choice.heed(request_of(1, 3));
  CHECK_FALSE(choice.is_served_singly());
  heed_many(choice, 1, 3);
  choice.heed(request_of(16, 3));
  CHECK(choice.is_served_singly());
}

TEST_CASE("serving place: it goes after its sender, and nowhere that it may not go") {
  ServingChoice choice({3, 5});
  heed_many(choice, 64, 3);
  CHECK(choice.place() == 0);
  choice.heed(request_of(64, 5));
  CHECK(choice.place() == 1);
  BlockRequest request = request_of(64, 0);
  for (const int processor : {0, 1, 5, 7, 65535}) {
    request.processor = static_cast<std::uint16_t>(processor);
    choice.heed(request);
    CHECK(choice.place() == 1);
  }
  request.under_way = 65535;
  heed_many(choice, 65535, 3);
  heed_many(choice, 1, 3);
  CHECK(choice.is_served_singly());
}

TEST_CASE("serving place: with one processor, or with one for each, nobody is moved") {
  for (const std::vector<std::uint32_t>& cpus :
       {std::vector<std::uint32_t>{}, {3}, {3, 5, 6}, {0, 1, 2, 3}}) {
    ServingChoice choice(cpus);
    heed_many(choice, 64, 3);
    CHECK_FALSE(choice.is_served_singly());
    CHECK_FALSE(choice.place());
  }
}

TEST_CASE("serving place: the thread that heeds is moved, and let go again") {
  std::vector<std::uint32_t> cpus = allowed_cpus().value();
  if (cpus.size() < 2) {
    MESSAGE("not run: with one processor there is nowhere to go");
    return;
  }
  cpus.resize(2);
  std::thread server([&cpus] {
    REQUIRE(pin_this_thread(cpus).ok());
    ServingPlace place;
    for (const std::uint32_t cpu : {cpus[1], cpus[0]}) {
      heed_many(place, 64, cpu);
      CHECK(allowed_cpus().value() == std::vector<std::uint32_t>{cpu});
    }
    heed_many(place, 1, cpus[1]);
    CHECK(place.is_served_singly());
    CHECK(allowed_cpus().value() == cpus);
  });
  server.join();
}

}  // namespace
}  // namespace slipring::array
