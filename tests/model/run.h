// One execution of a scene: fibres, the memory they share, deaths, and what the scene asks for.
//
// A fibre stops before each access to shared memory, and any other may go on there.  Where deaths
// or stops are left, it may also die there, or stand still for ever.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/model/choices.h"
#include "tests/model/fibre.h"
#include "tests/model/memory.h"
#include "tests/model/mutation.h"
#include "tests/model/site.h"

namespace slipring::model {

class Run;
class States;

// How far an exploration goes.
struct Bounds {
  std::uint32_t deaths = 0;           // in one execution, successors' included
  std::uint32_t stops = 0;            // fibres that stand still for ever
  std::uint32_t preemptions = 1'000;  // switches away from a fibre that could go on
  std::uint32_t steps = 2'000;        // accesses in one execution; more is a call without end
  std::uint64_t states = 4'000'000;   // then the exploration ends, and says that it was bounded
};

// The participants and what they share.  Made anew for each execution: the constructor lays out the
// memory and names the fibres; its own accesses are nobody's, before all others.
class Play {
 public:
  virtual ~Play() = default;
  // Everybody has ended, died or stopped.  Accesses made here see the latest of everything.
  virtual void settle(Run& run) = 0;
  // What bodies have left in the play, hashed, as far as they read it of one another or forget it.
  [[nodiscard]] virtual std::uint64_t ghost() const { return 0; }
  // Whether ghost() has all that bodies leave in the play: what one that has died or ended has read
  // is forgotten then.
  [[nodiscard]] virtual bool tells_all() const { return false; }
};

// Of an object whose bytes are its value.
template <typename T>
[[nodiscard]] std::uint64_t hash_of(const T& object, std::uint64_t from = 0) {
  const auto* const bytes = reinterpret_cast<const unsigned char*>(&object);
  for (std::size_t at = 0; at < sizeof(T); at += sizeof(std::uint64_t)) {
    std::uint64_t piece = 0;
    std::memcpy(&piece, bytes + at, sizeof(T) - at < sizeof piece ? sizeof(T) - at : sizeof piece);
    from = mix(from, piece);
  }
  return from;
}

enum class Fate : std::uint8_t {
  kUnborn,   // a successor whose predecessor lives
  kRunning,  // or ready to
  kWaiting,  // in Run::wait_for_news()
  kOver,     // its body has ended
  kDead,
  kStopped,
};

class Run {
 public:
  enum class Ending : std::uint8_t { kSettled, kMerged, kWrong };

  Run();

  // --- For plays, in their constructors.

  // Zeroed, on a line of its own.
  template <typename T>
  [[nodiscard]] T* place(std::size_t count = 1) {
    return reinterpret_cast<T*>(memory_.allocate(count * sizeof(T)));
  }
  // A participant.
  std::size_t fibre(std::function<void()> body);
  // Begins when `predecessor` dies, and knows all that it did and knew.
  std::size_t successor(std::size_t predecessor, std::function<void()> body);
  // Never dies and never stops.
  void spare(std::size_t fibre) { actors_[fibre].is_spared = true; }

  // --- For plays, everywhere.

  // Ends the execution, and the exploration with it.  The text must be static.
  void fail(const char* why);
  void require(bool holds, const char* why) {
    if (!holds) fail(why);
  }
  // A body polls: it goes on when something that it has read since the last time has changed.
  void wait_for_news();
  // A body is between two calls: from here on it does what `rest` (its own objects, hashed) and the
  // shared memory say, whatever it has read before.  States that differ in that alone become one.
  void at_rest(std::uint64_t rest);
  [[nodiscard]] Fate fate(std::size_t fibre) const { return actors_[fibre].fate; }
  // Somebody was killed while it still had something to do.
  [[nodiscard]] bool has_died(std::size_t fibre) const { return fate(fibre) == Fate::kDead; }

  // --- For the policy.

  [[nodiscard]] static Run& current() { return *current_; }
  [[nodiscard]] static bool is_any() { return current_ != nullptr; }
  [[nodiscard]] bool is_inside() const { return running_ != kNobody; }
  [[nodiscard]] Memory& memory() { return memory_; }
  [[nodiscard]] const Memory& memory() const { return memory_; }
  [[nodiscard]] std::size_t running() const { return running_; }
  // Before an access that others may notice: they may run first, and we may die.
  void before(bool is_shared);
  // Where only we may die: before a plain access, and wherever a body wants it.
  void before_plain() { before(false); }
  // After it: looks whether it was wrong.
  void after(bool is_load);
  void after_plain();
  // For the story of an execution that went wrong.
  void tell(const char* what, const void* place, std::uint64_t value, Site site);

