// Both ends of a ring whose messages are looked at in place, over guarded memory: what the adapters
// of such rings have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>

#include "core/error/result.h"
#include "core/ring/transfer.h"
#include "tests/core/ring/conformance/pair_memory.h"

namespace slipring {

template <typename Producer, typename Consumer, typename View, typename Geometry>
class InPlacePair {
 public:
  InPlacePair(const Geometry& geometry, std::uint64_t ring_bytes)
      : geometry_(geometry),
        memory_(ring_bytes),
        producer_(new_producer().value()),
        consumer_(new_consumer().value()) {}

  Transfer push(std::span<const std::byte> message) { return producer_.try_push(message); }
  void flush() { consumer_.publish_credit(); }
  bool is_intact() { return memory_.is_intact(); }
  bool has_message() { return consumer_.has_message(); }

  Transfer peek(std::span<const std::byte>& seen, bool& redelivered) {
    View view;
    if (const Transfer answer = consumer_.try_peek(view); answer != Transfer::kDone) return answer;
    seen = view.message;
    redelivered = view.redelivered;
    held_.push_back(view);
    return Transfer::kDone;
  }
  void release() {
    consumer_.release(held_.front());
    held_.pop_front();
  }
  std::uint64_t taken_count() { return held_.size(); }
  bool contains(std::span<const std::byte> part) { return memory_.ring.contains(part); }

  bool reattach_producer() { return succeed(producer_, new_producer()); }
  bool reattach_consumer() {
    held_.clear();
    return succeed(consumer_, new_consumer());
  }

 private:
  Result<Producer> new_producer() {
    return Producer::attach(memory_.producer_page(), memory_.ring.data(), memory_.consumer_page(),
                            geometry_);
  }
  Result<Consumer> new_consumer() {
    return Consumer::attach(memory_.consumer_page(), memory_.producer_page(), memory_.ring.data(),
                            geometry_);
  }

 protected:
  Geometry geometry_;
  PairMemory memory_;
  Producer producer_;
  Consumer consumer_;

 private:
  std::deque<View> held_;
};

}  // namespace slipring
