// What a disk's stage counts, on its board.
#pragma once

#include "pipelines/array/disk/disk_request.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {

// One thread.
class DiskReport {
 public:
  explicit DiskReport(Stage& stage)
      : reads_(stage.counter("reads")),
        writes_(stage.counter("writes")),
        syncs_(stage.counter("syncs")),
        errors_(stage.counter("errors")),
        read_bytes_(stage.counter("read_bytes")),
        written_bytes_(stage.counter("written_bytes")) {}

  // A request that was executed, or failed.
  void note(const DiskRequest& request, int error) {
    if (error != 0) errors_.add();
    if (request.kind == DiskRequestKind::kRead) {
      reads_.add();
      read_bytes_.add(request.length_bytes);
    } else if (request.kind == DiskRequestKind::kSync) {
      syncs_.add();
    } else if (request.kind != DiskRequestKind::kIdentify) {
      writes_.add();
      written_bytes_.add(request.length_bytes);
    }
  }

 private:
  Board::Number reads_;
  Board::Number writes_;
  Board::Number syncs_;
  Board::Number errors_;
  Board::Number read_bytes_;
  Board::Number written_bytes_;
};

}  // namespace slipring::array
