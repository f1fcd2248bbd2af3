// Puts libavcodec's frames into buffers of FrameBuffers, and describes them for the next stage.
//
// One buffer holds all planes of a frame, each aligned to kFrameAlignmentBytes and followed by the
// slack that the codecs' vector code may touch.  libavcodec counts the references; when it drops
// the last one, the buffer is released.  AVFrame::opaque leads from a frame to its lease.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/error/result.h"
#include "pipelines/settop/decode/frame_buffers.h"
#include "pipelines/settop/media_record.h"

struct AVCodecContext;
struct AVFrame;

namespace slipring::settop {

// The buffer that a frame lies in.
struct FrameLease {
  FrameBuffers* buffers;
  FrameBuffer buffer;
  bool given_out = false;  // to the sink, for a buffer travels once
};

// Gives `frame` memory: the body of a get_buffer2 callback.  For video, width, height and format
// are set; for sound, sample count, channels and format.
// Errors: those of FrameBuffers::acquire(); kUnsupported for a format that no record can carry;
// kNoSpace with found and wanted sizes.
[[nodiscard]] Status place_frame(AVCodecContext& context, AVFrame& frame, FrameBuffers& buffers);

// The lease of a frame that place_frame() placed; null for memory of any other origin, and for
// planes that do not lie within the lease.
[[nodiscard]] FrameLease* lease_of(const AVFrame& frame);

// The frame's format, size, time stamps and planes, as FrameRecord has them.  Origin, sequence and
// buffer identity are left for the caller.
// Errors: kUnsupported for a format that no record can carry.
[[nodiscard]] Result<FrameRecord> describe_frame(const AVFrame& frame, const FrameLease& lease);

// The size of buffer that a frame of this format and size takes at most, with every codec of
// media_record.h; 0 for an unknown format.  For configuring a pool.
[[nodiscard]] std::size_t picture_buffer_bytes(PixelFormat format, std::uint32_t width_px,
                                               std::uint32_t height_px);

}  // namespace slipring::settop
