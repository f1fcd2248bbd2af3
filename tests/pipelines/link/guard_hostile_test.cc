// What a hostile client can do to a broker, and a hostile holder to its role's next one.
#include <fcntl.h>
#include <signal.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/guard_protocol.h"
#include "pipelines/link/guard_shape.h"
#include "platform/memory/page_size.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring {
namespace {

using test::attach_when_free;
using test::BrokerProcess;
using test::Directory;
using test::must;
using test::number_in;
using test::peek;
using test::put;

constexpr std::uint16_t number(GuardKind kind) {
  return static_cast<std::uint16_t>(kind);
}

// Speaks to a broker without any of the library's manners.
class RawClient {
 public:
  explicit RawClient(const SegmentDirectory& directory)
      : connection_(
            must(Connection::connect(directory, "t.link", deadline_after(test::kPatienceNs)))) {}

  template <typename Body>
  void say(GuardKind kind, const Body& body, std::vector<int> descriptors = {}) {
    static_cast<void>(connection_.send(number(kind), guard_bytes(body), descriptors));
  }
  void say_nothing(GuardKind kind) { static_cast<void>(connection_.send(number(kind), {})); }

  // The kind of the answer; 0 when the connection has ended.
  std::uint16_t hear() {
    for (;;) {
      const Arrival got = must(connection_.receive(packet));
      if (got == Arrival::kPacket) return packet.kind;
      if (got == Arrival::kClosed) return 0;
      REQUIRE(must(connection_.wait(deadline_after(test::kPatienceNs))));
    }
  }
  GuardGrant granted(Role role) {
    say(GuardKind::kAsk, GuardAsk{static_cast<std::uint32_t>(role), 0});
    REQUIRE(hear() == number(GuardKind::kGrant));
    return *guard_body<GuardGrant>(packet.bytes());
  }
  ErrorCode refused() {
    REQUIRE(hear() == number(GuardKind::kRefuse));
    return static_cast<ErrorCode>(guard_body<GuardRefuse>(packet.bytes())->code);
  }

  Packet packet;

 private:
  Connection connection_;
};

std::uint64_t writer_bytes() {
  return must(guard_shape(test::slots(8, 16), page_size_bytes())).parts.writer_bytes;
}

TEST_CASE("guard: memory that is not what it must be is refused, and the role is free again") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::slots(8, 16));
  const auto refused = [&](int fd) {
    RawClient client(directory);
    const GuardGrant grant = client.granted(Role::kWriter);
    client.say(GuardKind::kRegion, GuardGeneration{1, grant.next_generation}, {fd});
    CHECK(client.refused() == ErrorCode::kCorruptPeer);
    CHECK(client.hear() == 0);
  };
  SealedMemory open = must(make_unsealed_memory(writer_bytes(), MemoryLock::kOff));
  refused(open.descriptor.get());
  for (const int missing : {0x01, 0x02, 0x04, 0x10}) {
    SealedMemory partly = must(make_unsealed_memory(writer_bytes(), MemoryLock::kOff));
    REQUIRE(fcntl(partly.descriptor.get(), F_ADD_SEALS, 0x17 & ~missing) == 0);
    refused(partly.descriptor.get());
  }
  refused(must(make_sealed_memory(writer_bytes() + 4096, MemoryLock::kOff)).descriptor.get());
  refused(must(make_sealed_memory(4096, MemoryLock::kOff)).descriptor.get());
  const Descriptor null(open.descriptor.is_open() ? ::open("/dev/zero", O_RDWR | O_CLOEXEC) : -1);
  refused(null.get());
  LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
  CHECK(writer.incarnation() == 1);
}

TEST_CASE("guard: an end that gives up unheard leaves its role free, though its process lives") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  GuardedBroker broker = must(GuardedBroker::create(directory, "t.link", test::slots(8, 16)));
  // Accepts, and hears: both in this thread, so that a broker's turn comes exactly when it is due.
  const auto ask = [&](RawClient& client) {
    broker.turn();
    client.say(GuardKind::kAsk, GuardAsk{1, 0});
    broker.turn();
    return client.hear();
  };
  {
    RawClient client(directory);
    REQUIRE(ask(client) == number(GuardKind::kGrant));
    const auto grant = guard_body<GuardGrant>(client.packet.bytes());
    SealedMemory memory = must(make_sealed_memory(writer_bytes(), MemoryLock::kOff));
    client.say(GuardKind::kRegion, GuardGeneration{1, grant->next_generation},
               {memory.descriptor.get()});
    client.say_nothing(GuardKind::kBye);
  }
  broker.turn();  // cannot tell it that it was accepted, and still has its last word to hear
  broker.turn();
  RawClient next(directory);
  CHECK(ask(next) == number(GuardKind::kGrant));
}

