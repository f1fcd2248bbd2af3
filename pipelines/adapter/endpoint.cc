#include "pipelines/adapter/endpoint.h"

#include <array>
#include <charconv>

namespace slipring {
namespace {

using Kind = Endpoint::Kind;

constexpr const char* kThisMachine = "127.0.0.1";

struct Scheme {
  std::string_view prefix;
  Kind kind;
};
constexpr std::array<Scheme, 9> kSchemes{{
    {"ring:", Kind::kRing},
    {"topic:", Kind::kTopic},
    {"mailbox:", Kind::kMailbox},
    {"file:", Kind::kFile},
    {"tcp://", Kind::kTcp},
    {"tcp+tls://", Kind::kTls},
    {"udp://", Kind::kUdp},
    {"unix://", Kind::kUnix},
    {"unix+seqpacket://", Kind::kUnixPackets},
}};

constexpr bool is_network(Kind kind) noexcept {
  return kind == Kind::kTcp || kind == Kind::kTls || kind == Kind::kUdp;
}
constexpr bool is_connected(Kind kind) noexcept {
  return kind == Kind::kTcp || kind == Kind::kTls || kind == Kind::kUnix ||
         kind == Kind::kUnixPackets;
}

bool read_number(std::string_view text, std::uint32_t most, std::uint32_t& number) noexcept {
  std::uint32_t read = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), read);
  if (fault != std::errc{} || end != text.data() + text.size() || read == 0 || read > most) {
    return false;
  }
  number = read;
  return true;
}

// A number, perhaps with KiB or MiB behind it.
bool read_size(std::string_view text, std::uint32_t& bytes) noexcept {
  std::uint32_t unit = 1;
  if (text.ends_with("KiB")) unit = 1U << 10;
  if (text.ends_with("MiB")) unit = 1U << 20;
  if (unit != 1) text.remove_suffix(3);
  if (!read_number(text, (1U << 30) / unit, bytes)) return false;
  bytes *= unit;
  return true;
}

bool set_file(std::string_view value, std::string& file) {
  file = value;
  return !value.empty();
}

// Answers whether the option belongs here and has a sound value.
bool take_option(std::string_view key, std::string_view value, Endpoint& endpoint) {
  const Kind kind = endpoint.kind;
  if (is_connected(kind) && key == "listen" && value.empty()) return endpoint.listens = true;
  if (is_connected(kind) && kind != Kind::kTls && key == "clients") {
    return read_number(value, kMaxClientCount, endpoint.client_count);
  }
  if (kind == Kind::kUdp) {
    if (key == "iface") return set_file(value, endpoint.interface_name);
    if (key == "ttl") return read_number(value, 255, endpoint.ttl);
    if (key == "buffer") return read_size(value, endpoint.buffer_bytes);
  }
  if (kind == Kind::kTls) {
    if (key == "ca") return set_file(value, endpoint.authority_file);
    if (key == "cert") return set_file(value, endpoint.certificate_file);
    if (key == "key") return set_file(value, endpoint.key_file);
    if (key == "name") return set_file(value, endpoint.peer_name);
  }
  return false;
}

const char* options_of(Kind kind) noexcept {
  switch (kind) {
    case Kind::kTcp:
    case Kind::kUnix:
    case Kind::kUnixPackets:
      return "listen and clients=N, from 1 to 65536";
    case Kind::kTls:
      return "listen, ca=FILE, cert=FILE, key=FILE and name=NAME";
    case Kind::kUdp:
      return "iface=NAME, ttl=N from 1 to 255, and buffer=SIZE to 1024MiB";
    case Kind::kStandard:
    case Kind::kFile:
    case Kind::kRing:
    case Kind::kTopic:
    case Kind::kMailbox:
      break;
  }
  return "none";
}

bool take_options(std::string_view text, Endpoint& endpoint, std::string& fault) {
  while (!text.empty()) {
    const std::size_t end = text.find('&');
    const std::string_view option = text.substr(0, end);
    const std::size_t equals = option.find('=');
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : option.substr(equals + 1);
    if (!take_option(option.substr(0, equals), value, endpoint)) {
      fault =
          "'" + std::string(option) + "' is no option here; there are " + options_of(endpoint.kind);
      return false;
    }
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return true;
}

bool check_options(const Endpoint& endpoint, std::string& fault) {
  if (endpoint.client_count != 0 && !endpoint.listens) {
    fault = "clients=N is for ?listen&clients=N";
    return false;
  }
  if (endpoint.kind == Kind::kTls &&
      (endpoint.authority_file.empty() || endpoint.certificate_file.empty() ||
       endpoint.key_file.empty())) {
    fault = "both sides of tcp+tls:// show certificates: say ?ca=FILE&cert=FILE&key=FILE";
    return false;
  }
  return true;
}

bool take_authority(std::string_view text, Endpoint& endpoint, std::string& fault) {
  const std::size_t colon = text.rfind(':');
  std::uint32_t port = 0;
  if (colon == std::string_view::npos || !read_number(text.substr(colon + 1), 65535, port)) {
    fault = "write HOST:PORT, with a port from 1 to 65535";
    return false;
  }
  std::string_view host = text.substr(0, colon);
  if (endpoint.kind == Kind::kUdp && host.starts_with('@')) host.remove_prefix(1);  // as VLC has it
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  endpoint.host = host.empty() ? kThisMachine : std::string(host);
  endpoint.port = text.substr(colon + 1);
  return true;
}

}  // namespace

std::optional<Endpoint> parse_endpoint(std::string_view text, std::string& fault) {
  Endpoint endpoint;
  if (text == "-") return endpoint;
  endpoint.kind = Kind::kFile;
  bool has_scheme = false;
  for (const Scheme& scheme : kSchemes) {
    if (!text.starts_with(scheme.prefix)) continue;
    endpoint.kind = scheme.kind;
    text.remove_prefix(scheme.prefix.size());
    has_scheme = true;
    break;
  }
  if (!has_scheme && text.find("://") != std::string_view::npos) {
    fault = "only tcp, tcp+tls, udp, unix and unix+seqpacket are known before ://";
    return std::nullopt;
  }
  const bool has_options = is_network(endpoint.kind) || is_connected(endpoint.kind);
  const std::size_t question = has_options ? text.rfind('?') : std::string_view::npos;
  if (question != std::string_view::npos) {
    if (!take_options(text.substr(question + 1), endpoint, fault)) return std::nullopt;
    text = text.substr(0, question);
  }
  if (!check_options(endpoint, fault)) return std::nullopt;
  if (is_network(endpoint.kind)) {
    if (!take_authority(text, endpoint, fault)) return std::nullopt;
    return endpoint;
  }
  if (text.empty()) {
    fault = "the name is missing";
    return std::nullopt;
  }
  const bool is_link = endpoint.kind == Kind::kRing || endpoint.kind == Kind::kTopic ||
                       endpoint.kind == Kind::kMailbox;
  if (is_link && text.find("://") != std::string_view::npos) {
    fault =
        "a link is named here, on this machine; `slipring wire --connect ADDRESS` with --send LINK "
        "or --receive LINK carries one to or from another";
    return std::nullopt;
  }
  endpoint.path = text;
  return endpoint;
}

}  // namespace slipring
