#include "pipelines/settop/decode/decoder.h"

#include "pipelines/settop/decode/av_format.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/buffer.h>
#include <libavutil/frame.h>
}

namespace slipring::settop {
namespace {

constexpr int kTicksPerSecond = 90'000;

// What FrameSink::problem() has been told of a stream.
enum ProblemKind : std::uint32_t {
  kUnknownCodec = 1U << 0,
  kTooLarge = 1U << 1,
  kUnsupported = 1U << 2,
  kCodecError = 1U << 3,
  kCopied = 1U << 4,
  kShapeless = 1U << 5,
  kNoMemory = 1U << 6,
};

// A draining codec ends with AVERROR_EOF; one that only fails is not asked for ever.
constexpr int kMaxDrainErrors = 64;

// Whether decoding goes on without the frame that found no buffer.
bool costs_one_frame(const Error& error) {
  return error.code == ErrorCode::kNoSpace || error.code == ErrorCode::kUnsupported;
}

}  // namespace

Decoder::Decoder(FrameBuffers& buffers, FrameSink& sink, DecoderOptions options)
    : buffers_(buffers),
      sink_(sink),
      options_(options),
      packet_(av_packet_alloc()),
      frame_(av_frame_alloc()),
      spare_(av_frame_alloc()) {
  check(packet_ != nullptr && frame_ != nullptr && spare_ != nullptr, "memory at start-up");
}

Decoder::~Decoder() {
  close();
  av_packet_free(&packet_);
  av_frame_free(&frame_);
  av_frame_free(&spare_);
}

Status Decoder::feed(const ElementaryRecord& record, std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxElementaryBytes) {
    return Error{.code = ErrorCode::kCorruptPeer,
                 .doing = "reading an elementary record",
                 .found = bytes.size(),
                 .wanted = kMaxElementaryBytes};
  }
  if (record.event == ElementaryEvent::kStreamStart) return start_stream(record);
  if (record.event != ElementaryEvent::kData) {
    return Error{.code = ErrorCode::kCorruptPeer,
                 .doing = "reading an elementary record's event",
                 .found = static_cast<std::uint64_t>(record.event)};
  }
  if (record.codec != codec_) {
    if (Status drained = drain(); !drained) return drained;
    if (Status opened = open(record.codec); !opened) complain(opened.error(), kUnknownCodec);
  }
  if (context_ == nullptr || !parser_.is_open()) {
    // Nobody decodes this codec, or memory ran out; a stream start or another codec tries again.
    stats_.bytes_unknown += bytes.size();
    return {};
  }
  const std::uint64_t dropped_before = parser_.bytes_dropped();
  parser_.push(record, bytes);
  if (parser_.bytes_dropped() != dropped_before) {
    stats_.bytes_shapeless += parser_.bytes_dropped() - dropped_before;
    complain({.code = ErrorCode::kDamagedData, .doing = "looking for a picture or sound frame"},
             kShapeless);
  }
  return decode_ready_units();
}

Status Decoder::drain() {
  if (context_ == nullptr) return {};
  parser_.finish();
  Status status = decode_ready_units();
  if (status.ok()) status = decode(nullptr);
  flush();
  return status;
}

void Decoder::flush() {
  if (context_ == nullptr) return;
  avcodec_flush_buffers(context_);
  // A parser has no flush of its own.
  if (Status opened = parser_.open(codec_); !opened) complain(opened.error(), kNoMemory);
  next_pts_ = kNoTimestamp;
  next_pts_rest_ = 0;
}

Status Decoder::start_stream(const ElementaryRecord& record) {
  if (Status drained = drain(); !drained) return drained;
  close();
  reported_problems_ = 0;
  FrameRecord event{};
  event.event = FrameEvent::kStreamStart;
  event.kind = kind_of(record.codec);
  event.pts = record.pts;
  event.origin_ns = record.origin_ns;
  event.change_ns = record.change_ns;
  event.sequence_count = sequence_count_;
  event.program_number = record.program_number;
  return sink_.frame(event, 0);
}

Status Decoder::open(Codec codec) {
  close();
  codec_ = codec;  // also of a codec that fails to open: it is reported once, not with each piece
  if (Status opened = open_codec(to_av(codec)); !opened) return opened;
  return parser_.open(codec);
}

