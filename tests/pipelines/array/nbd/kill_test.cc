// Stages are killed while clients write and read and compare every byte.
//
// SLIPRING_KILLS=10000 makes a campaign of it; SLIPRING_SEED another one.

#include <doctest/doctest.h>
#include <stdlib.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/pipelines/array/nbd/ledger_client.h"
#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {
namespace {

std::uint32_t setting(const char* name, std::uint32_t otherwise) {
  const char* text = getenv(name);
  return text != nullptr ? static_cast<std::uint32_t>(atoi(text)) : otherwise;
}

// Clients at work, each on its own part of the disk, until they are told to stop.
class Clients {
 public:
  Clients(const ServedArray& array, std::uint64_t sectors, std::uint32_t seed) {
    constexpr std::uint32_t kCount = 3;
    for (std::uint32_t i = 0; i < kCount; ++i) {
      std::optional<NbdClient> client = NbdClient::connect(array.socket());
      REQUIRE(client.has_value());
      // One of them takes simple replies.
      REQUIRE(client->enter("", i != 0));
      const std::uint64_t part = sectors / kCount;
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

TEST_CASE("nbd: stages killed under clients who compare every byte cost a pause and nothing else") {
  const std::uint32_t kills = setting("SLIPRING_KILLS", 15);
  const std::uint32_t seed = setting("SLIPRING_SEED", 20261);
  ServedArray array("plain.toml");
  std::mt19937 random(seed);
  std::uint32_t killed[2] = {0, 0};
  Clients clients(array, 32 * 2048, seed);
  for (std::uint32_t i = 0; i < kills && !clients.has_fault(); ++i) {
    // Somewhere in the middle of their work: when so many more requests have been taken.
    const std::uint64_t until = array.number("nbd", "requests") + random() % 400;
    REQUIRE_MESSAGE(
        eventually([&] { return clients.has_fault() || array.number("nbd", "requests") >= until; },
                   60),
        "no request is served: " << array.log());
    const bool is_front = random() % 3 != 0;
    ++killed[is_front ? 0 : 1];
    array.kill_stage(is_front ? "nbd" : "file");
  }
  const LedgerCounts counts = clients.stop();
  MESSAGE("seed ", seed, ": ", killed[0], " kills of nbd and ", killed[1], " of file; ",
          counts.reads, " reads, ", counts.writes, " writes, ", counts.others, " others, ",
          counts.sectors_compared, " sectors compared, ",
          array.number("nbd", "connections_resumed"), " connections resumed, ",
          array.number("nbd", "replies_for_nobody"), " replies for nobody");
  CHECK_MESSAGE(counts.fault.empty(), counts.fault, "\n", array.log());
  CHECK(counts.refusals == 0);
  CHECK(counts.sectors_compared > 0);
  CHECK(array.number("nbd", "connections_resumed") > 0);
  CHECK(array.number("nbd", "protocol_errors") == 0);
  CHECK(array.stop() == 0);
}

}  // namespace
}  // namespace slipring::test
