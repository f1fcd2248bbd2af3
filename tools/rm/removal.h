// Takes a segment away that nobody holds: for rm and reap.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/link/link_observer.h"
#include "platform/memory/segment_directory.h"
#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct Holding {
  std::uint32_t role_byte;
  std::uint64_t process_id;  // 0: not visible from here
};

struct Removal {
  std::string name;
  bool removed = false;
  std::uint64_t freed_bytes = 0;
  std::vector<Holding> holders;
  ExitStatus status = ExitStatus::kOk;
};

// What becomes of messages that nobody has finished.
enum class Unread : std::uint8_t {
  kRemove,
  kKeepMail,  // a lane set that holds some stays: mail goes to the next reader
  kKeep,      // so does every link
};

// Takes every role first, so that nobody takes one in between; a role that a living process holds
// is in the way, unless `force`, and so is what `unread` keeps.  Complains and remarks in the name
// of `command`; what was kept is no failure.
[[nodiscard]] Removal remove_segment_of_nobody(const SegmentDirectory& directory,
                                               const std::string& name, bool force,
                                               std::string_view command,
                                               Unread unread = Unread::kRemove);

// "12 KiB", or "3 slots", of messages.
[[nodiscard]] std::string unread_text(const LinkReport& report);

}  // namespace slipring::tools
