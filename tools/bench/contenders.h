// The contenders that need nothing but this tree and the kernel.
#pragma once

#include "tools/bench/cell.h"

namespace slipring::bench {

// Our rings, in the memory that a link would give them.
void add_slipring(Registry& registry);
// Ours through named segments, as unrelated programs use them.
void add_slipring_links(Registry& registry);
// Queued requests that are no longer wanted: dropped, played out, read out of a pipe.
void add_abort(Registry& registry);
// A reader's look at the control lane, at every so many messages.
void add_control_looks(Registry& registry);
// Every kind of link between two processes, named and guarded.
void add_protection(Registry& registry);
// Ours and the kernel's where somebody sleeps, reads along, or hands over what he does not copy.
void add_slipring_waiting(Registry& registry);
// What the hardware allows: a line bounced, a buffer handed over, bytes copied.
void add_raw_limits(Registry& registry);
// Pipes, sockets, and message queues, polled without sleeping.
void add_kernel(Registry& registry);

}  // namespace slipring::bench
