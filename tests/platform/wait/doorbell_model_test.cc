// Every interleaving of the armed-line protocol, in small bounds, store buffers included.
//
// A model: the steps of platform/wait/doorbell.h and arming.h, one shared access or system call
// each, written down a second time.  Memory is as x86 has it: each processor's stores wait in a
// first-in first-out buffer that drains at any moment, its own loads look into the buffer first, a
// full fence drains the own one, membarrier drains everybody's, and a system call the caller's.
// Sleeping is the kernel's: compare and queue are one step.
//
// The sleeper wants every publication.  A state from which nobody can move any more, and in which a
// publication was not seen, is a lost wake-up: without bounds on the sleep it would last for ever.
// What the model leaves out is loads that overtake loads; there the acquire of doorbell.A counts.

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace slipring {
namespace {

enum Word : std::uint8_t { kPublished, kBell, kArmed, kPromise, kWords };

// How the two sides are built, and what is wrong with them.
struct Build {
  bool fence_free = true;      // the waker's way, and its promise
  bool attaches_late = false;  // the waker registers and promises while the sleeper runs already
  bool on_event = false;       // sleeps on an eventfd instead of a futex
  bool bell_after_arming = false;
  bool drain_after_arming = false;
  bool no_membarrier = false;
  bool no_waker_fence = false;
  bool no_attach_fence = false;
  bool one_value_for_all_armings = false;
  bool no_look_after_arming = false;
  bool rings_before_publishing = false;
  bool rings_every_time = false;
};

struct Store {
  std::uint8_t word;
  std::uint8_t value;
  auto operator<=>(const Store&) const = default;
};

struct State {
  std::array<std::uint8_t, kWords> memory{};
  std::array<std::vector<Store>, 2> buffer;  // of the waker, of the sleeper
  std::array<std::uint8_t, 2> at{};          // the next step of each
  std::uint8_t published = 0;                // by the waker so far
  std::uint8_t rung_for = 0;                 // its private words
  std::uint8_t armed_read = 0;
  std::uint8_t rings = 0;
  std::uint8_t bell_read = 0;  // the sleeper's private words
  std::uint8_t seen = 0;
  std::uint8_t armings = 0;
  std::uint8_t event = 0;  // the eventfd, readable or not
  bool is_asleep = false;
  auto operator<=>(const State&) const = default;
};

enum Side : std::size_t { kWaker, kSleeper };

struct Verdict {
  std::size_t states = 0;
  std::size_t ends = 0;
  bool lost = false;
  bool rang_too_often = false;
};

class Model {
 public:
  Model(const Build& build, std::uint8_t publications)
      : build_(build), publications_(publications) {}

  Verdict explore() {
    State start;
    // An early waker has promised, and fenced, before anything else happens.
    if (!build_.attaches_late) {
      start.memory[kPromise] = build_.fence_free ? 1 : 0;
      start.at[kWaker] = kFirstPublish;
    }
    visit(start);
    while (!open_.empty()) {
      const State state = open_.back();
      open_.pop_back();
      bool moved = false;
      for (const Side side : {kWaker, kSleeper}) {
        if (!state.buffer[side].empty()) {
          State next = state;
          drain_one(next, side);
          visit(next);
          moved = true;
        }
        State next = state;
        if (side == kWaker ? step_waker(next) : step_sleeper(next)) {
          visit(next);
          moved = true;
        }
      }
      if (!moved) {
        ++verdict_.ends;
        verdict_.lost = verdict_.lost || state.seen < publications_;
      }
      verdict_.rang_too_often = verdict_.rang_too_often || state.rings > state.armings;
    }
    verdict_.states = known_.size();
    return verdict_;
  }

 private:
  void visit(const State& state) {
    if (known_.insert(state).second) open_.push_back(state);
  }

  static void drain_one(State& state, Side side) {
    const Store store = state.buffer[side].front();
    state.buffer[side].erase(state.buffer[side].begin());
    state.memory[store.word] = store.value;
  }
  static void drain(State& state, Side side) {
    while (!state.buffer[side].empty()) drain_one(state, side);
  }
  static void store(State& state, Side side, Word word, std::uint8_t value) {
    state.buffer[side].push_back({word, value});
  }
  static std::uint8_t load(const State& state, Side side, Word word) {
    std::uint8_t value = state.memory[word];
    for (const Store& own : state.buffer[side]) {
      if (own.word == word) value = own.value;
    }
    return value;
  }

  enum WakerStep : std::uint8_t {
    kPromiseIt,
    kFenceAttach,
    kFirstPublish,
    kFenceWaker,
    kLoadArmed,
    kPublishLate,
    kRing,
    kWake,
    kWakerDone,
  };

  bool step_waker(State& state) const {
    switch (state.at[kWaker]) {
      case kPromiseIt:
        store(state, kWaker, kPromise, build_.fence_free ? 1 : 0);
        state.at[kWaker] = kFenceAttach;
        return true;
      case kFenceAttach:
        if (!build_.no_attach_fence) drain(state, kWaker);
        state.at[kWaker] = kFirstPublish;
        return true;
      case kFirstPublish:
        if (state.published == publications_) return false;
        // The planted order looks first and publishes after it.
        if (!build_.rings_before_publishing) publish(state);
        state.at[kWaker] = kFenceWaker;
        return true;
      case kFenceWaker:
        if (!build_.fence_free && !build_.no_waker_fence) drain(state, kWaker);
        state.at[kWaker] = kLoadArmed;
        return true;
      case kLoadArmed:
        state.armed_read = load(state, kWaker, kArmed);
        state.at[kWaker] = build_.rings_before_publishing ? kPublishLate : after_look(state);
        return true;
      case kPublishLate:
        publish(state);
        state.at[kWaker] = after_look(state);
        return true;
      case kRing:
        state.rung_for = state.armed_read;
        ++state.rings;
        store(state, kWaker, kBell, static_cast<std::uint8_t>(load(state, kWaker, kBell) + 1));
        state.at[kWaker] = kWake;
        return true;
      case kWake:
        drain(state, kWaker);  // A system call, whose lock is a full barrier.
        state.is_asleep = false;
        state.event = 1;
        state.at[kWaker] = kFirstPublish;
        return true;
      default:
        return false;
    }
  }

  WakerStep after_look(const State& state) const {
    const bool is_armed = (state.armed_read & 1u) != 0;
    const bool is_new = build_.rings_every_time || state.armed_read != state.rung_for;
    return is_armed && is_new ? kRing : kFirstPublish;
  }

  static void publish(State& state) { store(state, kWaker, kPublished, ++state.published); }

  enum SleeperStep : std::uint8_t {
    kFirstLook,
    kDrainEvent,
    kReadBell,
    kArm,
    kReadBellLate,
    kFenceSleeper,
    kMembarrierStep,
    kLook,
    kSleep,
    kAwake,
    kDisarm,
  };

  bool step_sleeper(State& state) const {
    switch (state.at[kSleeper]) {
      case kFirstLook:
        if (state.seen == publications_) return false;
        state.seen = load(state, kSleeper, kPublished);
        if (state.seen != publications_) state.at[kSleeper] = kDrainEvent;
        return true;
      case kDrainEvent:
        if (!build_.drain_after_arming) state.event = 0;
        state.at[kSleeper] = kReadBell;
        return true;
      case kReadBell:
        state.bell_read = load(state, kSleeper, kBell);
        state.at[kSleeper] = kArm;
        return true;
      case kArm:
        ++state.armings;
        store(state, kSleeper, kArmed,
              build_.one_value_for_all_armings ? std::uint8_t{1}
                                               : static_cast<std::uint8_t>(2 * state.armings - 1));
        state.at[kSleeper] = kReadBellLate;
        return true;
      case kReadBellLate:
        if (build_.bell_after_arming) state.bell_read = load(state, kSleeper, kBell);
        if (build_.drain_after_arming) state.event = 0;
        state.at[kSleeper] = kFenceSleeper;
        return true;
      case kFenceSleeper:
        drain(state, kSleeper);
        state.at[kSleeper] =
            load(state, kSleeper, kPromise) != 0 && !build_.no_membarrier ? kMembarrierStep : kLook;
        return true;
      case kMembarrierStep:
        drain(state, kWaker);
        state.at[kSleeper] = kLook;
        return true;
      case kLook:
        if (!build_.no_look_after_arming) state.seen = load(state, kSleeper, kPublished);
        state.at[kSleeper] = state.seen == publications_ ? kDisarm : kSleep;
        return true;
      case kSleep:
        drain(state, kSleeper);
        state.is_asleep =
            build_.on_event ? state.event == 0 : state.memory[kBell] == state.bell_read;
        state.at[kSleeper] = kAwake;
        return true;
      case kAwake:
        if (state.is_asleep) return false;
        state.at[kSleeper] = kDisarm;
        return true;
      case kDisarm:
        if (!build_.one_value_for_all_armings) {
          store(state, kSleeper, kArmed, static_cast<std::uint8_t>(2 * state.armings));
        } else {
          store(state, kSleeper, kArmed, 0);
        }
        state.at[kSleeper] = kFirstLook;
        return true;
      default:
        return false;
    }
  }

  Build build_;
  std::uint8_t publications_;
  std::set<State> known_;
  std::vector<State> open_;
  Verdict verdict_;
};

constexpr std::uint8_t kPublications = 3;

Verdict judge(const Build& build) {
  return Model(build, kPublications).explore();
}

TEST_CASE("doorbell model: no interleaving loses a wake-up or rings twice for an arming") {
  for (const bool on_event : {false, true}) {
    for (const bool fence_free : {false, true}) {
      for (const bool attaches_late : {false, true}) {
        CAPTURE(on_event);
        CAPTURE(fence_free);
        CAPTURE(attaches_late);
        const Verdict verdict =
            judge({.fence_free = fence_free, .attaches_late = attaches_late, .on_event = on_event});
        CHECK_FALSE(verdict.lost);
        CHECK_FALSE(verdict.rang_too_often);
        CHECK(verdict.states > 1'000);
        CHECK(verdict.ends > 0);
        MESSAGE(verdict.states, " states, ", verdict.ends, " ends");
      }
    }
  }
}

TEST_CASE("doorbell model: every planted fault is found") {
  struct Fault {
    const char* name;
    Build build;
  };
  const std::vector<Fault> faults{
      {"bell read after arming", {.bell_after_arming = true}},
      {"eventfd drained after arming", {.on_event = true, .drain_after_arming = true}},
      {"membarrier left out", {.no_membarrier = true}},
      {"membarrier left out, on an eventfd", {.on_event = true, .no_membarrier = true}},
      {"waker's fence left out", {.fence_free = false, .no_waker_fence = true}},
      {"attach without a fence", {.attaches_late = true, .no_attach_fence = true}},
      {"all armings look alike", {.one_value_for_all_armings = true}},
      {"no look after arming", {.no_look_after_arming = true}},
      {"armed looked at before publishing", {.rings_before_publishing = true}},
      {"armed looked at before publishing, with fences",
       {.fence_free = false, .rings_before_publishing = true}},
  };
  for (const Fault& fault : faults) {
    CAPTURE(std::string(fault.name));
    CHECK(judge(fault.build).lost);
  }
}

TEST_CASE("doorbell model: a waker that forgets what it rang for rings again and again") {
  const Verdict verdict = judge({.rings_every_time = true});
  CHECK_FALSE(verdict.lost);
  CHECK(verdict.rang_too_often);
}

}  // namespace
}  // namespace slipring
