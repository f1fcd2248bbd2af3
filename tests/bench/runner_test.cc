// The runner with sound and planted contenders.  This program is its own child: with --cell it runs
// one cell, as the report does.

#define DOCTEST_CONFIG_IMPLEMENT
#include "tools/bench/runner.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "bench/peers/peers.h"
#include "tests/bench/faulty_channel.h"
#include "tools/bench/contenders.h"
#include "tools/bench/machine_facts.h"
#include "tools/bench/many_loop.h"
#include "tools/bench/stream_loop.h"
#include "tools/bench/trip_loop.h"

namespace slipring::bench {
namespace {

using M = Message<64>;

template <Fault kFault>
CellResult run_faulty(const CellSettings& settings) {
  return run_stream<FaultyChannel<M, kFault>, M, 1, Sides::kThreads>(settings);
}

CellResult die(const CellSettings&) {
  _exit(0);
}

constexpr Contender kSound{"sound", "sound", Family::kPeer, ""};
constexpr Contender kLoses{"loses", "loses one", Family::kPeer, ""};
constexpr Contender kSwaps{"swaps", "swaps two", Family::kPeer, ""};
constexpr Contender kRepeats{"repeats", "repeats one", Family::kPeer, ""};
constexpr Contender kTears{"tears", "tears a word", Family::kPeer, ""};
constexpr Contender kFull{"full", "full for ever", Family::kPeer, ""};
constexpr Contender kEmpty{"empty", "empty for ever", Family::kPeer, ""};
constexpr Contender kHangs{"hangs", "never returns", Family::kPeer, ""};
constexpr Contender kDies{"dies", "ends without a result", Family::kPeer, ""};

const Registry& planted() {
  static const Registry kRegistry = [] {
    Registry registry;
    registry.add("spsc64.1k", kSound, run_faulty<Fault::kNone>);
    registry.add("spsc64.1k", kLoses, run_faulty<Fault::kLosesOne>);
    registry.add("spsc64.1k", kSwaps, run_faulty<Fault::kSwapsTwo>);
    registry.add("spsc64.1k", kRepeats, run_faulty<Fault::kRepeatsOne>);
    registry.add("spsc64.1k", kTears, run_faulty<Fault::kTearsWord>);
    registry.add("spsc64.1k", kFull, run_faulty<Fault::kStallsAtPush>);
    registry.add("spsc64.1k", kEmpty, run_faulty<Fault::kStallsAtPop>);
    registry.add("spsc64.1k", kHangs, run_faulty<Fault::kHangs>);
    registry.add("spsc64.1k", kDies, die);
    add_slipring(registry);
    add_slipring_links(registry);
    add_slipring_waiting(registry);
    add_light_peers(registry);
    add_kernel(registry);
    add_raw_limits(registry);
    return registry;
  }();
  return kRegistry;
}

RunnerOptions short_run() {
  RunnerOptions options;
  options.settings = default_settings();
  options.settings.duration_ns = 20'000'000;
  options.repetition_count = 1;
  return options;
}

CellResult run(const std::string& name, const RunnerOptions& options = short_run()) {
  const Cell* const cell = planted().find(name);
  REQUIRE(cell != nullptr);
  return run_in_process(*cell, options);
}

// Longer and longer, until both sides have had so much of a processor that as many messages have
// come, and neither gave up.
CellResult run_past(const std::string& name, std::uint64_t message_count) {
  RunnerOptions options = short_run();
  for (int again = 0;; ++again) {
    CellResult result = run(name, options);
    const bool is_enough = result.message_count > message_count && !result.stalled;
    if (is_enough || !result.skipped.empty() || again == 10) return result;
    MESSAGE(name, ": ", result.message_count, " messages in the cell's time: once more, longer");
    options.settings.duration_ns =
        std::min<std::uint64_t>(2 * options.settings.duration_ns, 1'000'000'000);
  }
}

constexpr std::uint64_t kFaultAt = FaultyChannel<M, Fault::kNone>::kAt;

TEST_CASE("runner: a sound contender is clean, and more than the fault's place has passed") {
  const CellResult result = run_past("spsc64.1k/sound", kFaultAt);
  CHECK(result.faults.is_clean());
  CHECK_FALSE(result.stalled);
  CHECK(result.message_count > kFaultAt);
}

TEST_CASE("runner: a lost message is marked, with its number") {
  const CellResult result = run_past("spsc64.1k/loses", kFaultAt);
  CHECK(result.faults.lost == 1);
  CHECK(result.faults.reordered == 0);
  CHECK(result.faults.torn == 0);
}

TEST_CASE("runner: a changed order is marked, with its number") {
  const CellResult result = run_past("spsc64.1k/swaps", kFaultAt);
  CHECK(result.faults.lost == 0);
  CHECK(result.faults.reordered == 1);
  CHECK(result.faults.torn == 0);
}

TEST_CASE("runner: a message that comes twice is marked") {
  CHECK(run_past("spsc64.1k/repeats", kFaultAt).faults.reordered == 1);
}

TEST_CASE("runner: a torn word is marked, with its number") {
  const CellResult result = run_past("spsc64.1k/tears", kFaultAt);
  CHECK(result.faults.lost == 0);
  CHECK(result.faults.torn == 1);
}

TEST_CASE("runner: a contender that stalls is marked and counts as 0, wherever it stalls") {
  for (const char* name : {"spsc64.1k/full", "spsc64.1k/empty", "spsc64.1k/hangs"}) {
    CAPTURE(std::string(name));
    const CellResult result = run(name);
    CHECK(result.stalled);
    CHECK(result.value == 0);
  }
}

TEST_CASE("runner: a process that ends without a result is named, not counted") {
  const CellResult result = run("spsc64.1k/dies");
  CHECK(result.skipped == "its process ended without a result");
}

// One of each kind of loop; on one processor they only show that nothing is lost.
TEST_CASE("runner: ours, the light peers, and the kernel are clean in every loop") {
  int run_count = 0;
  std::uint64_t message_count = 0;
  for (const char* name : {"spsc8.1k/slipring.spsc",
                           "spsc8.batch/slipring.spsc",
                           "spsc64.64k/slipring.slot",
                           "trip8/slipring.spsc",
                           "trip64/line",
                           "process.spsc8/slipring.spsc",
                           "process.trip64/slipring.spsc",
                           "record16/slipring.record",
                           "record64k/slipring.record",
                           "record1k/hand-over",
                           "record4k/unix-seqpacket",
                           "record64k/pipe",
                           "record64/cached-index",
                           "mpmc8.1x1/slipring.mpmc",
                           "mpmc8.2x2/slipring.mpmc",
                           "mpmc8.2x2/vyukov",
                           "mpmc64.2x2/vyukov",
                           "mpmc8.4x4/concurrentqueue",
                           "alone8/slipring.spsc",
                           "stopped/slipring.mpmc",
                           "handle1m/slipring.pool",
                           "process.spsc64/slipring.link",
                           "stream4k/slipring.stream",
                           "stream1m/slipring.stream",
                           "stream64k/unix-stream",
                           "stream1m/tcp",
                           "mpmc64.2x2/slipring.exchange",
                           "fan4/slipring.broadcast"}) {
    CAPTURE(std::string(name));
    const CellResult result = run_past(name, 0);
    CHECK(result.skipped == "");
    CAPTURE(result.faults.lost);
    CAPTURE(result.faults.reordered);
    CAPTURE(result.faults.torn);
    CHECK(result.faults.is_clean());
    CHECK_FALSE(result.stalled);
    CHECK(result.message_count > 0);
    ++run_count;
    message_count += result.message_count;
  }
  MESSAGE("cells: ", run_count, ", messages: ", message_count);
}

TEST_CASE("runner: contenders of one workload come there and back again") {
  std::vector<std::string> order;
  RunnerOptions options = short_run();
  options.settings.duration_ns = 2'000'000;
  options.repetition_count = 2;
  options.progress = [&](std::size_t, std::size_t, const std::string& name) {
    order.push_back(name);
  };
  std::vector<const Cell*> cells;
  for (const char* name : {"spsc64.1k/sound", "spsc64.1k/loses", "spsc64.1k/tears"}) {
    cells.push_back(planted().find(name));
  }
  const RunOutcome outcome = run_cells(cells, options);
  REQUIRE(order.size() >= 6);  // and those that were far
  order.resize(6);
  CHECK(order == std::vector<std::string>{"spsc64.1k/sound", "spsc64.1k/loses", "spsc64.1k/tears",
                                          "spsc64.1k/tears", "spsc64.1k/loses", "spsc64.1k/sound"});
  CHECK(outcome.measured.size() == 3);
  CHECK(outcome.message_count > 0);
}

TEST_CASE("machine facts: joules come from the package's counter, or not at all") {
  const std::filesystem::path folder =
      std::filesystem::path(std::getenv("TEST_TMPDIR")) / "powercap";
  CHECK_FALSE(energy_joules(folder).has_value());
  std::filesystem::create_directories(folder / "intel-rapl:0");
  std::ofstream(folder / "intel-rapl:0" / "energy_uj") << "2500000\n";
  const std::optional<double> joules = energy_joules(folder);
  REQUIRE(joules.has_value());
  CHECK(*joules == 2.5);
  std::ofstream(folder / "intel-rapl:0" / "energy_uj") << "none\n";
  CHECK_FALSE(energy_joules(folder).has_value());
}

TEST_CASE("runner: nothing begins when the budget is spent") {
  RunnerOptions options = short_run();
  options.budget_ns = 0;
  const RunOutcome outcome = run_cells({planted().find("spsc64.1k/sound")}, options);
  CHECK(outcome.left_out_count == 1);
  CHECK_FALSE(outcome.measured[0].was_measured());
}

}  // namespace
}  // namespace slipring::bench

int main(int argc, char** argv) {
  using namespace slipring::bench;
  CellRequest request;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i];
    if (key == "--cell") request.name = argv[i + 1];
    if (key == "--duration-ns") request.settings.duration_ns = std::stoull(argv[i + 1]);
    if (key == "--cpus" && !parse_cpus(argv[i + 1], request.settings)) return 2;
  }
  if (!request.name.empty()) return answer_cell_request(planted(), request);
  return doctest::Context(argc, argv).run();
}
