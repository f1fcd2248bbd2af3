// How two programs that know only a name meet on a link of bytes or of records, and leave it: as on
// a FIFO, except that neither has to be there first.
//
// Protocol.  Whoever comes first makes the link; of two who come at once one succeeds, and the
// other takes what it made.  Each takes its role, and waits for the other with the ring's own
// means: a reader for something to read, a writer for room.
// A link whose reader has closed is over.  A writer who finds one removes it and makes another.  Of
// those who leave, each closes, lays its role down, and then looks: the last one finds the link
// over and nobody there, and removes the name.  What was published and not read keeps the link
// until a reader comes.  Who made the link and is stopped, or gives up, before anything came of it
// removes it likewise (remove_if_untouched() of pipelines/link/link_segment.h); whoever comes at
// that moment finds the role held, looks again, and makes another.
//
// Crash.  A killed end leaves the link to its successor; `slipring rm --stale` finds what nobody
// came for.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/error/result.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/stream_link.h"
#include "platform/memory/segment_directory.h"
#include "platform/memory/segment_file.h"

namespace slipring {

struct MeetingOptions {
  std::uint64_t capacity_bytes = std::uint64_t{1} << 20;  // of a link that is made; a power of two
  SegmentOptions segment = {};                            // likewise
};

// An end, and whether the link was made for it.
template <typename End>
struct Met {
  End end;
  bool is_made = false;
};

// Writer: StreamWriter for bytes, LinkWriter for records; Reader likewise.
// Errors: kBusy (a living process holds the role; its pid is `found`), kVersion (the name is
// another kind of link: `found`, for `wanted`), as create_link() and the end's attach().
template <typename Writer>
Result<Met<Writer>> meet_as_writer(const SegmentDirectory& directory, std::string_view name,
                                   const MeetingOptions& options = {}) noexcept;
template <typename Reader>
Result<Met<Reader>> meet_as_reader(const SegmentDirectory& directory, std::string_view name,
                                   const MeetingOptions& options = {}) noexcept;

extern template Result<Met<StreamWriter>> meet_as_writer(const SegmentDirectory&, std::string_view,
                                                         const MeetingOptions&) noexcept;
extern template Result<Met<LinkWriter>> meet_as_writer(const SegmentDirectory&, std::string_view,
                                                       const MeetingOptions&) noexcept;
extern template Result<Met<StreamReader>> meet_as_reader(const SegmentDirectory&, std::string_view,
                                                         const MeetingOptions&) noexcept;
extern template Result<Met<LinkReader>> meet_as_reader(const SegmentDirectory&, std::string_view,
                                                       const MeetingOptions&) noexcept;

// Removes the name if it still means this segment, its reader has closed, and nobody holds a role.
// Answers whether it did.  Requires: our own end is gone.  Errors: kPermission, kSystem.
Result<bool> remove_if_over(const SegmentDirectory& directory, std::string_view name,
                            std::uint64_t inode) noexcept;

}  // namespace slipring
