// A thousand clients that are silent, slow, or talk nonsense, against one that is good.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "pipelines/wire/frame.h"
#include "platform/process/descriptor.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/pipelines/wire/wire_process.h"

namespace slipring::wire {
namespace {

using test::Directory;
using test::must;

constexpr const char* kLink = "line";
constexpr int kClients = 1000;
constexpr std::uint64_t kMessages = 20'000;
constexpr std::uint64_t kPatienceNs = 60'000'000'000;
// What a client without a link costs, the kernel's part aside.
constexpr std::uint64_t kBytesAClientMax = 4096;

std::uint64_t resident_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

void allow_descriptors() {
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  REQUIRE(limit.rlim_cur > kClients + 100);
}

Descriptor connect_to(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.c_str(), path.size() + 1);
  Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  while (connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    REQUIRE(monotonic_ns() < until_ns);
    REQUIRE((errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN));
  }
  return fd;
}

// One link's programs, and what passes between two of their turns.
struct GoodClient {
  GoodClient(const SegmentDirectory& here, const SegmentDirectory& there)
      : writer(must(LinkWriter::attach(here, kLink))),
        reader(must(LinkReader::attach(there, kLink))) {}
  // Until `count` have come; `turn` is called now and then.
  template <typename Turn>
  void carry(std::uint64_t count, Turn&& turn) {
    const std::uint64_t until_ns = deadline_after(kPatienceNs);
    for (std::uint64_t tries = 0; received < count; ++tries) {
      std::span<std::byte> place;
      while (sent < count && writer.try_reserve(sizeof sent, place) == Transfer::kDone) {
        std::memcpy(place.data(), &sent, sizeof sent);
        writer.commit(sizeof sent);
        ++sent;
      }
      Message message;
      while (reader.try_peek(message) == Transfer::kDone) {
        std::uint64_t number = 0;
        REQUIRE(message.bytes.size() == sizeof number);
        std::memcpy(&number, message.bytes.data(), sizeof number);
        REQUIRE(number == received);
        ++received;
        reader.release(message);
      }
      if (tries % 64 == 0) turn();
      REQUIRE(monotonic_ns() < until_ns);
    }
  }
  LinkWriter writer;
  LinkReader reader;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};

struct Wire {
  explicit Wire(std::size_t clients_max = 4096)
      : here_segments(here.open()),
        there_segments(there.open()),
        path(here.path() + ".socket"),
        server({there.path(), "unix://" + path, kLink, LinkSide::kReceiver, true, clients_max}),
        client({here.path(), "unix://" + path, kLink, LinkSide::kSender, false}) {
    REQUIRE(create_link(here_segments, kLink, test::records(65536)).ok());
    REQUIRE(create_link(there_segments, kLink, test::records(65536)).ok());
  }
  ~Wire() { std::remove(path.c_str()); }

  Directory here;
  Directory there;
  SegmentDirectory here_segments;
  SegmentDirectory there_segments;
  std::string path;
  WireProcess server;
  WireProcess client;
};

TEST_CASE("many clients: a thousand that are silent or slow harm nobody, and cost little") {
  allow_descriptors();
  Wire wire;
  wire.server.start();
  wire.client.start();
  GoodClient good(wire.here_segments, wire.there_segments);
  good.carry(kMessages, [] {});
  const std::uint64_t before_bytes = resident_bytes(wire.server.pid());

  std::vector<Descriptor> clients;
  for (int i = 0; i < kClients; ++i) clients.push_back(connect_to(wire.path));
  // A third says nothing, a third a byte at a time, a third half a greeting.
  const Preamble preamble = encode_preamble();
  std::array<std::byte, kHeaderBytes> header{};
  encode_header({FrameType::kHello, 0, 100}, header);
  std::size_t at = 0;
  for (std::size_t i = 2; i < clients.size(); i += 3) {
    const int fd = clients[i].get();
    REQUIRE(send(fd, preamble.data(), preamble.size(), MSG_NOSIGNAL) == 8);
    REQUIRE(send(fd, header.data(), 20, MSG_NOSIGNAL) == 20);
  }
  const auto dribble = [&] {
    if (at == preamble.size()) return;
    for (std::size_t i = 1; i < clients.size(); i += 3) {
      static_cast<void>(send(clients[i].get(), &preamble[at], 1, MSG_NOSIGNAL));
    }
    ++at;
  };
  good.carry(2 * kMessages, dribble);
  const std::uint64_t after_bytes = resident_bytes(wire.server.pid());
  const std::uint64_t more_bytes = after_bytes > before_bytes ? after_bytes - before_bytes : 0;
  MESSAGE(kClients, " clients: ", more_bytes / 1024, " KiB more, ", good.received,
          " messages of the good one");
  CHECK(more_bytes < kClients * kBytesAClientMax);
}

TEST_CASE("many clients: a server that is full of silent ones still takes a good one") {
  allow_descriptors();
  Wire wire(200);
  wire.server.start();
  std::vector<Descriptor> clients;
  for (int i = 0; i < kClients; ++i) clients.push_back(connect_to(wire.path));
  wire.client.start();
  GoodClient good(wire.here_segments, wire.there_segments);
  good.carry(kMessages, [&] {
    // And more come all the time.
    clients.erase(clients.begin());
    clients.push_back(connect_to(wire.path));
  });
  CHECK(good.received == kMessages);
}

TEST_CASE("many clients: those that talk nonsense are told so and closed") {
  Wire wire;
  wire.server.start();
  const Descriptor fd = connect_to(wire.path);
  const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  REQUIRE(send(fd.get(), request, sizeof request, MSG_NOSIGNAL) ==
          static_cast<ssize_t>(sizeof request));
  shutdown(fd.get(), SHUT_WR);
  std::string answer;
  char piece[256];
  for (ssize_t got = 0; (got = recv(fd.get(), piece, sizeof piece, 0)) > 0;) {
    answer.append(piece, static_cast<std::size_t>(got));
  }
  CHECK(answer.find("the other side does not speak the wire protocol") != std::string::npos);
}

}  // namespace
}  // namespace slipring::wire
