// Closing a TCP connection so that all that was written arrives.
//
// A socket that is closed while something that the other side said is unread sends a reset, and a
// reset may overtake what is under way: the other side loses the end of what it was sent.  So the
// end is said first, what still comes is read and dropped, and the socket is closed when the other
// side's kernel has acknowledged everything.
#pragma once

#include <atomic>

#include "core/error/result.h"

namespace slipring {

// Waits for it; `stop` ends the waiting when it is set (nullptr: nobody does).
// Errors: kClosed (the connection was cut first; so many bytes are unacknowledged: `found`),
// kInterrupted (stopped), kSystem.
Status say_tcp_farewell(int fd, const std::atomic<bool>* stop) noexcept;

}  // namespace slipring
