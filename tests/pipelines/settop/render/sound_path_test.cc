// From a transport stream to the samples in the file, against the ffmpeg program.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "pipelines/settop/decode/codec_log.h"
#include "pipelines/settop/decode/decoder.h"
#include "pipelines/settop/render/frame_view.h"
#include "pipelines/settop/render/pcm_converter.h"
#include "pipelines/settop/render/wav_writer.h"
#include "tests/pipelines/settop/decode/heap_buffers.h"
#include "tests/pipelines/settop/decode/stream_fixture.h"

namespace slipring::settop {
namespace {

class WavSink final : public FrameSink {
 public:
  WavSink(HeapBuffers& buffers, WavWriter& writer) : buffers_(buffers), writer_(writer) {}

  Status frame(const FrameRecord& record, std::uint64_t token) override {
    Result<SoundView> sound =
        view_sound(record, std::span(buffers_.data(token), buffers_.size_bytes()));
    REQUIRE(sound.ok());
    Result<PcmBlock> block = converter_.convert(*sound);
    REQUIRE(block.ok());
    return writer_.append(*block, record.sequence_count);
  }
  void problem(const Error& error) override { FAIL(error.doing); }

 private:
  HeapBuffers& buffers_;
  WavWriter& writer_;
  PcmConverter converter_;
};

TEST_CASE("sound path: the WAV file holds what the ffmpeg program decodes") {
  struct Case {
    const char* name;
    Codec codec;
    const char* options;
  };
  // Twice full scale: the conversion must clip as ffmpeg does.
  const Case cases[] = {{"aac", Codec::kAacAdts, "-ac 2 -c:a aac"},
                        {"aac51", Codec::kAacAdts, "-ac 6 -c:a aac"},
                        {"mono", Codec::kAacAdts, "-ac 1 -ar 32000 -c:a aac"},
                        {"mp2", Codec::kMpegAudio, "-ac 2 -c:a mp2"},
                        {"mp3", Codec::kMpegAudio, "-ac 2 -ar 44100 -c:a libmp3lame"},
                        {"ac3", Codec::kAc3, "-ac 6 -c:a ac3"}};
  set_codec_log(CodecLogLevel::kQuiet, nullptr, nullptr);
  for (const Case& one : cases) {
    CAPTURE(std::string(one.name));
    const std::string path = scratch_path(std::string(one.name) + ".ts");
    run_ffmpeg("-f lavfi -i \"aevalsrc=2*sin(440*2*PI*t)|sin(523*2*PI*t*t/3):s=48000:d=2\" " +
               std::string(one.options) + " -f mpegts " + path);
    run_ffmpeg("-i " + path + " -map 0:a -f s16le " + path + ".expected");

    HeapBuffers buffers(1 << 16);
    Result<WavWriter> writer = WavWriter::open(path + ".wav", OpenMode::kStartAfresh);
    REQUIRE(writer.ok());
    WavSink sink(buffers, *writer);
    Decoder decoder(buffers, sink);
    for (const PesPacket& packet : pes_packets(read_file(path), kFirstPid)) {
      const ElementaryRecord record{.event = ElementaryEvent::kData,
                                    .codec = one.codec,
                                    .flags = kPesStart,
                                    .program_number = 1,
                                    .pts = packet.pts,
                                    .dts = packet.dts,
                                    .origin_ns = 0,
                                    .change_ns = 0};
      REQUIRE(decoder.feed(record, packet.payload).ok());
    }
    REQUIRE(decoder.drain().ok());
    REQUIRE(writer->close().ok());
    run_ffmpeg("-i " + path + ".wav -f s16le " + path + ".got");
    const std::vector<std::byte> expected = read_file(path + ".expected");
    CHECK(expected.size() > 100'000);
    CHECK((read_file(path + ".got") == expected));
  }
}

}  // namespace
}  // namespace slipring::settop
