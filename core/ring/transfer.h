// The answers of a ring: values, never failures of a call.
#pragma once

#include <cstdint>

namespace slipring {

enum class [[nodiscard]] Transfer : std::uint8_t{
    kDone,     // moved
    kBlocked,  // full for a producer, empty for a consumer: back-pressure, not an error
    // The other side wrote a value that no correct peer writes.  The call changed nothing, and the
    // next one looks anew: whether to stop for good is decided above the ring.
    kCorruptPeer,
};

}  // namespace slipring
