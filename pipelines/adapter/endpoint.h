// Where bytes or messages come from or go to, as `slipring pipe` names it.
//
//   -                          standard input or output
//   PATH, file:PATH            a file, a FIFO, a device
//   ring:NAME                  a link of any kind; bytes, records: made if there is none
//   topic:NAME                 a broadcast link, made if there is none
//   mailbox:NAME               a lane set, made if there is none
//   tcp://HOST:PORT            connects; with ?listen it waits there for one connection instead
//   unix://PATH                the same for a unix stream socket
//   unix+seqpacket://PATH      the same for one that keeps the boundaries of messages
//   udp://HOST:PORT            as a source receives there, as a sink sends there; a message is a
//                              datagram.  HOST may be a multicast group: a source joins it
//   tcp+tls://HOST:PORT        TLS 1.3 with certificates on both sides
//
// Behind ? stand options, with & in between:
//   listen, clients=N          up to N clients at a time into one link (tcp, unix, unix+seqpacket)
//   iface=NAME|ADDRESS         udp, multicast: the interface; else the kernel chooses
//   ttl=N                      udp, sink: hops that a datagram lives (multicast default: 1)
//   buffer=SIZE                udp, source: bytes that the kernel keeps for us, as far as it grants
//   ca=FILE cert=FILE key=FILE tcp+tls: whom we believe, who we are; name=NAME: whom we mean
//
// An empty HOST is this machine alone (127.0.0.1): a server is open to others only where somebody
// wrote their address down.  A unix socket that we listen on has mode 0600 and goes when the
// connection is there, or with many clients when we go.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace slipring {

inline constexpr std::uint32_t kMaxClientCount = 65536;

struct Endpoint {
  enum class Kind : std::uint8_t {
    kStandard,
    kFile,
    kRing,
    kTopic,
    kMailbox,
    kTcp,
    kTls,
    kUdp,
    kUnix,
    kUnixPackets,
  };
  Kind kind = Kind::kStandard;
  std::string path;  // kFile, kUnix, kUnixPackets; kRing, kTopic, kMailbox: the link's name
  std::string host;  // kTcp, kTls, kUdp
  std::string port;  // likewise, a number from 1 to 65535
  bool listens = false;
  std::uint32_t client_count = 0;  // with listens: at most so many at a time; 0: one, and no more
  std::string interface_name;      // kUdp; empty: the kernel's choice
  std::uint32_t ttl = 0;           // kUdp; 0: the kernel's choice
  std::uint32_t buffer_bytes = 0;  // kUdp; 0: 4 MiB
  std::string authority_file;      // kTls, this and below
  std::string certificate_file;
  std::string key_file;
  std::string peer_name;  // empty: the host, and for a server anybody of its authorities
};

// Nothing, with `fault` saying what is wrong, for what is no endpoint.
[[nodiscard]] std::optional<Endpoint> parse_endpoint(std::string_view text, std::string& fault);

// Whether what is there comes in messages by itself.
[[nodiscard]] constexpr bool keeps_boundaries(const Endpoint& endpoint) noexcept {
  return endpoint.kind == Endpoint::Kind::kUdp || endpoint.kind == Endpoint::Kind::kUnixPackets;
}

}  // namespace slipring
