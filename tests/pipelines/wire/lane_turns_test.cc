// A lane set whose owner is on another machine: every lane's writers come and go, and each message
// arrives once, in its writer's order, and says whose it is; whatever is cut and killed.
#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "pipelines/link/lane_reader.h"
#include "pipelines/wire/bus_link.h"
#include "pipelines/wire/wire_loop.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/wire/cut_exchange.h"
#include "tests/pipelines/wire/turn_ledger.h"

namespace slipring::wire {
namespace {

constexpr std::uint64_t kPatienceNs = 60'000'000'000;

TEST_CASE("set to set: a cut after every byte, either side killed") {
  CutScene scene{"lanes to lanes", lane_set_shape(2, 1024), lane_set_shape(4, 4096)};
  for (const LinkSide client : {LinkSide::kSender, LinkSide::kReceiver}) {
    scene.there_is_guarded = client == LinkSide::kReceiver;
    cut_everywhere(scene, client, false);
  }
}

// Both machines, one lane, and writers in it one after the other.
struct Turns {
  explicit Turns(bool is_guarded)
      : here(lane_set_shape(1, 1024), is_guarded), there(lane_set_shape(2, 1024), is_guarded) {
    here.start(LinkSide::kSender);
    there.start(LinkSide::kReceiver);
    reader.emplace(must(LaneReader::attach(there.segments, kLink)));
  }
  [[nodiscard]] LinkWriter next_writer() {
    for (;;) {
      Result<LinkWriter> writer = LinkWriter::attach(here.segments, kLink);
      if (writer) return std::move(writer).value();
      REQUIRE(writer.error().code == ErrorCode::kBusy);  // the broker hears of it soon
    }
  }
  void open_receiver() {
    for (;;) {
      there.port = std::make_unique<WirePort>();
      if (there.port->open(there.segments, kLink, kLink, LinkSide::kReceiver)) return;
    }
  }
  // One connection: cut, or to its end.
  std::size_t connect(const Cut& cut) {
    Connection connection(here, there, {}, cut);
    here.port->source().look_for_end();
    connection.run();
    // The writer has gone: what it left is over.
    here.port->source().look_for_end();
    connection.run();
    const bool is_over = connection.server().outcome() == SessionEnd::kFinished;
    const std::size_t moved = connection.moved_to_server();
    ledger.drain(*reader);
    if (is_over) {
      there.kill();
      open_receiver();
    }
    return moved;
  }
  void restart(Killed killed) {
    if (killed == Killed::kSender || killed == Killed::kBoth) {
      here.kill();
      here.start(LinkSide::kSender);
    }
    if (killed == Killed::kReceiver || killed == Killed::kBoth) {
      there.kill();
      open_receiver();
    }
  }

