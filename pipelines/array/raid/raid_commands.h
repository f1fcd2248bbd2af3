// What the raid stage is told out of band, also while it waits for a disk that does not answer.
//
// A disk's process that hangs, on a device that hangs, holds up every request: until it answers, or
// somebody says "fail N".  So whoever waits for disks collects commands meanwhile; all of them are
// obeyed in their order, once the stage's turn comes.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "pipelines/stage/stage.h"

namespace slipring::array {

// One thread.
class RaidCommands {
 public:
  // Requires: outlives the commands.
  explicit RaidCommands(Stage& stage) : stage_(stage) {}

  [[nodiscard]] bool has_new() const noexcept { return stage_.has_command(); }
  [[nodiscard]] bool has_next() const noexcept { return !waiting_.empty() || has_new(); }
  [[nodiscard]] std::optional<Command> next() {
    if (waiting_.empty()) return stage_.next_command();
    std::optional<Command> first(std::move(waiting_.front()));
    waiting_.pop_front();
    return first;
  }

  void collect() {
    while (std::optional<Command> command = stage_.next_command()) {
      waiting_.push_back(std::move(*command));
    }
  }
  // Among what was collected.
  [[nodiscard]] bool has_failed(std::uint32_t member) const {
    const std::string wanted = "fail " + std::to_string(member);
    for (const Command& command : waiting_) {
      if (command.text == wanted) return true;
    }
    return false;
  }

 private:
  Stage& stage_;
  std::deque<Command> waiting_;
};

}  // namespace slipring::array
