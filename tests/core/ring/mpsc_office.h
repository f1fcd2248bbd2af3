// Lanes of slots with their bells, for tests of those who read many.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "core/ring/mpsc_bell.h"
#include "core/ring/slot_ring.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {

// What a message carries: who sent it, as its sender believes, and its number on that lane.
struct Letter {
  std::uint64_t lane;
  std::uint64_t number;
};

struct SlotLane {
  explicit SlotLane(BellPage& bells, std::uint32_t number, std::uint64_t slot_count = 64)
      : memory({slot_count, sizeof(Letter), 0}), lane(number), page(&bells), bell(bells, number) {}

  // A death between publishing and ringing is a push that does not ring.
  bool push(bool rings = true) {
    const Letter letter{lane, next_number};
    if (producer.try_push(std::as_bytes(std::span(&letter, 1))) != Transfer::kDone) return false;
    ++next_number;
    if (rings) bell.ring();
    return true;
  }
  void producer_dies() {
    producer = memory.producer();
    bell = LaneBell(*page, lane);
  }

  SlotRingMemory memory;
  std::uint32_t lane;
  BellPage* page;
  LaneBell bell;
  SlotProducer producer = memory.producer();
  SlotConsumer consumer = memory.consumer();
  std::uint64_t next_number = 0;
};

struct Office {
  explicit Office(std::uint32_t lane_count, std::uint64_t slot_count = 64) {
    for (std::uint32_t i = 0; i < lane_count; ++i) {
      lanes.push_back(std::make_unique<SlotLane>(bells, i, slot_count));
    }
  }
  // To a MpscConsumer or a MpscMerge.
  template <typename Consumer>
  void join_all(Consumer& consumer) {
    for (auto& lane : lanes) consumer.join(lane->lane, lane->consumer);
  }

  BellPage bells{};
  std::vector<std::unique_ptr<SlotLane>> lanes;
};

inline Letter letter_of(std::span<const std::byte> message) {
  Letter letter{};
  std::memcpy(&letter, message.data(), sizeof letter);
  return letter;
}

}  // namespace slipring
