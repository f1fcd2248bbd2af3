// Topics over sockets: many subscribers at one port, programs that open an address, guarded topics,
// and what is refused.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "pipelines/link/broadcast_observer.h"
#include "pipelines/wire/bus_link.h"
#include "pipelines/wire/crc32c.h"
#include "pipelines/wire/wire_loop.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/link/guarded_fixture.h"
#include "tests/pipelines/wire/topic_exchange.h"

namespace slipring::wire {
namespace {

constexpr std::uint64_t kPatience = 60'000'000'000;

BroadcastShape topic(std::uint64_t slots, BroadcastPolicy policy = BroadcastPolicy::kOverwrite,
                     std::uint32_t places = 8) {
  return {slots, 24, places, policy, 0};
}

WireAddress place_of(const std::string& text) {
  std::string fault;
  const std::optional<WireAddress> address = parse_wire_address(text, fault);
  REQUIRE_MESSAGE(address, fault);
  return *address;
}

template <typename Condition>
bool eventually(const Condition& condition) {
  const std::uint64_t until_ns = deadline_after(kPatience);
  while (!condition()) {
    if (monotonic_ns() > until_ns) return false;
    std::this_thread::yield();
  }
  return true;
}

// A machine with a loop in a thread of its own.
class Carrying {
 public:
  Carrying() : segments_(directory_.open()) {
    WireLoopOptions options;
    options.redial_min_ns = 1'000'000;
    options.redial_max_ns = 10'000'000;
    loop_ = must(WireLoop::create(segments_, options));
    loop_->tell([this](const WireEvent& event) {
      if (event.kind == WireEvent::Kind::kRefused) ++refusals_;
      if (event.kind == WireEvent::Kind::kCarrying) ++carried_;
    });
  }
  ~Carrying() { stop(); }
  void start() {
    thread_ = std::thread([this] { static_cast<void>(loop_->run(stop_)); });
  }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void make(const BroadcastShape& shape) {
    REQUIRE(create_broadcast(segments_, kLink, shape).ok());
  }
  [[nodiscard]] const SegmentDirectory& segments() const { return segments_; }
  [[nodiscard]] WireLoop& loop() { return *loop_; }
  // Offers its topic, and answers where.
  std::string serve(LinkSide side) {
    REQUIRE(loop_->listen(place_of("tcp://:0")).ok());
    loop_->offer(kLink, kLink, side);
    start();
    return "tcp://:" + std::to_string(loop_->port()) + "/" + kLink;
  }
  void call(const std::string& address, LinkSide side) {
    REQUIRE(loop_->dial(place_of(address), kLink, kLink, side).ok());
    start();
  }
  [[nodiscard]] int refusals() const { return refusals_; }
  [[nodiscard]] int carried() const { return carried_; }

