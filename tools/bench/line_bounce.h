// One cache line bounced between the two processors: how near they are just now, and the limit of
// every round trip.
#pragma once

#include "tools/bench/cell.h"

namespace slipring::bench {

// Nanoseconds there and back: the lower quartile of a few short series, about 2 ms in all.  0 on
// one processor.
[[nodiscard]] double line_bounce_ns(const CellSettings& settings);

}  // namespace slipring::bench
