// One round of one scene: births, deaths, recoveries, and the end.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "tests/crash/campaign/driver.h"
#include "tests/crash/campaign/scene.h"

namespace slipring::campaign {

class Round {
 public:
  Round(Scene& scene, const Context& context, const Options& options)
      : scene_(scene), context_(context), options_(options), chance_(context.stage->seed) {}

  // False when it did not come to its end; a violation says why.
  [[nodiscard]] bool play();
  // Where everybody stands, to stderr.
  void tell() const;

 private:
  enum class State : std::uint32_t { kAlive, kRecovering, kGone };
  struct Actor {
    pid_t pid = 0;
    State state = State::kGone;
    bool is_doomed = false;
  };

  void bear(std::uint32_t role, bool is_doomed);
  // The process in which a role is played from now on.
  void have(std::uint32_t role, pid_t pid, State state, bool is_doomed);
  void bear_reaper(std::uint32_t role, bool is_doomed);
  void live(std::uint32_t role, bool is_reaper, std::uint64_t life_ns, std::uint64_t seed);
  [[nodiscard]] std::uint64_t life_ns();
  // Waits for one to end.  False: the round is over.
  [[nodiscard]] bool wait_for_one();
  [[nodiscard]] bool take_death(std::uint32_t role, int status);
  void count_kill(std::uint32_t role, std::uint32_t op);
  // Kills one that lives, and gives it a successor while it dies.
  void replace(std::uint32_t role);
  void kill_all();
  // Whether anything was sent, taken, or has died since it was last asked.
  [[nodiscard]] bool has_moved();
  [[nodiscard]] bool are_gone(RoleKind kind) const;
  void go_on_to(Phase phase) {
    context_.stage->phase.store(static_cast<std::uint32_t>(phase), std::memory_order_release);
  }

  Scene& scene_;
  const Context& context_;
  const Options& options_;
  Chance chance_;
  std::array<Actor, kMaxRoles> actors_{};
  struct Leaving {
    pid_t pid = 0;
    std::uint32_t role = 0;
    std::uint32_t op = 0;
  };
  std::array<Leaving, 4 * kMaxRoles> leaving_{};  // killed, not reaped, already replaced
  std::uint32_t kill_count_ = 0;
  std::uint64_t movement_ = 0;
  bool is_running_ = true;
  bool is_broken_ = false;  // the machine gives no process
};

}  // namespace slipring::campaign
