// Who may take a role of a guarded link, and, where that is asked for, which processes those are.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "platform/process/peer.h"
#include "platform/rendezvous/connection.h"

namespace slipring {

// All that is set must hold.
struct GuardAccess {
  std::optional<uid_t> user;
  std::optional<gid_t> group;
  bool only_process = false;  // one that is expected; nobody before it
};

// One thread, that of the broker.
class GuardRule {
 public:
  void set_access(const GuardAccess& access) noexcept { access_ = access; }

  // From now on this process is expected: alone, or beside those that were and have not ended.
  void expect(Peer process, bool is_only_one) noexcept;
  // `who` is as the kernel says.
  [[nodiscard]] bool allows(const PeerCredentials& who) const noexcept;

 private:
  GuardAccess access_;
  std::vector<Peer> expected_;
};

}  // namespace slipring
