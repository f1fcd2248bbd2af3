// A guarded broadcast link's writer rings when a reader says that it sleeps, and while there may be
// one whose page it does not look at; otherwise it makes no system call.

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/broadcast_receiver.h"
#include "pipelines/link/broadcast_sender.h"
#include "pipelines/link/guarded_places.h"
#include "platform/memory/page_size.h"
#include "platform/rendezvous/connection.h"
#include "platform/wait/waiter.h"
#include "tests/pipelines/link/guarded_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::BrokerProcess;
using test::must;

constexpr const char* kName = "t.topic";

LinkShape topic_shape() {
  LinkShape shape;
  shape.kind = SegmentKind::kBroadcastLink;
  shape.slot_count = 64;
  shape.slot_bytes = 64;
  return shape;
}

struct Topic {
  Topic() : directory(folder.open()), broker(directory, topic_shape(), {}, kName) {}

  test::Directory folder;
  SegmentDirectory directory;
  BrokerProcess broker;
};

bool send_number(BroadcastSender& sender, std::uint64_t number) {
  return sender.try_send(std::as_bytes(std::span(&number, 1))) == Transfer::kDone;
}

// A reader's page, and the writer's bell, without a thread that sleeps.
struct Subscriber {
  explicit Subscriber(const SegmentDirectory& directory)
      : taken(must(GuardedSubscription::attach(directory, kName, MemoryLock::kOff))) {}

