// Where live television comes from: udp://HOST:PORT, udp://@GROUP:PORT, or a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace slipring::settop {

struct SourceAddress {
  enum class Kind : std::uint8_t { kFile, kUdp };
  Kind kind = Kind::kFile;
  std::string path;        // kFile; "-" is not taken: a restarted stage could not read it again
  std::string host;        // kUdp: numeric IPv4 address, unicast to listen on or a multicast group
  std::uint16_t port = 0;  // kUdp
  std::string interface_host;  // kUdp, multicast: address of the interface to join on; may be empty
  std::uint32_t receive_buffer_bytes = 4U << 20;  // kUdp: what the kernel is asked to hold for us
};

// udp://[@]HOST:PORT[?iface=ADDRESS][&buffer_bytes=N], file:PATH, or PATH.  Nothing, with `fault`
// saying what is wrong, for anything else.
[[nodiscard]] std::optional<SourceAddress> parse_source(std::string_view text, std::string& fault);

}  // namespace slipring::settop
