// Passes numbers on, and marks those that it may be passing on a second time.
//
// It finishes a number only when kHeldCount more have been passed on, so that whenever it is killed
// there are some that its successor is sent again.
#include <cstring>
#include <deque>

#include "pipelines/stage/stage.h"
#include "tests/pipelines/stage/counting.h"

namespace {

const slipring::StageDescription kDescription = {
    "count_relay",
    "passes numbers on",
    {{"in", slipring::PortKind::kInput, true, "numbers"},
     {"out", slipring::PortKind::kOutput, true, "the same numbers"}},
    {},
};

constexpr std::size_t kHeldCount = 4;

}  // namespace

int main(int argc, char** argv) {
  using namespace slipring;
  int exit_status = 0;
  const auto stage = Stage::start(argc, argv, kDescription, exit_status);
  if (!stage) return exit_status;
  LinkReader* input = stage->input("in");
  LinkWriter* output = stage->output("out");
  Board::Number repeated = stage->counter("redelivered");
  std::deque<Message> held;
  while (!stage->stop_requested()) {
    Message message;
    if (input->has_abort()) {
      // What is held has been passed on; held, it would keep the dropped ones' places.
      if (!held.empty()) input->release(held.back());
      held.clear();
      input->skip_aborted();
    }
    if (input->try_peek(message) != Transfer::kDone) {
      if (input->is_finished()) break;
      static_cast<void>(stage->wait([&] { return input->has_message() || input->is_finished(); }));
      continue;
    }
    CountRecord record{};
    if (message.bytes.size() != sizeof record) return 1;
    std::memcpy(&record, message.bytes.data(), sizeof record);
    // A relay before this one may have said so, too.
    if (message.redelivered) record.may_repeat = 1;
    if (message.redelivered) repeated.add();
    std::span<std::byte> place;
    if (stage->reserve(*output, sizeof record, place, [] { return false; }) != Reserved::kDone) {
      break;
    }
    std::memcpy(place.data(), &record, sizeof record);
    output->commit(sizeof record);
    held.push_back(message);
    if (held.size() <= kHeldCount) continue;
    input->release(held.front());
    held.pop_front();
  }
  if (!held.empty()) input->release(held.back());
  return stage->finish();
}
