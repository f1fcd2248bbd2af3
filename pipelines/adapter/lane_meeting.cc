#include "pipelines/adapter/lane_meeting.h"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "pipelines/link/guarded_end.h"
#include "pipelines/link/link_segment.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

// Between two looks: a newcomer is noticed soon, and a long wait costs little.
constexpr std::uint64_t kFirstPauseNs = 1'000'000;
constexpr std::uint64_t kLongestPauseNs = 20'000'000;
constexpr std::uint64_t kSmallestLaneBytes = 4096;
// How often who does not wait looks again at a set that may be about to go.
constexpr int kLooksAtLeaver = 50;
// Each means that others made and removed the set meanwhile.
constexpr int kMakings = 1000;

constexpr Error kNobodyReads{ErrorCode::kBusy, ENXIO, "send where nobody reads"};

class Patience {
 public:
  explicit Patience(const LaneMeetingOptions& options) noexcept
      : options_(options),
        deadline_ns_(options.wait_ns != 0 ? deadline_after(options.wait_ns) : kNoDeadline) {}

  // For something else than before.
  void begin() noexcept {
    is_told_ = false;
    pause_ns_ = kFirstPauseNs;
  }
  // False when there is no more waiting, so that `why` is the answer.
  [[nodiscard]] bool pause(const Error& why) noexcept {
    if (!options_.waits || is_stopped() || monotonic_ns() >= deadline_ns_) return false;
    if (!is_told_ && options_.on_wait) options_.on_wait(why);
    is_told_ = true;
    pause_for(pause_ns_);
    pause_ns_ = std::min(2 * pause_ns_, kLongestPauseNs);
    return true;
  }

 private:
  [[nodiscard]] bool is_stopped() const noexcept {
    // relaxed: nothing else is published with it.
    return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed);
  }

  const LaneMeetingOptions& options_;
  std::uint64_t deadline_ns_;
  std::uint64_t pause_ns_ = kFirstPauseNs;
  bool is_told_ = false;
};

// Tries again what failed because the set went, or may be about to go; false when that is no
// reason.
class Comer {
 public:
  Comer(const SegmentDirectory& directory, std::string_view name,
        const LaneMeetingOptions& options) noexcept
      : directory_(directory), name_(name), options_(options) {}

  [[nodiscard]] bool comes_again(const Error& why) noexcept {
    if (!options_.making) return false;
    if (why.code == ErrorCode::kNotFound) {
      return ++making_count_ <= kMakings &&
             make_lane_set(directory_, name_, options_.making->capacity_bytes,
                           options_.making->segment)
                 .ok();
    }
    if (options_.waits || why.code != ErrorCode::kBusy || ++look_count_ > kLooksAtLeaver) {
      return false;
    }
    pause_for(kFirstPauseNs);
    return true;
  }

 private:
  const SegmentDirectory& directory_;
  std::string_view name_;
  const LaneMeetingOptions& options_;
  int making_count_ = 0;
  int look_count_ = 0;
};

// Whoever is in the way may go.
[[nodiscard]] bool may_pass(const Error& error) noexcept {
  return error.code == ErrorCode::kBusy || error.code == ErrorCode::kNoSpace;
}

// Its lane is ours meanwhile.
Status wait_for_reader(LinkWriter& lane, Patience& patience) noexcept {
  patience.begin();
  for (;;) {
    lane.look_for_news();
    Result<bool> is_read = lane.has_reader();
    if (!is_read) return is_read.error();
    if (*is_read) return {};
    if (lane.is_orphaned()) {
      return Error{ErrorCode::kClosed, 0, "wait for a reader: the set's broker went away"};
    }
    if (!patience.pause(kNobodyReads)) return kNobodyReads;
  }
}

}  // namespace

Status make_lane_set(const SegmentDirectory& directory, std::string_view name,
                     std::uint64_t capacity_bytes, const SegmentOptions& options) noexcept {
  Result<std::unique_ptr<GuardedView>> guarded = GuardedView::attach(directory, name);
  // Not even for us to look at: it is there.
  if (guarded || !is_no_rendezvous(guarded.error())) return {};
  const std::uint64_t lane_bytes = std::max(capacity_bytes / kMadeLaneCount, kSmallestLaneBytes);
  LinkShape shape = lane_set_shape(kMadeLaneCount, lane_bytes);
  shape.goes_when_idle = true;
  const Status made = create_link(directory, name, shape, options);
  if (!made && made.error().code == ErrorCode::kExists) return {};
  return made;
}

Result<LinkWriter> meet_as_sender(const SegmentDirectory& directory, std::string_view name,
                                  const LaneMeetingOptions& options) noexcept {
  Patience patience(options);
  Comer comer(directory, name, options);
  for (;;) {
    Result<LinkWriter> lane = LinkWriter::attach(directory, name);
    if (lane) {
      if (!options.waits) return lane;
      if (Status read = wait_for_reader(*lane, patience); !read) return read.error();
      return lane;
    }
    if (comer.comes_again(lane.error())) continue;
    if (!may_pass(lane.error()) || !patience.pause(lane.error())) return lane;
  }
}

Result<LaneReader> meet_as_reader_of_lanes(const SegmentDirectory& directory, std::string_view name,
                                           const LaneMeetingOptions& options) noexcept {
  Patience patience(options);
  Comer comer(directory, name, options);
  for (;;) {
    Result<LaneReader> set = LaneReader::attach(directory, name);
    if (!set && comer.comes_again(set.error())) continue;
    if (set || set.error().code != ErrorCode::kBusy || !patience.pause(set.error())) return set;
  }
}

}  // namespace slipring
