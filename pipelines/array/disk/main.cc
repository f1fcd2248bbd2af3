// A disk stage's program: its links and options.

#include <signal.h>

#include <memory>
#include <string>

#include "pipelines/array/disk/disk_request.h"
#include "pipelines/array/disk/disk_stage.h"
#include "pipelines/array/pooled_links.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {
namespace {

StageDescription describe() {
  StageDescription description;
  description.program = "disk";
  description.purpose = "one member of the array: a file or a block device";
  description.ports = {
      {"requests", PortKind::kInput, true, "DiskRequests, slots, with a pool for writes' data"},
      {"replies", PortKind::kOutput, true, "DiskReplies, slots, with a pool for reads' data"},
      {"control", PortKind::kCommands, false,
       "'fail': use it no more; 'rescan': open it again; 'replace PATH': take another one"},
  };
  description.options = {
      {"path", "disk.img", "file or block device"},
      {"create_mib", "0", "size in MiB of a file that is missing, 0 to 16777216; 0: not made"},
      {"engine", "auto",
       "io_uring, plain (pread and pwrite), or auto: plain in memory, else io_uring where allowed"},
      {"direct", "false", "past the page cache (O_DIRECT)"},
      {"holes", "true", "give room back that holds zeros; false: keep it, so that none can lack"},
  };
  description.keeps_descriptors = true;
  description.bell_order = BellOrder::kFence;
  return description;
}

int serve(Stage& stage) {
  const std::string engine = stage.option("engine");
  if (engine != "auto" && engine != "io_uring" && engine != "plain") {
    stage.log(Severity::kError, "option engine: '%s' is none of auto, io_uring, plain",
              engine.c_str());
    return 2;
  }
  const bool is_fit =
      have_pools(stage, stage.input("requests")->shape(), stage.output("replies")->shape(),
                 {sizeof(DiskRequest), sizeof(DiskReply), kDiskBufferBytesMin});
  return is_fit ? DiskStage(stage).run() : 2;
}

}  // namespace
}  // namespace slipring::array

int main(int argc, char** argv) {
  int exit_status = 0;
  const std::unique_ptr<slipring::Stage> stage =
      slipring::Stage::start(argc, argv, slipring::array::describe(), exit_status);
  if (stage == nullptr) return exit_status;
  // A file that may not grow is an error like a full disk, and no reason to die again and again.
  signal(SIGXFSZ, SIG_IGN);
  return slipring::array::serve(*stage);
}
