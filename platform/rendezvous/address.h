// Where a rendezvous is found: a socket in the segment directory, reached through the directory's
// descriptor, so that a long path, or one that was moved, does not matter.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>
#include <string_view>

#include "core/error/result.h"
#include "platform/memory/segment_directory.h"

namespace slipring {

// A rendezvous's file is called NAME.guard.
inline constexpr std::string_view kRendezvousSuffix = ".guard";

struct RendezvousAddress {
  std::string file_name;  // in the directory; empty for a held one
  sockaddr_un address = {};
  socklen_t size_bytes = 0;

  [[nodiscard]] const sockaddr* get() const noexcept {
    return reinterpret_cast<const sockaddr*>(&address);
  }
};

// Errors: kInvalidArgument (no segment name, or too long for a socket's address).
Result<RendezvousAddress> rendezvous_address(const SegmentDirectory& directory,
                                             std::string_view name) noexcept;

// The same of any file in the directory.
Result<RendezvousAddress> file_address(const SegmentDirectory& directory,
                                       std::string file_name) noexcept;

// Of the very socket file that is open (O_PATH), whatever its name has come to mean.
RendezvousAddress held_address(int held_fd) noexcept;

}  // namespace slipring
