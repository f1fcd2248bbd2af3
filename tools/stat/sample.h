// One look at links, boards, and the processes that hold them; and what lies between two looks.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/link/board.h"
#include "pipelines/link/link_observer.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/usage.h"
#include "tools/cli/segment_facts.h"

namespace slipring::tools {

struct LinkSample {
  std::string name;
  LinkReport report;
  std::uint64_t peak_fill = 0;  // the highest seen since the sample before
};

struct BoardSample {
  std::string name;
  EndFacts stage;
  std::vector<BoardObserver::Entry> entries;
};

struct ProcessSample {
  pid_t process_id = 0;
  std::string name;  // "settop.demux" for a stage, "settop.ts writer" for a bare link end
  ProcessUsage usage;
};

struct Sample {
  std::uint64_t taken_ns = 0;     // CLOCK_MONOTONIC
  std::uint64_t realtime_ns = 0;  // CLOCK_REALTIME
  std::vector<LinkSample> links;
  std::vector<BoardSample> boards;
  std::vector<ProcessSample> processes;
  std::vector<SegmentFacts> unsound;  // what could not be looked into
};

// Per second, between two samples of the same thing.
struct EndRates {
  double messages_per_s = 0;
  double bytes_per_s = 0;
};
struct LinkRates {
  EndRates writer;
  EndRates reader;
};

// A sample and the rates since the one before it; nothing where there was none.
class Comparison {
 public:
  Comparison(const Sample& now, const Sample* before) noexcept : now_(now), before_(before) {}

  [[nodiscard]] const Sample& now() const noexcept { return now_; }
  // 0 when there is no sample before.
  [[nodiscard]] std::uint64_t interval_ns() const noexcept;
  [[nodiscard]] std::optional<LinkRates> rates(const LinkSample& link) const;
  // Of a counter; nothing for a gauge.
  [[nodiscard]] std::optional<double> rate(const BoardSample& board,
                                           const BoardObserver::Entry& entry) const;
  // Share of one processor, in percent.
  [[nodiscard]] std::optional<double> cpu_percent(const ProcessSample& process) const;

 private:
  [[nodiscard]] double per_second(std::uint64_t now, std::uint64_t before) const noexcept;

  const Sample& now_;
  const Sample* before_;
};

// Looks at the named segments; those that are gone are left out.
[[nodiscard]] Sample take_sample(const SegmentDirectory& directory,
                                 const std::vector<std::string>& names);

// Passes the time until `deadline_ns` (CLOCK_MONOTONIC), and looks now and then how full the links
// of `sample` are.  Answers the highest fill of each, by name.
[[nodiscard]] std::map<std::string, std::uint64_t> watch_fill(const SegmentDirectory& directory,
                                                              const Sample& sample,
                                                              std::uint64_t deadline_ns);

}  // namespace slipring::tools
