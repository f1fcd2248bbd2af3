// The array's numbers on the stage's board: totals over all incarnations, and states.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipelines/array/raid/raid_array.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {

class RaidReport {
 public:
  RaidReport(Stage& stage, std::uint32_t member_count) {
    for (const char* name :
         {"full_rows", "modified_rows", "completed_rows", "groups", "checkpoints",
          "degraded_blocks", "mended_blocks", "lost_blocks", "inconsistent_rows", "zeroed_rows"}) {
      totals_.push_back({stage.counter(name), 0});
    }
    for (std::uint32_t i = 0; i < member_count; ++i) {
      const std::string disk = "disk" + std::to_string(i);
      totals_.push_back({stage.counter(disk + "_unreadable"), 0});
      totals_.push_back({stage.counter(disk + "_lies"), 0});
      states_.push_back(stage.gauge(disk + "_state"));
    }
    for (Total& total : totals_) total.base = total.number.get();
    rebuild_ = stage.gauge("rebuild_permille");
    scrub_ = stage.gauge("scrub_permille");
    scrubs_ = stage.counter("scrubs");
    log_ = stage.gauge("log_used_bytes");
    is_broken_ = stage.gauge("is_broken");
    replayed_ = stage.gauge("replayed_groups");
  }

  // One has come to its end.
  void count_scrub() { scrubs_.add(); }

  // A state is 0: missing, 1: active, 2: rebuilding.  `scrub_row` beyond the rows: none runs.
  void update(const RaidArray& array, std::uint64_t scrub_row) {
    const RaidCounters& counters = array.counters();
    const std::uint64_t values[] = {counters.full_rows,         counters.modified_rows,
                                    counters.completed_rows,    counters.groups,
                                    counters.checkpoints,       counters.degraded_blocks,
                                    counters.repaired_blocks,   counters.lost_blocks,
                                    counters.inconsistent_rows, counters.zeroed_rows};
    std::size_t next = 0;
    for (const std::uint64_t value : values) put(next++, value);
    for (std::uint32_t i = 0; i < states_.size(); ++i) {
      put(next++, counters.unreadable[i]);
      put(next++, counters.lies[i]);
      states_[i].set(static_cast<std::uint64_t>(array.state_of(i)));
    }
    const std::uint64_t rows = array.layout().shape().row_count;
    rebuild_.set(array.is_rebuilding() ? array.rebuild_row() * 1000 / rows : 0);
    scrub_.set(scrub_row < rows ? scrub_row * 1000 / rows : 0);
    log_.set(array.log_used_bytes());
    is_broken_.set(array.is_broken() ? 1 : 0);
    replayed_.set(counters.replayed_groups);
  }

 private:
  struct Total {
    Board::Number number;
    std::uint64_t base;
  };
  void put(std::size_t index, std::uint64_t value) {
    totals_[index].number.set(totals_[index].base + value);
  }

  std::vector<Total> totals_;
  std::vector<Board::Number> states_;
  Board::Number rebuild_;
  Board::Number scrub_;
  Board::Number scrubs_;
  Board::Number log_;
  Board::Number is_broken_;
  Board::Number replayed_;
};

}  // namespace slipring::array
