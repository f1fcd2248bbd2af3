// Sends the numbers 1, 2, 3, … until it has sent `count` of them, or until the file `until` exists.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstring>

#include "pipelines/stage/stage.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/stage/counting.h"

namespace {

constexpr std::uint64_t kNumbersAPause = 64;

const slipring::StageDescription kDescription = {
    "count_source",
    "counts",
    {{"numbers", slipring::PortKind::kOutput, true, "the numbers"},
     {"commands", slipring::PortKind::kCommands, false, "unused"}},
    {{"count", "0", "numbers to send; 0: without end"},
     {"until", "", "a file whose appearance ends the count"},
     {"pause_us", "0", "rest after every 64 numbers"},
     {"exit", "0", "ends at once with this status, unless it is 0"},
     {"stubborn", "false", "ignores the request to stop"}},
};

}  // namespace

int main(int argc, char** argv) {
  using namespace slipring;
  int exit_status = 0;
  const auto stage = Stage::start(argc, argv, kDescription, exit_status);
  if (!stage) return exit_status;
  if (const auto status = stage->option_number("exit", 0, 255); status != 0) {
    stage->log(Severity::kError, "asked to end with status %d", static_cast<int>(status));
    return static_cast<int>(status);
  }
  const bool is_stubborn = stage->option_flag("stubborn");
  if (is_stubborn) signal(SIGTERM, SIG_IGN);
  const auto last = static_cast<std::uint64_t>(stage->option_number("count", 0, INT64_MAX));
  const auto pause_us = static_cast<std::uint64_t>(stage->option_number("pause_us", 0, 1'000'000));
  const std::string until = stage->option("until");
  LinkWriter* output = stage->output("numbers");
  Board::Number sent = stage->counter("sent");
  stage->log(Severity::kInfo, "counting");
  for (std::uint64_t number = sent.get() + 1; last == 0 || number <= last; ++number) {
    if (number % kNumbersAPause == 0) {
      if (!until.empty() && access(until.c_str(), F_OK) == 0) break;
      if (pause_us != 0) {
        static_cast<void>(stage->wait([] { return false; }, deadline_after(pause_us * 1000)));
      }
    }
    std::span<std::byte> place;
    const CountRecord record{number, 0};
    const Reserved answer = stage->reserve(*output, sizeof record, place, [] { return false; });
    if (answer != Reserved::kDone || stage->stop_requested()) break;
    std::memcpy(place.data(), &record, sizeof record);
    output->commit(sizeof record);
    sent.set(number);
  }
  return stage->finish();
}
