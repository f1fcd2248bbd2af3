// The demultiplexer's counters on the stage's board, and what goes wrong on stderr, not too often.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipelines/settop/transport/demultiplexer.h"
#include "pipelines/stage/stage.h"

namespace slipring::settop {

class DemuxReport {
 public:
  explicit DemuxReport(Stage& stage);

  // Cheap enough for every record: does nothing more often than every 50 ms, unless `now`.
  void update(const Demultiplexer& demultiplexer, bool now = false);

 private:
  struct Entry {
    Board::Number number;
    const char* name;
    bool is_trouble;
    std::uint64_t base = 0;      // of the predecessors
    std::uint64_t reported = 0;  // told on stderr so far
  };

  void tell(const Demultiplexer& demultiplexer);

  Stage& stage_;
  std::vector<Entry> entries_;
  Board::Number program_;
  Board::Number state_;
  SelectionState told_state_ = SelectionState::kSelected;
  std::uint64_t updated_ns_ = 0;
  std::uint64_t told_ns_ = 0;
};

}  // namespace slipring::settop
