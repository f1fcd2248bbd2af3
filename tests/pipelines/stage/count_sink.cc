// Checks that every number comes, in order, and a second time only when it is marked so.
#include <cstring>

#include "pipelines/stage/stage.h"
#include "tests/pipelines/stage/counting.h"

namespace {

const slipring::StageDescription kDescription = {
    "count_sink",
    "checks numbers",
    {{"numbers", slipring::PortKind::kInput, true, "numbers"}},
    {},
};

}  // namespace

int main(int argc, char** argv) {
  using namespace slipring;
  int exit_status = 0;
  const auto stage = Stage::start(argc, argv, kDescription, exit_status);
  if (!stage) return exit_status;
  LinkReader* input = stage->input("numbers");
  Board::Number received = stage->gauge("last_number");
  Board::Number repeats = stage->counter("repeats");
  Board::Number faults = stage->counter("faults");
  while (!stage->stop_requested()) {
    Message message;
    if (input->try_peek(message) != Transfer::kDone) {
      if (input->is_finished()) break;
      static_cast<void>(stage->wait([&] { return input->has_message() || input->is_finished(); }));
      continue;
    }
    CountRecord record{};
    if (message.bytes.size() == sizeof record) {
      std::memcpy(&record, message.bytes.data(), sizeof record);
    }
    if (record.number == received.get() + 1) {
      received.set(record.number);
    } else if (record.number <= received.get() && (record.may_repeat == 1 || message.redelivered)) {
      repeats.add();
    } else {
      faults.add();
      stage->log(Severity::kError, "number %llu after %llu",
                 static_cast<unsigned long long>(record.number),
                 static_cast<unsigned long long>(received.get()));
    }
    input->release(message);
  }
  stage->log(Severity::kInfo, "last number %llu, %llu repeats, %llu faults",
             static_cast<unsigned long long>(received.get()),
             static_cast<unsigned long long>(repeats.get()),
             static_cast<unsigned long long>(faults.get()));
  return stage->finish();
}
