// Looks at a broadcast link without taking part.  As link_observer.h.
#pragma once

#include <string_view>

#include "core/error/result.h"
#include "pipelines/link/broadcast_layout.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/link_observer.h"

namespace slipring {

// tail: messages published; fill: how far the slowest member is behind, at most the capacity.
// Errors: kVersion (another kind of segment), kNotFound, kPermission, kCorruptPeer, kSystem.
Result<LinkReport> look_at_broadcast(const SegmentDirectory& directory,
                                     std::string_view name) noexcept;

// The same from a view; of the readers nobody knows anything.  Requires: of a broadcast link.
[[nodiscard]] LinkReport report_of_broadcast(GuardedView& view) noexcept;

}  // namespace slipring