  // An odd value: it sleeps.  relaxed: the test's own thread looks.
  void arm(std::uint32_t value) {
    taken.subscription->arm().armed.store(value, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t rings() {
    static_cast<void>(taken.subscription->take_news(taken.writer));
    const std::byte* end = taken.writer.bytes().data() + kBroadcastEndOffset;
    return reinterpret_cast<const EndPage*>(end)->bell.bell.load(std::memory_order_relaxed);
  }

  GuardedSubscription::Taken taken;
};

// How often a message rings.
std::uint32_t rings_of_message(BroadcastSender& sender, Subscriber& subscriber) {
  const std::uint32_t before = subscriber.rings();
  REQUIRE(send_number(sender, 1));
  return subscriber.rings() - before;
}

// Sends until no message rings any more: the writer looks at every page, and the broker knows.
bool falls_quiet(BroadcastSender& sender, Subscriber& subscriber) {
  const std::uint64_t deadline_ns = deadline_after(test::kPatienceNs);
  while (rings_of_message(sender, subscriber) != 0) {
    if (monotonic_ns() >= deadline_ns) return false;
    sched_yield();
  }
  return true;
}

TEST_CASE("guarded sleep: no message rings while nobody sleeps, and one does for who does") {
  const Topic topic;
  Subscriber one(topic.directory);
  BroadcastSender sender = must(BroadcastSender::attach(topic.directory, kName));
  Subscriber other(topic.directory);
  REQUIRE(falls_quiet(sender, one));
  for (int i = 0; i < 100; ++i) CHECK(rings_of_message(sender, one) == 0);
  one.arm(1);
  CHECK(rings_of_message(sender, one) == 1);
  CHECK(rings_of_message(sender, one) == 0);  // once an arming
  other.arm(1);
  CHECK(rings_of_message(sender, one) == 1);
  one.arm(2);
  CHECK(rings_of_message(sender, one) == 0);
  one.arm(3);
  CHECK(rings_of_message(sender, one) == 1);
}

TEST_CASE("guarded sleep: a reader that sleeps before the writer looks at its page is rung for") {
  const Topic topic;
  BroadcastSender sender = must(BroadcastSender::attach(topic.directory, kName));
  std::vector<std::unique_ptr<Subscriber>> all;
  // Beyond the places, too.
  for (std::uint32_t i = 0; i < kSubscriberPlaces + 8; ++i) {
    all.push_back(std::make_unique<Subscriber>(topic.directory));
    all.back()->arm(1);
    CHECK(rings_of_message(sender, *all.back()) > 0);
  }
}

TEST_CASE("guarded sleep: a place's next holder is rung for as its first was, and leaves quiet") {
  const Topic topic;
  BroadcastSender sender = must(BroadcastSender::attach(topic.directory, kName));
  Subscriber resident(topic.directory);
  for (int round = 0; round < 100; ++round) {
    Subscriber guest(topic.directory);
    REQUIRE(falls_quiet(sender, resident));
    guest.arm(1);
    CHECK(rings_of_message(sender, resident) == 1);
  }
  REQUIRE(falls_quiet(sender, resident));
  for (int i = 0; i < 50; ++i) CHECK(rings_of_message(sender, resident) == 0);
}

TEST_CASE("guarded sleep: as long as all have a place it is quiet, and with one more never again") {
  const Topic topic;
  BroadcastSender sender = must(BroadcastSender::attach(topic.directory, kName));
  std::vector<std::unique_ptr<Subscriber>> all;
  for (std::uint32_t i = 0; i < kSubscriberPlaces; ++i) {
    all.push_back(std::make_unique<Subscriber>(topic.directory));
  }
  REQUIRE(falls_quiet(sender, *all.front()));
  Subscriber one_more(topic.directory);
  for (int i = 0; i < 20; ++i) CHECK(rings_of_message(sender, one_more) == 1);
  all.clear();
  for (int i = 0; i < 20; ++i) CHECK(rings_of_message(sender, one_more) == 1);
}

TEST_CASE("guarded sleep: a writer's successor looks at every page, and rings until it does") {
  const Topic topic;
  Subscriber one(topic.directory);
  Subscriber other(topic.directory);
  for (std::uint32_t round = 0; round < 5; ++round) {
    BroadcastSender sender = must(test::attach_when_free<BroadcastSender>(topic.directory, kName));
    one.arm(4 * round + 1);
    CHECK(rings_of_message(sender, one) > 0);
    REQUIRE(falls_quiet(sender, one));
    other.arm(4 * round + 1);
    CHECK(rings_of_message(sender, one) == 1);
    CHECK(rings_of_message(sender, one) == 0);
  }
}

TEST_CASE("guarded sleep: when the broker is gone, who is known is rung for") {
  Topic topic;
  BroadcastSender sender = must(BroadcastSender::attach(topic.directory, kName));
  Subscriber known(topic.directory);
  REQUIRE(falls_quiet(sender, known));
  Subscriber untold(topic.directory);
  topic.broker.kill_now();
  known.arm(1);
  CHECK(rings_of_message(sender, known) > 0);
  untold.arm(1);
  CHECK(rings_of_message(sender, known) > 0);
  CHECK_FALSE(GuardedSubscription::attach(topic.directory, kName, MemoryLock::kOff).ok());
}

// Readers that sleep between any two messages.  A wake-up that is lost shows as a sleep that ends
// by its bound, which is longer than the test has patience for.
TEST_CASE("guarded sleep: readers in other processes are woken for every message, late ones too") {
  const Topic topic;
  BroadcastSender sender = must(BroadcastSender::attach(topic.directory, kName));
  constexpr std::uint64_t kCount = 400;
  std::vector<std::unique_ptr<OtherProcess>> readers;
  const auto start_reader = [&](std::uint64_t count) {
    readers.push_back(std::make_unique<OtherProcess>([&topic, count](Line line) {
      Result<BroadcastReceiver> reader = BroadcastReceiver::attach(topic.directory, kName);
      line.say(reader ? 'y' : 'n');
      if (!reader) return 1;
      Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = 2 * test::kPatienceNs});
      for (std::uint64_t number = 0; number < count; ++number) {
        BroadcastMessage message;
        while (reader->try_receive(message) == Transfer::kBlocked) {
          const std::vector<WaitPoint> points{reader->message_point(), *reader->news_point()};
          static_cast<void>(waiter.wait(
              points, [&] { return reader->has_message(); }, deadline_after(test::kPatienceNs)));
        }
        line.say('g');
      }
      return reader->lost_count() == 0 && waiter.counts().late_finds == 0 ? 0 : 2;
    }));
    REQUIRE(readers.back()->line().hear() == 'y');
  };
  for (std::uint64_t number = 0; number < kCount; ++number) {
    if (number % 100 == 0) start_reader(kCount - number);
    REQUIRE(send_number(sender, number));
    for (auto& reader : readers) REQUIRE(reader->line().hear() == 'g');
  }
  for (auto& reader : readers) CHECK(reader->wait() == 0);
}

// ---- hostile ----

// What the broker answers to a page that is handed in so: the kind, or 0 for the connection's end.
std::uint16_t answer_to(const Topic& topic, int fd, std::uint32_t role = kSubscriberRole,
                        int times = 1) {
  const std::uint64_t deadline_ns = deadline_after(test::kPatienceNs);
  Connection connection = must(Connection::connect(topic.directory, kName, deadline_ns));
  const std::vector<int> descriptors(fd >= 0 ? 1 : 0, fd);
  std::uint16_t kind = 0;
  for (int i = 0; i < times; ++i) {
    const GuardGeneration body{role, 0};
    static_cast<void>(connection.send(static_cast<std::uint16_t>(GuardKind::kRegion),
                                      guard_bytes(body), descriptors));
    Packet packet;
    for (;;) {
      const Arrival got = must(connection.receive(packet));
      if (got == Arrival::kClosed) return 0;
      if (got == Arrival::kPacket) break;
      REQUIRE(must(connection.wait(deadline_ns)));
    }
    kind = packet.kind;
  }
  return kind;
}

