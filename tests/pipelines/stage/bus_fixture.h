// Two machines with a pipeline each, joined by a link whose ends are addresses: numbers go from one
// to the other.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "platform/process/descriptor.h"
#include "tests/pipelines/stage/runner_fixture.h"

namespace slipring::test {

// One that nobody listens at now.
inline std::string free_port() {
  const Descriptor probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  REQUIRE(bind(probe.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0);
  REQUIRE(getsockname(probe.get(), reinterpret_cast<sockaddr*>(&name), &size) == 0);
  return std::to_string(ntohs(name.sin_port));
}

// source -> relay -> the other machine
inline const std::string kNear = R"([pipeline]
name = "near"
[[stage]]
name = "source"
program = "count_source"
[stage.options]
until = "STOP"
[[stage]]
name = "relay"
program = "count_relay"
restart_limit = 1000
[[link]]
name = "first"
from = "source.numbers"
to = "relay.in"
capacity = "64KiB"
[[link]]
name = "numbers"
from = "relay.out"
to = "ADDRESS"
wire = "NEAR_CALL"
restart_limit = 1000
capacity = "64KiB"
)";

// the other machine -> relay -> sink
inline const std::string kFar = R"([pipeline]
name = "far"
[[link]]
name = "numbers"
from = "ADDRESS"
wire = "FAR_CALL"
restart_limit = 1000
to = "relay.in"
capacity = "64KiB"
[[stage]]
name = "relay"
program = "count_relay"
restart_limit = 1000
[[stage]]
name = "sink"
program = "count_sink"
restart_limit = 1000
[[link]]
name = "second"
from = "relay.out"
to = "sink.numbers"
capacity = "64KiB"
)";

// The pipelines' files, with what the test has chosen.
struct Bus {
  std::string near_address;
  std::string far_address;
  bool far_listens = true;
  std::string protection = "guarded";
  std::uint32_t pause_us = 0;
};

inline std::string near_file(const Bus& bus, const std::string& stop_file) {
  std::string text = replaced(kNear, "ADDRESS", bus.near_address);
  text = replaced(text, "NEAR_CALL", bus.far_listens ? "connect" : "listen");
  text = replaced(text, "until = \"STOP\"",
                  "until = \"" + stop_file + "\"\npause_us = " + std::to_string(bus.pause_us));
  return replaced(text, "name = \"near\"",
                  "name = \"near\"\nprotection = \"" + bus.protection + "\"");
}

inline std::string far_file(const Bus& bus) {
  std::string text = replaced(kFar, "ADDRESS", bus.far_address);
  text = replaced(text, "FAR_CALL", bus.far_listens ? "listen" : "connect");
  return replaced(text, "name = \"far\"",
                  "name = \"far\"\nprotection = \"" + bus.protection + "\"");
}

}  // namespace slipring::test