Status Decoder::open_codec(int av_codec_id) {
  avcodec_free_context(&context_);
  const AVCodec* found = avcodec_find_decoder(static_cast<AVCodecID>(av_codec_id));
  if (found == nullptr) {
    return Error{.code = ErrorCode::kUnsupported,
                 .doing = "looking for a decoder of the stream's codec",
                 .found = static_cast<std::uint64_t>(codec_)};
  }
  context_ = avcodec_alloc_context3(found);
  if (context_ == nullptr) {
    return Error{.code = ErrorCode::kNoSpace, .doing = "allocating a decoder"};
  }
  context_->opaque = this;
  context_->get_buffer2 = &Decoder::get_buffer;
  context_->pkt_timebase = AVRational{1, kTicksPerSecond};
  context_->thread_count = options_.thread_count;
  context_->thread_type = FF_THREAD_SLICE;
  if (avcodec_open2(context_, found, nullptr) < 0) {
    avcodec_free_context(&context_);
    return Error{.code = ErrorCode::kUnsupported,
                 .doing = "opening the decoder",
                 .found = static_cast<std::uint64_t>(codec_)};
  }
  return {};
}

// A transport stream does not tell the layers of MPEG audio apart.  Any of libavcodec's decoders
// reads all three, but the one that the ffmpeg program takes for layer II computes in fixed point
// and the one for layer III in floating point.
Status Decoder::follow_layer(const AccessUnit& unit) {
  if (unit.size_bytes < 2) return {};
  static constexpr AVCodecID kLayers[4] = {AV_CODEC_ID_NONE, AV_CODEC_ID_MP3, AV_CODEC_ID_MP2,
                                           AV_CODEC_ID_MP1};
  const AVCodecID layer = kLayers[(unit.data[1] >> 1) & 3];
  if (layer == AV_CODEC_ID_NONE || layer == context_->codec_id) return {};
  return open_codec(layer);
}

void Decoder::close() {
  parser_.close();
  avcodec_free_context(&context_);
  codec_ = Codec::kUnknown;
  has_given_frame_ = false;
  next_pts_ = kNoTimestamp;
  next_pts_rest_ = 0;
}

void Decoder::complain(const Error& error, std::uint32_t kind) {
  if ((reported_problems_ & kind) != 0) return;
  reported_problems_ |= kind;
  sink_.problem(error);
}

Status Decoder::decode_ready_units() {
  AccessUnit unit;
  Status status;
  while (parser_.next(unit)) {  // also after a failure: the parser is asked until it has no more
    if (status.ok()) status = decode(&unit);
  }
  return status;
}

// Null drains the codec.
Status Decoder::decode(const AccessUnit* unit) {
  placed_ = Status{};
  if (unit != nullptr && codec_ == Codec::kMpegAudio) {
    if (Status opened = follow_layer(*unit); !opened) complain(opened.error(), kUnknownCodec);
  }
  if (context_ == nullptr) return {};
  if (unit != nullptr) {
    ++stats_.units_decoded;
    packet_->data = const_cast<std::uint8_t*>(unit->data);  // not refcounted: libavcodec copies it
    packet_->size = unit->size_bytes;
    packet_->pts = unit->pts == kNoTimestamp ? AV_NOPTS_VALUE : unit->pts;
    packet_->dts = unit->dts == kNoTimestamp ? AV_NOPTS_VALUE : unit->dts;
    context_->reordered_opaque = static_cast<std::int64_t>(unit->pes_number);
  }
  const int sent = avcodec_send_packet(context_, unit != nullptr ? packet_ : nullptr);
  if (sent < 0 && sent != AVERROR_EOF) count_codec_error(sent);
  int error_count = 0;
  while (true) {
    if (!placed_ && !costs_one_frame(placed_.error())) {
      if (placed_.error().code == ErrorCode::kInterrupted) ++stats_.waits_interrupted;
      return placed_;
    }
    const int received = avcodec_receive_frame(context_, frame_);
    if (received == AVERROR(EAGAIN) || received == AVERROR_EOF) return {};
    if (received < 0) {
      count_codec_error(received);
      if (unit != nullptr || ++error_count == kMaxDrainErrors) return {};
      continue;
    }
    const Status given = give_out(*frame_);
    av_frame_unref(frame_);
    if (!given) return given;
  }
}

void Decoder::count_codec_error(int av_error) {
  if (!placed_) return;  // get_buffer() has counted and reported the cause
  ++stats_.decode_errors;
  // Who joins a stream in the middle gets data without a beginning: nothing to report.
  if (!has_given_frame_) return;
  complain({.code = ErrorCode::kDamagedData,
            .os_errno = av_error > -4096 ? -av_error : 0,  // libavcodec's own codes are larger
            .doing = "decoding damaged data"},
           kCodecError);
}

