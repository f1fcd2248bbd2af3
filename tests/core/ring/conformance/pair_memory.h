// Guarded memory of a ring with one producer's and one consumer's page.
#pragma once

#include <utility>

#include "core/error/result.h"
#include "core/ring/cursor_page.h"
#include "tests/core/ring/conformance/guarded_bytes.h"

namespace slipring {

struct PairMemory {
  explicit PairMemory(std::uint64_t ring_bytes) : ring(ring_bytes) {}

  [[nodiscard]] ProducerPage& producer_page() const { return *producer.as<ProducerPage>(); }
  [[nodiscard]] ConsumerPage& consumer_page() const { return *consumer.as<ConsumerPage>(); }
  [[nodiscard]] bool is_intact() {
    return producer.is_intact() && consumer.is_intact() && ring.is_intact();
  }

  GuardedBytes producer{sizeof(ProducerPage)};
  GuardedBytes consumer{sizeof(ConsumerPage)};
  GuardedBytes ring;
};

// Takes a role over: the successor's end in place of its predecessor's.
template <typename End>
[[nodiscard]] bool succeed(End& end, Result<End> successor) {
  if (!successor) return false;
  end = std::move(successor).value();
  return true;
}

}  // namespace slipring
