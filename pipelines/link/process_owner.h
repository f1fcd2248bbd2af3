// Whose a living process is.
#pragma once

#include <sys/types.h>

namespace slipring {

struct Owner {
  uid_t user;
  gid_t group;
};

// The effective user and group; our own if the process cannot be looked at any more.
[[nodiscard]] Owner owner_of(pid_t process) noexcept;

}  // namespace slipring
