// The disk's stage as it is, with an observer who notes every write and sync: for tests of power
// cuts.

#include <cstdint>

#include "pipelines/array/disk/disk_stage.h"
#include "pipelines/stage/stage_program.h"
#include "tests/pipelines/array/power/recording_observer.h"

namespace slipring::array::test {
namespace {

StageDescription describe() {
  StageDescription description = describe_disk();
  description.purpose = "one member of the array, with a record of what is written to it";
  description.options.push_back({"record", "record", "file of what happens"});
  description.options.push_back({"member", "0", "which disk it is in the record"});
  return description;
}

int serve(Stage& stage) {
  RecordingObserver observer(stage.option("record"),
                             static_cast<std::uint32_t>(stage.option_number("member", 0, 15)));
  return serve_disk(stage, &observer);
}

}  // namespace
}  // namespace slipring::array::test

int main(int argc, char** argv) {
  return slipring::run_stage(argc, argv, slipring::array::test::describe(),
                             slipring::array::test::serve);
}
