// A named link's file, opened: where its regions lie, and what can be asked of it.  For those who
// take its roles (link_segment.h) and those who remove it.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/error/result.h"
#include "core/segment/segment_layout.h"
#include "pipelines/link/link_layout.h"
#include "platform/memory/segment_directory.h"
#include "platform/memory/segment_file.h"

namespace slipring {

struct OpenLink {
  SegmentFile file;
  SegmentHeader header;
  LinkShape shape;
  LinkParts parts;
};

// Errors: as read_header() and shape_of().
Result<OpenLink> open_link(const SegmentDirectory& directory, std::string_view name) noexcept;

// Of a role's memory in a lane; a link of one writer has lane 0 alone.
[[nodiscard]] inline std::uint64_t offset_of(const OpenLink& link, Role role,
                                             std::uint32_t lane) noexcept {
  return role == Role::kWriter
             ? link.header.regions[0].offset_bytes + lane * link.parts.writer_bytes
             : link.header.regions[1].offset_bytes + lane * link.parts.reader_bytes;
}
[[nodiscard]] inline std::uint64_t bytes_of(const OpenLink& link, Role role) noexcept {
  return role == Role::kWriter ? link.parts.writer_bytes : link.parts.reader_bytes;
}

// Whether all that the lane's last writer published has been finished.  Requires: nobody but the
// caller holds the lane's writing role.  Errors: as Mapping::map().
Result<bool> is_read(const OpenLink& link, std::uint32_t lane) noexcept;

// kNotFound for a file that was removed between its opening and the taking of a role: whoever
// removes one that is no longer needed holds all roles, so that afterwards it cannot be.
// Errors: kSystem.
Status check_named(const OpenLink& link) noexcept;

}  // namespace slipring
