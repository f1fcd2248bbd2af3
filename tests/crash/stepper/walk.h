// Every instruction of an operation, and what may happen at it.
//
// walk() leads one child through a body and looks about before each instruction, the last look
// being at its end.  Whatever a look does, lets the child run to its end included, is undone before
// the next step, so that every look is at one and the same run.  It proves that: the run is made
// once without any look, and must leave the same bytes as the one with all of them.
//
// Death.  SIGKILL leaves the memory as it is at that instant.  So a look that recovers on the
// memory of that instant judges a death there; instants whose memory is equal, byte for byte, are
// judged once and counted all.  Of every different memory one is made by a real SIGKILL, and judged
// again.
#pragma once

#include <sys/wait.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/error/check.h"
#include "tests/crash/stepper/findings.h"
#include "tests/crash/stepper/stage.h"
#include "tests/crash/stepper/stepped_child.h"

namespace slipring::crash {

// Memories that were seen, exactly.
class Images {
 public:
  // Whether these bytes are new.
  bool add(std::span<const std::byte> bytes) {
    if (last_bytes_.size() == bytes.size() &&
        std::memcmp(last_bytes_.data(), bytes.data(), bytes.size()) == 0)
      return false;
    last_bytes_.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto [at, is_new] = seen_.emplace(last_bytes_, seen_.size());
    last_ = at->second;
    return is_new;
  }
  // The number, from 0 on, of the memory that was added last, new or not.
  [[nodiscard]] std::size_t last() const { return last_; }
  [[nodiscard]] std::uint64_t count() const { return seen_.size(); }

 private:
  std::string last_bytes_;
  std::size_t last_ = 0;
  std::map<std::string, std::size_t> seen_;
};

// Leads a child through `body` on stack `on`, from the stage as it is, and leaves the stage as the
// body does.  look(child) is called at each instruction, and once more behind the last.  Answers
// how many instructions there were; 0 when the body did not come to its end.
template <typename Scene, typename Body, typename Look>
std::uint64_t walk(Stage<Scene>& stage, std::size_t on, Body body, Look look) {
  stage.wipe(on);
  SteppedChild child(body, stage.stack(on));
  if (!child.is_inside()) return 0;
  Picture here;
  stage.measure(on);
  const std::size_t begin_depth_bytes = stage.depth_bytes(on);
  here.take(stage);
  if (!child.finish()) return 0;
  stage.measure(on);
  Picture end;
  end.take(stage);
  here.put_back();
  stage.wipe(on, begin_depth_bytes);
  child.go_back();
  here.take(stage);
  std::uint64_t instruction_count = 0;
  for (;;) {
    look(child);
    here.put_back();
    child.go_back();
    if (child.is_over()) break;
    child.advance();
    if (!child.is_inside() && !child.is_over()) return 0;
    ++instruction_count;
    here.take(stage);
  }
  check(end.is_true(), "looking about has changed the run");
  return instruction_count;
}

// Kills at every instruction.  A scene's image() is what outlives the dead one: shared memory, and
// what it had been told by then.  judge() recovers and compares; it is called on the memory of a
// stopped child, and on that of one that was really killed.
template <typename Scene, typename Body, typename Judge>
void kill_everywhere(Stage<Scene>& stage, Body body, Tally& tally, Judge judge,
                     std::size_t on = 0) {
  Picture begin;
  begin.take(stage);
  Images images;
  std::vector<std::uint64_t> first_at;
  std::uint64_t at = 0;
  const std::uint64_t count = walk(stage, on, body, [&](SteppedChild&) {
    ++tally.kill_count;
    if (images.add(stage->image())) {
      first_at.push_back(at);
      judge();
    }
    ++at;
  });
  tally.instruction_count += count;
  tally.image_count += images.count();
  if (count == 0 || at != count + 1) tally.findings.add(Oracle::kHarness, "a step was left out");
  for (const std::uint64_t stop : first_at) {
    begin.put_back();
    stage.wipe(on);
    SteppedChild child(body, stage.stack(on));
    for (std::uint64_t i = 0; i < stop; ++i) child.advance();
    child.kill_now();
    ++tally.real_kill_count;
    if (images.add(stage->image()))
      tally.findings.add(Oracle::kHarness, "a real death leaves another memory");
    judge();
  }
  begin.put_back();
}

// Stops at every instruction: meanwhile(child) is what the others do, `after` judges when the
// stopped one has gone on to its end.
template <typename Scene, typename Body, typename Meanwhile, typename After>
void stop_everywhere(Stage<Scene>& stage, Body body, Tally& tally, Meanwhile meanwhile, After after,
                     std::size_t on = 0) {
  Picture begin;
  begin.take(stage);
  std::uint64_t at = 0;
  const std::uint64_t count = walk(stage, on, body, [&](SteppedChild& child) {
    ++at;
    ++tally.stop_count;
    meanwhile(std::as_const(child));
    if (!child.is_over() && !child.finish()) {
      tally.findings.add(Oracle::kOutcome, "the stopped one did not come to its end");
      return;
    }
    after();
  });
  if (count == 0 || at != count + 1) tally.findings.add(Oracle::kHarness, "a step was left out");
  begin.put_back();
}

// The same by SIGSTOP and SIGCONT, to a child that is led to the instruction and then no longer
// traced; each stop has a child of its own.
template <typename Scene, typename Body, typename Meanwhile, typename After>
void stop_for_real_everywhere(Stage<Scene>& stage, Body body, Tally& tally, Meanwhile meanwhile,
                              After after) {
  Picture begin;
  begin.take(stage);
  for (std::uint64_t at = 0;; ++at) {
    begin.put_back();
    stage.wipe(0);
    SteppedChild child(body, stage.stack(0));
    for (std::uint64_t i = 0; i < at; ++i) child.advance();
    if (child.is_over()) break;
    ++tally.instruction_count;
    ++tally.stop_count;
    const pid_t stopped = child.release_stopped();
    meanwhile();
    int status = 0;
    const bool has_ended = stopped > 0 && waitpid(stopped, &status, WNOHANG) == 0 &&
                           kill(stopped, SIGCONT) == 0 && waitpid(stopped, &status, 0) == stopped &&
                           WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!has_ended) {
      tally.findings.add(Oracle::kOutcome, "the stopped one did not come to its end");
      break;
    }
    after();
  }
  begin.put_back();
}

// The same with a signal at every instruction, whose handler the child has installed.
template <typename Scene, typename Body, typename After>
void interrupt_everywhere(Stage<Scene>& stage, Body body, Tally& tally, int signal, After after) {
  Picture begin;
  begin.take(stage);
  std::uint64_t at = 0;
  const std::uint64_t count = walk(stage, 0, body, [&](SteppedChild& child) {
    ++at;
    if (child.is_over()) return;
    ++tally.signal_count;
    if (!child.finish(signal)) {
      tally.findings.add(Oracle::kOutcome, "the interrupted one did not come to its end");
      return;
    }
    after();
  });
  if (count == 0 || at != count + 1) tally.findings.add(Oracle::kHarness, "a step was left out");
  begin.put_back();
}

}  // namespace slipring::crash
