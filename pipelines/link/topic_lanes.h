// A topic's lanes by name, and the end of one that publishes into it.  Specified in TOPIC.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/error/result.h"
#include "pipelines/link/broadcast_sender.h"
#include "platform/memory/segment_directory.h"

namespace slipring {

inline constexpr std::uint32_t kMaxTopicLanes = 16;

// The link of a lane: the topic's own name for lane 0.
[[nodiscard]] std::string topic_lane_name(std::string_view topic, std::uint32_t lane);
// The topic that a lane beside it belongs to by its name; nothing for any other name.
[[nodiscard]] std::optional<std::string> topic_of_lane(std::string_view name);

// Takes the lowest lane that nobody living holds; several processes publish into one topic so.
// Where all that are there are held, the next is made, like lane 0.  Errors: as
// BroadcastSender::attach() and create_broadcast(); kBusy (of a guarded topic, or one that does not
// overwrite, with the process that publishes in `found`; otherwise `found` is 0, and `wanted` the
// number of lanes, all held).
Result<BroadcastSender> attach_publisher(const SegmentDirectory& directory, std::string_view topic,
                                         MemoryLock memory_lock = MemoryLock::kTry) noexcept;

}  // namespace slipring
