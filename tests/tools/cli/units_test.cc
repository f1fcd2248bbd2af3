#include "tools/cli/units.h"

#include <doctest/doctest.h>

#include <cstdint>

namespace slipring::tools {

TEST_CASE("units: sizes are exact where they can be, and short where not") {
  CHECK(binary_size(0) == "0 B");
  CHECK(binary_size(192) == "192 B");
  CHECK(binary_size(1024) == "1 KiB");
  CHECK(binary_size(4 * 1024 * 1024) == "4 MiB");
  CHECK(binary_size(4 * 1024 * 1024 + 12288) == "4.0 MiB");
  CHECK(binary_size(1536 * 1024 + 1) == "1.5 MiB");
  CHECK(binary_size(134246400) == "128 MiB");
  CHECK(binary_size(UINT64_MAX) == "16.0 EiB");
}

TEST_CASE("units: amounts have three digits and a prefix") {
  CHECK(si_amount(0) == "0");
  CHECK(si_amount(0.25) == "0.2");
  CHECK(si_amount(7) == "7");
  CHECK(si_amount(950) == "950");
  CHECK(si_amount(999.6) == "1.00 k");
  CHECK(si_amount(12345) == "12.3 k");
  CHECK(si_amount(1250000) == "1.25 M");
  CHECK(si_amount(0, "B") == "0 B");
  CHECK(si_amount(3400000, "B") == "3.40 MB");
}

TEST_CASE("units: times are short") {
  CHECK(latency(412) == "412 ns");
  CHECK(latency(41200) == "41.2 us");
  CHECK(latency(1250000) == "1.25 ms");
  CHECK(latency(2100000000) == "2.10 s");
  CHECK(age(119'000'000'000) == "119 s");
  CHECK(age(120'000'000'000) == "2 min");
  CHECK(age(7200'000'000'000) == "2 h");
  CHECK(age(std::uint64_t{3} * 86400 * 1'000'000'000) == "3 d");
}

TEST_CASE("units: only what is empty is 0 %, only what is full is 100 %") {
  CHECK(percentage(0, 4096) == "0 %");
  CHECK(percentage(1, 4096) == "1 %");
  CHECK(percentage(2048, 4096) == "50 %");
  CHECK(percentage(4095, 4096) == "99 %");
  CHECK(percentage(4096, 4096) == "100 %");
  CHECK(percentage(1, 0) == "0 %");
}

TEST_CASE("units: seconds are positive, finite and whole words") {
  CHECK(parse_seconds_ns("1") == 1'000'000'000);
  CHECK(parse_seconds_ns("0.5") == 500'000'000);
  for (const char* text : {"", "0", "-1", "nan", "inf", "1s", "1e99", " 1", "0.0000000001"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_seconds_ns(text).has_value());
  }
}

TEST_CASE("units: a pool is a count times a size") {
  const auto pool = parse_pool("32x4MiB");
  REQUIRE(pool.has_value());
  CHECK(pool->buffer_count == 32);
  CHECK(pool->buffer_bytes == 4 * 1024 * 1024);
  CHECK(parse_pool("2\u00d764")->buffer_bytes == 64);
  CHECK(parse_pool("2X64")->buffer_count == 2);
  for (const char* text : {"", "x", "32", "32x", "x4MiB", "0x4MiB", "32x0", "32y4", "32x4MiBs",
                           "-1x4", "99999999999x4"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_pool(text).has_value());
  }
}

}  // namespace slipring::tools
