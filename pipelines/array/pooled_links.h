// What a stage that serves blocks asks of its pair of links: slots for the messages, and pools for
// the data of both directions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pipelines/link/link_layout.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {

struct PooledLinkNeeds {
  std::size_t request_bytes;   // of a slot
  std::size_t reply_bytes;     // of a slot
  std::uint64_t buffer_bytes;  // of either pool
};

// Whether the links at the ports requests and replies have that; says on the stage's log what they
// must have, and what they have, otherwise.
[[nodiscard]] bool have_pools(const Stage& stage, const LinkShape& requests,
                              const LinkShape& replies, const PooledLinkNeeds& needs);

// Whether the link at this port has such slots, and such a pool; says what it must have otherwise.
[[nodiscard]] bool has_pool(const Stage& stage, const char* port, const LinkShape& shape,
                            std::size_t message_bytes, std::uint64_t buffer_bytes);
// Whether the link at this port has such slots; says on the stage's log what it must have
// otherwise.
[[nodiscard]] bool has_slots(const Stage& stage, const char* port, const LinkShape& shape,
                             std::size_t message_bytes);

}  // namespace slipring::array
