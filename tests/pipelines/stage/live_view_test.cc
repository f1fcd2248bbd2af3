#include "pipelines/stage/live_view.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "platform/process/descriptor.h"

namespace slipring {
namespace {

LiveState sample_state() {
  LiveState state;
  state.pipeline = "box";
  state.uptime_ns = 12'345'000'000;
  StageState render_stage;
  render_stage.name = "render";
  render_stage.status = {StagePhase::kRunning, 4711, 3};
  render_stage.cpu_ns_per_s = 123'000'000;
  render_stage.resident_bytes = 12 * 1024 * 1024;
  render_stage.locked_bytes = 512;
  render_stage.numbers = {{"latency_us_p50", BoardKind::kGauge, 12'300, 0},
                          {"latency_us_p99", BoardKind::kGauge, 850, 0},
                          {"frames_shown", BoardKind::kCounter, 12'345, 25},
                          {"frames_late", BoardKind::kCounter, 2, 0},
                          {"frame_bytes_copied", BoardKind::kCounter, 0, 0},
                          {"change_to_picture_us", BoardKind::kGauge, 40'000, 0}};
  StageState done;
  done.name = "ingest";
  done.status = {StagePhase::kFinished, 4710, 0};
  state.stages = {done, render_stage};
  LinkState frames;
  frames.name = "frames";
  frames.messages_per_s = 25;
  frames.bytes_per_s = 4800;
  frames.report.fill = 16;
  frames.report.capacity = 64;
  frames.report.shape.pool_buffer_count = 40;
  frames.report.pool_lent_count = 17;
  frames.report.reader.is_asleep = true;
  state.links = {frames};
  return state;
}

// Everything that the terminal has been sent.
std::string drain(int fd) {
  std::string text;
  std::array<char, 4096> block;
  for (ssize_t got = read(fd, block.data(), block.size()); got > 0;
       got = read(fd, block.data(), block.size())) {
    text.append(block.data(), static_cast<std::size_t>(got));
  }
  return text;
}

// A terminal of our own, without its line feed translation.
struct Terminal {
  Terminal(unsigned short rows, unsigned short columns) {
    int far_fd = -1;
    int near_fd = -1;
    winsize size{};
    size.ws_row = rows;
    size.ws_col = columns;
    termios settings{};
    cfmakeraw(&settings);
    REQUIRE(openpty(&far_fd, &near_fd, nullptr, &settings, &size) == 0);
    far = Descriptor(far_fd);
    near = Descriptor(near_fd);
    REQUIRE(fcntl(far_fd, F_SETFL, O_NONBLOCK) == 0);
  }
  Descriptor far;
  Descriptor near;
};

}  // namespace

TEST_CASE("live_view: stages, links and what people look for are shown") {
  CHECK(render(sample_state(), 100) ==
        std::vector<std::string>{
            "box, up 12.3 s",
            "latency p50 12.3 ms, p99 850 us, 12.3k frames shown, 2 late, 0 B copied, channel "
            "change 40.0 ms",
            "STAGE   STATE           PID  RESTARTS   CPU%      MEMORY      LOCKED",
            "ingest  finished          -         0      -           -           -",
            "render  running        4711         3   12.3    12.0 MiB       512 B",
            "LINK       MSG/S     BYTES/S  FILL                  POOL  ASLEEP  MEMORY",
            "frames        25     4.7 KiB  [###.......]  25%    17/40  reader  named",
            "STAGE   NUMBERS",
            "render  latency_us_p50 12.3k  latency_us_p99 850  frames_shown 25/s  "
            "change_to_picture_us 40.0k"});
}

TEST_CASE("live_view: where a link's other end is, and whether it is connected") {
  LiveState state = sample_state();
  for (StageState& stage : state.stages) stage.numbers.clear();
  state.links[0].wire = WireState{"-> tcp://backup:7070", true, 1};
  CHECK(render(state, 100).back() == "frames  -> tcp://backup:7070, connected");
  state.links[0].wire = WireState{"<- tcp://:7070 (listens)", false, 12'345};
  CHECK(render(state, 100).back() ==
        "frames  <- tcp://:7070 (listens), not connected, 12.3k connections so far");
}

TEST_CASE("live_view: a storage array's disks, its dirty share and its work aside") {
  LiveState state;
  StageState cache;
  cache.name = "cache";
  cache.numbers = {{"reads", BoardKind::kCounter, 99, 12},
                   {"writes", BoardKind::kCounter, 7, 0},
                   {"dirty_permille", BoardKind::kGauge, 123, 0}};
  StageState raid;
  raid.name = "raid";
  raid.numbers = {{"disk0_state", BoardKind::kGauge, 1, 0},
                  {"disk1_state", BoardKind::kGauge, 2, 0},
                  {"disk2_state", BoardKind::kGauge, 0, 0},
                  {"disk3_state", BoardKind::kGauge, 1, 0},
                  {"rebuild_permille", BoardKind::kGauge, 345, 0},
                  {"scrub_permille", BoardKind::kGauge, 10, 0},
                  {".kept", BoardKind::kGauge, 5, 0}};
  state.stages = {cache, raid};
  CHECK(
      headline(state) ==
      "cache 12.3% dirty, 2 of 4 disks active, disk1 rebuilding 34.5%, disk2 missing, scrub 1.0%");
  const std::vector<std::string> lines = render(state, 60);
  CHECK(std::count(lines.begin(), lines.end(), "cache  reads 12/s  dirty_permille 123") == 1);
  for (const std::string& line : lines) {
    CHECK(line.find(".kept") == std::string::npos);
    CHECK(line.find("writes") == std::string::npos);
  }
}

TEST_CASE("live_view: no line is wider than the terminal") {
  for (const std::size_t width : {0U, 1U, 20U, 79U}) {
    for (const std::string& line : render(sample_state(), width)) CHECK(line.size() <= width);
  }
}

TEST_CASE("live_view: a pipeline without the well-known numbers has no headline") {
  LiveState state = sample_state();
  state.stages[1].numbers.clear();
  CHECK(headline(state).empty());
  CHECK(render(state, 80).size() == 6);
}

TEST_CASE("live_view: numbers are short") {
  CHECK(short_number(0) == "0");
  CHECK(short_number(9999) == "9999");
  CHECK(short_number(10'000) == "10.0k");
  CHECK(short_number(999'949) == "999.9k");
  CHECK(short_number(999'950) == "1.0M");
  CHECK(short_number(UINT64_MAX) == "18.4E");
  CHECK(short_bytes(1023) == "1023 B");
  CHECK(short_bytes(1024) == "1.0 KiB");
  CHECK(short_bytes(UINT64_MAX) == "16.0 EiB");
  CHECK(short_duration(999'999) == "999 us");
  CHECK(short_duration(1'000'000) == "1.0 ms");
  CHECK(short_duration(61'500'000'000) == "61.5 s");
}

TEST_CASE("live_view: text of others cannot steer the terminal") {
  CHECK(printable("plain text") == "plain text");
  CHECK(printable("Grüße, 日本 🎞") == "Grüße, 日本 🎞");
  CHECK(printable("\x1b[2J\r\b\x7f\ta") == "?[2J??? a");
  CHECK(printable("\xc2\x9b"
                  "2J") == "??2J");                       // the second set's control characters
  CHECK(printable("\xff\xc3") == "??");                   // broken
  CHECK(printable("\xc0\xaf \xe0\x80\xaf") == "?? ???");  // overlong
  CHECK(printable("\xed\xa0\x80") == "???");              // a surrogate
  CHECK(printable(std::string_view("\0a", 2)) == "?a");
}

TEST_CASE("live_view: on a terminal the block is redrawn in place, and lines go above it") {
  setenv("TERM", "xterm", 1);
  unsetenv("NO_COLOR");
  Terminal terminal(24, 60);
  LiveView view(terminal.near.get(), true);
  CHECK(view.is_shown());
  CHECK(view.has_colours());
  view.show(sample_state());
  const std::string first = drain(terminal.far.get());
  CHECK(first.find('\x1b') == std::string::npos);
  CHECK(first.starts_with("box, up 12.3 s\n"));
  view.line("hello");
  const std::string block = first;
  CHECK(drain(terminal.far.get()) == "\r\x1b[10A\x1b[Jhello\n" + block);
  view.show(sample_state());
  CHECK(drain(terminal.far.get()) == "\r\x1b[10A\x1b[J" + block);
  view.clear();
  CHECK(drain(terminal.far.get()) == "\r\x1b[10A\x1b[J");
  view.line("last");
  CHECK(drain(terminal.far.get()) == "last\n");
}

TEST_CASE("live_view: the block is cut to a low terminal") {
  setenv("TERM", "xterm", 1);
  Terminal terminal(4, 60);
  LiveView view(terminal.near.get(), true);
  view.show(sample_state());
  const std::string text = drain(terminal.far.get());
  CHECK(std::count(text.begin(), text.end(), '\n') == 3);
}

TEST_CASE("live_view: no block where none can be") {
  Terminal terminal(24, 80);
  setenv("TERM", "dumb", 1);
  CHECK_FALSE(LiveView(terminal.near.get(), true).is_shown());
  CHECK_FALSE(LiveView(terminal.near.get(), true).has_colours());
  setenv("TERM", "xterm", 1);
  CHECK_FALSE(LiveView(terminal.near.get(), false).is_shown());
  setenv("NO_COLOR", "1", 1);
  CHECK(LiveView(terminal.near.get(), true).is_shown());
  CHECK_FALSE(LiveView(terminal.near.get(), true).has_colours());
  unsetenv("NO_COLOR");
  int pipe_fds[2] = {-1, -1};
  REQUIRE(pipe(pipe_fds) == 0);
  const Descriptor read_end(pipe_fds[0]);
  Descriptor write_end(pipe_fds[1]);
  LiveView view(write_end.get(), true);
  CHECK_FALSE(view.is_shown());
  view.show(sample_state());
  view.line("only this");
  write_end.reset();
  CHECK(drain(read_end.get()) == "only this\n");
}

}  // namespace slipring
