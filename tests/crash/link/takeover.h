// How long a link stands still when one of its ends is killed: from the SIGKILL to the moment at
// which a successor that stands by has taken over and read, or written, the next message.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/crash/link/link_ports.h"
#include "tests/crash/link/private_tmpfs.h"

namespace slipring::crash {

// Who notices the death.
enum class TakeoverWay : std::uint8_t {
  kCertificate,  // the successor itself sleeps on the role (wait_for_role)
  kSupervisor,   // another process sleeps on the pidfd and tells the successor through a pipe
};

struct Takeovers {
  std::vector<std::uint64_t> noticed_ns;  // kSupervisor: SIGKILL sent to death seen
  std::vector<std::uint64_t> reading_ns;  // SIGKILL sent to the successor's first message
  std::uint64_t lost = 0;
  std::uint64_t unmarked_repeats = 0;
  std::uint64_t failures = 0;  // of set-up, so that nothing was measured
};

// Kills the reader of a link `count` times, or until `deadline_ns`; a message is always waiting.
[[nodiscard]] Takeovers measure_takeovers(const PrivateTmpfs& tmpfs, TakeoverWay way,
                                          std::uint64_t count, std::uint64_t deadline_ns);

// "p50 120 us, p99 300 us, max 1200 us, N 2000"; sorts.
[[nodiscard]] std::string quantiles_of(std::vector<std::uint64_t>& times_ns);

}  // namespace slipring::crash
