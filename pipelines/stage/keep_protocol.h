// What a stage and the runner's descriptor store say to each other, in the packets of
// platform/rendezvous/README.md.  The body of each is a descriptor's name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "platform/rendezvous/packet.h"

namespace slipring {

enum class KeepKind : std::uint16_t {
  kKeep = 1,      // stage -> store, with the descriptor: keep it under this name
  kDrop = 2,      // stage -> store: close yours
  kAccept = 3,    // stage -> store: accept on this kept listening socket from now on
  kAccepted = 4,  // store -> stage, with the descriptor: a new connection, kept under this name
};

inline constexpr std::size_t kMaxKeptNameBytes = 48;
static_assert(kMaxKeptNameBytes <= kMaxBodyBytes);
// Of one stage, listening sockets included.
inline constexpr std::size_t kMaxKeptDescriptors = 128;

// [A-Za-z0-9._#-]+, at most kMaxKeptNameBytes.  A connection is called LISTENER#NUMBER, and no
// number is used twice in a run.
[[nodiscard]] inline bool is_kept_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kMaxKeptNameBytes) return false;
  for (const char letter : name) {
    const bool is_plain = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                          (letter >= '0' && letter <= '9') || letter == '.' || letter == '_' ||
                          letter == '#' || letter == '-';
    if (!is_plain) return false;
  }
  return true;
}

}  // namespace slipring
