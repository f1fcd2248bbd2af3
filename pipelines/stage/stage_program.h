// What the main() of every stage's program is.
#pragma once

#include <memory>

#include "pipelines/stage/stage.h"

namespace slipring {

// Attaches the stage that the command line names, and lets `serve`, an int(Stage&), do its work;
// the process's exit status.
template <typename Serve>
[[nodiscard]] int run_stage(int argc, char** argv, const StageDescription& description,
                            Serve&& serve) {
  int exit_status = 0;
  const std::unique_ptr<Stage> stage = Stage::start(argc, argv, description, exit_status);
  return stage == nullptr ? exit_status : serve(*stage);
}

}  // namespace slipring