  // --- For the explorer.

  Choices& choices() { return choices_; }
  const Mutation* mutation = nullptr;
  SiteList* sites = nullptr;  // takes down what is reached
  bool is_tracing = false;
  // Runs one execution.  `states` holds those that have been entered; null: each is.
  Ending execute(const std::function<std::unique_ptr<Play>(Run&)>& begin, const Bounds& bounds,
                 States* states);
  [[nodiscard]] const std::string& wrong() const { return wrong_; }
  [[nodiscard]] const std::string& story() const { return story_; }
  [[nodiscard]] std::uint64_t step_count() const { return step_count_; }
  [[nodiscard]] std::uint32_t death_count() const { return death_count_; }
  [[nodiscard]] std::uint32_t stop_count() const { return stop_count_; }
  // Those that no execution before this had in the same state.
  [[nodiscard]] std::uint32_t new_deaths() const { return new_deaths_; }
  [[nodiscard]] std::uint32_t new_stops() const { return new_stops_; }

 private:
  static constexpr std::size_t kNobody = SIZE_MAX;

  struct Actor {
    std::unique_ptr<Fibre> stack;
    std::function<void()> body;
    std::size_t predecessor = kNobody;
    Fate fate = Fate::kUnborn;
    bool is_spared = false;
    std::vector<Memory::Reading> readings;  // since the last wait_for_news()
    std::vector<Memory::Reading> old_readings;
    bool has_stored = false;
    bool has_waited = false;
  };

  std::size_t add(std::function<void()> body, std::size_t predecessor);
  void start(std::size_t who);
  void perhaps_die();
  void die();
  void schedule();
  void tell(const char* what);
  // Runs it outside of all fibres, until it returns or something ends the execution.
  void guarded(const std::function<void()>& part);
  [[nodiscard]] bool can_go_on(std::size_t who) const;
  [[nodiscard]] bool is_alive(std::size_t who) const {
    return fate(who) == Fate::kRunning || fate(who) == Fate::kWaiting;
  }
  [[nodiscard]] std::uint64_t state() const;
  [[nodiscard]] std::uint64_t state_of(std::size_t who, const View& known) const;
  [[noreturn]] void end(Ending ending);

  static inline Run* current_ = nullptr;

  Choices choices_;
  Memory memory_;
  std::array<Actor, kMaxFibres> actors_;
  std::size_t actor_count_ = 0;
  std::size_t running_ = kNobody;
  Mark main_{};
  Bounds bounds_;
  States* states_ = nullptr;
  Play* play_ = nullptr;
  Ending ending_ = Ending::kSettled;
  std::uint32_t death_count_ = 0;
  std::uint32_t stop_count_ = 0;
  std::uint32_t preemption_count_ = 0;
  std::uint32_t new_deaths_ = 0;
  std::uint32_t new_stops_ = 0;
  std::uint64_t step_count_ = 0;
  std::string wrong_;
  std::string story_;
};

// The states that have been entered, by their hashes: of n states two have the same hash with a
// probability of n^2 / 2^65, which is one in a million for six million states.
class States {
 public:
  States() : slots_(1U << 16) {}
  // False when it was there.
  [[nodiscard]] bool insert(std::uint64_t hash) {
    if (hash == 0) hash = 1;
    if (2 * count_ > slots_.size()) grow();
    const bool is_new = put(hash);
    count_ += is_new ? 1 : 0;
    return is_new;
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  bool put(std::uint64_t hash) {
    std::size_t at = hash & (slots_.size() - 1);
    while (slots_[at] != 0) {
      if (slots_[at] == hash) return false;
      at = (at + 1) & (slots_.size() - 1);
    }
    slots_[at] = hash;
    return true;
  }
  void grow() {
    std::vector<std::uint64_t> old(2 * slots_.size());
    old.swap(slots_);
    for (const std::uint64_t hash : old) {
      if (hash != 0) put(hash);
    }
  }

  std::vector<std::uint64_t> slots_;
  std::uint64_t count_ = 0;
};

}  // namespace slipring::model
