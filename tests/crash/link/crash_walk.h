// An operation walked through instruction by instruction, killed and stopped on the way.
//
// What a SIGKILL leaves is shared memory and kernel state; everything else of the process is gone.
// Shared memory changes by stores, kernel state of ours by system calls.  Two instants between
// which neither happened are therefore the same to everybody who is left: they are one *class*, and
// one real kill stands for all of its instants.  The walk
//   1. steps the whole operation once, compares the shared bytes after every instruction, and cuts
//      the instructions into classes, (system calls so far, changes of the image since the last
//      one); a class that a store or a call begins ends where the next one begins;
//   2. kills a fresh child in every class, lets `settle` recover as a user would, and judge;
//   3. stops a fresh child at the first and at the last instant of every class while the others go
//      on with a full workload, lets it continue to its end, and judges again.  What a stopped
//      process has *read* matters too, which the classes do not see: hence also
//   4. one more walk in which, every `stride` instructions and at every boundary, the others go on
//      while the child stands still (stride 1: at every instruction).
// Every instant belongs to a class by construction; covered() says whether every class was killed.
//
// A system call counts as one instant: the kernel either has not begun it or has answered.  Three
// of the calls here can be killed inside (fallocate, madvise, mlock), and they act on memory that
// has no name yet, or on residency, which leaves nothing.  A call that sleeps is a class of its own
// and is killed asleep.  A process that ptrace has stopped is to everybody else what SIGSTOP makes
// of it: it runs no instruction.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/core/ring/conformance/verdict.h"
#include "tests/crash/link/shared_image.h"
#include "tests/crash/link/traced_child.h"

namespace slipring::crash {

inline constexpr int kWasKilled = -1;

// One run of an operation, and everything around it.
class Scene {
 public:
  Scene() = default;
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  virtual ~Scene() = default;

  // In the child: gets ready, mark(), the operation, mark(), and perhaps goes on.
  [[nodiscard]] virtual int child() = 0;
  // The child stands at its first mark.
  virtual void child_is_ready() {}
  // The child sleeps in a system call: what it waits for happens.
  virtual void wake() {}
  // The child stands still.  `turn` counts up, so that a scene can take turns.
  virtual void others_go_on(Verdict&, const TracedChild&, std::uint64_t /*turn*/) {}
  // The child has changed shared bytes: may it, just now?
  [[nodiscard]] virtual bool may_store() { return true; }
  // The child is dead (kWasKilled) or has ended with `exit_status`.  Recovers and judges; leaves
  // nothing behind.
  virtual void settle(Verdict& verdict, int exit_status) = 0;
  [[nodiscard]] virtual std::string directory() const = 0;

  [[nodiscard]] SharedImage& image() { return image_; }

 private:
  SharedImage image_;
};

struct Operation {
  std::string name;
  std::function<std::unique_ptr<Scene>()> begin;
  bool sleeps = false;
};

struct WalkOptions {
  std::uint64_t stride = 1;      // between stops of the woven walk
  std::uint64_t stop_every = 1;  // class boundaries stopped at: 1 all, n every n-th
  // Operations of more instructions are stopped where classes begin, and nowhere else.
  std::uint64_t long_operation = UINT64_MAX;
  // Goes from system call to system call and sees no stores: for a slice of a long operation.
  bool calls_only = false;
  // Further kills at instants drawn from anywhere in the operation.
  std::uint64_t drawn_kills = 0;
  std::uint64_t seed = 1;
};

struct Tally {
  std::string name;
  std::uint64_t instructions = 0;
  std::uint64_t calls = 0;
  std::uint64_t classes = 0;
  std::uint64_t covered = 0;  // instructions of classes that were killed and judged
  std::uint64_t kills = 0;
  std::uint64_t stops = 0;
  std::uint64_t missed = 0;  // runs that did not come to the place they should: not judged
  std::uint64_t violations = 0;

  [[nodiscard]] bool is_whole() const { return instructions != 0 && covered == instructions; }
  void add(const Tally& other);
  [[nodiscard]] std::string text() const;
};

[[nodiscard]] Tally walk(const Operation& operation, const WalkOptions& options, Verdict& verdict);

}  // namespace slipring::crash
