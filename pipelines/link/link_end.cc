#include "pipelines/link/link_end.h"

#include <unistd.h>

#include <string>
#include <string_view>

#include "platform/process/proc_file.h"

namespace slipring {
namespace {

// The effective user; our own if the process cannot be looked at any more.
[[nodiscard]] uid_t user_of(pid_t process) noexcept {
  const std::string path = "/proc/" + std::to_string(process) + "/status";
  const Result<std::string> status = read_proc_file(path.c_str());
  if (!status.ok()) return geteuid();
  // "Uid:" real, effective, saved, file system.
  std::string_view users = proc_field(status.value(), "Uid").value_or("");
  const std::size_t gap = users.find_first_of(" \t");
  if (gap != std::string_view::npos) users.remove_prefix(gap);
  return static_cast<uid_t>(leading_number(users).value_or(geteuid()));
}

}  // namespace

void LinkEnd::accuse() noexcept {
  LinkPeer offender = peer_identity();
  if (hold_.certificate) {
    const Role role = other_role(static_cast<Role>(hold_.certificate->role_byte()));
    const Result<Probe> holder = hold_.certificate->probe(static_cast<std::uint32_t>(role));
    offender.is_known = holder.ok() && holder.value().pid != 0;
    // relaxed: shown to people.
    offender.incarnation = peer().incarnation.load(std::memory_order_relaxed);
    if (offender.is_known) {
      offender.process_id = holder.value().pid;
      offender.user = user_of(offender.process_id);
    }
  }
  offender_ = offender;
  // relaxed, both: shown to people.
  own().offender_process_id.store(static_cast<std::uint32_t>(offender.process_id),
                                  std::memory_order_relaxed);
  own().offender_user.store(offender.user, std::memory_order_relaxed);
}

}  // namespace slipring
