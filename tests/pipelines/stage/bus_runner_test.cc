// Pipelines of two machines, joined by a link whose ends are addresses.
#include <signal.h>

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>

#include "pipelines/link/commander.h"
#include "pipelines/link/link_observer.h"
#include "tests/pipelines/stage/bus_fixture.h"

namespace slipring {

using namespace test;

namespace {

// The events, without the states.
std::string said_by(const Runner& runner) {
  std::istringstream lines(runner.output());
  std::string said;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("\"event\":\"state\"") == std::string::npos) said += line + "\n";
  }
  return said;
}

// Both machines' pipelines, at work.
struct Pair {
  explicit Pair(const Bus& bus)
      : stop_file(near_place.path("stop")),
        far_segments(far_place.directory()),
        near_segments(near_place.directory()),
        far(far_place, far_place.write("far.toml", far_file(bus)), true),
        near(near_place, near_place.write("near.toml", near_file(bus, stop_file)), true),
        sink(board_of(far, far_segments, "far.sink.board")) {}

  BoardObserver near_board(const std::string& stage) const {
    return board_of(near, near_segments, "near." + stage + ".board");
  }
  BoardObserver far_board(const std::string& stage) const {
    return board_of(far, far_segments, "far." + stage + ".board");
  }
  void expect_more() const {
    const std::uint64_t seen = sink.value_of("last_number");
    REQUIRE_MESSAGE(eventually([&] { return sink.value_of("last_number") > seen; }),
                    near.errors() << said_by(near) << far.errors() << said_by(far));
  }
  void kill_stage(const BoardObserver& victim) const {
    const std::uint32_t incarnation = victim.incarnation();
    REQUIRE(kill(static_cast<pid_t>(victim.process_id()), SIGKILL) == 0);
    REQUIRE_MESSAGE(eventually([&] { return victim.incarnation() > incarnation; }),
                    said_by(near) << said_by(far));
  }
  // The count ends: everything has to be there, and nothing left behind.
  std::uint64_t finish() {
    const BoardObserver source = near_board("source");
    static_cast<void>(near_place.write("stop", ""));
    CHECK(near.wait() == kRunFinished);
    CHECK(far.wait() == kRunFinished);
    const std::uint64_t sent = source.value_of("sent");
    CHECK(sink.value_of("last_number") == sent);
    CHECK(sink.value_of("faults") == 0);
    CHECK(near_place.leftovers().empty());
    CHECK(far_place.leftovers().empty());
    return sent;
  }

  Place near_place;
  Place far_place;
  std::string stop_file;
  SegmentDirectory far_segments;
  SegmentDirectory near_segments;
  Runner far;
  Runner near;
  BoardObserver sink;
};

Bus over_tcp(bool far_listens = true) {
  Bus bus;
  bus.near_address = "tcp://127.0.0.1:" + free_port() + "/numbers";
  bus.far_address = bus.near_address;
  bus.far_listens = far_listens;
  return bus;
}

}  // namespace

TEST_CASE("bus: a link's end is on another machine, whoever calls, guarded or named") {
  for (const bool far_listens : {true, false}) {
    for (const char* protection : {"guarded", "named"}) {
      CAPTURE(far_listens);
      CAPTURE(protection);
      Bus bus = over_tcp(far_listens);
      bus.protection = protection;
      Pair pair(bus);
      const BoardObserver wire = pair.near_board("numbers-wire");
      pair.expect_more();
      // Each side says so for itself, and numbers may be there before it does.
      const BoardObserver far_wire = pair.far_board("numbers-wire");
      CHECK(eventually([&] { return wire.value_of("connected") == 1; }));
      CHECK(eventually([&] { return far_wire.value_of("connected") == 1; }));
      // `ls`, `stat` and `top` see the link as any other.
      Result<LinkObserver> link = LinkObserver::attach(pair.far_segments, "far.numbers");
      REQUIRE(link.ok());
      CHECK(link->report().writer.message_count != 0);
      const std::uint64_t sent = pair.finish();
      CHECK(pair.sink.value_of("repeats") == 0);
      CHECK(pair.near.output().find("\"place\":\"-> " + bus.near_address) != std::string::npos);
      CHECK(pair.near.output().find("\"connection_count\":1") != std::string::npos);
      CHECK(pair.far.output().find("connected with 127.0.0.1:") != std::string::npos);
      MESSAGE(std::string(protection), ", ", std::string(far_listens ? "far" : "near"),
              " listens: ", sent, " numbers");
    }
  }
}