TEST_CASE("guarded sleep: what is no sealed page is refused, and nobody else notices") {
  const Topic topic;
  BroadcastSender sender = must(BroadcastSender::attach(topic.directory, kName));
  Subscriber honest(topic.directory);
  REQUIRE(falls_quiet(sender, honest));
  const std::uint64_t page = page_size_bytes();
  const auto refused = static_cast<std::uint16_t>(GuardKind::kRefuse);
  const auto accepted = static_cast<std::uint16_t>(GuardKind::kAccepted);
  const SealedMemory open = must(make_unsealed_memory(page, MemoryLock::kOff));
  CHECK(answer_to(topic, open.descriptor.get()) == refused);
  const SealedMemory large = must(make_sealed_memory(2 * page, MemoryLock::kOff));
  CHECK(answer_to(topic, large.descriptor.get()) == refused);
  const Descriptor null(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  CHECK(answer_to(topic, null.get()) == refused);
  const SealedMemory sound = must(make_sealed_memory(page, MemoryLock::kOff));
  const int fd = sound.descriptor.get();
  for (const std::uint32_t role : {0U, 1U, 2U, 15U, 17U, 47U, UINT32_MAX}) {
    CHECK(answer_to(topic, fd, role) == 0);
  }
  CHECK(answer_to(topic, -1) == 0);
  CHECK(answer_to(topic, fd, kSubscriberRole, 2) == 0);
  CHECK(answer_to(topic, fd) == accepted);
  REQUIRE(falls_quiet(sender, honest));
  honest.arm(1);
  CHECK(rings_of_message(sender, honest) == 1);
}

TEST_CASE("guarded sleep: a reader that lies about its sleep costs rings, and nobody a wake-up") {
  const Topic topic;
  BroadcastSender sender = must(BroadcastSender::attach(topic.directory, kName));
  Subscriber honest(topic.directory);
  Subscriber liar(topic.directory);
  REQUIRE(falls_quiet(sender, honest));
  for (std::uint32_t i = 0; i < 1000; ++i) {
    liar.arm(i * 2654435761U | 1U);  // a new arming with each message
    CHECK(rings_of_message(sender, honest) == 1);
    liar.arm(0);
    CHECK(rings_of_message(sender, honest) == 0);
    honest.arm(2 * i + 1);
    CHECK(rings_of_message(sender, honest) == 1);
  }
}

TEST_CASE("guarded places: a writer that acknowledges what it was not given changes nothing") {
  GuardedPlaces places;
  CHECK_FALSE(places.must_ring());
  for (std::uint64_t id = 1; id <= kSubscriberPlaces; ++id) {
    REQUIRE(places.join(id, {1, 2, 3, 0}, Descriptor()));
  }
  for (std::uint32_t place = 0; place < kSubscriberPlaces; ++place) {
    CHECK(places.must_ring());
    places.seen({kSubscriberRole + place, 1});  // not told yet
    const auto news = places.next_news();
    REQUIRE(news);
    CHECK(news->body.role == kSubscriberRole + place);
    CHECK(news->body.owner.generation == 1);
    places.told(news->body);
    places.seen({kSubscriberRole + place, 2});
    places.seen({kSubscriberRole + kSubscriberPlaces, 1});
    places.seen({0, 1});
    CHECK(places.must_ring());
    places.seen({kSubscriberRole + place, 1});
  }
  CHECK_FALSE(places.must_ring());
  CHECK_FALSE(places.next_news());
  // Its next holder is another generation.
  places.leave(1);
  CHECK_FALSE(places.must_ring());
  REQUIRE(places.join(100, {}, Descriptor()));
  CHECK(places.must_ring());
  places.seen({kSubscriberRole, 1});
  CHECK(places.must_ring());
  CHECK(places.next_news()->body.owner.generation == 2);
  places.forget_told();
  CHECK_FALSE(places.join(200, {}, Descriptor()));
  for (std::uint64_t id = 1; id <= 200; ++id) places.leave(id);
  CHECK(places.must_ring());
}

}  // namespace
}  // namespace slipring
