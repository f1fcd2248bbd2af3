// The judges, the histogram, and the text of a result.

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tools/bench/cell.h"
#include "tools/bench/histogram.h"
#include "tools/bench/many_loop.h"
#include "tools/bench/message.h"
#include "tools/bench/runner.h"

namespace slipring::bench {
namespace {

TEST_CASE("stream judge: what arrives in order is clean") {
  StreamJudge judge;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    REQUIRE(judge.expected_first() == first_word(i));
    judge.accept();
  }
  CHECK(judge.received() == 1000);
  CHECK(judge.faults(1000).is_clean());
}

TEST_CASE("stream judge: a gap is counted as lost, to the message") {
  StreamJudge judge;
  judge.accept();
  judge.judge(first_word(4), true);
  CHECK(judge.expected_first() == first_word(5));
  CHECK(judge.faults(5).lost == 3);
  CHECK(judge.faults(5).reordered == 0);
}

TEST_CASE("stream judge: what comes late or twice is out of order, and not lost") {
  StreamJudge judge;
  judge.judge(first_word(1), true);
  judge.judge(first_word(0), true);
  CHECK(judge.faults(2).lost == 0);
  CHECK(judge.faults(2).reordered == 1);
}

TEST_CASE("stream judge: a wrong further word, or a first word never sent, is torn") {
  StreamJudge judge;
  judge.judge(first_word(0), false);
  judge.judge(first_word(1) ^ 1, true);
  CHECK(judge.faults(2).torn == 2);
  CHECK(judge.faults(2).lost == 0);
}

TEST_CASE("messages: every single wrong bit of 64 bytes is seen") {
  Message<64> message;
  message.set(first_word(77));
  REQUIRE(message.is(first_word(77)));
  int seen = 0;
  for (std::size_t word = 0; word < 8; ++word) {
    for (std::uint32_t bit = 0; bit < 64; ++bit) {
      Message<64> wrong = message;
      wrong.words[word] ^= std::uint64_t{1} << bit;
      seen += wrong.is(first_word(77)) ? 0 : 1;
    }
  }
  CHECK(seen == 512);
}

TEST_CASE("records: every single wrong byte of any size is seen") {
  int seen = 0;
  int all = 0;
  for (const std::size_t size : {8U, 16U, 64U, 72U, 256U, 1032U}) {
    std::vector<std::byte> bytes(size);
    set_bytes(bytes, first_word(3));
    REQUIRE(bytes_are(bytes, first_word(3)));
    REQUIRE(first_of(bytes) == first_word(3));
    for (std::byte& byte : bytes) {
      byte ^= std::byte{0x10};
      ++all;
      seen += bytes_are(bytes, first_word(3)) ? 0 : 1;
      byte ^= std::byte{0x10};
    }
  }
  CHECK(all == 1448);
  CHECK(seen == all);
}

TEST_CASE("judge of many: one twice and one lost do not hide each other") {
  ManyJudge judge;
  judge.take(tag_of(0, 0), true);
  judge.take(tag_of(0, 1), true);
  judge.take(tag_of(0, 1), true);
  const Faults faults = judge.faults(3, 0 + 1 + 2);
  CHECK(faults.lost == 1);
  CHECK(faults.reordered == 1);
}

TEST_CASE("judge of many: sequences go on beyond the 28 bits that travel") {
  ManyJudge judge;
  std::uint64_t sum = 0;
  std::uint64_t count = 0;
  // In steps that a consumer among many would see.
  for (std::uint64_t sequence = 0; sequence < (std::uint64_t{1} << 30); sequence += 100'000'007) {
    judge.take(tag_of(3, sequence), true);
    sum += sequence;
    ++count;
  }
  const Faults faults = judge.faults(count, sum);
  CHECK(count == 11);
  CHECK(faults.is_clean());
}

TEST_CASE("histogram: a percentile is within 1.6 % of the true one, at every magnitude") {
  int checked = 0;
  for (std::uint64_t value = 1; value < (std::uint64_t{1} << 62); value = value * 3 / 2 + 1) {
    const std::uint64_t upper = Histogram::upper_of(Histogram::bucket_of(value));
    REQUIRE(upper >= value);
    REQUIRE(static_cast<double>(upper - value) <= 0.016 * static_cast<double>(value));
    ++checked;
  }
  CHECK(checked > 90);
  Histogram histogram;
  for (std::uint64_t value = 1; value <= 100'000; ++value) histogram.add(value);
  CHECK(histogram.max() == 100'000);
  CHECK(std::abs(static_cast<double>(histogram.percentile(0.5)) - 50'000) < 800);
  CHECK(std::abs(static_cast<double>(histogram.percentile(0.9999)) - 99'990) < 1600);
  CHECK(histogram.percentile(1) == 100'000);
}

TEST_CASE("histogram: buckets follow each other without gap or overlap") {
  std::uint64_t last = 0;
  for (std::size_t bucket = 1; bucket < Histogram::kBucketCount; ++bucket) {
    REQUIRE(Histogram::bucket_of(last) == bucket - 1);
    REQUIRE(Histogram::bucket_of(last + 1) == bucket);
    last = Histogram::upper_of(bucket);
  }
  CHECK(last == UINT64_MAX);
}

TEST_CASE("a result survives being text, and half a text is no result") {
  CellResult result;
  result.value = 123456789.5;
  result.message_count = 42;
  result.faults = {1, 2, 3};
  result.stalled = true;
  result.bounce_before_ns = 97.5;
  result.bounce_after_ns = 98.25;
  result.latency.add(17, 5);
  result.latency.add(1'000'000, 1);
  result.extras.emplace_back("stops", 40);
  const std::string text = result.to_text();
  const auto read = CellResult::from_text(text);
  REQUIRE(read.has_value());
  CHECK(read->value == doctest::Approx(result.value));
  CHECK(read->message_count == 42);
  CHECK(read->faults.lost == 1);
  CHECK(read->faults.reordered == 2);
  CHECK(read->faults.torn == 3);
  CHECK(read->stalled);
  CHECK(read->latency.total() == 6);
  CHECK(read->latency.percentile(0.5) == 17);
  REQUIRE(read->extras.size() == 1);
  CHECK(read->extras[0].second == 40);
  int refused = 0;
  for (std::size_t size = 0; size + 1 < text.size(); ++size) {
    refused += CellResult::from_text(text.substr(0, size)).has_value() ? 0 : 1;
  }
  CHECK(refused == static_cast<int>(text.size()) - 1);
  CHECK_FALSE(CellResult::from_text("value none\nend\n").has_value());
}

Measured measured_of(std::initializer_list<std::array<double, 2>> values_and_bounces) {
  Measured measured;
  for (const auto& [value, bounce_ns] : values_and_bounces) {
    CellResult result;
    result.value = value;
    result.bounce_before_ns = bounce_ns;
    result.bounce_after_ns = 100;
    measured.repetitions.push_back(result);
  }
  return measured;
}

TEST_CASE("settling: the median is that of the near repetitions") {
  Measured measured = measured_of({{10, 100}, {90, 161}, {12, 160}, {14, 100}});
  settle(measured, 100);
  CHECK(measured.far_count == 1);
  CHECK_FALSE(measured.is_far);
  CHECK(measured.value.median == 12);
  CHECK(measured.value.most == 14);
}

TEST_CASE("settling: without a near repetition the far ones count, and say so") {
  Measured measured = measured_of({{10, 200}, {20, 300}});
  settle(measured, 100);
  CHECK(measured.is_far);
  CHECK(measured.far_count == 2);
  CHECK(measured.value.median == 15);
}

TEST_CASE("settling: one stall among good repetitions makes the figure 0") {
  Measured measured = measured_of({{10, 100}, {11, 100}, {0, 100}});
  measured.stall_count = 1;
  settle(measured, 100);
  CHECK(measured.value.median == 0);
}

TEST_CASE("workloads: ids are unique, and every one can be found") {
  int found = 0;
  for (const Workload& workload : workloads()) {
    found += find_workload(workload.id) == &workload ? 1 : 0;
  }
  CHECK(found == static_cast<int>(workloads().size()));
  CHECK(find_workload("no such thing") == nullptr);
}

}  // namespace
}  // namespace slipring::bench
