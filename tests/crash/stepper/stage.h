// A scene: all that takes part in an experiment, in one piece of shared memory, so that it can be
// put back to what it was and the experiment be made again with another end.
//
// What a stepped child may change stands here: the shared memory of the ring, the ends of all
// participants, what they were told, and the stacks that the children run on.  Then a picture of
// this memory and of a held child's registers is the whole world at that instruction.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

#include "core/error/check.h"

namespace slipring::crash {

inline constexpr std::size_t kStackBytes = 8 * 1024;
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
  }
  [[nodiscard]] Scene& operator*() const { return shared_->scene; }
  [[nodiscard]] Scene* operator->() const { return &shared_->scene; }
  [[nodiscard]] std::span<std::byte> stack(std::size_t of) const {
    check(of < kStacks, "a stack beyond the last");
    return shared_->stacks[of];
  }
  [[nodiscard]] std::span<std::byte> bytes() const {
    return {reinterpret_cast<std::byte*>(shared_), sizeof(Shared)};
  }

 private:
  struct Shared {
    Scene scene;
    alignas(64) std::byte stacks[kStacks][kStackBytes];
  };
  Shared* shared_;
};

// The bytes of a stage at one time.
class Picture {
 public:
  template <typename Scene>
  void take(const Stage<Scene>& stage) {
    const std::span<const std::byte> bytes = stage.bytes();
    bytes_.assign(bytes.begin(), bytes.end());
  }
  template <typename Scene>
  void put_back(const Stage<Scene>& stage) const {
    std::memcpy(stage.bytes().data(), bytes_.data(), bytes_.size());
  }
  template <typename Scene>
  [[nodiscard]] bool is_of(const Stage<Scene>& stage) const {
    return std::memcmp(stage.bytes().data(), bytes_.data(), sizeof(Scene)) == 0;
  }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace slipring::crash
