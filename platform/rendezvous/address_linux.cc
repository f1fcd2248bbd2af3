#include "platform/rendezvous/address.h"

#include <cstddef>
#include <cstring>
#include <utility>

namespace slipring {
namespace {

// Requires: it fits.
void set_path(RendezvousAddress& where, const std::string& path) noexcept {
  where.address.sun_family = AF_UNIX;
  std::memcpy(where.address.sun_path, path.c_str(), path.size() + 1);
  where.size_bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
}

[[nodiscard]] std::string path_of(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

}  // namespace

Result<RendezvousAddress> rendezvous_address(const SegmentDirectory& directory,
                                             std::string_view name) noexcept {
  if (!is_segment_name(name)) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "use a rendezvous name of other than 1 to 80 of A-Z a-z 0-9 . _ -"};
  }
  return file_address(directory, std::string(name) + std::string(kRendezvousSuffix));
}

Result<RendezvousAddress> file_address(const SegmentDirectory& directory,
                                       std::string file_name) noexcept {
  RendezvousAddress where;
  const std::string path = path_of(directory.fd()) + "/" + file_name;
  if (path.size() >= sizeof where.address.sun_path) {
    return Error{ErrorCode::kInvalidArgument, 0, "use a name too long for a socket's address",
                 path.size(), sizeof where.address.sun_path - 1};
  }
  where.file_name = std::move(file_name);
  set_path(where, path);
  return where;
}

RendezvousAddress held_address(int held_fd) noexcept {
  RendezvousAddress where;
  set_path(where, path_of(held_fd));
  return where;
}

}  // namespace slipring
