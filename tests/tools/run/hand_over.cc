// A stage for tests: with an output it sends three messages and finishes, with an input it reads
// until the end, and with a command port it waits for one command first.
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

#include "pipelines/stage/stage.h"

namespace {

void send_three(slipring::Stage& stage, slipring::LinkWriter& output) {
  for (int i = 0; i < 3; ++i) {
    std::span<std::byte> place;
    if (stage.reserve(output, 8, place, [] { return false; }) != slipring::Reserved::kDone) return;
    std::memset(place.data(), 0, 8);
    output.commit(8);
  }
}

void read_all(slipring::Stage& stage, slipring::LinkReader& input) {
  slipring::Board::Number messages = stage.counter("messages");
  while (!stage.stop_requested() && !input.is_finished()) {
    slipring::Message message;
    if (input.try_peek(message) == slipring::Transfer::kDone) {
      messages.add();
      input.release(message);
      continue;
    }
    stage.wait([&] { return input.has_message() || input.is_finished(); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  const slipring::StageDescription description{
      "hand_over",
      "hands three messages over",
      {{"in", slipring::PortKind::kInput, false, "messages"},
       {"out", slipring::PortKind::kOutput, false, "messages"},
       {"commands", slipring::PortKind::kCommands, false, "any command lets it start"}},
      {{"start", "at-once", "at-once or on-command"}}};
  int exit_status = 0;
  const std::unique_ptr<slipring::Stage> stage =
      slipring::Stage::start(argc, argv, description, exit_status);
  if (stage == nullptr) return exit_status;
  if (stage->option("start") == "on-command") {
    while (!stage->stop_requested() && !stage->next_command()) {
      stage->wait([&] { return stage->has_command(); });
    }
  }
  if (slipring::LinkWriter* output = stage->output("out")) send_three(*stage, *output);
  if (slipring::LinkReader* input = stage->input("in")) read_all(*stage, *input);
  return stage->finish();
}
