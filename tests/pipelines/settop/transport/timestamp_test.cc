#include "pipelines/settop/transport/timestamp.h"

#include <doctest/doctest.h>

#include <initializer_list>

namespace slipring::settop {
namespace {

constexpr std::uint64_t kWrap = std::uint64_t{1} << 33;
constexpr std::uint64_t raw(std::int64_t value) {
  return static_cast<std::uint64_t>(value) & (kWrap - 1);
}

TEST_CASE("timestamp: the first stamp stands for itself") {
  TimestampLine line;
  CHECK(line.follow(kWrap - 1) == static_cast<std::int64_t>(kWrap - 1));
  line.reset();
  CHECK(line.follow(0) == 0);
}

TEST_CASE("timestamp: a line that runs on for a year never jumps") {
  TimestampLine line;
  std::int64_t value = 12345;
  const std::int64_t step = 90'000 * 60;  // a minute
  for (int minute = 0; minute < 60 * 24 * 365; ++minute) {
    REQUIRE(line.follow(raw(value)) == value);
    value += step;
  }
  CHECK(value / kTimestampSpan > 300);
}

TEST_CASE("timestamp: stamps on both sides of the wrap stay in order") {
  TimestampLine line;
  const auto wrap = static_cast<std::int64_t>(kWrap);
  for (std::int64_t dts = wrap - 10 * 3600; dts < wrap + 10 * 3600; dts += 3600) {
    CHECK(line.follow(raw(dts)) == dts);
    CHECK(line.nearest(raw(dts + 3 * 3600)) == dts + 3 * 3600);  // a reordered picture
    CHECK(line.follow(raw(dts - 40'000)) == dts - 40'000);       // the other stream lags behind
  }
}

TEST_CASE("timestamp: a stamp just before the first one, across the wrap, is negative") {
  TimestampLine line;
  CHECK(line.follow(100) == 100);
  CHECK(line.follow(kWrap - 100) == -100);
}

TEST_CASE("timestamp: one wrong stamp, of whichever bit, does not move the line") {
  for (int bit = 0; bit < 33; ++bit) {
    TimestampLine line;
    std::int64_t value = 4'000'000'000;
    for (int i = 0; i < 10; ++i, value += 3600) CHECK(line.follow(raw(value)) == value);
    (void)line.follow(raw(value) ^ std::uint64_t{1} << bit);
    for (int i = 0; i < 10; ++i, value += 3600) CHECK(line.follow(raw(value)) == value);
  }
}

TEST_CASE("timestamp: a real jump is followed, and keeps its distances") {
  for (const std::int64_t jump : {std::int64_t{1} << 31, std::int64_t{1} << 32,
                                  -(std::int64_t{1} << 31), std::int64_t{5'000'000'000}}) {
    TimestampLine line;
    std::int64_t value = 4'000'000'000;
    for (int i = 0; i < 10; ++i, value += 3600) CHECK(line.follow(raw(value)) == value);
    std::int64_t last = line.follow(raw(value + jump));
    for (int i = 1; i < 400'000; ++i) {
      const std::int64_t next = line.follow(raw(value + jump + i * std::int64_t{90'000}));
      REQUIRE(next - last == 90'000);
      last = next;
    }
  }
}

}  // namespace
}  // namespace slipring::settop
