// The answers of a ring.
#pragma once

#include <cstdint>

namespace slipring {

enum class [[nodiscard]] Transfer : std::uint8_t{
    kDone,         // moved
    kBlocked,      // full for a producer, empty for a consumer: back-pressure, not an error
    kCorruptPeer,  // the other side wrote a value that no correct peer writes; the answer stays
};

}  // namespace slipring