TEST_CASE("guard: what is said out of turn ends the connection, and changes nothing") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::slots(8, 16));
  LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
  LinkReader reader = must(LinkReader::attach(directory, "t.link"));
  SealedMemory memory = must(make_sealed_memory(writer_bytes(), MemoryLock::kOff));
  const int fd = memory.descriptor.get();
  const std::vector<void (*)(RawClient&, int)> attempts = {
      [](RawClient& client, int region) {
        client.say(GuardKind::kRegion, GuardGeneration{1, 2}, {region});
      },
      [](RawClient& client, int region) {
        client.say(GuardKind::kRegion, GuardGeneration{1, 1}, {region, region, region, region});
      },
      [](RawClient& client, int) {
        client.say(GuardKind::kGot, GuardGeneration{1, 1});
      },
      [](RawClient& client, int) { client.say_nothing(GuardKind::kBye); },
      [](RawClient& client, int) {
        client.say(GuardKind::kAccepted, GuardGeneration{1, 1});
      },
      [](RawClient& client, int) { client.say(GuardKind::kNews, GuardNews{}); },
      [](RawClient& client, int) { client.say(GuardKind::kAsk, GuardGrant{}); },
      [](RawClient& client, int) { client.say_nothing(GuardKind::kAsk); },
      [](RawClient& client, int) {
        client.say(static_cast<GuardKind>(999), GuardAsk{1, 0});
      },
  };
  for (const auto& attempt : attempts) {
    RawClient client(directory);
    attempt(client, fd);
    CHECK(client.hear() == 0);
  }
  for (const std::uint32_t role : {1U, 2U}) {
    RawClient client(directory);
    client.say(GuardKind::kAsk, GuardAsk{role, 0});
    CHECK(client.refused() == ErrorCode::kBusy);
  }
  for (const std::uint32_t role : {3U, 4U, UINT32_MAX}) {
    RawClient client(directory);
    client.say(GuardKind::kAsk, GuardAsk{role, 0});
    CHECK(client.refused() == ErrorCode::kInvalidArgument);
  }
  Message message;
  REQUIRE(put(writer, 1));
  CHECK(reader.try_peek(message) == Transfer::kDone);
}

TEST_CASE("guard: a successor that dies while it copies leaves its predecessor's memory") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::slots(8, 16));
  {
    LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
    for (std::uint64_t i = 0; i < 5; ++i) REQUIRE(put(writer, i));
  }
  constexpr int kDeaths = 30;
  for (int i = 0; i < kDeaths; ++i) {
    OtherProcess child([&](Line line) {
      RawClient client(directory);
      client.say(GuardKind::kAsk, GuardAsk{1, 0});
      line.say(client.hear() == number(GuardKind::kGrant) ? 'y' : 'n');
      line.hear();
      return 0;
    });
    REQUIRE(child.line().hear() == 'y');
    CHECK(LinkWriter::attach(directory, "t.link").error().code == ErrorCode::kBusy);
    child.kill_now();
    child.wait();
  }
  LinkWriter heir = must(attach_when_free<LinkWriter>(directory));
  CHECK(heir.incarnation() == 2);
  CHECK(heir.position() == 5);
  LinkReader reader = must(LinkReader::attach(directory, "t.link"));
  for (std::uint64_t i = 0; i < 5; ++i) {
    Message message;
    REQUIRE(peek(reader, message));
    CHECK(number_in(message) == i);
    reader.release(message);
  }
}

TEST_CASE("guard: the stores of a holder that laid its role down and goes on reach nobody") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::slots(8, 16));
  LinkReader reader = must(LinkReader::attach(directory, "t.link"));
  GuardedHold zombie =
      must(GuardedEnd::take_role(directory, "t.link", Role::kWriter, MemoryLock::kOff));
  zombie.end.reset();  // kBye, and the memory stays
  LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
  reader.look_for_news();
  for (std::uint64_t i = 0; i < 200; ++i) {
    std::memset(zombie.own.writable_bytes().data(), static_cast<int>(i), zombie.own.size_bytes());
    REQUIRE(put(writer, i));
    Message message;
    REQUIRE(reader.try_peek(message) == Transfer::kDone);
    CHECK(number_in(message) == i);
    reader.release(message);
  }
}

