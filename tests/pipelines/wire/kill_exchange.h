// A link carried by two processes over a socket, either of which is killed again and again while
// messages pass; and the judgement: each comes once, in order.
#pragma once

#include <cstdint>
#include <string>

#include "pipelines/wire/frame.h"

namespace slipring::wire {

struct KillOptions {
  std::uint64_t seed = 1;
  std::uint64_t kill_count = 50;
  WireKind kind = WireKind::kRecords;
  LinkSide dials = LinkSide::kSender;
  // Of records whose sender dials: into a lane set, a local sender of which takes lanes meanwhile.
  bool into_lanes = false;
  bool lanes_are_guarded = false;
  // For planted mistakes: the receiver's ledger is thrown away with each of its deaths.
  bool forgets = false;
};

struct KillReport {
  std::uint64_t kills = 0;
  std::uint64_t messages = 0;  // of a stream: bytes
  std::string fault;           // empty if all is as it has to be
};

// Requires: the process has one thread.
[[nodiscard]] KillReport run_kills(const KillOptions& options);

}  // namespace slipring::wire
