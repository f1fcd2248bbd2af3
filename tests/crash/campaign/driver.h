// Plays scenes: gives birth to lives, has them killed at random instants, and counts.
//
// A life is a forked process without exec.  Before it attaches it sets itself a timer that sends
// SIGKILL (timer_create): the kernel's interrupt then ends it wherever it runs, be it in the middle
// of an operation, of attaching, of a recovery, or asleep in a futex.  Now and then the scene's
// process sends SIGKILL to all others too, when one has died.
//
// Certificates.  The rings here lie in anonymous shared memory, without a lock file; the scene's
// process is the parent of all lives and reaps each before it gives it a successor or a reaper.  A
// process that can be reaped has left its memory, so that waitpid() is as good a certificate of
// death as the lock of platform/process/certificate.h; both come from the kernel.  The links of
// link_scenes.cc have real certificates, and there the successor is born before the dead one is
// reaped, and waits for the lock.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/crash/campaign/scene.h"

namespace slipring::campaign {

struct Options {
  std::uint64_t seconds = 10;  // 0: no limit
  std::uint64_t rounds = 0;    // of each scene in each process; 0: no limit
  std::uint64_t seed = 1;
  std::string ring;  // one scene only; empty: all
  Plant plant = Plant::kNone;
  std::uint32_t process_count = 3;  // scenes at once
  std::uint32_t kills_in_round = 200;
  // In which nobody sends, takes, or dies: then a round is called hung.
  std::uint32_t deadline_seconds = 60;
};

struct SceneResult {
  std::string name;
  std::vector<std::string> role_names;
  Tally* tally;  // lives as long as the outcome
};

// What came of a run.
class Outcome {
 public:
  Outcome();
  Outcome(const Outcome&) = delete;
  Outcome& operator=(const Outcome&) = delete;
  ~Outcome();

  [[nodiscard]] Tally& tally(std::size_t scene) const;
  [[nodiscard]] Sayings& sayings() const;
  [[nodiscard]] std::uint64_t kills() const;
  [[nodiscard]] std::uint64_t violations() const;
  std::vector<SceneResult> scenes;
  double seconds = 0;

 private:
  struct Shared;
  Shared* shared_;
};

// False when something about the run itself went wrong; the sayings tell.
[[nodiscard]] bool run(const Options& options, Outcome& outcome);

[[nodiscard]] std::uint64_t violations_of(const Tally& tally);

}  // namespace slipring::campaign
