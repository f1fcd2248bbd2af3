#include "tools/bench/many_loop.h"

#include <time.h>

#include "platform/wait/clock.h"

namespace slipring::bench {
namespace {

void sleep_until(std::uint64_t time_ns) {
  timespec at{};
  at.tv_sec = static_cast<time_t>(time_ns / 1'000'000'000);
  at.tv_nsec = static_cast<long>(time_ns % 1'000'000'000);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) != 0) {
  }
}

std::uint64_t received_so_far(const ManyTotals& totals, std::uint32_t consumer_count) {
  std::uint64_t count = 0;
  for (std::uint32_t i = 0; i < consumer_count; ++i) count += totals.received[i].look();
  return count;
}

}  // namespace

ManyRate watch_many(const ManyTotals& totals, std::uint32_t consumer_count,
                    std::uint64_t duration_ns) {
  const std::uint64_t start_ns = monotonic_ns();
  sleep_until(start_ns + duration_ns / 5);
  const std::uint64_t begin_ns = monotonic_ns();
  const std::uint64_t begin_count = received_so_far(totals, consumer_count);
  sleep_until(start_ns + duration_ns);
  const std::uint64_t end_ns = monotonic_ns();
  const std::uint64_t end_count = received_so_far(totals, consumer_count);
  ManyRate rate;
  rate.messages_per_second =
      static_cast<double>(end_count - begin_count) * 1e9 / static_cast<double>(end_ns - begin_ns);
  rate.stood_still = end_count == begin_count;
  return rate;
}

}  // namespace slipring::bench
