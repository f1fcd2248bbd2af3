// The contenders from outside, one file each.
//
// What Debian packages is used as it is packaged; each is asked through the fastest of its calls
// that answers instead of waiting, unless its title says otherwise.
#pragma once

#include "tools/bench/cell.h"

namespace slipring::bench {

void add_atomic_queue(Registry& registry);
void add_moodycamel(Registry& registry);  // readerwriterqueue and concurrentqueue
void add_boost(Registry& registry);       // lockfree and interprocess
void add_ck(Registry& registry);
void add_dpdk(Registry& registry);
void add_iceoryx(Registry& registry);
void add_zeromq(Registry& registry);
// Queues that everybody writes himself: with a cached index, and Vyukov's.
void add_classics(Registry& registry);

// The header-only ones, which tests can afford.
inline void add_light_peers(Registry& registry) {
  add_atomic_queue(registry);
  add_moodycamel(registry);
  add_classics(registry);
}

inline void add_all_peers(Registry& registry) {
  add_light_peers(registry);
  add_boost(registry);
  add_ck(registry);
  add_dpdk(registry);
  add_iceoryx(registry);
  add_zeromq(registry);
}

}  // namespace slipring::bench