TEST_CASE("bus: a unix socket joins two pipelines of one machine") {
  // A socket's path is at most 107 bytes long.
  char folder[] = "/tmp/slipring-bus-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  Bus bus;
  bus.near_address = "unix://" + std::string(folder) + "/bus#numbers";
  bus.far_address = bus.near_address;
  Pair pair(bus);
  pair.expect_more();
  pair.finish();
  CHECK(pair.sink.value_of("repeats") == 0);
  std::filesystem::remove_all(folder);
}

TEST_CASE("bus: carriers of both sides are killed, and nothing is lost or repeated") {
  constexpr int kKills = 60;
  for (const char* protection : {"guarded", "named"}) {
    CAPTURE(protection);
    Bus bus = over_tcp();
    bus.protection = protection;
    Pair pair(bus);
    const BoardObserver near_wire = pair.near_board("numbers-wire");
    const BoardObserver far_wire = pair.far_board("numbers-wire");
    for (int kills = 0; kills < kKills; ++kills) {
      pair.expect_more();
      pair.kill_stage(kills % 2 == 0 ? near_wire : far_wire);
    }
    pair.expect_more();
    const std::uint64_t sent = pair.finish();
    // Not even one that is marked.
    CHECK(pair.sink.value_of("repeats") == 0);
    MESSAGE(std::string(protection), ": ", kKills, " carriers killed, ", sent,
            " numbers, 0 lost, 0 repeated");
  }
}

TEST_CASE("bus: every stage of both sides is killed in turn, and no number is lost") {
  constexpr int kRounds = 12;
  Pair pair(over_tcp());
  const BoardObserver victims[] = {pair.near_board("relay"), pair.near_board("numbers-wire"),
                                   pair.far_board("numbers-wire"), pair.far_board("relay"),
                                   pair.far_board("sink")};
  for (int round = 0; round < kRounds; ++round) {
    for (const BoardObserver& victim : victims) {
      pair.expect_more();
      pair.kill_stage(victim);
    }
  }
  pair.expect_more();
  const std::uint64_t sent = pair.finish();
  MESSAGE((kRounds * 5), " kills, ", sent, " numbers, 0 lost, ", pair.sink.value_of("repeats"),
          " redelivered and marked so");
}

