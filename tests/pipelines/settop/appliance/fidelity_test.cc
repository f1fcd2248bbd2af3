// Nothing lost, nothing changed: what the set-top box shows and plays is bit for bit what the
// ffmpeg program decodes from the same transport stream.

#include <unistd.h>

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/pipelines/settop/appliance/appliance_fixture.h"

namespace slipring::test {
namespace {

// Runs the box on a stream until it ends, and compares with ffmpeg.
void check_fidelity(const Workshop& shop, const std::string& stream, const std::string& program,
                    const std::string& video_map, const std::string& audio_map) {
  Process box(run_words({{"ingest.url", stream},
                         {"demux.program", program},
                         {"render.png", ""},
                         {"render.digest", shop.file("box.framemd5")},
                         {"render.wav", shop.file("box.wav")},
                         {"render.window", "off"},
                         {"render.pace", "false"}}),
              shop.file("box.log"), {"SLIPRING_DIR=" + shop.segments()});
  const int status = box.wait(120);
  INFO(contents(shop.file("box.log")));
  REQUIRE(status == 0);
  CHECK(shop.leftovers().empty());

  const Digests box_digests = read_digests(shop.file("box.framemd5"));
  const std::vector<std::string> pictures = reference_pictures(shop, stream, video_map);
  REQUIRE(pictures.size() > 10);
  REQUIRE(box_digests.contains(0));
  CHECK(box_digests.at(0).size() == pictures.size());
  CHECK(box_digests.at(0) == pictures);
  const std::string sound = reference_sound(shop, stream, audio_map);
  const std::string played = wav_samples(shop.file("box.wav"));
  REQUIRE(sound.size() > 10'000);
  CHECK(played.size() == sound.size());
  CHECK((played == sound));
  MESSAGE("pictures: " << pictures.size() << ", bytes of sound: " << sound.size());
}

[[nodiscard]] std::string make_stream(const Workshop& shop, const std::string& name,
                                      const std::string& arguments) {
  const std::string path = shop.file(name);
  REQUIRE(shell("ffmpeg -nostdin -v error -y " + arguments + " -f mpegts '" + path + "'") == 0);
  return path;
}

TEST_CASE("settop: H.264 with B-frames and AAC come out as ffmpeg decodes them") {
  Workshop shop;
  const std::string stream = make_stream(
      shop, "h264.ts",
      "-f lavfi -i testsrc2=size=642x362:rate=30000/1001 -f lavfi -i sine=frequency=440 -t 4 "
      "-c:v libx264 -preset fast -bf 3 -g 30 -pix_fmt yuv420p -c:a aac -b:a 96k");
  check_fidelity(shop, stream, "0", "0:v", "0:a");
}

TEST_CASE("settop: interlaced MPEG-2 and MP2 come out as ffmpeg decodes them") {
  Workshop shop;
  const std::string stream = make_stream(
      shop, "mpeg2.ts",
      "-f lavfi -i testsrc2=size=720x576:rate=25 -f lavfi -i sine=frequency=1000:sample_rate=48000 "
      "-t 4 -c:v mpeg2video -b:v 4M -bf 2 -g 15 -flags +ildct+ilme -pix_fmt yuv420p "
      "-c:a mp2 -b:a 192k -ac 2");
  check_fidelity(shop, stream, "0", "0:v", "0:a");
}

TEST_CASE("settop: the second of two programmes comes out, across a time-stamp wrap") {
  Workshop shop;
  const std::string stream =
      make_stream(shop, "two.ts",
                  "-f lavfi -i testsrc2=size=320x240:rate=25 -f lavfi -i sine=frequency=300 "
                  "-f lavfi -i mandelbrot=size=352x288:rate=25 -f lavfi -i sine=frequency=900 -t 4 "
                  "-map 0:v -map 1:a -map 2:v -map 3:a -c:v libx264 -preset ultrafast -bf 2 -g 12 "
                  "-pix_fmt yuv420p -c:a mp2 -muxrate 4M -output_ts_offset 95441.5 "
                  "-program program_num=1:st=0:st=1 -program program_num=2:st=2:st=3");
  check_fidelity(shop, stream, "2", "0:v:1", "0:a:1");
}

TEST_CASE("settop: over UDP at real time nothing is lost") {
  Workshop shop;
  const std::string stream =
      make_stream(shop, "udp.ts",
                  "-f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine=frequency=440 -t 4 "
                  "-c:v libx264 -preset ultrafast -g 12 -pix_fmt yuv420p -c:a aac");
  const std::string address = "udp://127.0.0.1:" + std::to_string(23000 + getpid() % 10000);
  Process box(run_words({{"ingest.url", address},
                         {"ingest.idle_end_ms", "1000"},
                         {"render.png", ""},
                         {"render.digest", shop.file("box.framemd5")},
                         {"render.wav", shop.file("box.wav")},
                         {"render.window", "off"}}),
              shop.file("box.log"), {"SLIPRING_DIR=" + shop.segments()});
  REQUIRE(eventually([&] { return board_number(shop, "ingest", "is_listening") == 1; }, 60));
  REQUIRE(shell("ffmpeg -nostdin -v error -re -i '" + stream + "' -map 0 -c copy -f mpegts '" +
                address + "?pkt_size=1316'") == 0);
  const int status = box.wait(60);
  INFO(contents(shop.file("box.log")));
  REQUIRE(status == 0);
  const std::vector<std::string> pictures = reference_pictures(shop, stream, "0:v");
  CHECK(read_digests(shop.file("box.framemd5")).at(0) == pictures);
  CHECK((wav_samples(shop.file("box.wav")) == reference_sound(shop, stream, "0:a")));
  MESSAGE("pictures: " << pictures.size());
}

}  // namespace
}  // namespace slipring::test
