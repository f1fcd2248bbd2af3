// One public operation, made so that it can fail at any of its system calls and be looked at
// afterwards.
#pragma once

#include <any>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/error/result.h"
#include "platform/memory/segment_directory.h"

namespace slipring::faults {

// A downgrade that the answer reports without a number.
inline constexpr int kAnyErrno = -1;

// What an operation came to.
struct Outcome {
  bool is_ok = false;
  Error error;  // of one that is not
  // An answer of the operation that says "done, though without what was wished": the errno that it
  // names, and in which words.
  int downgrade_errno = 0;
  const char* downgrade = "";
  // It ended well, and what it answered is false.
  const char* lie = nullptr;
  // Its error is words for a person, in Error::doing; code and errno say nothing.
  bool is_worded = false;

  [[nodiscard]] static Outcome done() { return {true, {}, 0, "", nullptr, false}; }
  [[nodiscard]] static Outcome refused(const char* words) {
    return {false, {ErrorCode::kSystem, 0, words}, 0, "", nullptr, true};
  }
  [[nodiscard]] static Outcome failed(const Error& error) {
    return {false, error, 0, "", nullptr, false};
  }
  [[nodiscard]] static Outcome downgraded(int os_errno, const char* words) {
    return {true, {}, os_errno, words, nullptr, false};
  }
  [[nodiscard]] static Outcome lying(const char* how) { return {true, {}, 0, "", how, false}; }
  template <typename Answer>
  [[nodiscard]] static Outcome of(const Answer& answer) {
    return answer.ok() ? done() : failed(answer.error());
  }
};

// A place for one run: an empty directory, and what the scenario keeps there from step to step.
struct Stage {
  explicit Stage(std::string directory_path) : path(std::move(directory_path)) {}

  std::string path;
  std::optional<SegmentDirectory> directory;  // opened by prepare_directory
  std::any kept;
};

struct Scenario {
  std::string name;
  // Once, before everything; what it makes stays.
  std::function<void(Stage&)> prepare = {};
  // Before each run.
  std::function<void(Stage&)> arrange = {};
  // The operation; all that it holds is given back when it returns.
  std::function<Outcome(Stage&)> run = {};
  // Takes away what a run that ended well leaves.
  std::function<void(Stage&)> undo = {};
  // Is everything that was there before still whole?  Null if so.
  std::function<const char*(Stage&)> verify = {};
  // The answer without any fault, if it is an error.
  std::optional<ErrorCode> expected = {};
  // How a difference begins that a run which failed half-way may leave, as Holdings says it; after
  // the operation was done without a fault, nothing may be left of it.
  std::string may_leave = {};
};

[[nodiscard]] std::vector<Scenario> memory_scenarios();
[[nodiscard]] std::vector<Scenario> process_scenarios();
[[nodiscard]] std::vector<Scenario> wait_scenarios();
[[nodiscard]] std::vector<Scenario> link_scenarios();
[[nodiscard]] std::vector<Scenario> stage_scenarios();
[[nodiscard]] std::vector<Scenario> guarded_scenarios();
[[nodiscard]] std::vector<Scenario> broker_scenarios();

// Ends the process with words, for steps that must not fail.
[[noreturn]] void scenario_broken(const char* why, const Error& error = {});

template <typename T>
[[nodiscard]] T needed(Result<T> result) {
  if (!result.ok()) scenario_broken("a step without a fault failed", result.error());
  return std::move(result).value();
}
inline void needed(const Status& status) {
  if (!status.ok()) scenario_broken("a step without a fault failed", status.error());
}

// For Scenario::prepare.
inline void prepare_directory(Stage& stage) {
  stage.directory.emplace(needed(SegmentDirectory::open_at(stage.path)));
}

}  // namespace slipring::faults
