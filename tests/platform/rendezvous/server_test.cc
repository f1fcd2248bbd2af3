#include "platform/rendezvous/server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include <doctest/doctest.h>

#include "platform/wait/clock.h"
#include "tests/platform/other_process.h"
#include "tests/platform/rendezvous/served_name.h"
#include "tests/platform/scratch.h"

namespace slipring {
namespace {

TEST_CASE("rendezvous: each side learns from the kernel who the other is") {
  Scratch scratch;
  SegmentDirectory directory = opened(scratch);
  RendezvousServer server = served(directory);
  OtherProcess child([&](Line line) {
    Connection connection = connected(directory);
    if (connection.peer().process.pid() != getppid()) return 1;
    if (!connection.send(7, bytes_of("hello"))) return 2;
    line.hear();
    return 0;
  });
  const Event event = must_hear(server);
  REQUIRE(event.kind == Kind::kPacket);
  CHECK(server.packet().kind == 7);
  REQUIRE(server.packet().body_bytes == 5);
  CHECK(std::memcmp(server.packet().body.data(), "hello", 5) == 0);
  const PeerCredentials* peer = server.peer(event.id);
  REQUIRE(peer != nullptr);
  CHECK(peer->user == geteuid());
  CHECK(peer->group == getegid());
  CHECK(peer->process.pid() == child.pid());
  Result<Peer> same = Peer::open(child.pid());
  Result<Peer> us = Peer::open(getpid());
  REQUIRE(same.ok());
  REQUIRE(us.ok());
  CHECK(peer->process.is_same_as(*same));
  CHECK_FALSE(peer->process.is_same_as(*us));
  CHECK_FALSE(peer->process.has_ended().value());
  child.line().say('.');
  child.wait_zombie();
  CHECK(peer->process.has_ended().value());
  CHECK(must_hear(server).kind == Kind::kClosed);
  CHECK(server.peer(event.id) == nullptr);
  CHECK(server.send(event.id, 1, {}).error().code == ErrorCode::kClosed);
}

TEST_CASE("rendezvous: descriptors cross, close-on-exec, and none is leaked") {
  Scratch scratch;
  SegmentDirectory directory = opened(scratch);
  RendezvousServer server = served(directory);
  const std::size_t before = open_descriptor_count();
  {
    Connection client = connected(directory);
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    const std::vector<int> four(kMaxPacketDescriptors, null);
    REQUIRE(client.send(3, {}, four).ok());
    const Event event = must_hear(server);
    REQUIRE(event.kind == Kind::kPacket);
    REQUIRE(server.packet().descriptor_count == kMaxPacketDescriptors);
    for (const Descriptor& descriptor : server.packet().descriptors) {
      REQUIRE(descriptor.is_open());
      CHECK((::fcntl(descriptor.get(), F_GETFD) & FD_CLOEXEC) != 0);
    }
    // Answered in kind.
    const std::vector<int> one(1, null);
    REQUIRE(server.send(event.id, 4, bytes_of("x"), one).ok());
    Packet packet;
    REQUIRE(client.wait(deadline_after(kLongNs)).value());
    REQUIRE(client.receive(packet).value() == Arrival::kPacket);
    CHECK(packet.descriptor_count == 1);
    CHECK(client.receive(packet).value() == Arrival::kNothing);
    CHECK_FALSE(packet.descriptors[0].is_open());
    ::close(null);
  }
  CHECK(must_hear(server).kind == Kind::kClosed);
  CHECK(open_descriptor_count() == before);
}

// Sends what Connection would not.
void send_raw(int fd, const std::vector<std::byte>& image, std::size_t descriptor_count) {
  std::vector<int> fds(descriptor_count, 0);
  for (int& each : fds) each = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  iovec part{const_cast<std::byte*>(image.data()), image.size()};
  alignas(cmsghdr) std::byte control[CMSG_SPACE(64 * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
  }
  CHECK(::sendmsg(fd, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(image.size()));
  for (const int each : fds) ::close(each);
}

std::vector<std::byte> image_of(PacketHeader header, std::size_t body_bytes) {
  std::vector<std::byte> image(sizeof header + body_bytes);
  std::memcpy(image.data(), &header, sizeof header);
  return image;
}

TEST_CASE("rendezvous: a packet that is not whole ends its connection, and leaks nothing") {
  Scratch scratch;
  SegmentDirectory directory = opened(scratch);
  RendezvousServer server = served(directory);
  const PacketHeader good{kPacketMagic, kPacketVersion, 1, 8, 0};
  struct Attempt {
    std::vector<std::byte> image;
    std::size_t descriptor_count;
  };
  std::vector<Attempt> attempts;
  PacketHeader header = good;
  attempts.push_back({std::vector<std::byte>(1), 0});
  attempts.push_back({std::vector<std::byte>(sizeof header - 1), 1});
  header.magic ^= 1;
  attempts.push_back({image_of(header, 8), 0});
  header = good;
  header.version = 2;
  attempts.push_back({image_of(header, 8), 2});
  header = good;
  attempts.push_back({image_of(header, 7), 0});
  attempts.push_back({image_of(header, 9), 0});
  header.body_bytes = UINT32_MAX;
  attempts.push_back({image_of(header, 8), 0});
  header = good;
  attempts.push_back({image_of(header, 8), 1});  // one that is not announced
  header.descriptor_count = 2;
  attempts.push_back({image_of(header, 8), 1});  // one announced that does not come
  header.descriptor_count = 5;
  attempts.push_back({image_of(header, 8), 5});
  header.descriptor_count = 64;
  attempts.push_back({image_of(header, 8), 64});
  header = good;
  header.body_bytes = kMaxBodyBytes + 1;
  attempts.push_back({image_of(header, kMaxBodyBytes + 1), 0});
  attempts.push_back({image_of(header, 60'000), 4});
  const std::size_t before = open_descriptor_count();
  for (const Attempt& attempt : attempts) {
    Connection client = connected(directory);
    CHECK(heard(server).empty());
    CHECK(server.connection_count() == 1);
    send_raw(client.fd(), attempt.image, attempt.descriptor_count);
    CHECK(must_hear(server).kind == Kind::kClosed);
    CHECK(server.connection_count() == 0);
    Packet packet;
    CHECK(client.receive(packet).value() == Arrival::kClosed);
  }
  // And the good one is heard: the oracle is not deaf.
  Connection client = connected(directory);
  send_raw(client.fd(), image_of(good, 8), 0);
  CHECK(must_hear(server).kind == Kind::kPacket);
  CHECK(open_descriptor_count() == before + 4);  // two sockets, and a pidfd for each side
}

TEST_CASE("rendezvous: silent connections give way, and those that have spoken stay") {
  Scratch scratch;
  SegmentDirectory directory = opened(scratch);
  RendezvousOptions options;
  options.connection_count_max = 4;
  options.per_user_count_max = 4;
  RendezvousServer server = served(directory, options);
  std::vector<Connection> spoken;
  for (int i = 0; i < 2; ++i) {
    spoken.push_back(connected(directory));
    REQUIRE(spoken.back().send(1, {}).ok());
    CHECK(must_hear(server).kind == Kind::kPacket);
  }
  std::vector<Connection> silent;
  for (int i = 0; i < 50; ++i) {
    silent.push_back(connected(directory));
    CHECK(heard(server).empty());
    CHECK(server.connection_count() <= 4);
  }
  Packet packet;
  for (const Connection& connection : spoken) {
    CHECK(connection.receive(packet).value() == Arrival::kNothing);
  }
  int left_count = 0;
  for (const Connection& connection : silent) {
    left_count += connection.receive(packet).value() == Arrival::kNothing ? 1 : 0;
  }
  CHECK(left_count == 2);
  // The newest are left; they may still speak, and then nobody gives way any more.
  for (std::size_t i = silent.size() - 2; i < silent.size(); ++i) {
    REQUIRE(silent[i].send(1, {}).ok());
    CHECK(must_hear(server).kind == Kind::kPacket);
  }
  Connection refused = connected(directory);
  CHECK(heard(server).empty());
  CHECK(refused.receive(packet).value() == Arrival::kClosed);
  CHECK(server.connection_count() == 4);
  CHECK(server.next_deadline_ns() == kNoDeadline);
}

TEST_CASE("rendezvous: who speaks in the turn in which others come is not silent") {
  Scratch scratch;
  SegmentDirectory directory = opened(scratch);
  RendezvousOptions options;
  options.connection_count_max = 1;
  RendezvousServer server = served(directory, options);
  Connection first = connected(directory);
  CHECK(heard(server).empty());
  REQUIRE(first.send(1, {}).ok());
  Connection second = connected(directory);
  const std::vector<Event> events = heard(server);
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kPacket);
  Packet packet;
  CHECK(first.receive(packet).value() == Arrival::kNothing);
  CHECK(second.receive(packet).value() == Arrival::kClosed);
}

TEST_CASE("rendezvous: a server without descriptors refuses, and goes on afterwards") {
  Scratch scratch;
  SegmentDirectory directory = opened(scratch);
  RendezvousServer server = served(directory);
  std::vector<Connection> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(connected(directory));
  rlimit before = {};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 0;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const std::vector<Event> events = heard(server);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(events.empty());
  CHECK(server.connection_count() == 0);
  Connection late = connected(directory);
  CHECK(heard(server).empty());
  CHECK(server.connection_count() >= 1);
  REQUIRE(late.send(1, {}).ok());
  CHECK(must_hear(server).kind == Kind::kPacket);
}

TEST_CASE("rendezvous: a client that does not read holds nobody up, and is told when it does") {
  Scratch scratch;
  SegmentDirectory directory = opened(scratch);
  RendezvousServer server = served(directory);
  Connection client = connected(directory);
  REQUIRE(client.send(1, {}).ok());
  const RendezvousServer::Id id = must_hear(server).id;
  const std::vector<std::byte> body(kMaxBodyBytes);
  int sent_count = 0;
  Status sent;
  while ((sent = server.send(id, 2, body)).ok()) ++sent_count;
  CHECK(sent.error().code == ErrorCode::kBusy);
  CHECK(sent_count > 0);
  server.want_writable(id);
  CHECK(heard(server).empty());
  Packet packet;
  for (int i = 0; i < sent_count; ++i) {
    REQUIRE(client.receive(packet).value() == Arrival::kPacket);
  }
  const Event event = must_hear(server);
  CHECK(event.kind == Kind::kWritable);
  CHECK(event.id == id);
  CHECK(server.send(id, 2, body).ok());
}

TEST_CASE("rendezvous: the death of a watched process is an event") {
  Scratch scratch;
  SegmentDirectory directory = opened(scratch);
  RendezvousServer server = served(directory);
  OtherProcess child([](Line line) {
    line.hear();
    return 0;
  });
  Result<Peer> peer = Peer::open(child.pid());
  REQUIRE(peer.ok());
  REQUIRE(server.watch(peer->poll_fd(), 42).ok());
  CHECK(heard(server).empty());
  child.kill_now();
  const Event event = must_hear(server);
  CHECK(event.kind == Kind::kWatched);
  CHECK(event.id == 42);
  server.forget(peer->poll_fd());
}

TEST_CASE("rendezvous: the last word of who leaves with letters unread is heard") {
  Scratch scratch;
  SegmentDirectory directory = opened(scratch);
  RendezvousServer server = served(directory);
  Event event;
  {
    Connection client = connected(directory);
    REQUIRE(client.send(1, {}).ok());
    event = must_hear(server);
    REQUIRE(event.kind == Kind::kPacket);
    REQUIRE(server.send(event.id, 2, {}).ok());
    REQUIRE(client.send(3, {}).ok());
  }
  CHECK(must_hear(server).kind == Kind::kPacket);
  CHECK(server.packet().kind == 3);
  CHECK(must_hear(server).kind == Kind::kClosed);
}

}  // namespace
}  // namespace slipring