  Machine here;
  Machine there;
  std::optional<LaneReader> reader;
  TurnLedger ledger;
};

TEST_CASE("set to set: writers follow each other, a cut after every byte of a turn") {
  for (const bool is_guarded : {false, true}) {
    Turns turns(is_guarded);
    std::uint64_t pushed = 0;
    int turn = 0;
    std::size_t length = 400;
    for (std::size_t at = 0; at <= length; ++at, ++turn) {
      {
        LinkWriter writer = turns.next_writer();
        const std::string name = name_of("w" + std::to_string(turn), writer);
        for (int i = 0; i < 3; ++i, ++pushed) push(writer, text_of(name, i));
        turns.connect({at, SIZE_MAX});
        turns.restart(static_cast<Killed>(turn % 4));
        push(writer, text_of(name, 3));
        ++pushed;
        if (turn % 3 != 0) writer.close();
      }
      std::size_t moved = 0;
      // Until a guarded set's broker, too, has heard that the writer is gone.
      const std::uint64_t until_ns = deadline_after(kPatienceNs);
      while (turns.here.port->source().wants_carrying()) {
        REQUIRE(monotonic_ns() < until_ns);
        moved = std::max(moved, turns.connect({}));
      }
      REQUIRE(turns.ledger.count() == pushed);
      if (turn == 0) length = std::max(length, moved + 40);
    }
    MESSAGE(std::string(is_guarded ? "guarded: " : "named: "), turn, " writers and cuts, ", pushed,
            " messages, 0 lost, 0 repeated, 0 of another");
  }
}

TEST_CASE("set to set: what is no lane set over there refuses lanes, and says so") {
  Machine here(lane_set_shape(2, 1024));
  Machine there(test::records(4096));
  here.start(LinkSide::kSender);
  there.start(LinkSide::kReceiver);
  LinkWriter writer = must(LinkWriter::attach(here.segments, kLink));
  push(writer, "first");
  Connection connection(here, there);
  connection.run();
  CHECK(connection.client().outcome() == SessionEnd::kRefused);
  CHECK(connection.client().refusal() == ErrorReason::kMismatch);
  CHECK(connection.client().words() == "a lane set goes to a lane set, and this link is none");
}

// A loop with a thread of its own.
struct Carrying {
  explicit Carrying(const SegmentDirectory& segments) {
    WireLoopOptions options;
    options.redial_min_ns = 1'000'000;
    options.redial_max_ns = 20'000'000;
    loop = must(WireLoop::create(segments, options));
  }
  void start() {
    thread = std::thread([this] { loop->run(stop); });
  }
  ~Carrying() {
    stop = true;
    if (thread.joinable()) thread.join();
  }
  std::unique_ptr<WireLoop> loop;
  std::atomic<bool> stop{false};
  std::thread thread;
};

// Writers that come and go in every lane of the near set.
void write_turns(const SegmentDirectory& here, const std::string& who, int writers, int messages) {
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  for (int i = 0; i < writers && monotonic_ns() < until_ns;) {
    Result<LinkWriter> writer = LinkWriter::attach(here, kLink);
    if (!writer) {
      std::this_thread::yield();
      continue;
    }
    const std::string name = name_of(who + std::to_string(i++), *writer);
    for (int number = 0; number < messages && monotonic_ns() < until_ns;) {
      if (try_push(*writer, text_of(name, number))) {
        ++number;
      } else {
        std::this_thread::yield();
      }
    }
    if (i % 2 == 0) writer->close();
  }
}

TEST_CASE("set to set: three lanes over sockets, whoever dials, named and guarded") {
  constexpr int kWriters = 12;
  constexpr int kMessages = 200;
  for (const bool is_guarded : {false, true}) {
    for (const LinkSide dials : {LinkSide::kSender, LinkSide::kReceiver}) {
      Machine here(lane_set_shape(3, 2048), is_guarded);
      Machine there(lane_set_shape(4, 2048), is_guarded);
      LaneReader reader = must(LaneReader::attach(there.segments, kLink));
      Carrying server(dials == LinkSide::kSender ? there.segments : here.segments);
      Carrying client(dials == LinkSide::kSender ? here.segments : there.segments);
      std::string fault;
      REQUIRE(server.loop->listen(*parse_wire_address("tcp://:0", fault)).ok());
      server.loop->offer(kLink, kLink, other(dials));
      const auto address =
          parse_wire_address("tcp://:" + std::to_string(server.loop->port()), fault);
      REQUIRE(client.loop->dial(*address, kLink, kLink, dials).ok());
      server.start();
      client.start();
      std::vector<std::thread> writers;
      for (const char* who : {"a", "b", "c"}) {
        writers.emplace_back(
            [&here, who] { write_turns(here.segments, who, kWriters, kMessages); });
      }
      TurnLedger ledger;
      const std::uint64_t until_ns = deadline_after(kPatienceNs);
      while (ledger.count() < 3 * kWriters * kMessages && monotonic_ns() < until_ns) {
        ledger.drain(reader);
        std::this_thread::yield();
      }
      CHECK(ledger.count() == 3 * kWriters * kMessages);
      for (std::thread& one : writers) one.join();
      // Nobody writes here any more: over there the lanes are free again.
      const auto becomes_free = [&] {
        while (monotonic_ns() < until_ns) {
          Result<std::uint32_t> held = reader.count_writers();
          if (held && *held == 0) return true;
          std::this_thread::yield();
        }
        return false;
      };
      if (dials == LinkSide::kSender) CHECK(becomes_free());
    }
  }
}

TEST_CASE("set to set: an owner reads the set at an address, and others send to it there") {
  Machine home(lane_set_shape(3, 4096));
  Carrying server(home.segments);
  std::string fault;
  REQUIRE(server.loop->listen(*parse_wire_address("tcp://:0", fault)).ok());
  server.loop->offer(kLink, kLink, LinkSide::kSender);
  server.start();
  const std::string address = "tcp://:" + std::to_string(server.loop->port()) + "/" + kLink;
  const Directory elsewhere;
  const SegmentDirectory segments = elsewhere.open();
  BusEnd<LaneReader> owner = must(open_end<LaneReader>(segments, address, lane_set_shape(4, 4096)));
  std::thread writers([&home] { write_turns(home.segments, "a", 8, 50); });
  TurnLedger ledger;
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  while (ledger.count() < 8 * 50 && monotonic_ns() < until_ns) {
    ledger.drain(*owner);
    std::this_thread::yield();
  }
  CHECK(ledger.count() == 8 * 50);
  writers.join();
}

}  // namespace
}  // namespace slipring::wire
