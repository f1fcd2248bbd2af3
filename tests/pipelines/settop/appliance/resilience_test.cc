// The set-top box under kill -9, under broken input, and when it is told to stop.

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/pipelines/settop/appliance/appliance_fixture.h"

namespace slipring::test {
namespace {

inline constexpr const char* kStages[] = {"ingest", "demux", "video", "audio", "render"};

// A long stream at real time, paced by its time stamps from a file.
[[nodiscard]] std::string make_long_stream(const Workshop& shop, int seconds) {
  const std::string path = shop.file("long.ts");
  REQUIRE(shell("ffmpeg -nostdin -v error -y -f lavfi -i testsrc2=size=320x240:rate=25 -f lavfi -i "
                "sine=frequency=440 -f lavfi -i smptebars=size=320x240:rate=25 -f lavfi -i "
                "sine=frequency=880 -t " +
                std::to_string(seconds) +
                " -map 0:v -map 1:a -map 2:v -map 3:a -c:v libx264 -preset ultrafast -g 12 "
                "-pix_fmt yuv420p -c:a mp2 -program program_num=1:st=0:st=1 -program "
                "program_num=2:st=2:st=3 -f mpegts '" +
                path + "'") == 0);
  return path;
}

[[nodiscard]] std::vector<std::string> box_words(const Workshop& shop, const std::string& stream,
                                                 const std::string& pace) {
  return run_words({{"ingest.url", stream},
                    {"render.png", ""},
                    {"render.digest", shop.file("box.framemd5")},
                    {"render.window", "off"},
                    {"render.pace", pace}});
}

// What a leak would make grow.
struct Footprint {
  std::size_t runner_descriptors = 0;
  std::uint64_t runner_resident_pages = 0;
  std::size_t segment_files = 0;
};

[[nodiscard]] Footprint footprint(const Workshop& shop, pid_t runner) {
  const std::string process = "/proc/" + std::to_string(runner);
  Footprint now;
  for (const auto& entry : std::filesystem::directory_iterator(process + "/fd")) {
    now.runner_descriptors += entry.path().empty() ? 0U : 1U;
  }
  std::uint64_t total_pages = 0;
  std::ifstream(process + "/statm") >> total_pages >> now.runner_resident_pages;
  now.segment_files = shop.leftovers().size();
  return now;
}

// The runner takes a look's connection down at its next turn: whoever has just looked at a board
// looks until nothing more goes away.
[[nodiscard]] Footprint settled_footprint(const Workshop& shop, pid_t runner) {
  Footprint least = footprint(shop, runner);
  for (int look = 0; look < 50; ++look) {
    poll(nullptr, 0, 2);
    const Footprint now = footprint(shop, runner);
    if (now.runner_descriptors <= least.runner_descriptors) least = now;
  }
  return least;
}

// How often each stage is killed: SLIPRING_KILL_ROUNDS in the environment, 2 without.
[[nodiscard]] int kill_rounds() {
  const char* text = std::getenv("SLIPRING_KILL_ROUNDS");
  return text != nullptr ? std::atoi(text) : 2;
}

TEST_CASE("settop: each stage killed again and again, and the picture comes back by itself") {
  Workshop shop;
  const std::string stream = make_long_stream(shop, 60 * kill_rounds());
  Process box(box_words(shop, stream, "true"), shop.file("box.log"),
              {"SLIPRING_DIR=" + shop.segments()});
  REQUIRE(eventually([&] { return board_number(shop, "render", "frames_shown") > 5; }, 60));
  // After every stage has been replaced once, nothing more may grow.
  Footprint before;
  int kills = 0;
  for (int round = 0; round < kill_rounds(); ++round) {
    if (round == 1) before = settled_footprint(shop, box.pid());
    for (const char* stage : kStages) {
      const pid_t victim = stage_pid(shop, stage);
      REQUIRE(victim > 0);
      REQUIRE(kill(victim, SIGKILL) == 0);
      ++kills;
      INFO(stage << " killed in round " << round << "\n" << contents(shop.file("box.log")));
      REQUIRE(eventually(
          [&] {
            const pid_t successor = stage_pid(shop, stage);
            return successor > 0 && successor != victim;
          },
          20));
      // A group of pictures is 12 frames: the picture is back when more than that have been shown.
      const std::uint64_t shown = board_number(shop, "render", "frames_shown");
      REQUIRE(eventually([&] { return board_number(shop, "render", "frames_shown") > shown + 12; },
                         20));
      REQUIRE(box.is_running());
    }
  }
  const Footprint after = settled_footprint(shop, box.pid());
  MESSAGE("kills: " << kills << "; runner's descriptors " << before.runner_descriptors << " -> "
                    << after.runner_descriptors << ", resident pages "
                    << before.runner_resident_pages << " -> " << after.runner_resident_pages
                    << ", files " << before.segment_files << " -> " << after.segment_files);
  CHECK(after.runner_descriptors == before.runner_descriptors);
  CHECK(after.segment_files == before.segment_files);
  CHECK(after.runner_resident_pages < before.runner_resident_pages + 256);
  box.send(SIGINT);
  CHECK(box.wait(20) == 0);
  CHECK(shop.leftovers().empty());
}

TEST_CASE(
    "settop: ingest and render killed in the middle, and every picture still comes out once") {
  Workshop shop;
  const std::string stream = make_long_stream(shop, 60);
  Process box(box_words(shop, stream, "false"), shop.file("box.log"),
              {"SLIPRING_DIR=" + shop.segments()});
  int kills = 0;
  std::uint64_t shown = 0;
  for (const char* stage : {"render", "ingest", "render", "render", "ingest", "render"}) {
    // Every kill finds the stage at work: it has done something since the last one.
    const bool moved = eventually(
        [&] {
          const std::uint64_t now = board_number(shop, "render", "frames_shown");
          return !box.is_running() || now > shown + 20;
        },
        60);
    REQUIRE(moved);
    if (!box.is_running()) break;
    shown = board_number(shop, "render", "frames_shown");
    const pid_t victim = stage_pid(shop, stage);
    if (victim <= 0) continue;  // it has finished
    REQUIRE(kill(victim, SIGKILL) == 0);
    ++kills;
  }
  const int status = box.wait(120);
  INFO(contents(shop.file("box.log")));
  REQUIRE(status == 0);
  CHECK(kills >= 3);
  const std::vector<std::string> pictures = reference_pictures(shop, stream, "0:v:0");
  const std::vector<std::string> got = read_digests(shop.file("box.framemd5"))[0];
  MESSAGE("kills: " << kills << ", pictures: " << got.size() << " of " << pictures.size());
  CHECK((got == pictures));
}

TEST_CASE("settop: a channel change shows the new programme without playing the queue out") {
  Workshop shop;
  const std::string stream = make_long_stream(shop, 60);
  Process box(box_words(shop, stream, "true"), shop.file("box.log"),
              {"SLIPRING_DIR=" + shop.segments()});
  REQUIRE(eventually([&] { return board_number(shop, "render", "frames_shown") > 25; }, 60));
  REQUIRE(shell("SLIPRING_DIR=" + shop.segments() + " " + slipring() +
                " oob settop.channel program 2") == 0);
  INFO(contents(shop.file("box.log")));
  REQUIRE(eventually([&] { return board_number(shop, "render", "channel_changes") == 1; }, 30));
  const std::uint64_t change_us = board_number(shop, "render", "change_to_picture_us");
  const std::uint64_t queued_us = board_number(shop, "render", "change_queued_us");
  MESSAGE("command to picture: " << change_us << " us; queue dropped: " << queued_us << " us");
  CHECK(change_us > 0);
  CHECK(queued_us > 0);
  CHECK(board_number(shop, "render", "program_number") == 2);

  // A demultiplexer that dies now stays with the programme that it was told to show.
  const pid_t victim = stage_pid(shop, "demux");
  const std::uint64_t selections = board_number(shop, "demux", "selections");
  REQUIRE(kill(victim, SIGKILL) == 0);
  REQUIRE(eventually(
      [&] { return stage_pid(shop, "demux") > 0 && stage_pid(shop, "demux") != victim; }, 20));
  REQUIRE(eventually([&] { return board_number(shop, "demux", "selections") > selections; }, 20));
  REQUIRE(eventually([&] { return board_number(shop, "demux", "program_number") != 0; }, 20));
  CHECK(board_number(shop, "demux", "program_number") == 2);
  const std::uint64_t shown = board_number(shop, "render", "frames_shown");
  CHECK(eventually([&] { return board_number(shop, "render", "frames_shown") > shown + 12; }, 20));
  CHECK(board_number(shop, "render", "program_number") == 2);
  box.send(SIGTERM);
  CHECK(box.wait(20) == 0);
  CHECK(shop.leftovers().empty());
}

TEST_CASE("settop: broken input is counted, and the box plays on to the end") {
  Workshop shop;
  const std::string stream = make_long_stream(shop, 6);
  std::string bytes = contents(stream);
  std::mt19937 random(20260101);
  const std::size_t packets = bytes.size() / 188;
  std::string broken;
  for (std::size_t i = 0; i < packets; ++i) {
    std::string packet = bytes.substr(i * 188, 188);
    // The tables at the beginning stay; of the rest one packet in forty suffers.
    const bool suffers = i > 50 && random() % 40 == 0;
    switch (suffers ? random() % 5 : 9) {
      case 0:
        continue;  // lost
      case 1:
        broken += packet;
        break;  // repeated
      case 2:
        packet[0] = 'X';
        break;  // wrong sync byte
      case 3:
        packet[random() % 188] ^= 0x10;
        break;  // corrupted
      case 4:
        packet += std::string(1 + random() % 300, '\xaa');
        break;  // rubbish between packets
      default:
        break;
    }
    broken += packet;
  }
  broken.resize(broken.size() - 77);  // cut short
  const std::string path = shop.file("broken.ts");
  std::ofstream(path, std::ios::binary) << broken;
  Process box(box_words(shop, path, "false"), shop.file("box.log"),
              {"SLIPRING_DIR=" + shop.segments()});
  const int status = box.wait(60);
  const std::string log = contents(shop.file("box.log"));
  INFO(log);
  CHECK(status == 0);
  CHECK(log.find("restarted") == std::string::npos);
  CHECK(log.find("continuity_errors_video") != std::string::npos);
  CHECK(read_digests(shop.file("box.framemd5"))[0].size() > 100);
  CHECK(shop.leftovers().empty());
}

TEST_CASE("settop: what is no transport stream ends with a word, not with a crash") {
  Workshop shop;
  for (const std::string& content :
       {std::string(100'000, 'x'), std::string(), std::string(50, 'G')}) {
    const std::string path = shop.file("none.ts");
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    const std::string log_path = shop.file("none.log");
    unlink(log_path.c_str());
    Process box(box_words(shop, path, "false"), log_path, {"SLIPRING_DIR=" + shop.segments()});
    const int status = box.wait(60);
    const std::string log = contents(log_path);
    INFO(log);
    CHECK(status == 0);
    CHECK(log.find("without a programme") != std::string::npos);
    CHECK(log.find("restarted") == std::string::npos);
    CHECK(shop.leftovers().empty());
  }
}

TEST_CASE("settop: frames cross the processes without a copy") {
  Workshop shop;
  const std::string stream = make_long_stream(shop, 4);
  const std::string meter = shop.file("copies.txt");
  Process box(box_words(shop, stream, "false"), shop.file("box.log"),
              {"SLIPRING_DIR=" + shop.segments(), "COPY_METER=" + meter,
               "LD_PRELOAD=" + data("tests/pipelines/settop/appliance/libcopy_meter.so")});
  REQUIRE(box.wait(120) == 0);
  const std::size_t frames = read_digests(shop.file("box.framemd5"))[0].size();
  REQUIRE(frames == 100);
  std::ifstream lines(meter);
  std::set<std::string> programs;
  std::string program;
  std::string word;
  std::uint64_t copied = 0;
  std::uint64_t pool = 0;
  std::uint64_t total = 0;
  while (lines >> program >> word >> copied >> word >> pool) {
    if (program == "slipring") continue;  // observes the links' first pages
    programs.insert(program);
    total += copied;
    CHECK(pool > 1'000'000);
  }
  CHECK(programs == std::set<std::string>{"decode", "render"});
  const std::uint64_t frame_bytes = 320 * 240 * 3 / 2;
  MESSAGE("bytes copied a frame: " << total / frames << " of " << frame_bytes);
  // Handles and sound cross too; a copy of the pictures would count 115,200 bytes a frame.
  CHECK(total / frames < frame_bytes / 20);
}

}  // namespace
}  // namespace slipring::test