int Decoder::get_buffer(AVCodecContext* context, AVFrame* frame, int flags) {
  // A codec without direct rendering writes where it likes; give_out() copies and counts.
  if ((context->codec->capabilities & AV_CODEC_CAP_DR1) == 0) {
    return avcodec_default_get_buffer2(context, frame, flags);
  }
  auto& decoder = *static_cast<Decoder*>(context->opaque);
  decoder.placed_ = place_frame(*context, *frame, decoder.buffers_);
  if (decoder.placed_) return 0;
  const Error& error = decoder.placed_.error();
  if (!costs_one_frame(error)) return AVERROR_EXIT;  // decode() passes it on
  if (error.code == ErrorCode::kUnsupported) {
    ++decoder.stats_.frames_unsupported;
    decoder.complain(error, kUnsupported);
    return AVERROR(ENOSYS);
  }
  ++decoder.stats_.frames_too_large;
  decoder.complain(error, kTooLarge);
  return AVERROR(ENOMEM);
}

Status Decoder::give_out(AVFrame& frame) {
  const AVFrame* given = &frame;
  FrameLease* lease = lease_of(frame);
  // A buffer that already travels cannot be sent again; a codec that repeats a picture by giving
  // the same one twice pays with a copy.
  if (lease == nullptr || lease->given_out) {
    lease = copy_into_buffer(frame);
    if (lease == nullptr) return {};
    given = spare_;
    ++stats_.frames_copied;
    stats_.frame_bytes_copied += static_cast<std::uint64_t>(spare_->buf[0]->size);
  } else {
    ++stats_.frames_direct;
  }
  Result<FrameRecord> described = describe_frame(*given, *lease);
  lease->given_out = true;
  check(described.ok(), "a placed frame has a format that records carry");
  complete(described.value(), *given);
  Status status = sink_.frame(described.value(), lease->buffer.token);
  av_frame_unref(spare_);
  return status;
}

// The last resort for a codec that does not render directly: the copy stands in spare_.
FrameLease* Decoder::copy_into_buffer(AVFrame& frame) {
  complain({.code = ErrorCode::kUnsupported, .doing = "decoding in place: frames are copied"},
           kCopied);
  av_frame_unref(spare_);
  spare_->format = frame.format;
  spare_->width = frame.width;
  spare_->height = frame.height;
  spare_->nb_samples = frame.nb_samples;
  if (av_channel_layout_copy(&spare_->ch_layout, &frame.ch_layout) < 0) return nullptr;
  placed_ = place_frame(*context_, *spare_, buffers_);
  if (!placed_) {
    ++stats_.frames_unsupported;
    complain(placed_.error(), kUnsupported);
    return nullptr;
  }
  void* lease = spare_->opaque;
  if (av_frame_copy(spare_, &frame) < 0 || av_frame_copy_props(spare_, &frame) < 0) {
    ++stats_.decode_errors;
    av_frame_unref(spare_);
    return nullptr;
  }
  spare_->opaque = lease;
  return lease_of(*spare_);
}

// Adds what the frame itself does not know: its origin, its number, its rate, a lacking time stamp.
void Decoder::complete(FrameRecord& record, const AVFrame& frame) {
  const PesOrigin origin = parser_.origin_of(static_cast<std::uint64_t>(frame.reordered_opaque));
  record.origin_ns = origin.origin_ns;
  record.change_ns = origin.change_ns;
  record.program_number = origin.program_number;
  if (origin.damaged) record.flags |= kCorruptFrame;
  if ((record.flags & kCorruptFrame) != 0) ++stats_.frames_corrupt;
  record.sequence_count = sequence_count_++;
  has_given_frame_ = true;

  if (record.pts == kNoTimestamp) {
    record.pts = next_pts_;
  } else {
    next_pts_rest_ = 0;
  }
  if (record.kind == StreamKind::kAudio) {
    if (record.pts == kNoTimestamp || record.sample_rate_hz == 0) return;
    const std::int64_t rate_hz = record.sample_rate_hz;
    next_pts_rest_ += std::int64_t{record.sample_count} * kTicksPerSecond;
    next_pts_ = record.pts + next_pts_rest_ / rate_hz;
    next_pts_rest_ %= rate_hz;
    return;
  }
  const AVRational rate = context_->framerate;
  if (rate.num <= 0 || rate.den <= 0) {
    next_pts_ = kNoTimestamp;
    return;
  }
  record.frame_rate_num = static_cast<std::uint32_t>(rate.num);
  record.frame_rate_den = static_cast<std::uint32_t>(rate.den);
  if (record.pts == kNoTimestamp) return;
  next_pts_ = record.pts + std::int64_t{kTicksPerSecond} * rate.den * (2 + frame.repeat_pict) /
                               (std::int64_t{2} * rate.num);
}

}  // namespace slipring::settop
