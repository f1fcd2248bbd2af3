#include "pipelines/settop/decode/codec_log.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

extern "C" {
#include <libavutil/log.h>
}

namespace slipring::settop {
namespace {

using Lines = std::vector<std::string>;

void keep(const char* line, void* context) {
  static_cast<Lines*>(context)->push_back(line);
}

TEST_CASE("codec_log: lines reach the sink whole, those above the level do not") {
  Lines lines;
  set_codec_log(CodecLogLevel::kWarnings, &keep, &lines, 1000);
  av_log(nullptr, AV_LOG_WARNING, "picture %d\n", 7);
  av_log(nullptr, AV_LOG_INFO, "chatter\n");
  set_codec_log(CodecLogLevel::kQuiet, nullptr, nullptr);
  av_log(nullptr, AV_LOG_FATAL, "nobody hears\n");
  CHECK(lines == Lines{"picture 7"});
}

TEST_CASE("codec_log: a flood is cut, and every line is either told or counted") {
  constexpr std::uint64_t kFloodCount = 100'000;
  Lines lines;
  set_codec_log(CodecLogLevel::kErrors, &keep, &lines, 3);
  for (std::uint64_t line = 0; line < kFloodCount; ++line) {
    av_log(nullptr, AV_LOG_ERROR, "broken\n");
  }
  const std::uint64_t suppressed = codec_log_lines_suppressed();
  set_codec_log(CodecLogLevel::kQuiet, nullptr, nullptr);
  std::uint64_t told = 0;
  for (const std::string& line : lines) told += line == "broken" ? 1U : 0U;
  CHECK(told >= 3);
  CHECK(suppressed > 0);
  CHECK(told + suppressed == kFloodCount);
}

}  // namespace
}  // namespace slipring::settop
