#include "pipelines/link/guard_access.h"

#include <algorithm>
#include <utility>

#include "core/error/result.h"

namespace slipring {

void GuardRule::expect(Peer process, bool is_only_one) noexcept {
  std::erase_if(expected_, [&](const Peer& earlier) {
    Result<bool> ended = earlier.has_ended();
    return is_only_one || (ended && *ended);
  });
  expected_.push_back(std::move(process));
}

bool GuardRule::allows(const PeerCredentials& who) const noexcept {
  if (access_.user && who.user != *access_.user) return false;
  if (access_.group && who.group != *access_.group) return false;
  return !access_.only_process ||
         std::any_of(expected_.begin(), expected_.end(),
                     [&](const Peer& process) { return process.is_same_as(who.process); });
}

}  // namespace slipring
