// Private memory in the shape of a shared pool's, each part of its exact size; and an atomics
// policy that a test can watch: at any chosen access it stops the participant, or takes the picture
// that the participant's death there would leave.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "core/cpu/atomics.h"
#include "core/pool/pool_recovery.h"
#include "core/pool/shared_pool.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {

// Runs `action` once, just before access number `at` of those that watch() counts.
class AccessWatch {
 public:
  void arm(std::uint64_t at, std::function<void()> action) {
    access_count_ = 0;
    at_ = at;
    action_ = std::move(action);
    is_armed_ = true;
  }
  // Answers whether the access was reached.
  bool disarm() {
    is_armed_ = false;
    return access_count_ > at_;
  }
  void access() {
    if (!is_armed_) return;
    if (access_count_++ != at_) return;
    is_armed_ = false;  // what the action does is not counted
    action_();
    is_armed_ = true;
  }

 private:
  bool is_armed_ = false;
  std::uint64_t access_count_ = 0;
  std::uint64_t at_ = 0;
  std::function<void()> action_;
};

// One thread at a time: the tests that use it interleave by hand.
inline AccessWatch access_watch;

// The processor's policy, watched.
struct WatchedAtomics : StdAtomics {
  using Word = std::atomic<std::uint64_t>;

  [[nodiscard]] static std::uint64_t load(const Word& word, std::memory_order order) {
    access_watch.access();
    return StdAtomics::load(word, order);
  }
  static void store(Word& word, std::uint64_t value, std::memory_order order) {
    access_watch.access();
    StdAtomics::store(word, value, order);
  }
  [[nodiscard]] static bool compare_exchange(Word& word, std::uint64_t& seen, std::uint64_t next,
                                             std::memory_order done, std::memory_order failed) {
    access_watch.access();
    return StdAtomics::compare_exchange(word, seen, next, done, failed);
  }
};

template <typename Atomics>
struct SharedPoolBlocks {
  explicit SharedPoolBlocks(const SharedPoolGeometry& shape)
      : geometry(shape),
        words(pool_words_bytes(shape)),
        pages(pool_pages_bytes(shape)),
        buffers(pool_buffers_bytes(shape)) {}

  [[nodiscard]] PoolMemory parts() const {
    return {reinterpret_cast<SharedPoolWord*>(words.data()), pages.data(), buffers.data()};
  }
  [[nodiscard]] Result<BasicSharedPool<Atomics>> try_attach(std::uint32_t participant) const {
    return BasicSharedPool<Atomics>::attach(parts(), geometry, participant);
  }
  [[nodiscard]] BasicSharedPool<Atomics> attach(std::uint32_t participant) const {
    return try_attach(participant).value();
  }
  [[nodiscard]] PoolCensus census() const { return take_census<Atomics>(parts(), geometry); }
  // The word itself, for tests that scribble.
  [[nodiscard]] std::atomic<std::uint64_t>& raw_word(std::uint32_t slot) const {
    return words.word(std::uint64_t{slot} * 8);
  }

  SharedPoolGeometry geometry;
  ExactBytes words;
  ExactBytes pages;
  ExactBytes buffers;
};

// A copy of the words and pages, to go back to.
template <typename Atomics>
class PoolPicture {
 public:
  void take(const SharedPoolBlocks<Atomics>& blocks) {
    words_.assign(blocks.words.data(), blocks.words.data() + blocks.words.size_bytes());
    pages_.assign(blocks.pages.data(), blocks.pages.data() + blocks.pages.size_bytes());
  }
  void put_back(const SharedPoolBlocks<Atomics>& blocks) const {
    std::copy(words_.begin(), words_.end(), blocks.words.data());
    std::copy(pages_.begin(), pages_.end(), blocks.pages.data());
  }

 private:
  std::vector<std::byte> words_;
  std::vector<std::byte> pages_;
};

[[nodiscard]] inline std::uint32_t sum_of(const PoolCensus& census) {
  return census.free + census.cached + census.owned + census.in_flight + census.shared +
         census.retired;
}

inline constexpr auto kNothingCarried = [](const PoolDoubt&) noexcept { return false; };

}  // namespace slipring
