// Stages are killed while clients write and read and compare every byte.
//
// SLIPRING_KILLS=10000 makes a campaign of it; SLIPRING_SEED another one.

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/pipelines/array/nbd/ledger_client.h"
#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {
namespace {

// Clients at work, each on its own part of the disk, until they are told to stop.
class Clients {
 public:
  Clients(const ServedArray& array, std::uint32_t seed) {
    constexpr std::uint32_t kCount = 3;
    for (std::uint32_t i = 0; i < kCount; ++i) {
      std::optional<NbdClient> client = NbdClient::connect(array.socket());
      REQUIRE(client.has_value());
      // One of them takes simple replies.
      REQUIRE(client->enter("", i != 0));
      const std::uint64_t part = client->export_bytes() / kSectorBytes / kCount;
      ledgers_.push_back(std::make_unique<LedgerClient>(std::move(*client), i * part, part,
                                                        seed + i, 1U << (2 * i)));
    }
    for (const auto& ledger : ledgers_) {
      threads_.emplace_back([this, &ledger] {
        while (!stop_.load(std::memory_order_relaxed) && ledger->counts().fault.empty()) {
          ledger->run(50);
        }
        if (ledger->counts().fault.empty()) ledger->finish();
        if (!ledger->counts().fault.empty()) has_fault_.store(true, std::memory_order_relaxed);
      });
    }
  }
  ~Clients() { static_cast<void>(stop()); }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  [[nodiscard]] bool has_fault() const { return has_fault_.load(std::memory_order_relaxed); }
  [[nodiscard]] LedgerCounts stop() {
    stop_.store(true, std::memory_order_relaxed);
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    LedgerCounts all;
    for (const auto& ledger : ledgers_) {
      all.reads += ledger->counts().reads;
      all.writes += ledger->counts().writes;
      all.others += ledger->counts().others;
      all.sectors_compared += ledger->counts().sectors_compared;
      all.refusals += ledger->counts().refusals;
      if (all.fault.empty()) all.fault = ledger->counts().fault;
    }
    return all;
  }

 private:
  std::vector<std::unique_ptr<LedgerClient>> ledgers_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> has_fault_{false};
};

// Kills one of these stages after the other, as often as the settings say.
void kill_under_clients(const std::string& pipeline,
                        std::vector<std::pair<std::string, std::string>> settings,
                        const std::vector<std::string>& stages) {
  const std::uint32_t kills = setting("SLIPRING_KILLS", 15);
  const std::uint32_t seed = setting("SLIPRING_SEED", 20261);
  ServedArray array(pipeline, std::move(settings));
  std::mt19937 random(seed);
  std::map<std::string, std::uint32_t> killed;
  Clients clients(array, seed);
  for (std::uint32_t i = 0; i < kills && !clients.has_fault(); ++i) {
    // Somewhere in the middle of their work: when so many more requests have been taken.
    const std::uint64_t until = array.number("nbd", "requests") + random() % 400;
    const auto has_come = [&] {
      return clients.has_fault() || array.number("nbd", "requests") >= until;
    };
    // On a machine that has much else to do that may take long; but something must come.
    for (std::uint64_t seen = 0; !eventually(has_come, 60);
         seen = array.number("nbd", "requests")) {
      REQUIRE_MESSAGE(array.number("nbd", "requests") > seen,
                      "no request is served: " << array.log());
    }
    const std::string& stage = stages[random() % stages.size()];
    ++killed[stage];
    array.kill_stage(stage);
  }
  const LedgerCounts counts = clients.stop();
  std::string kills_text;
  for (const auto& [stage, count] : killed) {
    kills_text += " " + std::to_string(count) + " of " + stage;
  }
  MESSAGE(pipeline, ", seed ", seed, ", kills:", kills_text, "; ", counts.reads, " reads, ",
          counts.writes, " writes, ", counts.others, " others, ", counts.sectors_compared,
          " sectors compared, ", array.number("nbd", "connections_resumed"),
          " connections resumed, ", array.number("nbd", "replies_for_nobody"),
          " replies for nobody");
  CHECK_MESSAGE(counts.fault.empty(), counts.fault, "\n", array.log());
  CHECK(counts.refusals == 0);
  CHECK(counts.sectors_compared > 0);
  CHECK(array.number("nbd", "connections_resumed") > 0);
  CHECK(array.number("nbd", "protocol_errors") == 0);
  CHECK(array.stop() == 0);
}

TEST_CASE("nbd: stages killed under clients who compare every byte cost a pause and nothing else") {
  kill_under_clients("plain.toml", {}, {"nbd", "nbd", "file"});
}

TEST_CASE("array: any stage killed under clients who compare every byte costs a pause") {
  const SocketFolder folder;
  kill_under_clients("array.toml", small_disks(folder),
                     {"nbd", "cache", "raid", "disk0", "disk1", "disk2", "disk3"});
}

}  // namespace
}  // namespace slipring::test
