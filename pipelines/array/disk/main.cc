// A disk stage's program.

#include "pipelines/array/disk/disk_stage.h"
#include "pipelines/stage/stage_program.h"

int main(int argc, char** argv) {
  return slipring::run_stage(
      argc, argv, slipring::array::describe_disk(),
      [](slipring::Stage& stage) { return slipring::array::serve_disk(stage); });
}
