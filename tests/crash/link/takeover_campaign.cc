// From SIGKILL to the successor's first message, again and again.
// usage: takeover_campaign [--count=N] [--seconds=N]

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "platform/wait/clock.h"
#include "tests/crash/link/takeover.h"

int main(int argc, char** argv) {
  using namespace slipring;
  std::uint64_t count = 2000;
  std::uint64_t seconds = 600;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word.starts_with("--count=")) {
      count = std::strtoull(argv[i] + 8, nullptr, 10);
    } else if (word.starts_with("--seconds=")) {
      seconds = std::strtoull(argv[i] + 10, nullptr, 10);
    } else {
      std::fprintf(stderr, "usage: %s [--count=N] [--seconds=N]\n", argv[0]);
      return 2;
    }
  }
  const crash::PrivateTmpfs tmpfs;
  const std::uint64_t deadline_ns = deadline_after(seconds * 1'000'000'000);
  bool is_well = true;
  for (const auto way : {crash::TakeoverWay::kCertificate, crash::TakeoverWay::kSupervisor}) {
    crash::Takeovers found = crash::measure_takeovers(tmpfs, way, count, deadline_ns);
    const bool supervised = way == crash::TakeoverWay::kSupervisor;
    std::printf("%s\n", supervised ? "a supervisor sees the pidfd and tells the successor:"
                                   : "the successor sleeps on the certificate itself:");
    if (supervised) {
      std::printf("  killed to noticed: %s\n", crash::quantiles_of(found.noticed_ns).c_str());
    }
    std::printf("  killed to reading: %s\n", crash::quantiles_of(found.reading_ns).c_str());
    std::printf("  lost %llu, repeated without a mark %llu, failures %llu\n",
                static_cast<unsigned long long>(found.lost),
                static_cast<unsigned long long>(found.unmarked_repeats),
                static_cast<unsigned long long>(found.failures));
    is_well = is_well && found.lost + found.unmarked_repeats + found.failures == 0;
  }
  return is_well ? 0 : 1;
}
