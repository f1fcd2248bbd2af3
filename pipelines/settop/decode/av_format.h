// The one table between the numbers of media_record.h and those of libavcodec.
//
// libavcodec's own numbers may change with its major version; those of media_record.h travel
// between processes and do not.
#pragma once

#include "pipelines/settop/media_record.h"

namespace slipring::settop {

// The AVPixelFormat (AV_PIX_FMT_NONE for kNone and for values that no enumerator has).
[[nodiscard]] int to_av(PixelFormat format) noexcept;
// kNone for a format that the records cannot carry.
[[nodiscard]] PixelFormat pixel_format_of(int av_pixel_format) noexcept;

// The AVSampleFormat (AV_SAMPLE_FMT_NONE for kNone and for values that no enumerator has).
[[nodiscard]] int to_av(SampleFormat format) noexcept;
// kNone for a format that the records cannot carry.
[[nodiscard]] SampleFormat sample_format_of(int av_sample_format) noexcept;

// The AVCodecID that parses and decodes the codec; AV_CODEC_ID_NONE for kUnknown and for values
// that no enumerator has.
[[nodiscard]] int to_av(Codec codec) noexcept;
[[nodiscard]] const char* name_of(Codec codec) noexcept;
// kVideo or kAudio; kVideo for kUnknown.
[[nodiscard]] StreamKind kind_of(Codec codec) noexcept;

}  // namespace slipring::settop
