#include "pipelines/settop/ingest/source_address.h"

#include <arpa/inet.h>

#include <charconv>

namespace slipring::settop {
namespace {

[[nodiscard]] bool parse_number(std::string_view text, std::uint64_t most, std::uint64_t& number) {
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  return fault == std::errc{} && end == text.data() + text.size() && number <= most;
}

[[nodiscard]] bool is_address(const std::string& host) {
  in_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

[[nodiscard]] bool take_parameter(std::string_view word, SourceAddress& source,
                                  std::string& fault) {
  const std::size_t equals = word.find('=');
  const std::string_view key = word.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
  if (key == "iface") {
    source.interface_host = value;
    if (is_address(source.interface_host)) return true;
    fault = "iface is not a numeric IPv4 address: '" + std::string(value) + "'";
    return false;
  }
  std::uint64_t number = 0;
  if (key == "buffer_bytes" && parse_number(value, 1U << 30, number) && number > 0) {
    source.receive_buffer_bytes = static_cast<std::uint32_t>(number);
    return true;
  }
  fault =
      "unknown or wrong parameter '" + std::string(word) + "'; there are iface and buffer_bytes";
  return false;
}

}  // namespace

std::optional<SourceAddress> parse_source(std::string_view text, std::string& fault) {
  SourceAddress source;
  if (!text.starts_with("udp://")) {
    const std::size_t scheme = text.find("://");
    if (scheme != std::string_view::npos) {
      fault =
          "unknown scheme '" + std::string(text.substr(0, scheme)) + "'; there are udp and file";
      return std::nullopt;
    }
    if (text.starts_with("file:")) text.remove_prefix(5);
    if (text.empty() || text == "-") {
      fault = "no source; write udp://HOST:PORT or a file's path";
      return std::nullopt;
    }
    source.path = text;
    return source;
  }
  source.kind = SourceAddress::Kind::kUdp;
  text.remove_prefix(6);
  if (text.starts_with('@')) text.remove_prefix(1);
  const std::size_t question = text.find('?');
  std::string_view parameters =
      question == std::string_view::npos ? std::string_view() : text.substr(question + 1);
  const std::string_view authority = text.substr(0, question);
  const std::size_t colon = authority.rfind(':');
  std::uint64_t port = 0;
  if (colon == std::string_view::npos || !parse_number(authority.substr(colon + 1), 65535, port) ||
      port == 0) {
    fault = "no port from 1 to 65535 in '" + std::string(authority) + "'; write udp://HOST:PORT";
    return std::nullopt;
  }
  source.port = static_cast<std::uint16_t>(port);
  source.host = authority.substr(0, colon);
  if (source.host == "localhost") source.host = "127.0.0.1";
  if (!is_address(source.host)) {
    fault = "'" + source.host + "' is not a numeric IPv4 address";
    return std::nullopt;
  }
  while (!parameters.empty()) {
    const std::size_t ampersand = parameters.find('&');
    if (!take_parameter(parameters.substr(0, ampersand), source, fault)) return std::nullopt;
    parameters =
        ampersand == std::string_view::npos ? std::string_view() : parameters.substr(ampersand + 1);
  }
  return source;
}

}  // namespace slipring::settop
