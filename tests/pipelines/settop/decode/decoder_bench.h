// A decoder with all that it needs, and a note of what comes out of it.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "pipelines/settop/decode/decoder.h"
#include "pipelines/settop/decode/codec_log.h"
#include "tests/pipelines/settop/decode/heap_buffers.h"
#include "tests/pipelines/settop/decode/stream_fixture.h"

extern "C" {
#include <libavutil/md5.h>
}

namespace slipring::settop {

inline std::uint32_t chroma_width(const FrameRecord& record) {
  return static_cast<PixelFormat>(record.format) == PixelFormat::kYuv444p
             ? record.width_px
             : (record.width_px + 1) / 2;
}

inline std::uint32_t chroma_height(const FrameRecord& record) {
  switch (static_cast<PixelFormat>(record.format)) {
    case PixelFormat::kYuv420p:
    case PixelFormat::kYuvj420p:
    case PixelFormat::kYuv420p10:
      return (record.height_px + 1) / 2;
    default:
      return record.height_px;
  }
}

// Notes what comes out, with its digest: of a picture the visible region, of sound the samples in
// ffmpeg's interleaved order.
class Recorder final : public FrameSink {
 public:
  explicit Recorder(HeapBuffers& pool) : pool_(pool) {}

  Status frame(const FrameRecord& record, std::uint64_t token) override {
    if (refuse) return Error{.code = ErrorCode::kInterrupted, .doing = "handing a frame on"};
    records.push_back(record);
    if (record.event != FrameEvent::kFrame) return {};
    CHECK(pool_.held.contains(token));
    if (record.kind == StreamKind::kVideo) {
      take_picture(record, pool_.data(token));
    } else {
      take_sound(record, pool_.data(token));
    }
    return {};
  }

  void problem(const Error& error) override { problems.push_back(error); }

  std::vector<FrameRecord> records;
  std::vector<FrameLine> pictures;
  std::vector<std::byte> sound;
  std::vector<Error> problems;
  bool refuse = false;

 private:
  void take_picture(const FrameRecord& record, const std::byte* base) {
    const auto format = static_cast<PixelFormat>(record.format);
    const std::size_t sample_bytes =
        format == PixelFormat::kYuv420p10 || format == PixelFormat::kYuv422p10 ? 2 : 1;
    alignas(16) std::byte context[256];
    auto* md5 = reinterpret_cast<AVMD5*>(context);
    REQUIRE(static_cast<std::size_t>(av_md5_size) <= sizeof context);
    av_md5_init(md5);
    FrameLine line{.pts = record.pts, .size_bytes = 0, .md5 = ""};
    REQUIRE(record.plane_count == 3);
    for (std::size_t plane = 0; plane < record.plane_count; ++plane) {
      const std::size_t row_bytes =
          (plane == 0 ? record.width_px : chroma_width(record)) * sample_bytes;
      const std::size_t rows = plane == 0 ? record.height_px : chroma_height(record);
      const auto stride = static_cast<std::size_t>(record.plane_stride_bytes[plane]);
      REQUIRE(record.plane_offset_bytes[plane] + stride * (rows - 1) + row_bytes <=
              pool_.size_bytes());
      for (std::size_t row = 0; row < rows; ++row) {
        const std::byte* start = base + record.plane_offset_bytes[plane] + stride * row;
        av_md5_update(md5, reinterpret_cast<const std::uint8_t*>(start), row_bytes);
        line.size_bytes += row_bytes;
      }
    }
    std::uint8_t digest[16];
    av_md5_final(md5, digest);
    line.md5 = md5_text(digest);
    pictures.push_back(line);
  }

  void take_sound(const FrameRecord& record, const std::byte* base) {
    const bool is_float = static_cast<SampleFormat>(record.format) == SampleFormat::kFloatPlanar;
    REQUIRE((is_float || static_cast<SampleFormat>(record.format) == SampleFormat::kS16Planar));
    const std::size_t sample_bytes = is_float ? sizeof(float) : sizeof(std::int16_t);
    REQUIRE(record.plane_count == record.channel_count);
    for (std::size_t sample = 0; sample < record.sample_count; ++sample) {
      for (std::size_t channel = 0; channel < record.channel_count; ++channel) {
        const std::byte* at = base + record.plane_offset_bytes[channel] + sample * sample_bytes;
        sound.insert(sound.end(), at, at + sample_bytes);
      }
    }
  }

  HeapBuffers& pool_;
};

inline constexpr std::size_t kAmpleBytes = 1 << 20;

// A decoder with all that it needs.
struct Bench {
  explicit Bench(std::size_t buffer_bytes = kAmpleBytes) : pool(buffer_bytes), recorder(pool) {
    set_codec_log(CodecLogLevel::kQuiet, nullptr, nullptr);
  }

  // Feeds PES packets in pieces of at most piece_bytes.
  Status feed(Codec codec, const std::vector<PesPacket>& packets, std::size_t piece_bytes) {
    for (const PesPacket& packet : packets) {
      for (std::size_t at = 0; at < packet.payload.size(); at += piece_bytes) {
        const std::size_t size_bytes = std::min(piece_bytes, packet.payload.size() - at);
        ElementaryRecord record{.event = ElementaryEvent::kData,
                                .codec = codec,
                                .flags = at == 0 ? kPesStart : 0,
                                .program_number = 1,
                                .pts = at == 0 ? packet.pts : kNoTimestamp,
                                .dts = at == 0 ? packet.dts : kNoTimestamp,
                                .origin_ns = static_cast<std::uint64_t>(packet.pts),
                                .change_ns = 7};
        const Status status =
            decoder.feed(record, std::span(packet.payload).subspan(at, size_bytes));
        if (!status) return status;
      }
    }
    return {};
  }

  HeapBuffers pool;
  Recorder recorder;
  Decoder decoder{pool, recorder};
};

inline void make_video(const std::string& path, const std::string& source,
                       const std::string& options) {
  run_ffmpeg("-f lavfi -i " + source + " " + options + " -f mpegts " + path);
}

}  // namespace slipring::settop
