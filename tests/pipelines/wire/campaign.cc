// The cuts and kills of the tests, as many as one likes:
//   campaign --cuts 10000 --kills 5000 --topics 10000 [--seed S]
// A cut is drawn from anywhere in an exchange, in either direction, with whoever dies with it, the
// abort, and the sizes of what the socket hands over drawn, too; --topics are cuts of a topic. Ends
// with 1 if anything was lost, repeated or out of order, or lost and not counted, and says with
// which seed.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include "tests/pipelines/wire/cut_exchange.h"
#include "tests/pipelines/wire/kill_exchange.h"
#include "tests/pipelines/wire/topic_exchange.h"

namespace slipring::wire {
namespace {

struct Totals {
  std::uint64_t done = 0;
  std::uint64_t messages = 0;
  std::uint64_t faults = 0;
};

std::unique_ptr<CutExchange> make_exchange(WireKind kind, LinkSide client) {
  LinkShape here = test::records(1024);
  LinkShape there = test::records(4096);
  if (kind == WireKind::kSlots) here = there = test::slots(32, 24);
  if (kind == WireKind::kStream) {
    here = stream_link_shape(512);
    there = stream_link_shape(1024);
  }
  if (kind == WireKind::kValues) {
    here = text_values(20);
    there = text_values(11);
  }
  if (kind == WireKind::kPooled) {
    here = pooled_slots(16, 12);
    there = pooled_slots(32, 9);
  }
  return std::make_unique<CutExchange>(here, there, client);
}

Totals run_cuts(std::uint64_t count, std::uint64_t seed) {
  Totals totals;
  std::mt19937_64 draw(seed);
  constexpr std::uint64_t kRoundsAnExchange = 200;
  while (totals.done < count) {
    const auto kind = static_cast<WireKind>(1 + draw() % 5);
    const LinkSide client = draw() % 2 == 0 ? LinkSide::kSender : LinkSide::kReceiver;
    const std::unique_ptr<CutExchange> exchange = make_exchange(kind, client);
    const CutExchange::Lengths lengths = exchange->measure();
    for (std::uint64_t i = 0; i < kRoundsAnExchange && totals.done < count; ++i) {
      CutExchange::Round round;
      if (draw() % 2 == 0) {
        round.cut.to_server = draw() % (lengths.to_server + 1);
      } else {
        round.cut.to_client = draw() % (lengths.to_client + 1);
      }
      round.killed = static_cast<Killed>(draw() % kKilledCount);
      round.aborts = kind != WireKind::kStream && draw() % 4 == 0;
      round.reads_early = draw() % 2 == 0;
      round.piece_bytes = draw() % 2 == 0 ? SIZE_MAX : 1 + draw() % 100;
      const std::string fault = exchange->run(round);
      ++totals.done;
      if (fault.empty()) continue;
      ++totals.faults;
      std::printf("cut %llu of seed %llu, kind %d: %s\n",
                  static_cast<unsigned long long>(totals.done),
                  static_cast<unsigned long long>(seed), static_cast<int>(kind), fault.c_str());
      break;
    }
    totals.messages += exchange->message_count();
  }
  return totals;
}

Totals run_many_kills(std::uint64_t count, std::uint64_t seed) {
  Totals totals;
  std::mt19937_64 draw(seed);
  while (totals.done < count) {
    KillOptions options;
    options.seed = draw();
    options.kill_count = 100;
    options.kind = static_cast<WireKind>(1 + draw() % 5);
    options.dials = draw() % 2 == 0 ? LinkSide::kSender : LinkSide::kReceiver;
    const KillReport report = run_kills(options);
    totals.done += report.kills;
    totals.messages += report.messages;
    if (report.fault.empty()) continue;
    ++totals.faults;
    std::printf("kill: kind %d: %s\n", static_cast<int>(options.kind), report.fault.c_str());
  }
  return totals;
}

Totals run_topics(std::uint64_t count, std::uint64_t seed) {
  constexpr std::uint64_t kRoundsAnExchange = 200;
  constexpr BroadcastPolicy kPolicies[] = {BroadcastPolicy::kOverwrite, BroadcastPolicy::kBlock,
                                           BroadcastPolicy::kEvict};
  Totals totals;
  std::mt19937_64 draw(seed);
  const auto shape = [&](std::uint64_t slots) {
    const BroadcastPolicy policy = kPolicies[draw() % 3];
    return BroadcastShape{slots, 24, 8, policy, policy == BroadcastPolicy::kEvict ? slots - 2 : 0};
  };
  while (totals.done < count) {
    const BroadcastShape here = shape(8);
    const BroadcastShape there = shape(std::uint64_t{4} << draw() % 3);
    TopicExchange exchange(here, there, draw() % 2 == 0 ? LinkSide::kSender : LinkSide::kReceiver);
    const TopicExchange::Lengths lengths = exchange.measure();
    for (std::uint64_t i = 0; i < kRoundsAnExchange && totals.done < count; ++i) {
      TopicExchange::Round round;
      if (draw() % 2 == 0) {
        round.cut.to_server = draw() % (lengths.to_server + 1);
      } else {
        round.cut.to_client = draw() % (lengths.to_client + 1);
      }
      round.killed = static_cast<TopicKilled>(draw() % 4);
      round.aborts = draw() % 4 == 0;
      round.reads_early = draw() % 2 == 0;
      round.piece_bytes = draw() % 2 == 0 ? SIZE_MAX : 1 + draw() % 100;
      const std::string fault = exchange.run(round);
      ++totals.done;
      if (fault.empty()) continue;
      ++totals.faults;
      std::printf("topic %llu of seed %llu: %s\n", static_cast<unsigned long long>(totals.done),
                  static_cast<unsigned long long>(seed), fault.c_str());
      break;
    }
    totals.messages += exchange.published();
  }
  return totals;
}

void print(const char* what, const Totals& totals) {
  std::printf("%llu %s, %llu messages, %llu lost, repeated or out of order\n",
              static_cast<unsigned long long>(totals.done), what,
              static_cast<unsigned long long>(totals.messages),
              static_cast<unsigned long long>(totals.faults));
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  std::uint64_t cuts = 0;
  std::uint64_t kills = 0;
  std::uint64_t topics = 0;
  std::uint64_t seed = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    const std::uint64_t value = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--cuts") {
      cuts = value;
    } else if (option == "--kills") {
      kills = value;
    } else if (option == "--topics") {
      topics = value;
    } else if (option == "--seed") {
      seed = value;
    } else {
      cuts = kills = topics = 0;
      break;
    }
  }
  if (cuts == 0 && kills == 0 && topics == 0) {
    std::fputs("usage: campaign [--cuts N] [--kills N] [--topics N] [--seed S]\n", stderr);
    return 2;
  }
  // The fixtures' own requirements are doctest's.
  doctest::Context context;
  context.setAsDefaultForAssertsOutOfTestCases();
  Totals cut_totals;
  Totals kill_totals;
  Totals topic_totals;
  if (cuts != 0) print("cuts", cut_totals = run_cuts(cuts, seed));
  if (kills != 0) print("kills", kill_totals = run_many_kills(kills, seed));
  if (topics != 0) print("cuts of topics", topic_totals = run_topics(topics, seed));
  return cut_totals.faults + kill_totals.faults + topic_totals.faults == 0 ? 0 : 1;
}

}  // namespace
}  // namespace slipring::wire

int main(int argc, char** argv) {
  return slipring::wire::run(argc, argv);
}
