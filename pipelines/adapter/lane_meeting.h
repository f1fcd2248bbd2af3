// How many senders and one reader who know only a name meet on a lane set, as on a FIFO.
//
// Protocol.  Both sides' opening waits: a sender's until a lane is free, and then until somebody
// reads; a reader's until the reader before it has gone.  (For its first sender a reader waits as
// LaneSource.)  A sender that waits for a reader has its lane already, so that who comes to read
// finds it.  Nothing is stored before the opening is through: who is killed while it waits leaves
// a lane as free as it found it.
//
// Of those who wait nobody is first: who looks when a lane becomes free has it.  A queue would be a
// ticket that waiters write in common, and that the killed would leave there.
//
// A set that make_lane_set() made goes with whoever leaves it last, by remove_if_idle() of
// pipelines/link/link_segment.h, but for mail that is unread: that keeps it until a reader has come
// and left.  One that was created on purpose stays.
//
// One thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "core/error/result.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_writer.h"
#include "platform/memory/segment_directory.h"
#include "platform/memory/segment_file.h"

namespace slipring {

inline constexpr std::uint32_t kMadeLaneCount = 16;  // of a set that is made by make_lane_set()

// How the set is made where there is none.
struct LaneMaking {
  std::uint64_t capacity_bytes = 0;
  SegmentOptions segment = {};
};

struct LaneMeetingOptions {
  bool waits = true;          // otherwise a sender needs no reader, and a lane or a role at once
  std::uint64_t wait_ns = 0;  // at most; 0: for ever
  // A set that goes while we come to it is made anew; and who does not wait lets a moment pass in
  // which somebody looks, with every role in hand, whether it is to go.
  std::optional<LaneMaking> making{};
  const std::atomic<bool>* stop = nullptr;      // ends the waiting; set by a signal handler
  std::function<void(const Error&)> on_wait{};  // told once of each thing that is waited for
};

// The name's set, of kMadeLaneCount lanes that share `capacity_bytes`, unless there is one already,
// guarded or not.  Errors: as create_link(); not kExists.
Status make_lane_set(const SegmentDirectory& directory, std::string_view name,
                     std::uint64_t capacity_bytes, const SegmentOptions& options = {}) noexcept;

// A lane of the set.  Errors, when the time is up, or at once if nothing is waited for: as
// LinkWriter::attach(); kBusy with os_errno ENXIO: nobody reads.  kClosed: the broker of a guarded
// set went away while we waited for a reader.  After a stop: what was waited for.
Result<LinkWriter> meet_as_sender(const SegmentDirectory& directory, std::string_view name,
                                  const LaneMeetingOptions& options) noexcept;

// All lanes.  Errors: as LaneReader::attach().
Result<LaneReader> meet_as_reader_of_lanes(const SegmentDirectory& directory, std::string_view name,
                                           const LaneMeetingOptions& options) noexcept;

}  // namespace slipring
