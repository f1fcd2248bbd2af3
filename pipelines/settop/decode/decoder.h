// One elementary stream in, decoded frames out, each written by libavcodec straight into a buffer
// of FrameBuffers.
//
// The frames are bit for bit those that the ffmpeg program decodes with its defaults: the same
// decoders, the same flags, the same access units.  Broken input is counted, never fatal: what
// cannot be decoded is missing or flagged kCorruptFrame, and the next entry point starts afresh.
//
// A decoder runs on the caller's thread; feed(), drain() and flush() are called by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error/result.h"
#include "pipelines/settop/decode/direct_frame.h"
#include "pipelines/settop/decode/elementary_parser.h"
#include "pipelines/settop/decode/frame_buffers.h"
#include "pipelines/settop/media_record.h"

struct AVCodecContext;
struct AVFrame;
struct AVPacket;

namespace slipring::settop {

// Takes what a decoder gives out.
class FrameSink {
 public:
  // A frame, which lies in the buffer `token` names, or an event without a buffer (token 0).
  // buffer_slot and buffer_generation of the record are 0, for the sink to fill.  The decoder may
  // release() the buffer as soon as this returns.  An Error makes the decoder's call return it.
  virtual Status frame(const FrameRecord& record, std::uint64_t token) = 0;

  // Something went wrong that the stage should report.  Called for the first occurrence in a
  // stream; DecoderStats counts them all.
  virtual void problem(const Error& error) = 0;

 protected:
  ~FrameSink() = default;
};

struct DecoderStats {
  std::uint64_t units_decoded = 0;  // access units that went into the codec
  std::uint64_t frames_direct = 0;  // given out from the buffer that the codec decoded into
  std::uint64_t frames_copied = 0;  // the codec used memory of its own
  std::uint64_t frame_bytes_copied = 0;
  std::uint64_t frames_corrupt = 0;      // given out, with concealed damage
  std::uint64_t frames_too_large = 0;    // dropped: no buffer is large enough
  std::uint64_t frames_unsupported = 0;  // dropped: no record can carry the format
  std::uint64_t decode_errors = 0;       // access units that the codec refused
  std::uint64_t waits_interrupted = 0;   // a wait for a buffer was cut short
  std::uint64_t bytes_unknown = 0;       // dropped: nobody here decodes that codec
  std::uint64_t bytes_shapeless = 0;     // dropped: no access unit in sight
};

struct DecoderOptions {
  int thread_count = 1;  // slices of a picture in parallel; adds no delay
};

class Decoder {
 public:
  // `buffers` and `sink` outlive the decoder.
  Decoder(FrameBuffers& buffers, FrameSink& sink, DecoderOptions options = {});
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder();

  // Takes one record and gives out the frames that become ready.  A new codec or a kStreamStart
  // first drains what was there.  Errors: kCorruptPeer for a record that no demultiplexer writes,
  // kInterrupted when the wait for a buffer was cut short (the rest of this record is lost; flush()
  // or give up), those of FrameBuffers::acquire() and FrameSink::frame().
  [[nodiscard]] Status feed(const ElementaryRecord& record, std::span<const std::byte> bytes);

  // End of stream: gives out every frame still inside.  Errors as feed().
  [[nodiscard]] Status drain();

  // Channel change: forgets everything that is inside, at once and without a frame given out.
  void flush();

  [[nodiscard]] const DecoderStats& stats() const noexcept { return stats_; }

 private:
  static int get_buffer(AVCodecContext* context, AVFrame* frame, int flags);

  [[nodiscard]] Status open(Codec codec);
  [[nodiscard]] Status open_codec(int av_codec_id);
  [[nodiscard]] Status follow_layer(const AccessUnit& unit);
  [[nodiscard]] Status start_stream(const ElementaryRecord& record);
  void close();
  void complain(const Error& error, std::uint32_t kind);
  [[nodiscard]] Status decode_ready_units();
  [[nodiscard]] Status decode(const AccessUnit* unit);
  [[nodiscard]] Status give_out(AVFrame& frame);
  [[nodiscard]] FrameLease* copy_into_buffer(AVFrame& frame);
  void complete(FrameRecord& record, const AVFrame& frame);
  void count_codec_error(int av_error);

  FrameBuffers& buffers_;
  FrameSink& sink_;
  DecoderOptions options_;
  ElementaryParser parser_;
  Codec codec_ = Codec::kUnknown;
  AVCodecContext* context_ = nullptr;
  AVPacket* packet_ = nullptr;
  AVFrame* frame_ = nullptr;
  AVFrame* spare_ = nullptr;              // for a frame that must be copied
  Status placed_;                         // how the last get_buffer() fared
  std::uint32_t reported_problems_ = 0;   // kinds of problem already reported of this stream
  bool has_given_frame_ = false;          // of this stream
  std::int64_t next_pts_ = kNoTimestamp;  // where the stream goes on, for frames without a stamp
  std::int64_t next_pts_rest_ = 0;        // sound: samples * 90000 not yet a whole tick
  std::uint64_t sequence_count_ = 0;
  DecoderStats stats_;
};

}  // namespace slipring::settop
