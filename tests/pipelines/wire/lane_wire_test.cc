// Senders on other machines into a lane set: each message once, in its sender's order, and whose it
// is; whatever is cut and killed, and whoever takes the lanes in between.
#include <doctest/doctest.h>

#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "pipelines/link/lane_reader.h"
#include "pipelines/wire/bus_link.h"
#include "pipelines/wire/wire_loop.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/adapter/tls_identities.h"
#include "tests/pipelines/wire/cut_exchange.h"

namespace slipring::wire {
namespace {

using test::records;

constexpr std::uint64_t kPatienceNs = 60'000'000'000;

// Takes whichever lane is free, as often as asked, and sends as many messages.
void send_locally(const SegmentDirectory& there, int times, std::size_t bytes) {
  for (int i = 0; i < times; ++i) {
    LinkWriter writer = must(LinkWriter::attach(there, kLink));
    push(writer, std::string(kLocalText) + std::string(bytes, '.'));
  }
}

TEST_CASE("lanes: a cut after every byte, a sender of that machine in the dead one's lane") {
  CutScene scene{"lanes", records(1024), lane_set_shape(4, 4096)};
  for (const LinkSide client : {LinkSide::kSender, LinkSide::kReceiver}) {
    // The latter of a guarded set, whose broker says where each writer began.
    scene.there_is_guarded = client == LinkSide::kReceiver;
    // Of every length that one of ours has: the lane then stands where ours might have ended.
    int turn = 0;
    cut_everywhere(scene, client, false, [&](const SegmentDirectory& there) {
      send_locally(there, turn % 3, static_cast<std::size_t>(turn % 5) * 8);
      ++turn;
    });
    CHECK(turn > 300);
  }
}

TEST_CASE("lanes: what a sender has in one lane is read before it goes on in another") {
  Machine here(records(4096));
  Machine there(lane_set_shape(2, 4096));
  here.start(LinkSide::kSender);
  there.start(LinkSide::kReceiver);
  LinkWriter writer = must(LinkWriter::attach(here.segments, kLink));
  LaneReader reader = must(LaneReader::attach(there.segments, kLink));
  {
    Connection connection(here, there);
    push(writer, "first");
    connection.run();
  }
  there.kill();
  {
    WirePort successor;
    const Status early = successor.open(there.segments, kLink, kLink, LinkSide::kReceiver);
    REQUIRE_FALSE(early.ok());
    CHECK(early.error().code == ErrorCode::kNoSpace);
  }
  LaneMessage message;
  REQUIRE(reader.try_peek(message) == Transfer::kDone);
  reader.release(message);
  there.start(LinkSide::kReceiver);
  CHECK(there.port->ledger().arrived(here.port->session_id()) == here.port->source().cursor());
}

TEST_CASE("lanes: where nobody knows any more what had arrived, the sender is refused") {
  Machine here(records(4096));
  Machine there(lane_set_shape(1, 4096));
  here.start(LinkSide::kSender);
  there.start(LinkSide::kReceiver);
  LinkWriter writer = must(LinkWriter::attach(here.segments, kLink));
  LaneReader reader = must(LaneReader::attach(there.segments, kLink));
  {
    Connection connection(here, there);
    push(writer, "first");
    connection.run();
  }
  there.kill();
  for (int i = 0; i < 10; ++i) {
    LaneMessage message;
    while (reader.try_peek(message) == Transfer::kDone) reader.release(message);
    send_locally(there.segments, 1, 8);
  }
  LaneMessage message;
  while (reader.try_peek(message) == Transfer::kDone) reader.release(message);
  there.start(LinkSide::kReceiver);
  {
    Connection connection(here, there);
    connection.run();
    CHECK(connection.client().outcome() == SessionEnd::kRefused);
    CHECK(connection.client().refusal() == ErrorReason::kForgotten);
  }
  // Whoever else comes is none the worse for it.
  Machine elsewhere(records(4096));
  elsewhere.start(LinkSide::kSender);
  LinkWriter other = must(LinkWriter::attach(elsewhere.segments, kLink));
  push(other, "another");
  Connection connection(elsewhere, there);
  connection.run();
  REQUIRE(reader.try_peek(message) == Transfer::kDone);
  CHECK(message.message.bytes.size() == 7);
}

// A machine with senders on it, each by the address of the set.
void send_all(const std::string& address, char sender, int count) {
  const Directory machine;
  const SegmentDirectory segments = machine.open();
  BusEnd<LinkWriter> to = must(open_end<LinkWriter>(segments, address, records(4096)));
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  for (int i = 0; i < count && monotonic_ns() < until_ns;) {
    const std::string text = sender + std::to_string(i);
    if (!to->has_space(text.size())) {
      std::this_thread::yield();
      continue;
    }
    push(*to, text);
    ++i;
  }
  to->close();
  CHECK(to.wait_until_carried(until_ns));
}

TEST_CASE("lanes: senders of several machines and of the set's own, one owner") {
  constexpr int kCount = 500;
  constexpr int kRemote = 5;  // more than there are lanes: they come in turn
  const Directory home;
  const SegmentDirectory segments = home.open();
  REQUIRE(create_link(segments, kLink, lane_set_shape(4, 8192)).ok());
  LaneReader reader = must(LaneReader::attach(segments, kLink));
  WireLoopOptions options;
  options.redial_max_ns = 50'000'000;
  std::unique_ptr<WireLoop> loop = must(WireLoop::create(segments, options));
  std::string fault;
  REQUIRE(loop->listen(*parse_wire_address("tcp://:0", fault)).ok());
  loop->offer(kLink, kLink, LinkSide::kReceiver);
  const std::string address = "tcp://:" + std::to_string(loop->port()) + "/" + kLink;
  std::atomic<bool> stop{false};
  std::thread carrier([&] { loop->run(stop); });
  std::vector<std::thread> senders;
  for (int i = 0; i < kRemote; ++i) {
    senders.emplace_back([&, i] { send_all(address, static_cast<char>('a' + i), kCount); });
  }
  LinkWriter local = must(LinkWriter::attach(segments, kLink));
  std::array<int, kRemote + 1> next{};
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  int total = 0;
  int sent = 0;
  while (total < (kRemote + 1) * kCount && monotonic_ns() < until_ns) {
    if (sent < kCount && local.has_space(16)) push(local, "z" + std::to_string(sent++));
    LaneMessage message;
    if (reader.try_peek(message) != Transfer::kDone) {
      std::this_thread::yield();
      continue;
    }
    const auto bytes = message.message.bytes;
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const bool is_local = text.front() == 'z';
    const auto who = static_cast<std::size_t>(is_local ? kRemote : text.front() - 'a');
    REQUIRE(who < next.size());
    CHECK(text.substr(1) == std::to_string(next[who]++));
    CHECK(message.sender.is_known);
    CHECK(message.origin.has_value() != is_local);
    if (message.origin) {
      CHECK(message.origin->name() == "127.0.0.1");
      CHECK(message.origin->process.process_id == static_cast<std::uint32_t>(getpid()));
      CHECK(message.origin->process.user == getuid());
    }
    reader.release(message);
    ++total;
  }
  CHECK(total == (kRemote + 1) * kCount);
  for (std::thread& one : senders) one.join();
  stop = true;
  carrier.join();
}

TEST_CASE("lanes: over TLS the origin is to whom the sender's certificate is made out") {
  const TlsIdentities identities;
  const auto with = [&](const std::string& address, const char* who) {
    const TlsCredentials files = identities.credentials(who);
    return address + "?ca=" + files.authority_file + "&cert=" + files.certificate_file +
           "&key=" + files.key_file;
  };
  const Directory home;
  const SegmentDirectory segments = home.open();
  REQUIRE(create_link(segments, kLink, lane_set_shape(2, 8192)).ok());
  LaneReader reader = must(LaneReader::attach(segments, kLink));
  std::unique_ptr<WireLoop> loop = must(WireLoop::create(segments, {}));
  std::string fault;
  REQUIRE(loop->listen(*parse_wire_address(with("tcp+tls://:0", "server"), fault)).ok());
  loop->offer(kLink, kLink, LinkSide::kReceiver);
  const std::string address = "tcp+tls://localhost:" + std::to_string(loop->port()) + "/" + kLink;
  std::atomic<bool> stop{false};
  std::thread carrier([&] { loop->run(stop); });
  send_all(with(address, "client"), 'a', 3);
  LaneMessage message;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(reader.try_peek(message) == Transfer::kDone);  // it has been carried
    REQUIRE(message.origin.has_value());
    CHECK(message.origin->name() == "CN=client at 127.0.0.1");
    reader.release(message);
  }
  stop = true;
  carrier.join();
}

}  // namespace
}  // namespace slipring::wire
