#include "pipelines/link/guarded_seating.h"

#include <errno.h>

#include <optional>

namespace slipring {
namespace {

Status check_share(const GuardedSeats& seats, const PeerCredentials& who,
                   const LaneShare& share) noexcept {
  std::uint32_t of_process = 0;
  std::uint32_t of_user = 0;
  for (std::uint32_t lane = 0; lane < seats.lane_count(); ++lane) {
    const BrokerSeat& seat = seats.at({lane, Role::kWriter});
    if (seat.hold == SeatHold::kFree) continue;
    if (seat.holder.user == who.user) ++of_user;
    if (seat.process->is_same_as(who.process)) ++of_process;
  }
  if (share.per_process != 0 && of_process >= share.per_process) {
    return Error{ErrorCode::kBusy, EDQUOT, "", of_process, share.per_process};
  }
  if (share.per_user != 0 && of_user >= share.per_user) {
    return Error{ErrorCode::kBusy, EDQUOT, "", of_user, share.per_user};
  }
  return {};
}

Result<SeatPlace> choose_lane(const GuardedSeats& seats, const PeerCredentials& who,
                              const LaneShare& share) noexcept {
  std::uint64_t unread_count = 0;
  std::optional<SeatPlace> found;
  for (std::uint32_t lane = 0; lane < seats.lane_count() && !found; ++lane) {
    const SeatPlace place{lane, Role::kWriter};
    if (seats.at(place).hold != SeatHold::kFree) continue;
    Result<bool> read = seats.is_read(lane);
    if (!read) return read.error();
    if (*read) {
      found = place;
    } else {
      ++unread_count;
    }
  }
  if (Status shared = check_share(seats, who, share); !shared) return shared.error();
  if (found) return *found;
  const ErrorCode why = unread_count != 0 ? ErrorCode::kNoSpace : ErrorCode::kBusy;
  return Error{why, 0, "", unread_count, seats.lane_count()};
}

// As long as another process has any lane, nobody else gets one.
Status check_one_reader(const GuardedSeats& seats, std::uint32_t lane,
                        const PeerCredentials& who) noexcept {
  for (std::uint32_t other = 0; other < seats.lane_count(); ++other) {
    const BrokerSeat& seat = seats.at({other, Role::kReader});
    const bool is_held = seat.hold != SeatHold::kFree;
    if (is_held && !seat.process->is_same_as(who.process)) {
      return Error{ErrorCode::kBusy, 0, "", seat.holder.process_id};
    }
    if (!is_held && other == 0 && lane != 0) {
      return Error{ErrorCode::kInvalidArgument, 0, "", lane};
    }
  }
  return {};
}

}  // namespace

Result<SeatPlace> choose_seat(const GuardedSeats& seats, const GuardAsk& ask,
                              const PeerCredentials& who, const LaneShare& share) noexcept {
  const SeatPlace place{ask.lane == kAnyLane ? 0 : ask.lane, static_cast<Role>(ask.role)};
  if (is_lane_set(seats.shape().shape)) {
    if (place.role == Role::kWriter) return choose_lane(seats, who, share);
    if (Status one = check_one_reader(seats, place.lane, who); !one) return one.error();
  }
  if (seats.at(place).hold == SeatHold::kFree) return place;
  return Error{ErrorCode::kBusy, 0, "", seats.at(place).holder.process_id};
}

}  // namespace slipring
