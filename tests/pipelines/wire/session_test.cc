#include "pipelines/wire/session.h"

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/link/commander.h"
#include "tests/pipelines/wire/wire_fixture.h"

namespace slipring::wire {
namespace {

using test::records;
using test::slots;
using Strings = std::vector<std::string>;

TEST_CASE("session: messages pass, and the end of the stream ends both sides") {
  Machine here(records(4096));
  Machine there(records(8192));
  here.start(LinkSide::kSender);
  there.start(LinkSide::kReceiver);
  LinkWriter writer = must(LinkWriter::attach(here.segments, kLink));
  LinkReader reader = must(LinkReader::attach(there.segments, kLink));
  Connection connection(here, there);
  push(writer, "one");
  connection.run();
  CHECK(pop_all(reader) == Strings{"one"});
  push(writer, "");
  push(writer, "three");
  connection.run();
  CHECK(pop_all(reader) == Strings{"", "three"});
  CHECK(here.port->source().done() == here.port->source().cursor());  // all acknowledged
  writer.close();
  connection.run();
  CHECK(reader.is_finished());
  CHECK(connection.client().outcome() == SessionEnd::kFinished);
  CHECK(connection.server().outcome() == SessionEnd::kFinished);
}

// A sender that dials, a receiver that is dialled, and the programs at both ends.
struct Pair {
  Pair(const LinkShape& from, const LinkShape& to) : here(from), there(to) {
    here.start(LinkSide::kSender);
    there.start(LinkSide::kReceiver);
    writer.emplace(must(LinkWriter::attach(here.segments, kLink)));
    reader.emplace(must(LinkReader::attach(there.segments, kLink)));
  }
  Machine here;
  Machine there;
  std::optional<LinkWriter> writer;
  std::optional<LinkReader> reader;
};

TEST_CASE("session: a message longer than a frame comes in fragments, cut as the socket likes") {
  Pair pair(records(1 << 20), records(1 << 20));
  std::string large(300'000, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 13 + i / 257);
  for (const std::size_t piece : {1UL, 31UL, 4097UL, SIZE_MAX}) {
    Connection connection(pair.here, pair.there);
    connection.set_piece_bytes(piece);
    push(*pair.writer, large);
    push(*pair.writer, "behind");
    connection.run();
    CHECK(pop_all(*pair.reader) == Strings{large, "behind"});
  }
}

TEST_CASE("session: a reader that lags stops the sender, and nothing waits in the socket") {
  Pair pair(records(1024), records(1024));
  Connection connection(pair.here, pair.there);
  Strings sent;
  Strings received;
  int full_count = 0;
  while (received.size() < 300) {
    while (pair.writer->has_space(40) && sent.size() < 300) {
      sent.push_back("message " + std::to_string(sent.size()));
      push(*pair.writer, sent.back());
    }
    if (!pair.writer->has_space(40)) ++full_count;
    connection.run();
    CHECK(!connection.server().is_blocked());  // credit: what was sent found room
    Message message;
    REQUIRE(pair.reader->try_peek(message) == Transfer::kDone);
    received.emplace_back(reinterpret_cast<const char*>(message.bytes.data()),
                          message.bytes.size());
    pair.reader->release(message);
  }
  CHECK(received == sent);
  CHECK(full_count > 10);
}

TEST_CASE("session: an abort overtakes what is queued, on both machines") {
  Pair pair(records(1024), records(1024));
  Connection connection(pair.here, pair.there);
  int queued = 0;
  for (bool has_moved = true; has_moved;) {
    has_moved = false;
    for (; pair.writer->has_space(40); ++queued) {
      push(*pair.writer, "unwanted " + std::to_string(queued));
      has_moved = true;
    }
    connection.run();
  }
  CHECK(queued > 50);  // the other ring takes no more, and ours is full
  pair.writer->abort_published();
  connection.run();
  push(*pair.writer, "fresh");
  connection.run();
  pair.reader->skip_aborted();
  connection.run();
  CHECK(pop_all(*pair.reader) == Strings{"fresh"});
}

TEST_CASE("session: an abort of what has all arrived reaches the other ring") {
  Pair pair(records(4096), records(4096));
  Connection connection(pair.here, pair.there);
  for (int i = 0; i < 5; ++i) push(*pair.writer, "unwanted");
  connection.run();
  pair.writer->abort_published();
  connection.run();
  push(*pair.writer, "fresh");
  connection.run();
  CHECK(pop_all(*pair.reader) == Strings{"fresh"});
}

TEST_CASE("session: the sender learns how much was dropped over there, and when") {
  for (const LinkShape& shape : {records(4096), slots(16, 24)}) {
    Pair pair(shape, shape);
    const auto told = [&] { return pair.here.port->source_session().dropped_there(); };
    Connection connection(pair.here, pair.there);
    for (int i = 0; i < 5; ++i) push(*pair.writer, "unwanted unwanted 24 byt");
    connection.run();
    CHECK(told() == Dropped{});
    pair.writer->abort_published();
    connection.run();
    push(*pair.writer, "fresh fresh fresh 24 byt");
    connection.run();
    // Nobody has obeyed it yet.
    CHECK(told() == Dropped{});
    pair.reader->skip_aborted();
    connection.run();
    CHECK(told().messages == 5);
    CHECK(told().bytes == 5 * (shape.slot_bytes != 0 ? 24 : 32));
    CHECK(told().obeyed == (shape.slot_bytes != 0 ? 5 : 160));
    CHECK(pair.here.port->source_session().dropped_on_way() == 0);
    CHECK(pop_all(*pair.reader).size() == 1);
  }
}

TEST_CASE("session: what is dropped over there by a command of that machine is told, too") {
  Pair pair(records(4096), records(4096));
  Connection connection(pair.here, pair.there);
  for (int i = 0; i < 7; ++i) push(*pair.writer, "unwanted");
  connection.run();
  LinkCommander commander = must(LinkCommander::attach(pair.there.segments, kLink));
  REQUIRE(commander.abort().ok());
  pair.reader->obey_commands();
  connection.run();
  CHECK(pair.here.port->source_session().dropped_there().messages == 7);
}

TEST_CASE("session: of a stream it is the bytes") {
  Machine here(stream_link_shape(4096));
  Machine there(stream_link_shape(4096));
  here.start(LinkSide::kSender);
  there.start(LinkSide::kReceiver);
  StreamWriter writer = must(StreamWriter::attach(here.segments, kLink));
  StreamReader reader = must(StreamReader::attach(there.segments, kLink));
  Connection connection(here, there);
  const std::string text(777, 'u');
  std::size_t count = 0;
  REQUIRE(writer.try_write(std::as_bytes(std::span(text)), count) == Transfer::kDone);
  connection.run();
  writer.abort_published();
  connection.run();
  reader.skip_aborted();
  connection.run();
  CHECK(here.port->source_session().dropped_there() == Dropped{0, 777, 0, 777});
}

TEST_CASE("session: a stream passes, whatever the pieces") {
  Machine here(stream_link_shape(4096));
  Machine there(stream_link_shape(256));
  here.start(LinkSide::kSender);
  there.start(LinkSide::kReceiver);
  StreamWriter writer = must(StreamWriter::attach(here.segments, kLink));
  StreamReader reader = must(StreamReader::attach(there.segments, kLink));
  Connection connection(here, there);
  connection.set_piece_bytes(100);
  std::string sent;
  std::string received;
  for (int i = 0; i < 100; ++i) {
    const std::string some(static_cast<std::size_t>(i), static_cast<char>('a' + i % 26));
    std::size_t count = 0;
    REQUIRE(writer.try_write(std::as_bytes(std::span(some.data(), some.size())), count) ==
            Transfer::kDone);
    REQUIRE(count == some.size());
    sent += some;
    connection.run();
    received += pop_all(reader);
    connection.run();
    received += pop_all(reader);
  }
  writer.close();
  connection.run();
  received += pop_all(reader);
  CHECK(received == sent);
  CHECK(reader.is_finished());
}

TEST_CASE("session: a reader that has closed is told to the writer") {
  Pair pair(records(4096), records(4096));
  Connection connection(pair.here, pair.there);
  connection.run();
  pair.reader->close();
  connection.run();
  CHECK(connection.client().outcome() == SessionEnd::kNobodyReads);
  CHECK(pair.writer->is_peer_closed());
}

TEST_CASE("session: what does not match is refused in words") {
  SUBCASE("another name") {
    Pair pair(records(4096), records(4096));
    pair.here.kill();
    pair.here.port = std::make_unique<WirePort>();
    REQUIRE(pair.here.port->open(pair.here.segments, kLink, "elsewhere", LinkSide::kSender).ok());
    Connection connection(pair.here, pair.there);
    connection.run();
    CHECK(connection.client().outcome() == SessionEnd::kRefused);
    CHECK(connection.client().refusal() == ErrorReason::kUnknownLink);
    CHECK(connection.client().words() == "no such link");
  }
  SUBCASE("slots of another size") {
    Pair pair(slots(8, 24), slots(8, 16));
    Connection connection(pair.here, pair.there);
    connection.run();
    CHECK(connection.client().refusal() == ErrorReason::kMismatch);
  }
  SUBCASE("a link whose messages may be longer than the other ring's") {
    Pair pair(records(8192), records(4096));
    Connection connection(pair.here, pair.there);
    connection.run();
    CHECK(connection.client().refusal() == ErrorReason::kMismatch);
  }
  SUBCASE("a link that another machine sends to already") {
    Pair pair(records(4096), records(4096));
    Machine third(records(4096));
    third.start(LinkSide::kSender);
    Connection first(pair.here, pair.there);
    first.run();
    Connection second(third, pair.there);
    second.run();
    CHECK(second.client().refusal() == ErrorReason::kBusyLink);
    CHECK(first.client().state() == Session::State::kRunning);
  }
}

TEST_CASE("session: the same session by a new connection takes the link over from a dead one") {
  Pair pair(records(4096), records(4096));
  auto dead = std::make_unique<Connection>(pair.here, pair.there);
  dead->run();
  // The client has noticed that the connection is dead, the server has not.
  dead->client().cut();
  Connection fresh(pair.here, pair.there);
  push(*pair.writer, "through");
  fresh.run();
  CHECK(dead->server().outcome() == SessionEnd::kDisplaced);
  CHECK(pop_all(*pair.reader) == Strings{"through"});
}

TEST_CASE("session: a second sender comes after the first, and the first comes back") {
  Pair pair(records(4096), records(4096));
  Machine other(records(4096));
  other.start(LinkSide::kSender);
  LinkWriter other_writer = must(LinkWriter::attach(other.segments, kLink));
  for (int turn = 0; turn < 4; ++turn) {
    Machine& machine = turn % 2 == 0 ? pair.here : other;
    push(turn % 2 == 0 ? *pair.writer : other_writer, "turn " + std::to_string(turn));
    {
      Connection cut_short(machine, pair.there, {}, {SIZE_MAX, 100});
      cut_short.run();
    }
    pair.there.kill();
    pair.there.start(LinkSide::kReceiver);
    Connection connection(machine, pair.there);
    connection.run();
    CHECK(pop_all(*pair.reader) == Strings{"turn " + std::to_string(turn)});
  }
}

TEST_CASE("session: a session that was forgotten is refused, not believed") {
  Pair pair(records(4096), records(4096));
  {
    Connection first(pair.here, pair.there);
    push(*pair.writer, "old");
    first.run();
  }
  for (std::size_t i = 0; i < kParkedSessions + 2; ++i) {
    Machine other(records(4096));
    other.start(LinkSide::kSender);
    LinkWriter writer = must(LinkWriter::attach(other.segments, kLink));
    push(writer, "new");
    Connection connection(other, pair.there);
    connection.run();
    static_cast<void>(pop_all(*pair.reader));
  }
  Connection again(pair.here, pair.there);
  again.run();
  CHECK(again.client().refusal() == ErrorReason::kForgotten);
}

TEST_CASE("session: a link that somebody else has published into is refused") {
  Pair pair(records(4096), records(4096));
  {
    Connection connection(pair.here, pair.there);
    push(*pair.writer, "ours");
    connection.run();
  }
  pair.there.kill();
  {
    LinkWriter foreign = must(LinkWriter::attach(pair.there.segments, kLink));
    push(foreign, "foreign");
  }
  WirePort port;
  const Status opened = port.open(pair.there.segments, kLink, kLink, LinkSide::kReceiver);
  REQUIRE(!opened.ok());
  CHECK(std::string(opened.error().doing).find("somebody else has published") != std::string::npos);
}

TEST_CASE("session: silence is asked after, and at last taken for death") {
  Pair pair(records(4096), records(4096));
  Connection connection(pair.here, pair.there);
  connection.run();
  const SessionOptions policy;
  Session& client = connection.client();
  CHECK(!client.has_output());
  CHECK(client.tick(policy.ping_ns - 1) == policy.ping_ns);
  CHECK(!client.has_output());
  client.tick(policy.ping_ns);
  CHECK(client.has_output());  // a ping
  connection.run();
  CHECK(connection.server().state() == Session::State::kRunning);  // and answered
  client.tick(policy.silence_ns);
  CHECK(client.outcome() == SessionEnd::kSilent);
}

TEST_CASE("session: a client that says nothing is not waited for, and costs nothing") {
  Machine there(records(4096));
  there.start(LinkSide::kReceiver);
  OnePort book(there);
  const SessionOptions policy;
  Session server(book, policy, 0);
  CHECK(server.tick(policy.greeting_ns - 1) == policy.greeting_ns);
  CHECK(!server.has_output());
  server.tick(policy.greeting_ns);
  CHECK(server.outcome() == SessionEnd::kSilent);
  CHECK(sizeof(Session) < 1024);
}

// Whoever does not speak the protocol, or speaks out of turn.
TEST_CASE("session: what is out of turn ends the connection, and the link is unharmed") {
  Pair pair(records(4096), records(4096));
  OnePort book(pair.there);
  std::vector<std::byte> recorded;
  {
    push(*pair.writer, "once");
    Connection connection(pair.here, pair.there);
    connection.run();
    recorded = connection.sent_to_server;
    CHECK(pop_all(*pair.reader) == Strings{"once"});
  }
  const auto fault_of = [&](std::vector<std::byte> bytes) {
    Session server(book, {}, 0);
    std::span<const std::byte> input(bytes);
    server.receive(input, 0);
    std::vector<std::byte> answer(kOutputBytes);
    CHECK(server.send(answer) != 0);  // it is told
    CHECK(server.is_over());
    return server.words();
  };
  CHECK(fault_of(recorded) == "data that do not follow what has arrived");  // a replay
  std::vector<std::byte> damaged = recorded;
  damaged.back() ^= std::byte{1};
  CHECK(!fault_of(damaged).empty());
  const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  std::vector<std::byte> http(sizeof request);
  std::memcpy(http.data(), request, sizeof request);
  CHECK(fault_of(http) == "the other side does not speak the wire protocol");
  std::vector<std::byte> no_hello = recorded;
  no_hello[kPreambleBytes] = static_cast<std::byte>(FrameType::kPing);
  CHECK(!fault_of(no_hello).empty());
  CHECK(pop_all(*pair.reader).empty());
}

}  // namespace
}  // namespace slipring::wire
