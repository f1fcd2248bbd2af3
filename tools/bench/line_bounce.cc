#include "tools/bench/line_bounce.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "platform/wait/clock.h"
#include "tools/bench/shared_word.h"
#include "tools/bench/sides.h"

namespace slipring::bench {
namespace {

constexpr std::uint64_t kSeriesCount = 8;
constexpr std::uint64_t kBounceCount = 1500;

}  // namespace

double line_bounce_ns(const CellSettings& settings) {
  if (settings.cpu_here == settings.cpu_there) return 0;
  SharedWord line;
  std::thread peer([&] {
    pin_to(settings.cpu_there);
    for (std::uint64_t wanted = 1; wanted < 2 * kSeriesCount * kBounceCount; wanted += 2) {
      while (line.look() != wanted) {
      }
      line.publish(wanted + 1);
    }
  });
  pin_to(settings.cpu_here);
  std::vector<double> series_ns;
  std::uint64_t number = 0;
  for (std::uint64_t series = 0; series < kSeriesCount; ++series) {
    const std::uint64_t begin_ns = monotonic_ns();
    for (std::uint64_t i = 0; i < kBounceCount; ++i, number += 2) {
      line.publish(number + 1);
      while (line.look() != number + 2) {
      }
    }
    const auto spent_ns = static_cast<double>(monotonic_ns() - begin_ns);
    series_ns.push_back(spent_ns / static_cast<double>(kBounceCount));
  }
  peer.join();
  // Neither the luckiest series nor those that an interrupt fell into.
  std::nth_element(series_ns.begin(), series_ns.begin() + kSeriesCount / 4, series_ns.end());
  return series_ns[kSeriesCount / 4];
}

}  // namespace slipring::bench
