#include "pipelines/settop/decode/codec_log.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <mutex>

extern "C" {
#include <libavutil/log.h>
}

namespace slipring::settop {
namespace {

struct CodecLog {
  std::mutex mutex;
  CodecLogSink sink = nullptr;
  void* context = nullptr;
  std::uint32_t lines_per_second = 10;
  std::time_t second = 0;
  std::uint32_t lines_in_second = 0;
  std::uint64_t suppressed_count = 0;
  std::uint64_t suppressed_told_count = 0;
};

CodecLog& codec_log() {
  static CodecLog log;
  return log;
}

int av_level_of(CodecLogLevel level) {
  switch (level) {
    case CodecLogLevel::kQuiet:
      return AV_LOG_QUIET;
    case CodecLogLevel::kErrors:
      return AV_LOG_ERROR;
    case CodecLogLevel::kWarnings:
      return AV_LOG_WARNING;
    case CodecLogLevel::kInformation:
      return AV_LOG_INFO;
  }
  return AV_LOG_QUIET;
}

void take_line(void* source, int level, const char* format, va_list arguments) {
  if (level > av_log_get_level()) return;
  CodecLog& log = codec_log();
  const std::lock_guard lock(log.mutex);
  if (log.sink == nullptr) return;
  std::timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (now.tv_sec != log.second) {
    log.second = now.tv_sec;
    log.lines_in_second = 0;
  }
  if (log.lines_in_second == log.lines_per_second) {
    ++log.suppressed_count;
    return;
  }
  ++log.lines_in_second;
  char line[1024];
  if (log.suppressed_count != log.suppressed_told_count) {
    std::snprintf(
        line, sizeof line, "(%llu lines left out)",
        static_cast<unsigned long long>(log.suppressed_count - log.suppressed_told_count));
    log.suppressed_told_count = log.suppressed_count;
    log.sink(line, log.context);
  }
  int print_prefix = 1;
  av_log_format_line2(source, level, format, arguments, line, sizeof line, &print_prefix);
  line[std::strcspn(line, "\r\n")] = '\0';
  if (line[0] != '\0') log.sink(line, log.context);
}

}  // namespace

void set_codec_log(CodecLogLevel level, CodecLogSink sink, void* context,
                   std::uint32_t lines_per_second) {
  CodecLog& log = codec_log();
  const std::lock_guard lock(log.mutex);
  log.sink = level == CodecLogLevel::kQuiet ? nullptr : sink;
  log.context = context;
  log.lines_per_second = lines_per_second;
  log.lines_in_second = 0;
  log.suppressed_count = 0;
  log.suppressed_told_count = 0;
  av_log_set_level(sink == nullptr ? AV_LOG_QUIET : av_level_of(level));
  av_log_set_callback(&take_line);
}

std::uint64_t codec_log_lines_suppressed() {
  CodecLog& log = codec_log();
  const std::lock_guard lock(log.mutex);
  return log.suppressed_count;
}

}  // namespace slipring::settop
