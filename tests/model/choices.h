// The choices of one execution: which fibre goes on, which store a load reads, who dies.  The same
// choices give the same execution.
//
// Depth first: an execution follows the choices of the one before up to one that has an untried
// alternative, takes that, and goes on with the first alternatives.  At random: a generator picks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace slipring::model {

class Choices {
 public:
  // One of `count` alternatives.
  [[nodiscard]] std::size_t pick(std::size_t count) {
    if (count <= 1) return 0;
    if (at_ == taken_.size()) {
      const std::size_t first = is_random_ ? next_random() % count : 0;
      taken_.push_back({static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(count)});
    }
    return taken_[at_++].picked;
  }
  // Whether all choices of the execution before have been made again: from here on it is new.
  [[nodiscard]] bool is_new() const { return at_ == taken_.size(); }

  // The next execution, depth first; false when there is none.
  [[nodiscard]] bool advance() {
    at_ = 0;
    while (!taken_.empty() && taken_.back().picked + 1 == taken_.back().count) taken_.pop_back();
    if (taken_.empty()) return false;
    ++taken_.back().picked;
    return true;
  }
  // The same execution once more.
  void rewind() { at_ = 0; }
  // An execution of its own, at random.
  void start_random(std::uint64_t seed) {
    taken_.clear();
    at_ = 0;
    is_random_ = true;
    random_ = seed;
  }

 private:
  struct Choice {
    std::uint32_t picked;
    std::uint32_t count;
  };
  // SplitMix64.
  [[nodiscard]] std::uint64_t next_random() {
    std::uint64_t z = (random_ += 0x9e37'79b9'7f4a'7c15);
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
    return z ^ (z >> 31);
  }

  std::vector<Choice> taken_;
  std::size_t at_ = 0;
  std::uint64_t random_ = 0;
  bool is_random_ = false;
};

}  // namespace slipring::model
