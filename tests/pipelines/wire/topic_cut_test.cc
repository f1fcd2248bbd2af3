// A topic's connection is cut at every byte of an exchange, in either direction, while more is
// published than the topic holds; processes that carried it die with it, or do not.
#include <doctest/doctest.h>

#include <random>
#include <string>

#include "pipelines/link/board.h"
#include "platform/memory/segment_file.h"
#include "tests/pipelines/wire/topic_exchange.h"

namespace slipring::wire {
namespace {

struct TopicScene {
  const char* name;
  BroadcastShape here;
  BroadcastShape there;
};

BroadcastShape topic(std::uint64_t slots, BroadcastPolicy policy, std::uint64_t lag = 0) {
  return {slots, 24, 8, policy, lag};
}

const TopicScene kScenes[] = {
    {"overwrite to overwrite", topic(8, BroadcastPolicy::kOverwrite),
     topic(4, BroadcastPolicy::kOverwrite)},
    {"overwrite to block", topic(8, BroadcastPolicy::kOverwrite),
     topic(4, BroadcastPolicy::kBlock)},
    {"block to block", topic(8, BroadcastPolicy::kBlock), topic(16, BroadcastPolicy::kBlock)},
    {"evict to evict", topic(8, BroadcastPolicy::kEvict, 6), topic(16, BroadcastPolicy::kEvict, 9)},
};

void cut_everywhere(const TopicScene& scene, LinkSide client, bool aborts) {
  TopicExchange exchange(scene.here, scene.there, client);
  const TopicExchange::Lengths lengths = exchange.measure();
  std::size_t cuts = 0;
  const auto run = [&](const Cut& cut) {
    TopicExchange::Round round;
    round.cut = cut;
    round.killed = static_cast<TopicKilled>(cuts % 4);
    round.aborts = aborts && cuts % 2 == 0;
    round.reads_early = cuts % 3 == 0;
    const std::string fault = exchange.run(round);
    ++cuts;
    if (!fault.empty()) {
      FAIL_CHECK(scene.name << ": cut after " << cut.to_server << " bytes to the server, "
                            << cut.to_client << " to the client, killed "
                            << static_cast<int>(round.killed) << ": " << fault);
    }
    return fault.empty();
  };
  for (std::size_t at = 0; at <= lengths.to_server; ++at) {
    if (!run({at, SIZE_MAX})) return;
  }
  for (std::size_t at = 0; at <= lengths.to_client; ++at) {
    if (!run({SIZE_MAX, at})) return;
  }
  MESSAGE(std::string(scene.name),
          std::string(client == LinkSide::kSender ? ", the sender dials" : ", the receiver dials"),
          ": ", cuts, " cuts, ", exchange.published(), " published = ", exchange.received(),
          " received + ", exchange.lost(), " lost and counted");
  CHECK(exchange.received() + exchange.lost() == exchange.published());
  CHECK(exchange.received() > 0);
  CHECK((exchange.lost() == 0) == (scene.here.policy == BroadcastPolicy::kBlock));
}

TEST_CASE("topic: cut after every byte, every far reader counts its losses to the message") {
  for (const TopicScene& scene : kScenes) {
    for (const LinkSide client : {LinkSide::kSender, LinkSide::kReceiver}) {
      cut_everywhere(scene, client, false);
    }
  }
}

TEST_CASE("topic: with aborts between") {
  for (const TopicScene& scene : {kScenes[0], kScenes[1]}) {
    cut_everywhere(scene, LinkSide::kReceiver, true);
  }
}

TEST_CASE("topic: random cuts, pieces and deaths") {
  std::mt19937_64 draw(5);
  std::uint64_t rounds = 0;
  std::uint64_t published = 0;
  for (int i = 0; i < 8; ++i) {
    const TopicScene& scene = kScenes[draw() % 4];
    const LinkSide client = draw() % 2 == 0 ? LinkSide::kSender : LinkSide::kReceiver;
    TopicExchange exchange(scene.here, scene.there, client);
    const TopicExchange::Lengths lengths = exchange.measure();
    for (int k = 0; k < 150; ++k, ++rounds) {
      TopicExchange::Round round;
      if (draw() % 2 == 0) {
        round.cut.to_server = draw() % (lengths.to_server + 1);
      } else {
        round.cut.to_client = draw() % (lengths.to_client + 1);
      }
      round.killed = static_cast<TopicKilled>(draw() % 4);
      round.reads_early = draw() % 2 == 0;
      round.piece_bytes = draw() % 2 == 0 ? SIZE_MAX : 1 + draw() % 100;
      const std::string fault = exchange.run(round);
      REQUIRE_MESSAGE(fault.empty(),
                      scene.name << ", walk " << i << ", round " << k << ": " << fault);
    }
    published += exchange.published();
  }
  MESSAGE(rounds, " cuts, ", published, " messages, every one received or counted");
}

// Mistakes that the judgement has to see.

std::string first_fault(TopicExchange& exchange) {
  const TopicExchange::Lengths lengths = exchange.measure();
  for (std::size_t at = 0; at <= lengths.to_client; ++at) {
    TopicExchange::Round round;
    round.cut = {SIZE_MAX, at};
    round.killed = TopicKilled::kReceiver;
    if (std::string fault = exchange.run(round); !fault.empty()) return fault;
  }
  return "none";
}

TEST_CASE("topic, planted: a receiver that does not keep how far it was repeats, or miscounts") {
  TopicExchange exchange(kScenes[0].here, kScenes[0].there, LinkSide::kSender);
  exchange.while_dead = [](const SegmentDirectory& there) {
    REQUIRE(remove_segment(there, std::string(kLink) + ".wire-in").ok());
  };
  const std::string fault = first_fault(exchange);
  MESSAGE("planted: ", fault);
  const bool is_seen = fault.find("comes twice") != std::string::npos ||
                       fault.find("were counted") != std::string::npos ||
                       fault.find("counted as lost") != std::string::npos;
  CHECK(is_seen);
}

TEST_CASE("topic, planted: a receiver that believes more has arrived loses without counting") {
  TopicExchange exchange(kScenes[0].here, kScenes[0].there, LinkSide::kSender);
  exchange.while_dead = [](const SegmentDirectory& there) {
    Board board = must(Board::attach(there, std::string(kLink) + ".wire-in"));
    const auto number = [&](const char* name) { return board.number(name, BoardKind::kGauge); };
    const bool is_second =
        number(".now1_ring_position").get() > number(".now0_ring_position").get();
    number(is_second ? ".now1_arrived" : ".now0_arrived").add(1);
  };
  const std::string fault = first_fault(exchange);
  MESSAGE("planted: ", fault);
  CHECK(fault.find("count") != std::string::npos);
}

}  // namespace
}  // namespace slipring::wire
