// The last stage: shows pictures and plays sound at their time, in a window and into files.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pipelines/settop/decode/codec_log.h"
#include "pipelines/settop/render/render_stage.h"
#include "pipelines/settop/render/window.h"
#include "pipelines/stage/stage.h"

namespace slipring::settop {
namespace {

StageDescription describe() {
  return {
      "render",
      "shows pictures and plays sound at their time, in a window and into files",
      {{"video", PortKind::kInput, false, "pictures"},
       {"audio", PortKind::kInput, false, "sound"},
       {"control", PortKind::kCommands, false, "'snapshot PATH': the next picture as a PNG file"}},
      {{"png", "", "path of a PNG file that shows the picture now and then; empty: none"},
       {"png_interval_ms", "1000", "time between two PNG pictures, 0 to 86400000; 0: one only"},
       {"y4m", "", "path of a Y4M file of all pictures; empty: none"},
       {"wav", "", "path of a WAV file of all sound; empty: none"},
       {"digest", "", "path of a text file with the MD5 of each frame; empty: none"},
       {"pace", "true", "show each frame at its time; false: as soon as it comes"},
       {"start_delay_ms", "100", "room for the stream's jitter when pacing, 0 to 10000"},
       {"window", "off", "auto: where there is a display; on; off"}}};
}

// The word for a mode, or nothing.
std::optional<WindowMode> parse_window(std::string_view word) {
  if (word == "auto") return WindowMode::kAuto;
  if (word == "on") return WindowMode::kOn;
  if (word == "off") return WindowMode::kOff;
  return std::nullopt;
}

int run(Stage& stage) {
  for (const char* port : {"video", "audio"}) {
    LinkReader* input = stage.input(port);
    if (input == nullptr || input->pool() != nullptr) continue;
    stage.log(Severity::kError, "the link at port %s wants a pool", port);
    return 2;
  }
  if (stage.input("video") == nullptr && stage.input("audio") == nullptr) {
    stage.log(Severity::kError, "neither port video nor port audio is joined to anything");
    return 2;
  }
  const std::string word = stage.option("window");
  const std::optional<WindowMode> window_mode = parse_window(word);
  if (!window_mode) {
    stage.log(Severity::kError, "option window: '%s' is none of auto, on, off", word.c_str());
    return 2;
  }
  set_codec_log(CodecLogLevel::kQuiet, nullptr, nullptr);  // the scaler and the PNG encoder
  return RenderStage(stage, *window_mode).run();
}

}  // namespace
}  // namespace slipring::settop

int main(int argc, char** argv) {
  int exit_status = 0;
  const std::unique_ptr<slipring::Stage> stage =
      slipring::Stage::start(argc, argv, slipring::settop::describe(), exit_status);
  if (stage == nullptr) return exit_status;
  return slipring::settop::run(*stage);
}
