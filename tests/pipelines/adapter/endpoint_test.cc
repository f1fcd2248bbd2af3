#include "pipelines/adapter/endpoint.h"

#include <doctest/doctest.h>

#include <string>

namespace slipring {
namespace {

Endpoint read(std::string_view text) {
  std::string fault;
  const std::optional<Endpoint> endpoint = parse_endpoint(text, fault);
  REQUIRE_MESSAGE(endpoint.has_value(), text, ": ", fault);
  return *endpoint;
}

TEST_CASE("endpoint: what the words mean") {
  CHECK(read("-").kind == Endpoint::Kind::kStandard);
  CHECK(read("in.ts").kind == Endpoint::Kind::kFile);
  CHECK(read("in.ts").path == "in.ts");
  CHECK(read("file:-").path == "-");
  CHECK(read("ring:ts").kind == Endpoint::Kind::kRing);
  CHECK(read("ring:ts").path == "ts");
  const Endpoint unix_end = read("unix:///run/x.sock?listen");
  CHECK(unix_end.kind == Endpoint::Kind::kUnix);
  CHECK(unix_end.path == "/run/x.sock");
  CHECK(unix_end.listens);
  const Endpoint tcp_end = read("tcp://[::1]:80");
  CHECK(tcp_end.kind == Endpoint::Kind::kTcp);
  CHECK(tcp_end.host == "::1");
  CHECK(tcp_end.port == "80");
  CHECK_FALSE(tcp_end.listens);
}

TEST_CASE("endpoint: a server without a host is for this machine alone") {
  CHECK(read("tcp://:5000?listen").host == "127.0.0.1");
}

TEST_CASE("endpoint: options") {
  const Endpoint crowd = read("unix+seqpacket:///run/x?listen&clients=1000");
  CHECK(crowd.kind == Endpoint::Kind::kUnixPackets);
  CHECK(crowd.client_count == 1000);
  CHECK(keeps_boundaries(crowd));
  const Endpoint group = read("udp://@239.1.1.1:5000?iface=eth0&ttl=4&buffer=8MiB");
  CHECK(group.host == "239.1.1.1");
  CHECK(group.interface_name == "eth0");
  CHECK(group.ttl == 4);
  CHECK(group.buffer_bytes == 8U << 20);
  CHECK(keeps_boundaries(group));
  const Endpoint safe = read("tcp+tls://a:1?ca=a.pem&cert=c.pem&key=k.pem&name=b");
  CHECK(safe.kind == Endpoint::Kind::kTls);
  CHECK(safe.authority_file == "a.pem");
  CHECK(safe.certificate_file == "c.pem");
  CHECK(safe.key_file == "k.pem");
  CHECK(safe.peer_name == "b");
  CHECK(read("what?listen").path == "what?listen");  // a file may be called so
}

TEST_CASE("endpoint: what is none is told why") {
  for (const char* text : {"",
                           "ring:",
                           "unix://",
                           "unix://?listen",
                           "file:",
                           "tcp://",
                           "tcp://a",
                           "tcp://a:",
                           "tcp://a:0",
                           "tcp://a:65536",
                           "tcp://a:1x",
                           "tcp://a:-1",
                           "http://a/",
                           "udp://1.2.3.4",
                           "tcp://a:1?clients=3",
                           "tcp://a:1?listen&clients=0",
                           "tcp://a:1?listen&clients=65537",
                           "tcp://a:1?listen&clients=x",
                           "udp://a:1?listen",
                           "udp://a:1?ttl=256",
                           "udp://a:1?buffer=2000MiB",
                           "udp://a:1?iface=",
                           "unix://a?ttl=3",
                           "tcp://a:1?ca=x",
                           "tcp+tls://a:1",
                           "tcp+tls://a:1?ca=a&cert=b",
                           "unix+seqpacket://",
                           "mailbox:tcp://a:1/box",
                           "ring:unix://a#line",
                           "unix://a?listen=1"}) {
    std::string fault;
    CAPTURE(text);
    CHECK_FALSE(parse_endpoint(text, fault).has_value());
    CHECK(fault != "");
  }
}

}  // namespace
}  // namespace slipring
