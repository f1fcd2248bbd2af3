// The shared words of a ring with one producer and one consumer, a page a side.
//
// The image is specified in core/LAYOUT.md; change both or neither.  Each struct stands at the
// start of its writer's region, and the other side maps it read-only.  A word that is polled by the
// other side stands alone on its line.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/cpu/cache_line.h"

namespace slipring {

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared words must be address-free");
static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "shared words must be address-free");

// Written by the producer only.
struct ProducerPage {
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> tail;          // first position not published
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> abort_before;  // first position still wanted
};
static_assert(std::is_standard_layout_v<ProducerPage>);
static_assert(offsetof(ProducerPage, tail) == 0);
static_assert(offsetof(ProducerPage, abort_before) == 128);
static_assert(sizeof(ProducerPage) == 256);

// Written by the consumer only.
struct ConsumerPage {
  alignas(kAbiLineBytes)
      std::atomic<std::uint64_t> credit;  // all below is free; polled by a full producer
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> done;  // all below is finished; exact
  std::atomic<std::uint64_t> taken;                        // all below has been looked at
};
static_assert(std::is_standard_layout_v<ConsumerPage>);
static_assert(offsetof(ConsumerPage, credit) == 0);
static_assert(offsetof(ConsumerPage, done) == 128);
static_assert(offsetof(ConsumerPage, taken) == 136);
static_assert(sizeof(ConsumerPage) == 256);

}  // namespace slipring
