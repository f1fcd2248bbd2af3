#include "pipelines/link/link_end.h"

#include "pipelines/link/process_owner.h"

namespace slipring {
LinkPeer LinkEnd::look_at_peer() const noexcept {
  if (hold_.guard) return hold_.guard->peer();
  // relaxed, all: shown to people.
  LinkPeer said;
  said.user = peer().user.load(std::memory_order_relaxed);
  said.group = peer().group.load(std::memory_order_relaxed);
  said.process_id = static_cast<pid_t>(peer().process_id.load(std::memory_order_relaxed));
  said.incarnation = peer_incarnation();
  const Result<Probe> holder = probe_peer(hold_);
  if (!holder || holder.value().pid == 0 || holder.value().pid != said.process_id) return said;
  const Owner owner = owner_of(said.process_id);
  said.is_known = true;
  said.user = owner.user;
  said.group = owner.group;
  return said;
}

Result<bool> LinkEnd::is_peer_held() const noexcept {
  if (hold_.guard) return hold_.guard->is_peer_held();
  Result<Probe> holder = probe_peer(hold_);
  if (!holder) return holder.error();
  return holder->holder != Holder::kNobody;
}

void LinkEnd::accuse() noexcept {
  LinkPeer offender = peer_identity();
  if (hold_.certificate) {
    const Result<Probe> holder = probe_peer(hold_);
    offender.is_known = holder.ok() && holder.value().pid != 0;
    // relaxed: shown to people.
    offender.incarnation = peer().incarnation.load(std::memory_order_relaxed);
    if (offender.is_known) {
      offender.process_id = holder.value().pid;
      offender.user = owner_of(offender.process_id).user;
    }
  }
  offender_ = offender;
  // relaxed, both: shown to people.
  own().offender_process_id.store(static_cast<std::uint32_t>(offender.process_id),
                                  std::memory_order_relaxed);
  own().offender_user.store(offender.user, std::memory_order_relaxed);
}

}  // namespace slipring
