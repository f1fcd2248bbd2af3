// A scene: all that takes part in an experiment, in one piece of shared memory, so that it can be
// put back to what it was and the experiment be made again with another end.
//
// What a stepped child may change stands here: the shared memory of the ring, the ends of all
// participants, what they were told, and the stacks that the children run on.  Then a picture of
// this memory and of a held child's registers is the whole world at that instruction.
#pragma once

#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

#include "core/error/check.h"

namespace slipring::crash {

inline constexpr std::size_t kStackBytes = 16 * 1024;
// As many children may be held at once.
inline constexpr std::size_t kStacks = 2;

// Scene is made of plain values: it is copied as bytes, and points at nothing outside itself.
template <typename Scene>
class Stage {
 public:
  Stage() {
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED, "memory for a stage");
    shared_ = static_cast<Shared*>(memory);
    clear();
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  ~Stage() { munmap(shared_, sizeof(Shared)); }

  // A new scene: zero, but for what its members say.
  void clear() {
    std::memset(static_cast<void*>(shared_), 0, sizeof(Shared));
    new (&shared_->scene) Scene{};
    for (std::size_t i = 0; i < kStacks; ++i) wipe(i);
  }
  [[nodiscard]] Scene& operator*() const { return shared_->scene; }
  [[nodiscard]] Scene* operator->() const { return &shared_->scene; }
  [[nodiscard]] std::span<std::byte> stack(std::size_t of) const {
    check(of < kStacks, "a stack beyond the last");
    return shared_->stacks[of];
  }
  // Whoever ran on a stack has come to rest; notes how deep it went.
  void measure(std::size_t of) {
    const std::span<const std::byte> bytes = stack(of);
    std::size_t untouched = 0;
    while (untouched < bytes.size() && bytes[untouched] == kUntouched) ++untouched;
    check(untouched >= 64, "the stack is deep enough");
    depth_bytes_[of] = bytes.size() - untouched / 64 * 64;
  }
  // Nobody uses any of a stack but its last `kept_bytes`; the rest is as new, so that what is left
  // there by chance is the same in every run.
  void wipe(std::size_t of, std::size_t kept_bytes = 0) const {
    std::memset(stack(of).data(), static_cast<int>(kUntouched), kStackBytes - kept_bytes);
  }
  [[nodiscard]] std::size_t depth_bytes(std::size_t of) const { return depth_bytes_[of]; }
  // What a picture must hold: the scene, and of each stack what has been used.
  [[nodiscard]] std::array<std::span<std::byte>, 1 + kStacks> parts() const {
    std::array<std::span<std::byte>, 1 + kStacks> parts;
    parts[0] = {reinterpret_cast<std::byte*>(&shared_->scene), sizeof(Scene)};
    for (std::size_t i = 0; i < kStacks; ++i) parts[1 + i] = stack(i).last(depth_bytes_[i]);
    return parts;
  }

 private:
  struct Shared {
    Scene scene;
    alignas(64) std::byte stacks[kStacks][kStackBytes];
  };
  // Not 0: who writes zeros has written.
  static constexpr std::byte kUntouched{0xa5};

  Shared* shared_;
  std::array<std::size_t, kStacks> depth_bytes_{};
};

// A stage at one time.
class Picture {
 public:
  template <typename Scene>
  void take(const Stage<Scene>& stage) {
    places_ = stage.parts();
    bytes_.clear();
    for (const std::span<std::byte> place : places_) {
      bytes_.insert(bytes_.end(), place.begin(), place.end());
    }
  }
  void put_back() const {
    std::size_t at = 0;
    for (const std::span<std::byte> place : places_) {
      std::memcpy(place.data(), bytes_.data() + at, place.size());
      at += place.size();
    }
  }
  // Whether the scene, stacks aside, is as it was.
  [[nodiscard]] bool is_true() const {
    return std::memcmp(places_[0].data(), bytes_.data(), places_[0].size()) == 0;
  }

 private:
  std::array<std::span<std::byte>, 1 + kStacks> places_;
  std::vector<std::byte> bytes_;
};

}  // namespace slipring::crash
