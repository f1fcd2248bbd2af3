// Which seat of a guarded link or lane set a newcomer gets.  It changes nothing; whom the kernel
// calls dead has been unseated before it is asked.
//
// Protocol.  GUARD.md.  A link's seat is that of the role.  Of a lane set, a writer gets the first
// lane that is free and read, whichever it asked for, and no more of them than its share; the
// reading role is that of one process in all lanes, which takes lane 0 first.
//
// One thread, that of the broker.
#pragma once

#include <cstdint>

#include "core/error/result.h"
#include "pipelines/link/guard_protocol.h"
#include "pipelines/link/guarded_seats.h"
#include "platform/rendezvous/connection.h"

namespace slipring {

// Of a lane set: lanes that one process, or one user, may have; 0: all.
struct LaneShare {
  std::uint32_t per_process = 0;
  std::uint32_t per_user = 0;
};

// Requires: ask.role is a role of the link, and ask.lane one of its lanes or kAnyLane.
// Errors, as the newcomer is told them: kBusy (held, `found` by which process; no lane is free, of
// `wanted`; with EDQUOT, `found` of `wanted` lanes are its own already), kNoSpace (of `wanted`
// lanes `found` are free and not read), kInvalidArgument (a reader that has not begun with lane 0),
// and as Mapping::map().
[[nodiscard]] Result<SeatPlace> choose_seat(const GuardedSeats& seats, const GuardAsk& ask,
                                            const PeerCredentials& who,
                                            const LaneShare& share) noexcept;

}  // namespace slipring
