// The disk's stage as it is, with an observer who notes every write and sync: for tests of power
// cuts.

#include <memory>

#include "pipelines/array/disk/disk_stage.h"
#include "pipelines/stage/stage.h"
#include "tests/pipelines/array/power/recording_observer.h"

namespace slipring::array::test {
namespace {

StageDescription describe() {
  StageDescription description;
  description.program = "disk";
  description.purpose = "one member of the array, with a record of what is written to it";
  description.ports = {
      {"requests", PortKind::kInput, true, "DiskRequests, slots, with a pool for writes' data"},
      {"replies", PortKind::kOutput, true, "DiskReplies, slots, with a pool for reads' data"},
      {"control", PortKind::kCommands, false, "as the disk's stage"},
  };
  description.options = {
      {"path", "disk.img", "file or block device"},
      {"create_mib", "0", "size in MiB of a file that is missing"},
      {"engine", "auto", "io_uring, plain, or auto"},
      {"direct", "false", "past the page cache (O_DIRECT)"},
      {"holes", "true", "give room back that holds zeros"},
      {"record", "record", "file of what happens"},
      {"member", "0", "which disk it is in the record"},
  };
  description.keeps_descriptors = true;
  return description;
}

int serve(Stage& stage) {
  RecordingObserver observer(stage.option("record"),
                             static_cast<std::uint32_t>(stage.option_number("member", 0, 15)));
  return DiskStage(stage, &observer).run();
}

}  // namespace
}  // namespace slipring::array::test

int main(int argc, char** argv) {
  int exit_status = 0;
  const std::unique_ptr<slipring::Stage> stage =
      slipring::Stage::start(argc, argv, slipring::array::test::describe(), exit_status);
  if (stage == nullptr) return exit_status;
  return slipring::array::test::serve(*stage);
}
