// What the worlds of a ring with one producer and one consumer have in common: the scenes, what the
// peer may store to, what is checked after a call, and the successor.
//
// A Memory is the ring's:
//   Producer, Consumer                  the ends' types
//   kCapacity, kFills                   how much it holds; how much of it the scenes have in it
//   pages, geometry, all                its cursors, its shape, and all its blocks
//   producer(), consumer()              attached ends
//   build(fill)                         some messages have come and gone, `fill` are there
#pragma once

#include <array>
#include <optional>
#include <span>

#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/guarded_block.h"
#include "tests/fuzz/pair_pages.h"

namespace slipring::fuzz {

inline void must(bool came_about) {
  check(came_about, "a scene that does not come about");
}

// The scenes of both sides, with `End` as the honest one.
template <typename Memory, typename End>
class PairWorld {
 public:
  static constexpr std::size_t kSceneCount = kStarts.size() * Memory::kFills.size();
  static constexpr std::uint64_t kMostAccesses = kFewAccesses;
  static constexpr bool kStoresWithin = true;
  struct Ends {
    std::optional<End> end;
    std::uint64_t start = 0;
  };
  Ends ends;

  [[nodiscard]] std::span<GuardedBlock* const> blocks() const { return memory_.all; }

 protected:
  using Producer = typename Memory::Producer;
  using Consumer = typename Memory::Consumer;
  static constexpr std::uint64_t kCapacity = Memory::kCapacity;

  void build_memory(std::size_t scene) {
    ends.start = kStarts[scene / Memory::kFills.size()];
    memory_.geometry.start_position = ends.start;
    memory_.build(Memory::kFills[scene % Memory::kFills.size()]);
  }
  // Executions visit the scenes in any order.
  void return_to_scene() { memory_.geometry.start_position = ends.start; }

  Memory memory_;
};

template <typename Memory>
class ConsumerPairWorld : public PairWorld<Memory, typename Memory::Consumer> {
 public:
  void build(std::size_t scene) {
    this->build_memory(scene);
    this->ends.end.emplace(this->memory_.consumer().value());
  }
  void check_successor(Tally& tally) {
    this->return_to_scene();
    this->memory_.pages.make_producer_honest(this->ends.end->position());
    const auto next = this->memory_.consumer();
    tally.expect(next.ok() && next.value().done() == this->ends.end->done(),
                 "the consumer's successor cannot go on");
  }

 protected:
  void check_after(std::uint64_t before, Tally& tally) {
    check_consumer(*this->ends.end, this->memory_.pages.consumer(), before, Memory::kCapacity,
                   tally);
  }
};

template <typename Memory>
class ProducerPairWorld : public PairWorld<Memory, typename Memory::Producer> {
 public:
  void build(std::size_t scene) {
    this->build_memory(scene);
    this->ends.end.emplace(this->memory_.producer().value());
  }
  // Of one shape for every ring: the consumer's page is all that its side may write.
  [[nodiscard]] Store choose(FuzzInput& input) {
    const std::uint8_t which = input.byte();
    ConsumerPage& page = this->memory_.pages.consumer();
    return PairPages::aim(which % 2 == 0   ? page.credit
                          : which % 8 != 1 ? page.done
                                           : page.taken,
                          input, this->ends.end->position(), Memory::kCapacity);
  }
  void check_successor(Tally& tally) {
    this->return_to_scene();
    this->memory_.pages.make_consumer_honest(this->ends.end->position());
    const auto next = this->memory_.producer();
    tally.expect(next.ok() && next.value().position() == this->ends.end->position(),
                 "the producer's successor cannot go on");
  }

 protected:
  void check_after(std::uint64_t before, Tally& tally) {
    check_producer(*this->ends.end, this->memory_.pages.producer(), before, Memory::kCapacity,
                   tally);
  }
};

}  // namespace slipring::fuzz
