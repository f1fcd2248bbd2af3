#include "pipelines/wire/bus_link.h"

#include <cctype>

namespace slipring::wire {

Result<std::string> local_name_of(const WireAddress& address, LinkSide side) noexcept {
  if (address.link.empty()) {
    return Error{ErrorCode::kInvalidArgument, 0, "name the link: tcp://HOST:PORT/NAME"};
  }
  const std::string host = address.host.empty() ? "127.0.0.1" : address.host;
  const std::string place =
      address.kind == WireAddress::Kind::kUnix ? address.path : host + "." + address.port;
  std::string name = address.link + (side == LinkSide::kSender ? ".to." : ".from.") + place;
  // What a segment's name may not hold.
  for (char& letter : name) {
    const bool is_plain = std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '.' ||
                          letter == '_' || letter == '-';
    if (!is_plain) letter = '-';
  }
  // The boards beside it have names of their own.
  constexpr std::size_t kNameBytesMax = kSegmentNameSizeMax - 9;
  if (name.size() <= kNameBytesMax) return name;
  return Error{ErrorCode::kInvalidArgument, 0, "name a link and its place in fewer letters",
               name.size(), kNameBytesMax};
}

Result<WireAddress> address_of(std::string_view where) noexcept {
  std::string fault;
  std::optional<WireAddress> address = parse_wire_address(where, fault);
  if (address) return std::move(*address);
  return Error{ErrorCode::kInvalidArgument, 0,
               "read the address: tcp://HOST:PORT/NAME, unix://PATH#NAME, or "
               "tcp+tls://HOST:PORT/NAME?ca=FILE&cert=FILE&key=FILE"};
}

}  // namespace slipring::wire
