// What passes between processes through the adapters, beside what the kernel has for it.
#pragma once

#include "tools/bench/cell.h"

namespace slipring::bench {

// Calls: our services, and an echo over unix sockets.
void add_calls(Registry& registry);
// Many senders, one reader: our lane sets, and the kernel's queues and sockets.
void add_senders(Registry& registry);

}  // namespace slipring::bench
