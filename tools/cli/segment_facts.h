// What can be said about a segment from outside: for ls, rm, and stat.
//
// Everything here is looked at read-only and may have changed a moment later.  A segment that this
// program cannot read is a fact to show, not a failure.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "core/segment/segment_layout.h"
#include "pipelines/link/link_observer.h"
#include "platform/memory/segment_directory.h"

namespace slipring::tools {

// A segment of another layout version may have roles that we do not know; these many bytes of its
// lock file are looked at.
inline constexpr std::uint32_t kForeignRoleCount = 64;

enum class Condition : std::uint8_t {
  kSound,
  kForeign,     // of another layout version, or no slipring segment at all
  kCorrupt,     // its header contradicts itself
  kUnreadable,  // not for us, or not readable
};

// What is known of a role's holder.
enum class Presence : std::uint8_t {
  kHeld,    // a living process, certified by the kernel
  kGone,    // certified: nobody, and there was somebody who did not finish
  kNever,   // nobody yet
  kClosed,  // finished for good
};

struct EndFacts {
  std::string_view role;  // "writer", "reader", "stage"
  Presence presence = Presence::kNever;
  pid_t process_id = 0;  // of the holder or the last one; 0: not visible from here, or never
  std::uint32_t incarnation = 0;
  ProtectionLevel protection = ProtectionLevel::kNone;  // of its memory
  std::uint32_t holder_count = 0;  // a set's writers, a broadcast's readers: living ones
};

struct SegmentFacts {
  std::string name;
  bool is_guarded = false;  // lives with its broker, not in a file
  Condition condition = Condition::kSound;
  Error fault{};       // why it is not sound
  SegmentKind kind{};  // sound only, as all below
  std::uint64_t total_bytes = 0;
  std::uint64_t created_ns = 0;  // CLOCK_REALTIME
  std::uint32_t mode = 0;
  std::optional<LinkReport> link;  // links only
  std::vector<EndFacts> ends;

  // Nobody holds a role, and somebody once did; or only a dead broker's name is left.
  [[nodiscard]] bool is_stale() const noexcept;
};

// "slots", "records", "board"; "version 3", "corrupt", "unreadable" for what is not sound.
[[nodiscard]] std::string kind_of(const SegmentFacts& facts);
// "held", "gone", "never", "closed": also the words of the JSON output.
[[nodiscard]] const char* name_of(Presence presence) noexcept;
[[nodiscard]] const char* name_of(Condition condition) noexcept;

[[nodiscard]] Presence presence_of(const EndReport& end) noexcept;

// The names of all segments, named and guarded, sorted.  Errors: kSystem.
[[nodiscard]] Result<std::vector<std::string>> list_segments(const SegmentDirectory& directory);

// Nothing when there is no such segment, or none any more.
[[nodiscard]] std::optional<SegmentFacts> look_at(const SegmentDirectory& directory,
                                                  std::string_view name);

// CLOCK_REALTIME now, less `created_ns`; 0 for a clock that has gone backwards.
[[nodiscard]] std::uint64_t age_ns(std::uint64_t created_ns) noexcept;

}  // namespace slipring::tools
