#include "pipelines/adapter/datagram_messages.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/adapter/open_endpoint.h"
#include "tests/pipelines/adapter/lossy_proxy.h"

namespace slipring {
namespace {

using test::LossyProxy;
using test::port_of;
using test::send_to;

constexpr std::uint64_t kCap = 4000;

// A receiving socket of ours on a port that the kernel chose.
Descriptor receiver() {
  std::string fault;
  Endpoint endpoint = *parse_endpoint("udp://:1", fault);
  endpoint.port = "0";
  Result<Descriptor> opened = open_udp(endpoint, Direction::kSource);
  REQUIRE(opened.ok());
  return std::move(opened).value();
}

// Everything that has come.
std::vector<std::string> take_all(MessageSource& source, bool* has_ended = nullptr) {
  std::vector<std::string> messages;
  for (bool is_held = false;;) {
    std::span<const std::byte> message;
    const Result<Passage> took = source.try_take(message);
    REQUIRE(took.ok());
    if (took.value() == Passage::kDone) {
      messages.emplace_back(reinterpret_cast<const char*>(message.data()), message.size());
      is_held = true;
      continue;
    }
    if (has_ended != nullptr) *has_ended = took.value() == Passage::kEnded;
    if (!is_held) return messages;
    source.finish_taken();
    is_held = false;
  }
}

// The first place where the two differ, or -1.
std::ptrdiff_t first_difference(const std::vector<std::string>& got,
                                const std::vector<std::string>& wanted) {
  const auto [one, other] = std::mismatch(got.begin(), got.end(), wanted.begin(), wanted.end());
  if (one == got.end() && other == wanted.end()) return -1;
  return other - wanted.begin();
}

std::string datagram(std::size_t number) {
  return std::to_string(number) + ":" + std::string(number * 131 % 1300, 'd');
}

TEST_CASE("udp: exactly what a lossy network lets pass arrives, in its order") {
  std::uint64_t passed = 0;
  std::uint64_t lost = 0;
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    Descriptor socket = receiver();
    LossyProxy proxy(seed, port_of(socket.get()));
    DatagramSource source(std::move(socket), DatagramKind::kUdp, kCap);
    const Descriptor sender = test::udp_socket();
    std::vector<std::string> got;
    for (std::size_t number = 0; number < 1000; ++number) {
      send_to(sender, proxy.port(), datagram(number));
      if (number % 20 != 19) continue;
      // A send over loopback is in the other's buffer when it returns.
      proxy.turn();
      const std::vector<std::string> more = take_all(source);
      got.insert(got.end(), more.begin(), more.end());
    }
    proxy.flush();
    const std::vector<std::string> more = take_all(source);
    got.insert(got.end(), more.begin(), more.end());
    CHECK(proxy.come_count() == 1000);
    CHECK(proxy.dropped_count() > 0);
    CHECK(proxy.repeated_count() > 0);
    CHECK(proxy.delayed_count() > 0);
    CHECK(first_difference(got, proxy.passed()) == -1);
    PumpReport report;
    source.add_to(report);
    CHECK(report.overrun_messages == 0);
    passed += proxy.passed().size();
    lost += proxy.dropped_count();
  }
  MESSAGE("datagrams: 20000 sent, ", lost, " dropped, ", passed, " let pass and received");
}

TEST_CASE("udp: the judge sees one that is lost, repeated, or swapped") {
  const std::vector<std::string> wanted{"a", "b", "c"};
  CHECK(first_difference({"a", "b", "c"}, wanted) == -1);
  CHECK(first_difference({"a", "c"}, wanted) == 1);
  CHECK(first_difference({"a", "b"}, wanted) == 2);
  CHECK(first_difference({"a", "b", "b", "c"}, wanted) == 2);
  CHECK(first_difference({"b", "a", "c"}, wanted) == 0);
  CHECK(first_difference({"a", "b", "c", "c"}, wanted) == 3);
}

TEST_CASE(
    "udp: what is too long is left out whole and counted, what is as long as the cap passes") {
  Descriptor socket = receiver();
  const std::uint16_t port = port_of(socket.get());
  DatagramSource source(std::move(socket), DatagramKind::kUdp, kCap);
  source.limit(100);
  const Descriptor sender = test::udp_socket();
  for (const std::size_t size : {100U, 101U, 0U, 5000U, 1U}) {
    send_to(sender, port, std::string(size, 'x'));
  }
  const std::vector<std::string> got = take_all(source);
  CHECK(got == std::vector<std::string>{std::string(100, 'x'), "", "x"});
  PumpReport report;
  source.add_to(report);
  CHECK(report.truncated_messages == 2);
}

TEST_CASE("udp: what comes while the socket is full is lost, and counted as many") {
  Descriptor socket = receiver();
  const int small = 1;  // the kernel makes it the least that it knows
  REQUIRE(setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
  const std::uint16_t port = port_of(socket.get());
  DatagramSource source(std::move(socket), DatagramKind::kUdp, kCap);
  const Descriptor sender = test::udp_socket();
  for (int i = 0; i < 200; ++i) send_to(sender, port, std::string(500, 'x'));
  const std::size_t got = take_all(source).size();
  PumpReport report;
  source.add_to(report);
  CHECK(got < 200);
  CHECK(got + report.overrun_messages == 200);
}

TEST_CASE("udp: to where nobody listens is told, and what follows is sent") {
  Descriptor there = receiver();
  std::string fault;
  const std::string port = std::to_string(port_of(there.get()));
  Result<Descriptor> out = open_udp(*parse_endpoint("udp://:" + port, fault), Direction::kSink);
  REQUIRE(out.ok());
  DatagramSink sink(std::move(out).value(), DatagramKind::kUdp);
  CHECK(sink.max_message_bytes() == 65507);
  there = Descriptor();
  const std::string text = "hello";
  for (int i = 0; i < 3; ++i) {
    REQUIRE(sink.put(std::as_bytes(std::span(text))).ok());
    REQUIRE(sink.flush().value() == Passage::kDone);
  }
  PumpReport report;
  sink.add_to(report);
  CHECK(report.unheard_messages >= 1);
}

TEST_CASE("udp: the largest datagram passes") {
  Descriptor there = receiver();
  std::string fault;
  const std::string port = std::to_string(port_of(there.get()));
  Result<Descriptor> out = open_udp(*parse_endpoint("udp://:" + port, fault), Direction::kSink);
  REQUIRE(out.ok());
  DatagramSink sink(std::move(out).value(), DatagramKind::kUdp);
  DatagramSource source(std::move(there), DatagramKind::kUdp, 1 << 20);
  const std::string largest(sink.max_message_bytes(), 'z');
  REQUIRE(sink.put(std::as_bytes(std::span(largest))).value() == Passage::kDone);
  REQUIRE(sink.flush().value() == Passage::kDone);
  CHECK(take_all(source) == std::vector<std::string>{largest});
}

TEST_CASE(
    "udp multicast: who joins on an interface gets what is sent there, and others' ports do not") {
  std::string fault;
  const Descriptor place = test::udp_socket();
  const std::string port = std::to_string(port_of(place.get()));
  const std::string group = "udp://239.255.77.1:" + port + "?iface=";
  for (const char* interface_name : {"lo", "127.0.0.1"}) {
    Result<Descriptor> in =
        open_udp(*parse_endpoint(group + interface_name, fault), Direction::kSource);
    REQUIRE(in.ok());
    Result<Descriptor> second =
        open_udp(*parse_endpoint(group + interface_name, fault), Direction::kSource);
    REQUIRE(second.ok());  // a group may have several listeners
    Result<Descriptor> out =
        open_udp(*parse_endpoint(group + interface_name + "&ttl=1", fault), Direction::kSink);
    REQUIRE(out.ok());
    DatagramSource source(std::move(in).value(), DatagramKind::kUdp, kCap);
    DatagramSource other(std::move(second).value(), DatagramKind::kUdp, kCap);
    DatagramSink sink(std::move(out).value(), DatagramKind::kUdp);
    const std::string text = "to all";
    REQUIRE(sink.put(std::as_bytes(std::span(text))).ok());
    REQUIRE(sink.flush().value() == Passage::kDone);
    CHECK(take_all(source) == std::vector<std::string>{text});
    CHECK(take_all(other) == std::vector<std::string>{text});
  }
  const Result<Descriptor> nowhere =
      open_udp(*parse_endpoint(group + "no-such-interface", fault), Direction::kSource);
  CHECK(nowhere.error().code == ErrorCode::kNotFound);
}

TEST_CASE("seqpacket: boundaries, empty messages, the end, and a reader that has gone") {
  std::array<int, 2> fds{};
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) == 0);
  DatagramSource source{Descriptor(fds[0]), DatagramKind::kSeqpacket, 8 << 20};
  bool has_ended = false;
  {
    DatagramSink sink{Descriptor(fds[1]), DatagramKind::kSeqpacket};
    const std::vector<std::string> texts{"a\nb", "", std::string(sink.max_message_bytes(), 'l'),
                                         "last"};
    for (const std::string& text : texts) {
      REQUIRE(sink.put(std::as_bytes(std::span(text))).value() == Passage::kDone);
      REQUIRE(sink.flush().value() == Passage::kDone);
      CAPTURE(text.size());
      CHECK(take_all(source, &has_ended) == std::vector<std::string>{text});
      CHECK_FALSE(has_ended);
    }
  }
  CHECK(take_all(source, &has_ended).empty());
  CHECK(has_ended);

  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) == 0);
  DatagramSink sink{Descriptor(fds[1]), DatagramKind::kSeqpacket};
  const std::string text = "x";
  // Until it is full: back-pressure, and no loss.
  for (;;) {
    REQUIRE(sink.put(std::as_bytes(std::span(text))).value() == Passage::kDone);
    if (sink.flush().value() == Passage::kBlocked) break;
  }
  Descriptor{fds[0]} = Descriptor();
  CHECK(sink.flush().value() == Passage::kEnded);
  CHECK(sink.ended_by() == PumpEnd::kOutputClosed);
}

}  // namespace
}  // namespace slipring
