#include "tests/model/explorer.h"

#include <algorithm>

#include "core/error/check.h"

namespace slipring::model {
namespace {

// A failed check() of the code under test is a finding; ours outside of a run still stop us.
class ChecksAreFindings {
 public:
  ChecksAreFindings() : before_(check_failed_handler) {
    check_failed_handler = [](const char* why, const char*, int) noexcept {
      if (Run::is_any()) Run::current().fail(why);
    };
  }
  ~ChecksAreFindings() { check_failed_handler = before_; }
  ChecksAreFindings(const ChecksAreFindings&) = delete;
  ChecksAreFindings& operator=(const ChecksAreFindings&) = delete;

 private:
  CheckFailedHandler before_;
};

// A run costs stacks and tables: all explorations share one.
Run& the_run() {
  static Run run;
  return run;
}

void count(Found& found, const Run& run, Run::Ending ending) {
  if (ending != Run::Ending::kMerged) ++found.executions;
  found.deaths += run.new_deaths();
  found.stops += run.new_stops();
  found.longest = std::max(found.longest, run.step_count());
}

// Whether it is the end; the clock is read seldom.
bool is_end(std::chrono::steady_clock::time_point end, std::uint64_t executions) {
  return executions % 64 == 0 && std::chrono::steady_clock::now() > end;
}

// Once more, to tell what happened.
void tell(Found& found, Run& run, const Scene& scene) {
  found.wrong = run.wrong();
  run.is_tracing = true;
  run.choices().rewind();
  (void)run.execute(scene.begin, scene.bounds, nullptr);
  run.is_tracing = false;
  found.story = run.story();
}

}  // namespace

Found explore(const Scene& scene, const ExploreOptions& options) {
  const ChecksAreFindings checks;
  Run& run = the_run();
  run.choices() = {};
  run.mutation = options.mutation;
  run.sites = options.sites;
  Found found;
  States states;
  for (std::uint64_t i = 0; i < options.max_executions && states.count() < scene.bounds.states;
       ++i) {
    if (is_end(options.end, i)) break;
    const Run::Ending ending =
        run.execute(scene.begin, scene.bounds, options.merges ? &states : nullptr);
    count(found, run, ending);
    if (ending == Run::Ending::kWrong) {
      tell(found, run, scene);
      break;
    }
    if (!run.choices().advance()) {
      found.is_complete = true;
      break;
    }
  }
  found.states = states.count();
  run.mutation = nullptr;
  run.sites = nullptr;
  return found;
}

Found explore_at_random(const Scene& scene, std::uint64_t seed, std::uint64_t count_wanted,
                        std::chrono::steady_clock::time_point end) {
  const ChecksAreFindings checks;
  Run& run = the_run();
  Found found;
  for (std::uint64_t i = 0; i < count_wanted && !is_end(end, i); ++i) {
    run.choices().start_random(seed + i);
    const Run::Ending ending = run.execute(scene.begin, scene.bounds, nullptr);
    count(found, run, ending);
    if (ending == Run::Ending::kWrong) {
      tell(found, run, scene);
      found.wrong += ", seed " + std::to_string(seed + i);
      break;
    }
  }
  return found;
}

std::string to_string(const Found& found) {
  return "states " + std::to_string(found.states) + ", executions " +
         std::to_string(found.executions) + ", deaths " + std::to_string(found.deaths) +
         ", stops " + std::to_string(found.stops) + ", longest " + std::to_string(found.longest) +
         (found.wrong.empty() ? (found.is_complete ? ", complete" : ", bounded")
                              : ", wrong: " + found.wrong);
}

}  // namespace slipring::model