TEST_CASE("guard: a predecessor's nonsense makes its successor refuse, and nothing else") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::slots(8, 16));
  LinkReader reader = must(LinkReader::attach(directory, "t.link"));
  {
    GuardedHold hostile =
        must(GuardedEnd::take_role(directory, "t.link", Role::kWriter, MemoryLock::kOff));
    std::memset(hostile.own.writable_bytes().data(), 0xff, hostile.own.size_bytes());
  }
  CHECK(LinkWriter::attach(directory, "t.link").error().code == ErrorCode::kCorruptPeer);
  Message message;
  CHECK(reader.try_peek(message) != Transfer::kDone);
}

TEST_CASE("guard: a role is for whom the broker expects, and for nobody before") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  GuardOptions options;
  options.writer.emplace();
  options.writer->only_process = true;
  Result<GuardedBroker> broker =
      GuardedBroker::create(directory, "t.link", test::slots(8, 16), options);
  REQUIRE(broker.ok());
  const auto attempt = [&](Line line) {
    line.hear();
    Result<LinkWriter> writer = LinkWriter::attach(directory, "t.link");
    line.say(writer.ok() ? 'y' : writer.error().code == ErrorCode::kPermission ? 'p' : 'n');
    line.hear();
    return 0;
  };
  OtherProcess expected(attempt);
  OtherProcess other(attempt);
  OtherProcess early(attempt);
  const auto answer_to = [&](OtherProcess& child) {
    child.line().say('.');
    for (;;) {
      pollfd watched[2] = {{broker->poll_fd(), POLLIN, 0}, {child.line().fd(), POLLIN, 0}};
      REQUIRE(::poll(watched, 2, 30'000) > 0);
      broker->turn();
      if (watched[1].revents != 0) return child.line().hear();
    }
  };
  CHECK(answer_to(early) == 'p');
  broker->expect(Role::kWriter, must(Peer::open(expected.pid())));
  CHECK(answer_to(other) == 'p');
  CHECK(answer_to(expected) == 'y');
}

// A broker that grants to whoever asks: what the oracle below is there to see.
class CarelessBroker {
 public:
  explicit CarelessBroker(const SegmentDirectory& directory)
      : server_(must(RendezvousServer::create(directory, "t.link"))),
        page_(must(make_sealed_memory(guard_page_bytes(test::records(4096)), MemoryLock::kOff))),
        shape_(must(guard_shape(test::slots(8, 16), page_size_bytes()))),
        zeros_(must(make_zero_memory(shape_.parts.reader_bytes))) {}

  [[nodiscard]] int poll_fd() const { return server_.poll_fd(); }
  void turn() {
    server_.begin_turn();
    while (const auto event = server_.next()) {
      if (event->kind != RendezvousServer::Event::Kind::kPacket) continue;
      if (server_.packet().kind == number(GuardKind::kAsk)) {
        GuardGrant grant = grant_of(shape_);
        grant.role = 1;
        grant.next_generation = 1;
        grant.descriptor_count = 2;
        const std::array<int, 2> fds = {page_.descriptor.get(), zeros_.get()};
        static_cast<void>(
            server_.send(event->id, number(GuardKind::kGrant), guard_bytes(grant), fds));
      } else if (server_.packet().kind == number(GuardKind::kRegion)) {
        static_cast<void>(server_.send(event->id, number(GuardKind::kAccepted),
                                       guard_bytes(GuardGeneration{1, 1})));
      }
    }
  }

 private:
  RendezvousServer server_;
  SealedMemory page_;
  GuardShape shape_;
  Descriptor zeros_;
};

// Whether two living processes get one role.
bool grants_twice(const SegmentDirectory& directory) {
  OtherProcess first([&](Line line) {
    Result<LinkWriter> writer = LinkWriter::attach(directory, "t.link");
    line.say(writer.ok() ? 'y' : 'n');
    line.hear();
    return 0;
  });
  REQUIRE(first.line().hear() == 'y');
  return LinkWriter::attach(directory, "t.link").ok();
}

TEST_CASE("guard: no second claimant gets a role while the first lives; a planted bug is seen") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  {
    BrokerProcess broker(directory, test::slots(8, 16));
    CHECK_FALSE(grants_twice(directory));
  }
  Directory other_folder;
  SegmentDirectory other = other_folder.open();
  OtherProcess careless([&](Line line) {
    CarelessBroker broker(other);
    line.say('y');
    return test::serve(broker, line);
  });
  REQUIRE(careless.line().hear() == 'y');
  CHECK(grants_twice(other));
}

}  // namespace
}  // namespace slipring
