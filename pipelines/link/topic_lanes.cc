#include "pipelines/link/topic_lanes.h"

#include <errno.h>
#include <sys/stat.h>

#include <charconv>
#include <utility>

#include "pipelines/link/broadcast_layout.h"

namespace slipring {
namespace {

constexpr std::string_view kLaneSuffix = ".pub";

// Whoever may write lane 0 may write the others.
Result<SegmentOptions> options_like(const SegmentFile& file) noexcept {
  struct stat found {};
  if (fstat(file.read_only_fd(), &found) != 0) {
    return Error{ErrorCode::kSystem, errno, "look at a topic's mode and group"};
  }
  SegmentOptions options;
  options.mode = found.st_mode & 0660;
  options.group = found.st_gid;
  return options;
}

// A lane beside lane 0, which may have to be made first.
Result<BroadcastSender> attach_lane(const SegmentDirectory& directory, const std::string& name,
                                    const OpenBroadcast& first, MemoryLock memory_lock) noexcept {
  Result<BroadcastSender> lane = BroadcastSender::attach(directory, name, memory_lock);
  if (lane || lane.error().code != ErrorCode::kNotFound) return lane;
  Result<SegmentOptions> options = options_like(first.file);
  if (!options) return options.error();
  const Status made = create_broadcast(directory, name, first.shape, *options);
  if (!made && made.error().code != ErrorCode::kExists) return made.error();
  return BroadcastSender::attach(directory, name, memory_lock);
}

}  // namespace

std::string topic_lane_name(std::string_view topic, std::uint32_t lane) {
  std::string name(topic);
  if (lane != 0) name.append(kLaneSuffix).append(std::to_string(lane));
  return name;
}

std::optional<std::string> topic_of_lane(std::string_view name) {
  const std::size_t at = name.rfind(kLaneSuffix);
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  const std::string_view digits = name.substr(at + kLaneSuffix.size());
  std::uint32_t lane = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), lane);
  const bool is_number = fault == std::errc{} && end == digits.data() + digits.size();
  if (!is_number || digits.front() == '0' || lane >= kMaxTopicLanes) return std::nullopt;
  return std::string(name.substr(0, at));
}

Result<BroadcastSender> attach_publisher(const SegmentDirectory& directory, std::string_view topic,
                                         MemoryLock memory_lock) noexcept {
  Result<BroadcastSender> alone = BroadcastSender::attach(directory, topic, memory_lock);
  if (alone || alone.error().code != ErrorCode::kBusy) return alone;
  Result<OpenBroadcast> first = OpenBroadcast::open(directory, topic);
  // A guarded one has no file; that somebody holds it is the better answer.
  if (!first || first->shape.policy != BroadcastPolicy::kOverwrite) return alone;
  for (std::uint32_t lane = 1; lane < kMaxTopicLanes; ++lane) {
    Result<BroadcastSender> beside =
        attach_lane(directory, topic_lane_name(topic, lane), *first, memory_lock);
    if (beside || beside.error().code != ErrorCode::kBusy) return beside;
  }
  return Error{ErrorCode::kBusy, 0, "publish while living publishers hold every lane", 0,
               kMaxTopicLanes};
}

}  // namespace slipring
