// A guarded lane set with its broker in a process of its own.
#pragma once

#include <sched.h>

#include <cstdint>

#include "pipelines/link/lane_reader.h"
#include "tests/pipelines/link/guarded_fixture.h"
#include "tests/pipelines/link/lane_fixture.h"

namespace slipring::test {

// A guarded set in a directory of its own, with its broker in a process of its own.
struct GuardedSet {
  explicit GuardedSet(std::uint32_t lane_count, const GuardOptions& options = {})
      : directory(folder.open()),
        broker(directory, lane_set_shape(lane_count, 4096), options, kSetName) {}

  Directory folder;
  SegmentDirectory directory;
  BrokerProcess broker;
};

[[nodiscard]] inline bool peek(LaneReader& reader, LaneMessage& message) {
  const std::uint64_t deadline_ns = deadline_after(kLanePatienceNs);
  for (;;) {
    const Transfer answer = reader.try_peek(message);
    if (answer != Transfer::kBlocked) return answer == Transfer::kDone;
    if (monotonic_ns() >= deadline_ns) return false;
    sched_yield();
  }
}

// Once the reader before it has gone.
[[nodiscard]] inline Result<LaneReader> attach_reader(const SegmentDirectory& directory) {
  const std::uint64_t deadline_ns = deadline_after(kLanePatienceNs);
  for (;;) {
    Result<LaneReader> reader = LaneReader::attach(directory, kSetName);
    if (reader || reader.error().code != ErrorCode::kBusy || monotonic_ns() >= deadline_ns) {
      return reader;
    }
    sched_yield();
  }
}

}  // namespace slipring::test
