#include "pipelines/array/cache/volumes.h"

#include <doctest/doctest.h>

namespace slipring::array {
namespace {

std::string fault_of(std::string_view text, std::uint64_t array_bytes = 1 << 20) {
  std::string fault;
  const auto sizes = parse_volumes(text, fault);
  if (sizes) static_cast<void>(place_volumes(*sizes, array_bytes, fault));
  return fault;
}

}  // namespace

TEST_CASE("volumes: they lie one behind the other, and the last may be the rest") {
  std::string fault;
  const auto sizes = parse_volumes("256KiB, 4096,rest", fault);
  REQUIRE_MESSAGE(sizes.has_value(), fault);
  const auto volumes = place_volumes(*sizes, 1 << 20, fault);
  REQUIRE_MESSAGE(volumes.has_value(), fault);
  REQUIRE(volumes->size() == 3);
  CHECK((*volumes)[0].offset_bytes == 0);
  CHECK((*volumes)[0].size_bytes == 262144);
  CHECK((*volumes)[1].offset_bytes == 262144);
  CHECK((*volumes)[1].size_bytes == 4096);
  CHECK((*volumes)[2].offset_bytes == 266240);
  CHECK((*volumes)[2].size_bytes == (1 << 20) - 266240);
  CHECK(fault_of("1MiB").empty());
}

TEST_CASE("volumes: what is no list of sizes, or does not fit, is named") {
  for (const char* text :
       {"", "256KiB,", "0", "4095", "many", "-4096", "rest,4096", "4096,,4096"}) {
    CHECK_MESSAGE(!fault_of(text).empty(), text);
  }
  CHECK(fault_of("4096,much").find("'much'") != std::string::npos);
  CHECK(fault_of("512KiB,513KiB,rest").find("524288 left") == std::string::npos);
  CHECK(fault_of("512KiB,516KiB").find("524288 left") != std::string::npos);
  CHECK(fault_of("1MiB,rest").find("0 left") != std::string::npos);
  std::string many = "4096";
  for (int i = 0; i < 64; ++i) many += ",4096";
  CHECK(fault_of(many).find("65 volumes") != std::string::npos);
}

}  // namespace slipring::array
