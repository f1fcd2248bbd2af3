// One system call that moves bytes, and whose count the kernel itself writes down, in memory that
// outlives the process (connection_memory.h says why that is enough).
//
//   arm: msg_len = 0 · parts · number = counted + 1      the call: bytes move, msg_len = how many
//   count: the state's bytes and its number, in one step
// A successor that finds number one ahead of the state's counts msg_len: 0 when the call had not
// begun, or moved nothing.
#pragma once

#include <cstdint>

#include "pipelines/array/nbd/connection_memory.h"

namespace slipring::array {

enum class MoveOutcome : std::uint8_t {
  kMoved,    // count it
  kNothing,  // the socket is empty, or full
  kEnded,    // the client is gone
};

// Requires: parts[0, part_count) and the byte counts are filled in; `counted` is the state's
// number.
[[nodiscard]] MoveOutcome receive_once(int socket, SocketTransfer& transfer, std::size_t part_count,
                                       std::uint64_t counted) noexcept;
[[nodiscard]] MoveOutcome send_once(int socket, SocketTransfer& transfer, std::size_t part_count,
                                    std::uint64_t counted) noexcept;

// Whether bytes sent earlier lie unread on a unix socket, or unacknowledged on another.
[[nodiscard]] bool has_unread_output(int socket) noexcept;

// Whether bytes of the transfer are still to be counted.
[[nodiscard]] bool is_uncounted(const SocketTransfer& transfer, std::uint64_t counted) noexcept;

}  // namespace slipring::array
