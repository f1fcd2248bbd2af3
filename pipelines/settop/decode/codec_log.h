// What libavcodec, libswscale and libswresample have to say, line by line.
//
// Left alone, the libraries print to stderr, and can print a line for each macroblock of a broken
// picture.  A program that uses them calls set_codec_log() first of all: they are silent then, or
// limited to a number of lines a second, of which the first after a gap says how many were left
// out.
#pragma once

#include <cstdint>

namespace slipring::settop {

enum class CodecLogLevel : std::uint8_t { kQuiet, kErrors, kWarnings, kInformation };

// Gets one line without its end.  Called under a lock, from any thread that decodes: it must not
// call back into this header.
using CodecLogSink = void (*)(const char* line, void* context);

// Process-wide, for the libraries' logs are.  A null sink or kQuiet silences.  Thread safe.
// Requires: lines_per_second > 0.
void set_codec_log(CodecLogLevel level, CodecLogSink sink, void* context,
                   std::uint32_t lines_per_second = 10);

// Lines left out because they came too fast, since the sink was set.
[[nodiscard]] std::uint64_t codec_log_lines_suppressed();

}  // namespace slipring::settop
