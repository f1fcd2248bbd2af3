// What the experiments found, and how many there were.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace slipring::crash {

// What can be wrong.
enum class Oracle : std::size_t {
  kLost,      // a committed message does not come
  kRepeated,  // one comes twice, and the second is not marked
  kTorn,      // bytes that nobody wrote there
  kOrder,     // a later one comes first
  kLeak,      // a buffer is nobody's, or two people's
  kProgress,  // others could not go on
  kOutcome,   // an answer that no history explains
  kHarness,   // the experiment was not what it says
};
inline constexpr std::size_t kOracles = 8;

[[nodiscard]] constexpr const char* name_of(Oracle oracle) {
  constexpr std::array<const char*, kOracles> kNames{"lost", "repeated", "torn",    "order",
                                                     "leak", "progress", "outcome", "harness"};
  return kNames[static_cast<std::size_t>(oracle)];
}

class Findings {
 public:
  void add(Oracle oracle, std::string what) {
    if (total() == 0) first_ = std::string(name_of(oracle)) + ": " + std::move(what);
    ++counts_[static_cast<std::size_t>(oracle)];
  }
  // `what` need not hold.
  void expect(bool holds, Oracle oracle, const char* what) {
    if (!holds) add(oracle, what);
  }
  void add(const Findings& other) {
    if (total() == 0) first_ = other.first_;
    for (std::size_t i = 0; i < kOracles; ++i) counts_[i] += other.counts_[i];
  }
  [[nodiscard]] std::uint64_t of(Oracle oracle) const {
    return counts_[static_cast<std::size_t>(oracle)];
  }
  [[nodiscard]] std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : counts_) sum += count;
    return sum;
  }
  [[nodiscard]] const std::string& first() const { return first_; }

 private:
  std::array<std::uint64_t, kOracles> counts_{};
  std::string first_;
};

// One operation of one ring, over all states that it was begun in.
struct Tally {
  std::string name;
  std::uint64_t start_count = 0;
  std::uint64_t instruction_count = 0;
  std::uint64_t kill_count = 0;       // instants of death judged
  std::uint64_t image_count = 0;      // different memories among them
  std::uint64_t real_kill_count = 0;  // made by SIGKILL
  std::uint64_t stop_count = 0;
  std::uint64_t signal_count = 0;
  std::uint64_t pair_count = 0;
  Findings findings;

  void add(const Tally& other) {
    start_count += other.start_count;
    instruction_count += other.instruction_count;
    kill_count += other.kill_count;
    image_count += other.image_count;
    real_kill_count += other.real_kill_count;
    stop_count += other.stop_count;
    signal_count += other.signal_count;
    pair_count += other.pair_count;
    findings.add(other.findings);
  }
};

// The table that a test or a campaign prints.
inline void print_table(const std::vector<Tally>& rows) {
  const auto print = [](const Tally& row) {
    const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    std::printf("%-46s %6llu %9llu %9llu %7llu %7llu %9llu %9llu %9llu %6llu\n", row.name.c_str(),
                number(row.start_count), number(row.instruction_count), number(row.kill_count),
                number(row.image_count), number(row.real_kill_count), number(row.stop_count),
                number(row.signal_count), number(row.pair_count), number(row.findings.total()));
  };
  std::printf("%-46s %6s %9s %9s %7s %7s %9s %9s %9s %6s\n", "ring, operation", "starts", "steps",
              "kills", "images", "SIGKILL", "stops", "signals", "pairs", "wrong");
  Tally sum;
  sum.name = "all";
  for (const Tally& row : rows) {
    print(row);
    sum.add(row);
    if (row.findings.total() != 0) std::printf("    first: %s\n", row.findings.first().c_str());
  }
  print(sum);
  std::fflush(stdout);
}

}  // namespace slipring::crash