TEST_CASE("bus: an abort crosses, and what it dropped on both machines is known to the number") {
  for (const char* protection : {"guarded", "named"}) {
    CAPTURE(protection);
    Bus bus = over_tcp();
    bus.protection = protection;
    Pair pair(bus);
    pair.expect_more();
    // Both rings fill.
    const BoardObserver relay = pair.far_board("relay");
    REQUIRE(kill(static_cast<pid_t>(relay.process_id()), SIGSTOP) == 0);
    Result<LinkObserver> there = LinkObserver::attach(pair.far_segments, "far.numbers");
    LinkCommander commander =
        std::move(LinkCommander::attach(pair.near_segments, "near.numbers")).value();
    REQUIRE(there.ok());
    REQUIRE(eventually(
        [&] { return there->report().fill > 16384 && commander.link().report().fill > 65000; }));
    Result<AbortTicket> ticket = commander.abort();
    REQUIRE(ticket.ok());
    REQUIRE(eventually([&] { return commander.is_obeyed(*ticket); }));
    // And over there it is heard.
    REQUIRE(eventually([&] { return there->report().writer.abort_count != 0; }));
    REQUIRE(kill(static_cast<pid_t>(relay.process_id()), SIGCONT) == 0);
    const BoardObserver wire = board_of(pair.near, pair.near_segments, "near.numbers.wire-out");
    REQUIRE(eventually([&] { return wire.value_of("obeyed_there_position") != 0; }));
    const std::uint64_t here = commander.dropped(*ticket).messages;
    const std::uint64_t on_way = wire.value_of("dropped_on_way_messages");
    const std::uint64_t over_there = wire.value_of("dropped_there_messages");
    // The sink says the first number that came after the gap.
    std::string said;
    std::size_t at = std::string::npos;
    REQUIRE(eventually([&] {
      said = said_by(pair.far);
      at = said.find("error: number ");
      return at != std::string::npos;
    }));
    unsigned long long next = 0;
    unsigned long long last = 0;
    REQUIRE(std::sscanf(said.c_str() + at, "error: number %llu after %llu", &next, &last) == 2);
    CHECK(over_there != 0);
    CHECK(next - last - 1 == here + on_way + over_there);
    MESSAGE(std::string(protection), ": ", (next - last - 1), " numbers missing, dropped here ",
            here, ", on their way ", on_way, ", there ", over_there);
    pair.near.signal(SIGTERM);
    pair.far.signal(SIGTERM);
    CHECK(pair.near.wait() == kRunFinished);
    CHECK(pair.far.wait() == kRunFinished);
    CHECK(pair.near_place.leftovers().empty());
    CHECK(pair.far_place.leftovers().empty());
  }
}

TEST_CASE("bus: what the other machine has not is refused, and said") {
  const Place near_place;
  const Place far_place;
  Bus bus = over_tcp();
  const std::string stop_file = near_place.path("stop");
  Runner far(far_place, far_place.write("far.toml", far_file(bus)));
  const SegmentDirectory far_segments = far_place.directory();
  const BoardObserver far_wire = board_of(far, far_segments, "far.numbers-wire.board");
  bus.near_address = replaced(bus.near_address, "/numbers", "/figures");
  Runner near(near_place, near_place.write("near.toml", near_file(bus, stop_file)));
  CHECK(near.wait() == kRunFailed);
  CHECK_MESSAGE(
      near.errors().find("numbers-wire: error: refused: no such link") != std::string::npos,
      near.errors());
  CHECK(near_place.leftovers().empty());
  // Whoever listens goes on.
  CHECK(lives(static_cast<pid_t>(far_wire.process_id())));
  far.signal(SIGTERM);
  CHECK(far.wait() == kRunFinished);
  CHECK(far_place.leftovers().empty());
}

TEST_CASE("bus: a pipeline that is stopped and run again goes on with the other's") {
  const Bus bus = over_tcp();
  const Place near_place;
  const Place far_place;
  const std::string stop_file = near_place.path("stop");
  const std::string far_path = far_place.write("far.toml", far_file(bus));
  const SegmentDirectory far_segments = far_place.directory();
  Runner near(near_place, near_place.write("near.toml", near_file(bus, stop_file)));
  for (const int how : {SIGTERM, SIGKILL}) {
    Runner far(far_place, far_path);
    const BoardObserver sink = board_of(far, far_segments, "far.sink.board");
    // A machine that went took what had arrived with it: its numbers go on from where it died.
    REQUIRE(eventually([&] { return sink.value_of("faults") + sink.value_of("last_number") > 1; }));
    far.signal(how);
    CHECK(far.wait() == (how == SIGTERM ? kRunFinished : 1000 + SIGKILL));
  }
  near.signal(SIGTERM);
  CHECK(near.wait() == kRunFinished);
  CHECK(near_place.leftovers().empty());
}

}  // namespace slipring