 private:
  Directory directory_;
  SegmentDirectory segments_;
  std::unique_ptr<WireLoop> loop_;
  std::atomic<bool> stop_{false};
  std::atomic<int> refusals_{0};
  std::atomic<int> carried_{0};
  std::thread thread_;
};

std::size_t count_members(const SegmentDirectory& segments) {
  const LinkReport report = must(look_at_broadcast(segments, kLink));
  std::size_t count = 0;
  for (const LinkReport::Place& place : report.places) count += place.is_member ? 1U : 0U;
  return count;
}

void publish(BroadcastSender& writer, std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t i = first; i < first + count; ++i) {
    const std::string text = numbered(i, 8 + i % 13);
    REQUIRE(eventually(
        [&] { return writer.try_send(std::as_bytes(std::span(text))) == Transfer::kDone; }));
  }
}

// Reads to the end of the topic.
void follow(Follower& one, std::uint64_t published) {
  std::string fault;
  const bool is_over = eventually([&] {
    fault = one.read();
    return !fault.empty() || one.reader().is_finished();
  });
  CHECK(is_over);
  CHECK_MESSAGE(fault.empty(), fault);
  if (fault.empty()) fault = one.judge(published);
  CHECK_MESSAGE(fault.empty(), fault);
}

TEST_CASE("topic: machines and programs subscribe at one port, and each counts for itself") {
  constexpr std::uint64_t kMessages = 20000;
  Carrying here;
  here.make(topic(64));
  BroadcastSender writer = must(BroadcastSender::attach(here.segments(), kLink));
  const std::string address = here.serve(LinkSide::kSender);

  Carrying there[2];
  std::vector<std::unique_ptr<Follower>> followers;
  for (std::size_t i = 0; i < 2; ++i) {
    there[i].make(topic(i == 0 ? 1024 : 16));
    for (int k = 0; k < 2; ++k) {
      followers.push_back(std::make_unique<Follower>(there[i].segments(), kLink, 0));
    }
    there[i].call(address, LinkSide::kReceiver);
  }
  // And two programs that know an address only.
  Directory rooms[2];
  std::vector<SegmentDirectory> segments;
  std::vector<BusEnd<BroadcastReceiver>> programs;
  for (const Directory& room : rooms) segments.push_back(room.open());
  for (const SegmentDirectory& one : segments) {
    programs.push_back(must(open_topic<BroadcastReceiver>(one, address, topic(256))));
  }
  REQUIRE(eventually([&] { return count_members(here.segments()) == 4 && here.carried() == 4; }));

  std::vector<std::thread> readers;
  for (auto& one : followers) readers.emplace_back([&] { follow(*one, kMessages + 10); });
  std::vector<std::string> faults(programs.size());
  for (std::size_t i = 0; i < programs.size(); ++i) {
    readers.emplace_back([&, i] {
      std::uint64_t next = 0;
      std::uint64_t received = 0;
      BroadcastMessage message;
      BroadcastReceiver& from = *programs[i];
      const bool is_over = eventually([&] {
        while (from.try_receive(message) == Transfer::kDone) {
          std::uint64_t number = 0;
          std::memcpy(&number, message.bytes.data(), sizeof number);
          if (number != next + message.lost) faults[i] = "a loss was not counted";
          next = number + 1;
          ++received;
        }
        return from.is_finished();
      });
      if (!is_over) faults[i] = "no end";
      if (received + from.lost_count() != kMessages + 10) faults[i] = "not all was accounted for";
    });
  }
  publish(writer, 0, kMessages);
  // What goes now gets to everybody, and the end.
  publish(writer, kMessages, 10);
  writer.close();
  for (std::thread& one : readers) one.join();
  for (const std::string& fault : faults) CHECK_MESSAGE(fault.empty(), fault);
  std::uint64_t lost = 0;
  for (const auto& one : followers) lost += one->lost();
  MESSAGE("of ", 4 * (kMessages + 10), " messages to the machines' readers ", lost,
          " were lost and counted");
}

TEST_CASE("topic: who joins later is owed nothing of before, and a port too full is called again") {
  Carrying here;
  here.make(topic(16, BroadcastPolicy::kOverwrite, 1));
  BroadcastSender writer = must(BroadcastSender::attach(here.segments(), kLink));
  publish(writer, 0, 40);
  const std::string address = here.serve(LinkSide::kSender);
  auto first = std::make_unique<Carrying>();
  first->make(topic(16));
  Follower early(first->segments(), kLink, 40);
  first->call(address, LinkSide::kReceiver);
  REQUIRE(eventually([&] { return here.carried() == 1; }));
  Carrying second;
  second.make(topic(16));
  Follower late(second.segments(), kLink, 50);
  second.call(address, LinkSide::kReceiver);
  REQUIRE(eventually([&] { return second.refusals() > 0; }));  // its one place is taken
  publish(writer, 40, 10);
  REQUIRE(eventually([&] {
    REQUIRE(early.read().empty());
    return early.received() + early.lost() == 10;
  }));
  first->stop();
  first.reset();
  REQUIRE(eventually([&] { return second.carried() == 1; }));
  publish(writer, 50, 5);
  writer.close();
  follow(late, 55);
}

TEST_CASE("topic: a program publishes to an address, and loses nothing") {
  for (const bool as_topic : {true, false}) {
    constexpr std::uint64_t kMessages = 3000;
    Carrying there;
    there.make(topic(16, BroadcastPolicy::kBlock));
    Follower one(there.segments(), kLink, 0);
    const std::string address = there.serve(LinkSide::kReceiver);
    std::thread reader([&] { follow(one, kMessages); });
    Directory room;
    const SegmentDirectory segments = room.open();
    if (as_topic) {
      auto to =
          must(open_topic<BroadcastSender>(segments, address, topic(32, BroadcastPolicy::kBlock)));
      publish(*to, 0, kMessages);
      to->close();
      CHECK(to.wait_until_carried(deadline_after(kPatience)));
    } else {
      auto to = must(open_end<LinkWriter>(segments, address, test::slots(32, 24)));
      for (std::uint64_t i = 0; i < kMessages; ++i) {
        const std::string text = numbered(i, 24);
        std::span<std::byte> place;
        REQUIRE(eventually([&] { return to->try_reserve(text.size(), place) == Transfer::kDone; }));
        std::memcpy(place.data(), text.data(), text.size());
        to->commit(text.size());
      }
      to->close();
      CHECK(to.wait_until_carried(deadline_after(kPatience)));
    }
    reader.join();
    CHECK(one.received() == kMessages);
  }
}

TEST_CASE("topic: guarded here and there") {
  LinkShape shape;
  shape.kind = SegmentKind::kBroadcastLink;
  shape.slot_count = 64;
  shape.slot_bytes = 24;
  constexpr std::uint64_t kMessages = 5000;
  Directory rooms[2];
  const SegmentDirectory here = rooms[0].open();
  const SegmentDirectory there = rooms[1].open();
  // Before there are threads.
  const test::BrokerProcess here_broker(here, shape, {}, kLink);
  const test::BrokerProcess there_broker(there, shape, {}, kLink);
  auto near = must(WireLoop::create(here, {}));
  auto far = must(WireLoop::create(there, {}));
  BroadcastSender writer = must(BroadcastSender::attach(here, kLink));
  REQUIRE(near->listen(place_of("tcp://:0")).ok());
  const WirePortOptions now;
  REQUIRE(near->offer_now(kLink, kLink, LinkSide::kSender, now).ok());
  const std::string address = "tcp://:" + std::to_string(near->port()) + "/" + kLink;
  REQUIRE(far->dial(place_of(address), kLink, kLink, LinkSide::kReceiver).ok());
  Follower one(there, kLink, 0);
  std::atomic<bool> stop{false};
  std::thread near_thread([&] { static_cast<void>(near->run(stop)); });
  std::thread far_thread([&] { static_cast<void>(far->run(stop)); });
  publish(writer, 0, kMessages);
  writer.close();
  follow(one, kMessages);
  stop = true;
  near_thread.join();
  far_thread.join();
  MESSAGE(one.received(), " received, ", one.lost(), " lost and counted");
}

TEST_CASE("topic: only a topic shows what is lost") {
  Machine here(topic(8));
  here.start(LinkSide::kSender);
  for (const LinkShape& shape : {test::records(4096), test::slots(16, 24)}) {
    Machine there(shape);
    there.start(LinkSide::kReceiver);
    Connection connection(here, there);
    connection.run();
    CHECK(connection.client().refusal() == ErrorReason::kMismatch);
  }
  BroadcastShape longer = topic(8);
  longer.message_bytes = 25;
  Machine far(topic(8));
  far.start(LinkSide::kReceiver);
  Machine near(longer);
  near.start(LinkSide::kSender);
  Connection connection(near, far);
  connection.run();
  CHECK(connection.client().refusal() == ErrorReason::kMismatch);
}

TEST_CASE("topic: a machine that knows no topics is told so") {
  Machine here(topic(8));
  here.start(LinkSide::kSender);
  Machine there(topic(8));
  there.start(LinkSide::kReceiver);
  Connection connection(there, here);
  connection.tamper_to_server([](std::vector<std::byte>& bytes) {
    constexpr std::size_t kHello = kPreambleBytes;
    if (bytes.size() < kHello + kHeaderBytes + 28) return;
    const auto frame = std::span(bytes).subspan(kHello);
    if (frame[0] != static_cast<std::byte>(FrameType::kHello)) return;
    frame[kHeaderBytes + 4] &= ~std::byte{kTopics};
    const auto header = frame.first<kHeaderBytes>();
    const auto payload_bytes = std::to_integer<std::size_t>(header[4]);
    store_check(header, crc32c(header_check(header), frame.subspan(kHeaderBytes, payload_bytes)));
  });
  connection.run();
  CHECK(connection.server().refusal() == ErrorReason::kTooOld);
  CHECK(connection.client().words() == "the other side does not know this kind of link");
}

TEST_CASE("topic: whoever calls again takes over from itself, and from nobody else") {
  Machine here(topic(8));
  here.start(LinkSide::kSender);
  Machine there(topic(8));
  const auto open_as = [&](std::uint64_t subscriber) {
    there.port = std::make_unique<WirePort>();
    WirePortOptions options;
    options.subscriber = subscriber;
    REQUIRE(there.port->open(there.segments, kLink, kLink, LinkSide::kReceiver, options).ok());
  };
  open_as(7);
  OnePort book(here);
  Session half_open(book, {}, 0);
  const auto call = [&](Session& server) {
    Session client(*there.port, {}, 0);
    std::vector<std::byte> place(kOutputBytes);
    for (bool moves = true; moves;) {
      moves = false;
      for (Session* from : {&client, &server}) {
        if (!from->has_output()) continue;
        std::span<const std::byte> bytes(place.data(), from->send(place));
        (from == &client ? server : client).receive(bytes, 0);
        moves = true;
      }
    }
    return client.refusal();
  };
  CHECK_FALSE(call(half_open));
  REQUIRE(half_open.state() == Session::State::kRunning);  // the server has not noticed the end
  there.kill();
  open_as(9);
  Session other(book, {}, 0);
  CHECK(call(other) == ErrorReason::kBusyLink);
  CHECK(half_open.state() == Session::State::kRunning);
  there.kill();
  open_as(7);
  Session again(book, {}, 0);
  CHECK_FALSE(call(again));
  CHECK(half_open.outcome() == SessionEnd::kDisplaced);
  CHECK(again.state() == Session::State::kRunning);
}

}  // namespace
}  // namespace slipring::wire
