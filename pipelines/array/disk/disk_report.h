// A disk's numbers on its stage's board.
#pragma once

#include "pipelines/array/disk/disk_request.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {

struct DiskReport {
  explicit DiskReport(Stage& stage)
      : reads(stage.counter("reads")),
        writes(stage.counter("writes")),
        syncs(stage.counter("syncs")),
        errors(stage.counter("errors")),
        read_bytes(stage.counter("read_bytes")),
        written_bytes(stage.counter("written_bytes")),
        zeroed_bytes(stage.counter("zeroed_bytes")) {}

  // One that is answered.
  void count(const DiskRequest& request) {
    switch (request.kind) {
      case DiskRequestKind::kRead:
        reads.add();
        read_bytes.add(request.length_bytes);
        break;
      case DiskRequestKind::kWrite:
      case DiskRequestKind::kWriteDurable:
        writes.add();
        written_bytes.add(request.length_bytes);
        break;
      case DiskRequestKind::kZero:
        zeroed_bytes.add(request.length_bytes);
        break;
      case DiskRequestKind::kSync:
        syncs.add();
        break;
      default:
        break;
    }
  }

  Board::Number reads;
  Board::Number writes;
  Board::Number syncs;
  Board::Number errors;
  Board::Number read_bytes;
  Board::Number written_bytes;
  Board::Number zeroed_bytes;
};

}  // namespace slipring::array
