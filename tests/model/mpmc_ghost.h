// The truth about a many-to-many ring, for scenes: which messages were pushed and popped, in what
// order, and what its participants knew.
//
// Exact.  An answer "empty" or "full" must fit into one order of all operations that agrees with
// what happened before what: the answer comes after all that its caller knew when it called, and
// everything comes after what it itself knew.  So the ghost takes what the caller knew, adds what
// must have come before that as well, and so on, until the ring is empty (or full) there; it is a
// lie when an operation would be needed that has not been done.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "tests/model/run.h"

namespace slipring::model {

// The order of messages, as it truly is.
class MpmcGhost {
 public:
  static constexpr std::uint64_t kMostMessages = 8;
  using Clock = decltype(View::clock);

  explicit MpmcGhost(std::uint64_t slot_count) : slot_count_(slot_count) {}

  // Fibre `who`, which now knows `clock`, has done a swap.  Answers why it was wrong, or null.
  const char* push(std::uint32_t message, std::size_t who, const Clock& clock) {
    if (pushes_.count == kMostMessages) return "more messages than the scene has";
    if (was_pushed(message)) return "a message was pushed twice";
    order_[pushes_.count] = message;
    pushes_.add(who, clock);
    return pushes_.count - pops_.count > slot_count_ ? "more messages than slots" : nullptr;
  }
  const char* pop(std::uint32_t message, std::size_t who, const Clock& clock) {
    if (pops_.count == pushes_.count) return "a message was popped before it was pushed";
    pops_.add(who, clock);
    return order_[pops_.count - 1] == message ? nullptr : "a message has overtaken another";
  }
  [[nodiscard]] bool was_pushed(std::uint32_t message) const {
    for (std::uint64_t i = 0; i < pushes_.count; ++i) {
      if (order_[i] == message) return true;
    }
    return false;
  }
  // 0 when there is none.
  [[nodiscard]] std::uint32_t next_to_pop() const {
    return pops_.count < pushes_.count ? order_[pops_.count] : 0;
  }
  [[nodiscard]] std::uint64_t pushed_count() const { return pushes_.count; }
  [[nodiscard]] std::uint64_t popped_count() const { return pops_.count; }
  [[nodiscard]] std::uint32_t at(std::uint64_t position) const { return order_[position]; }

  // Of all that a later answer can depend on.  Of clocks that is what they tell of each other, and
  // each operation's own, which those of later ones are compared with.
  [[nodiscard]] std::uint64_t hash() const {
    std::uint64_t hash = mix(pushes_.count, pops_.count);
    for (std::uint64_t i = 0; i < pushes_.count; ++i) hash = mix(hash, order_[i]);
    for (const Done* done : {&pushes_, &pops_}) {
      for (std::uint64_t i = 0; i < done->count; ++i) {
        const std::size_t who = done->who[i];
        hash = mix(mix(hash, (std::uint64_t{who} << 32) | done->clock[i][who]),
                   known_to(done->clock[i]));
      }
    }
    return hash;
  }
  // The operations that happened before one who knows `knows`, a bit each.
  [[nodiscard]] std::uint64_t known_to(const Clock& knows) const {
    return pushes_.bits_known_to(knows) << kMostMessages | pops_.bits_known_to(knows);
  }

  // Whether the answer may be given to one who knew `clock` when it called.
  [[nodiscard]] bool may_be_empty(const Clock& clock) const { return fits(clock, 0); }
  [[nodiscard]] bool may_be_full(const Clock& clock) const { return fits(clock, slot_count_); }

 private:
  struct Done {
    std::array<std::size_t, kMostMessages> who{};
    std::array<Clock, kMostMessages> clock{};
    std::uint64_t count = 0;

    void add(std::size_t by, const Clock& knows) {
      who[count] = by;
      clock[count++] = knows;
    }
    [[nodiscard]] std::uint64_t bits_known_to(const Clock& knows) const {
      std::uint64_t bits = 0;
      for (std::uint64_t i = 0; i < count; ++i) {
        if (knows[who[i]] >= clock[i][who[i]]) bits |= std::uint64_t{1} << i;
      }
      return bits;
    }
    // The end of those that happened before one who knows `knows`.
    [[nodiscard]] std::uint64_t known_to(const Clock& knows) const {
      std::uint64_t end = 0;
      for (std::uint64_t i = 0; i < count; ++i) {
        if (knows[who[i]] >= clock[i][who[i]]) end = i + 1;
      }
      return end;
    }
  };

  // Whether the pops of the first n messages and the pushes of the first n + inside, for some n,
  // can be all that came before the answer.
  [[nodiscard]] bool fits(const Clock& caller, std::uint64_t inside) const {
    std::uint64_t popped = 0;
    const auto reach = [&](const Clock& knows) {
      const std::uint64_t pushed = pushes_.known_to(knows);
      popped = std::max({popped, pops_.known_to(knows), pushed < inside ? 0 : pushed - inside});
    };
    reach(caller);
    for (std::uint64_t before = UINT64_MAX; before != popped;) {
      before = popped;
      if (popped > pops_.count || popped + inside > pushes_.count) return false;
      for (std::uint64_t i = 0; i < before; ++i) reach(pops_.clock[i]);
      for (std::uint64_t i = 0; i < before + inside; ++i) reach(pushes_.clock[i]);
    }
    return true;
  }

  std::uint64_t slot_count_;
  std::array<std::uint32_t, kMostMessages> order_{};
  Done pushes_;
  Done pops_;
};

// What fibre `who` knows, and knew when it last called, as far as answers depend on it.  A call's
// own operations may be in the stretch of steps that it began in.
[[nodiscard]] inline std::uint64_t hash_of_knowledge(const Run& run, const MpmcGhost& ghost,
                                                     std::size_t who,
                                                     const MpmcGhost::Clock& before) {
  if (run.fate(who) != Fate::kRunning) return 0;
  const MpmcGhost::Clock& now = run.memory().view(who).clock;
  return mix(mix(ghost.known_to(now), ghost.known_to(before)), before[who] == now[who] ? 1 : 0);
}

}  // namespace slipring::model
