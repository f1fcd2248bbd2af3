#include "platform/rendezvous/address.h"

#include <cstddef>
#include <cstring>

namespace slipring {

Result<RendezvousAddress> rendezvous_address(const SegmentDirectory& directory,
                                             std::string_view name) noexcept {
  if (!is_segment_name(name)) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "use a rendezvous name of other than 1 to 80 of A-Z a-z 0-9 . _ -"};
  }
  RendezvousAddress where;
  where.file_name = std::string(name) + std::string(kRendezvousSuffix);
  where.address.sun_family = AF_UNIX;
  const std::string path =
      "/proc/self/fd/" + std::to_string(directory.fd()) + "/" + where.file_name;
  if (path.size() >= sizeof where.address.sun_path) {
    return Error{ErrorCode::kInvalidArgument, 0, "use a name too long for a socket's address",
                 path.size(), sizeof where.address.sun_path - 1};
  }
  std::memcpy(where.address.sun_path, path.c_str(), path.size() + 1);
  where.size_bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return where;
}

}  // namespace slipring
