// A thousand clients that are silent, slow, or talk nonsense, against one that is good: over unix
// sockets, TCP and TLS.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/wire/frame.h"
#include "platform/process/descriptor.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/adapter/tls_identities.h"
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
// With what OpenSSL holds for one that has not finished its handshake.
constexpr std::uint64_t kBytesATlsClientMax = 65536;

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

// Of a server, which may not be there yet.
struct Place {
  sockaddr_storage name{};
  socklen_t size = 0;

  static Place at(const std::string& path) {
    sockaddr_un unix_name{};
    unix_name.sun_family = AF_UNIX;
    std::memcpy(unix_name.sun_path, path.c_str(), path.size() + 1);
    return of(unix_name);
  }
  // A port that nobody listens at now.
  static Place of_a_port() {
    sockaddr_in tcp_name{};
    tcp_name.sin_family = AF_INET;
    tcp_name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const Descriptor probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    socklen_t bytes = sizeof tcp_name;
    REQUIRE(bind(probe.get(), reinterpret_cast<const sockaddr*>(&tcp_name), bytes) == 0);
    REQUIRE(getsockname(probe.get(), reinterpret_cast<sockaddr*>(&tcp_name), &bytes) == 0);
    return of(tcp_name);
  }
  [[nodiscard]] std::string port() const {
    sockaddr_in tcp_name{};
    std::memcpy(&tcp_name, &name, sizeof tcp_name);
    return std::to_string(ntohs(tcp_name.sin_port));
  }

 private:
  template <typename Name>
  static Place of(const Name& some) {
    Place place;
    std::memcpy(&place.name, &some, sizeof some);
    place.size = sizeof some;
    return place;
  }
};

Descriptor connect_to(const Place& place) {
  const std::uint64_t until_ns = deadline_after(kPatienceNs);
  for (;;) {
    Descriptor fd(socket(place.name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto* name = reinterpret_cast<const sockaddr*>(&place.name);
    if (connect(fd.get(), name, place.size) == 0) return fd;
    REQUIRE((errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN));
    REQUIRE(monotonic_ns() < until_ns);
  }
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

enum class Over { kUnix, kTcp, kTls };
const char* name_of(Over over) {
  return over == Over::kUnix ? "unix" : over == Over::kTcp ? "TCP" : "TLS";
}

struct Wire {
  explicit Wire(Over way, std::size_t clients_max = 4096)
      : over(way),
        here_segments(here.open()),
        there_segments(there.open()),
        path(here.path() + ".socket"),
        place(over == Over::kUnix ? Place::at(path) : Place::of_a_port()),
        server({there.path(), address("server"), kLink, LinkSide::kReceiver, true, clients_max}),
        client({here.path(), address("client"), kLink, LinkSide::kSender, false}) {
    REQUIRE(create_link(here_segments, kLink, test::records(65536)).ok());
    REQUIRE(create_link(there_segments, kLink, test::records(65536)).ok());
  }
  ~Wire() { std::remove(path.c_str()); }

  std::string address(const char* who) {
    if (over == Over::kUnix) return "unix://" + path;
    if (over == Over::kTcp) return "tcp://127.0.0.1:" + place.port();
    if (!identities) identities.emplace();
    const TlsCredentials files = identities->credentials(who);
    return "tcp+tls://127.0.0.1:" + place.port() + "?ca=" + files.authority_file +
           "&cert=" + files.certificate_file + "&key=" + files.key_file +
           (who == std::string("server") ? "&name=reader" : "&name=localhost");
  }

  Over over;
  std::optional<TlsIdentities> identities;
  Directory here;
  Directory there;
  SegmentDirectory here_segments;
  SegmentDirectory there_segments;
  std::string path;
  Place place;
  WireProcess server;
  WireProcess client;
};

void bear_with(Over over) {
  Wire wire(over);
  wire.server.start();
  wire.client.start();
  GoodClient good(wire.here_segments, wire.there_segments);
  good.carry(kMessages, [] {});
  const std::uint64_t before_bytes = resident_bytes(wire.server.pid());

  std::vector<Descriptor> clients;
  for (int i = 0; i < kClients; ++i) clients.push_back(connect_to(wire.place));
  // A third says nothing, a third a byte at a time, a third half a greeting: of the wire's, or of
  // TLS's.
  const Preamble preamble = encode_preamble();
  std::array<std::byte, kHeaderBytes> header{};
  encode_header({FrameType::kHello, 0, 100}, header);
  std::vector<std::byte> greeting(preamble.begin(), preamble.end());
  greeting.insert(greeting.end(), header.begin(), header.begin() + 20);
  if (over == Over::kTls) {
    // A record of 512 bytes, a ClientHello of 508, and 20 of them.
    constexpr std::array<std::uint8_t, 29> kHello{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3};
    greeting.assign(reinterpret_cast<const std::byte*>(kHello.data()),
                    reinterpret_cast<const std::byte*>(kHello.data()) + kHello.size());
  }
  for (std::size_t i = 2; i < clients.size(); i += 3) {
    REQUIRE(send(clients[i].get(), greeting.data(), greeting.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(greeting.size()));
  }
  std::size_t at = 0;
  const auto dribble = [&] {
    if (at == preamble.size()) return;
    for (std::size_t i = 1; i < clients.size(); i += 3) {
      static_cast<void>(send(clients[i].get(), &greeting[at], 1, MSG_NOSIGNAL));
    }
    ++at;
  };
  good.carry(2 * kMessages, dribble);
  const std::uint64_t after_bytes = resident_bytes(wire.server.pid());
  const std::uint64_t more_bytes = after_bytes > before_bytes ? after_bytes - before_bytes : 0;
  MESSAGE(std::string(name_of(over)), ", ", kClients, " clients: ", more_bytes / 1024,
          " KiB more, ", good.received, " messages of the good one");
  CHECK(more_bytes < kClients * (over == Over::kTls ? kBytesATlsClientMax : kBytesAClientMax));
}

TEST_CASE("many clients: a thousand that are silent or slow harm nobody, and cost little") {
  allow_descriptors();
  for (const Over over : {Over::kUnix, Over::kTcp, Over::kTls}) bear_with(over);
}

TEST_CASE("many clients: a server that is full of silent ones still takes a good one") {
  allow_descriptors();
  for (const Over over : {Over::kUnix, Over::kTcp, Over::kTls}) {
    Wire wire(over, 200);
    wire.server.start();
    std::vector<Descriptor> clients;
    for (int i = 0; i < kClients; ++i) clients.push_back(connect_to(wire.place));
    wire.client.start();
    GoodClient good(wire.here_segments, wire.there_segments);
    good.carry(kMessages, [&] {
      // And more come all the time.
      clients.erase(clients.begin());
      clients.push_back(connect_to(wire.place));
    });
    CHECK(good.received == kMessages);
  }
}

TEST_CASE("many clients: those that talk nonsense are told so and closed") {
  Wire wire(Over::kUnix);
  wire.server.start();
  const Descriptor fd = connect_to(wire.place);
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
