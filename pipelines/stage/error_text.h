// Errors and offenders in words for people.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "core/error/result.h"
#include "pipelines/link/guard_protocol.h"

namespace slipring {

// "cannot attach settop.ts: busy: …" with numbers, errno and remedy, for people.
[[nodiscard]] std::string describe_error(const Error& error);

// "process 4711 of user 1000", for people: who wrote what no correct peer writes.
[[nodiscard]] std::string offender_text(pid_t process_id, uid_t user);
[[nodiscard]] std::string offender_text(const std::optional<LinkPeer>& offender);

}  // namespace slipring
