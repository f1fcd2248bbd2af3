#include "tools/stat/sample.h"

#include <doctest/doctest.h>

#include <cstring>

#include "tools/stat/report.h"

namespace slipring::tools {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;

Sample sample_at(std::uint64_t taken_ns, std::uint64_t message_count, std::uint64_t created_ns) {
  Sample sample;
  sample.taken_ns = taken_ns;
  LinkSample link;
  link.name = "p.ts";
  link.report.created_ns = created_ns;
  link.report.writer.message_count = message_count;
  link.report.reader.payload_bytes = 10 * message_count;
  sample.links.push_back(link);
  BoardSample board;
  board.name = "p.demux.board";
  BoardObserver::Entry counter{};
  std::strcpy(counter.name, "packets");
  counter.kind = BoardKind::kCounter;
  counter.value = message_count;
  BoardObserver::Entry gauge = counter;
  std::strcpy(gauge.name, "depth");
  gauge.kind = BoardKind::kGauge;
  board.entries = {counter, gauge};
  sample.boards.push_back(board);
  ProcessSample process;
  process.process_id = 1;
  process.usage.start_ticks = created_ns;
  process.usage.cpu_time_ns = message_count * 1'000'000;
  sample.processes.push_back(process);
  return sample;
}

TEST_CASE("sample: rates are differences over the time between") {
  const Sample before = sample_at(kSecondNs, 100, 5);
  const Sample now = sample_at(3 * kSecondNs, 300, 5);
  const Comparison comparison(now, &before);
  CHECK(comparison.interval_ns() == 2 * kSecondNs);
  const auto rates = comparison.rates(now.links[0]);
  REQUIRE(rates.has_value());
  CHECK(rates->writer.messages_per_s == doctest::Approx(100));
  CHECK(rates->reader.bytes_per_s == doctest::Approx(1000));
  CHECK(comparison.rate(now.boards[0], now.boards[0].entries[0]) == doctest::Approx(100));
  CHECK_FALSE(comparison.rate(now.boards[0], now.boards[0].entries[1]).has_value());
  CHECK(comparison.cpu_percent(now.processes[0]) == doctest::Approx(10));
}

TEST_CASE("sample: the first has no rates") {
  const Sample now = sample_at(kSecondNs, 100, 5);
  const Comparison comparison(now, nullptr);
  CHECK(comparison.interval_ns() == 0);
  CHECK_FALSE(comparison.rates(now.links[0]).has_value());
  CHECK_FALSE(comparison.rate(now.boards[0], now.boards[0].entries[0]).has_value());
  CHECK_FALSE(comparison.cpu_percent(now.processes[0]).has_value());
}

TEST_CASE("sample: what was made anew under the old name is not compared with the old") {
  const Sample before = sample_at(kSecondNs, 100, 5);
  const Sample now = sample_at(2 * kSecondNs, 50, 6);
  const Comparison comparison(now, &before);
  CHECK_FALSE(comparison.rates(now.links[0]).has_value());
  CHECK_FALSE(comparison.cpu_percent(now.processes[0]).has_value());
}

TEST_CASE("sample: a counter that went backwards is no gigantic rate") {
  const Sample before = sample_at(kSecondNs, 100, 5);
  const Sample now = sample_at(2 * kSecondNs, 50, 5);
  const Comparison comparison(now, &before);
  CHECK(comparison.rate(now.boards[0], now.boards[0].entries[0]) == doctest::Approx(0));
}

TEST_CASE("report: trouble is said when there is some, and only then") {
  Sample sample = sample_at(kSecondNs, 100, 5);
  CHECK_FALSE(report_text(Comparison(sample, nullptr), false).find("corrupt") != std::string::npos);
  sample.links[0].report.reader.corrupt_count = 1;
  sample.links[0].report.reader.redelivered_count = 17;
  sample.links[0].report.writer.recovered_count = 3;
  const std::string text = report_text(Comparison(sample, nullptr), false);
  CHECK(text.find("corrupt 1") != std::string::npos);
  CHECK(text.find("redelivered 17") != std::string::npos);
  CHECK(text.find("recovered buffers 3") != std::string::npos);
}

}  // namespace
}  // namespace slipring::tools
