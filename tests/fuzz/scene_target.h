// An honest end in memory that a hostile peer writes to.
//
// One execution: one of the prepared scenes is restored (memory and end), then up to four times the
// peer stores one word and the end does one call, each chosen by the input, in a quarter of them
// with one more store at one of its accesses; after each call the end's own invariants are looked
// at, and at last whether a successor could take over.
//
// A World is the scene's actors:
//   kSceneCount; build(scene)           makes the memory and the end as the scene has them
//   blocks()                            the memory; each block is restored
//   Ends ends                           everything private, trivially copyable
//   choose(input)                       a hostile store
//   kMostAccesses, kStoresWithin        what a call may take; whether the peer stores in it, too
//   call(input, tally)                  the honest call, counted and checked in the tally
//   check_successor(tally)
#pragma once

#include <cstring>
#include <type_traits>
#include <vector>

#include "tests/fuzz/access_script.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/guarded_block.h"

namespace slipring::fuzz {

inline constexpr std::size_t kSceneInputBytes = 56;
inline constexpr std::size_t kMaxRounds = 4;

template <typename World>
class SceneTarget final : public FuzzTarget {
 public:
  SceneTarget() {
    for (std::size_t i = 0; i < World::kSceneCount; ++i) {
      access_script = {};
      for (GuardedBlock* block : world_.blocks()) {
        std::memset(block->data(), 0, block->size_bytes());
      }
      world_.build(i);
      std::vector<std::byte> picture;
      for (GuardedBlock* block : world_.blocks()) {
        picture.insert(picture.end(), block->bytes().begin(), block->bytes().end());
      }
      scenes_.push_back({std::move(picture), world_.ends});
    }
  }

  void run(std::span<const std::uint8_t> bytes, Tally& tally) override {
    FuzzInput input(bytes);
    restore(scenes_[input.byte() % World::kSceneCount]);
    const std::size_t rounds = 1 + input.byte() % kMaxRounds;
    for (std::size_t round = 0; round < rounds; ++round) {
      world_.choose(input).happen();
      ++tally.scribbles;
      access_script.begin(tally, World::kMostAccesses);
      if (const std::uint8_t within = input.byte(); World::kStoresWithin && within < 64) {
        access_script.store = world_.choose(input);
        access_script.store_at = within % 16;
        ++tally.scribbles;
      }
      world_.call(input, tally);
      if (tally.broken != nullptr) return;
    }
    access_script.begin(tally, UINT64_MAX);
    world_.check_successor(tally);
  }

  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    random.fill(place.first(kSceneInputBytes));
    return kSceneInputBytes;
  }

 private:
  using Ends = typename World::Ends;
  static_assert(std::is_trivially_copyable_v<Ends>);
  struct Scene {
    std::vector<std::byte> picture;
    Ends ends;
  };

  void restore(const Scene& scene) {
    const std::byte* from = scene.picture.data();
    for (GuardedBlock* block : world_.blocks()) {
      std::memcpy(block->data(), from, block->size_bytes());
      from += block->size_bytes();
    }
    world_.ends = scene.ends;
  }

  World world_;
  std::vector<Scene> scenes_;
};

}  // namespace slipring::fuzz
