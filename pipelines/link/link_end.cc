#include "pipelines/link/link_end.h"

#include <unistd.h>

#include <string>
#include <string_view>

#include "platform/process/proc_file.h"

namespace slipring {
namespace {

struct Owner {
  uid_t user;
  gid_t group;
};

// The effective user and group; our own if the process cannot be looked at any more.
[[nodiscard]] Owner owner_of(pid_t process) noexcept {
  const Owner ours{geteuid(), getegid()};
  const std::string path = "/proc/" + std::to_string(process) + "/status";
  const Result<std::string> status = read_proc_file(path.c_str());
  if (!status.ok()) return ours;
  // "Uid:" real, effective, saved, file system.
  const auto effective = [&](std::string_view name, std::uint32_t otherwise) {
    std::string_view numbers = proc_field(status.value(), name).value_or("");
    const std::size_t gap = numbers.find_first_of(" \t");
    if (gap != std::string_view::npos) numbers.remove_prefix(gap);
    return static_cast<std::uint32_t>(leading_number(numbers).value_or(otherwise));
  };
  return {effective("Uid", ours.user), effective("Gid", ours.group)};
}

}  // namespace

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
