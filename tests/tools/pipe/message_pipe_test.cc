// `put`, `get` and `pipe` with messages: lines and frames into records and out of them.

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/adapter/message_framer.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "tests/tools/pipe/pipe_fixture.h"

namespace slipring::tools {
namespace {

std::string frame(std::string_view message) {
  std::string text(kFrameHeaderBytes, '\0');
  write_frame_length(std::as_writable_bytes(std::span(text)), message.size());
  return text.append(message);
}

Ending put(const CommandFixture& fixture, std::vector<std::string> words, std::string_view bytes) {
  PipeEnds in = make_pipe();
  Running running = fixture.start(words, {.stdin_fd = in.read.get()});
  in.read = Descriptor();
  signal(SIGPIPE, SIG_IGN);
  while (!bytes.empty()) {  // it may give up before it has read everything
    const ssize_t count = write(in.write.get(), bytes.data(), bytes.size());
    if (count < 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  in.write = Descriptor();
  return fixture.finish(std::move(running));
}

// The records of a link, as a program of ours reads them.
std::vector<std::string> records_of(const CommandFixture& fixture, const char* name) {
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), name);
  REQUIRE(reader.ok());
  std::vector<std::string> records;
  for (Message message; reader->try_peek(message) == Transfer::kDone;) {
    records.emplace_back(reinterpret_cast<const char*>(message.bytes.data()), message.bytes.size());
    reader->release(message);
  }
  CHECK(reader->is_finished());
  return records;
}

TEST_CASE("put --lines, --frames: each is one record, an empty one too") {
  const CommandFixture fixture;
  CHECK(put(fixture, {"put", "l", "--lines"}, "one\n\nthree\r\nlast").exit_status == 0);
  CHECK(records_of(fixture, "l") == std::vector<std::string>{"one", "", "three\r", "last"});
  const std::string nul("a\0\nb", 4);
  CHECK(put(fixture, {"put", "f", "--frames"}, frame(nul) + frame("") + frame("x")).exit_status ==
        0);
  CHECK(records_of(fixture, "f") == std::vector<std::string>{nul, "", "x"});
}

TEST_CASE("get: records come out as lines or as frames, and what cannot be told apart is counted") {
  const CommandFixture fixture;
  for (const char* how : {"--lines", "--frames"}) {
    REQUIRE(put(fixture, {"put", "r", "--frames"}, frame("a") + frame("b\nc")).exit_status == 0);
    const Ending got = fixture.call({"get", "r", how, "--json"});
    CHECK(got.exit_status == 0);
    const bool is_lines = std::string_view(how) == "--lines";
    CHECK(got.out == (is_lines ? "a\nb\nc\n" : frame("a") + frame("b\nc")));
    CHECK(contains(got.err, "\"moved_messages\":2,"));
    CHECK(contains(got.err, is_lines ? "\"ambiguous_messages\":1," : "\"ambiguous_messages\":0,"));
    CHECK(contains(got.err, "look like several lines") == is_lines);
    CHECK(is_gone(fixture));
  }
}

TEST_CASE("put, get: 40,000 messages of all lengths, through a ring that is too small for them") {
  const CommandFixture fixture;
  std::string frames;
  const std::string bytes = pattern(3000);
  for (std::size_t i = 0; i < 40'000; ++i) frames += frame(bytes.substr(0, i % 97 * (i % 31)));
  PipeEnds out = make_pipe();
  Running get = fixture.start({"get", "m", "--frames", "--capacity", "16KiB"},
                              {.stdout_fd = out.write.get()});
  out.write = Descriptor();
  const pid_t feeder = fork();
  REQUIRE(feeder >= 0);
  if (feeder == 0) {
    out.read = Descriptor();
    const Ending ending = put(fixture, {"put", "m", "--frames", "--capacity", "16KiB"}, frames);
    _exit(ending.exit_status);
  }
  CHECK(read_some(out.read, frames.size() + 1) == frames);
  CHECK(fixture.finish(std::move(get)).exit_status == 0);
}

TEST_CASE("put: a message that is too long is told with its length, and what came before arrives") {
  const CommandFixture fixture;
  const Ending ending = put(fixture, {"put", "m", "--lines", "--max-message", "1KiB"},
                            "short\n" + std::string(1025, 'x') + "\nafter\n");
  CHECK(ending.exit_status == 1);
  CHECK(contains(ending.err, "a message is longer than 1024 bytes (1025 at least)"));
  CHECK(contains(ending.err, "--max-message"));
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "m");
  REQUIRE(reader.ok());
  Message message;
  REQUIRE(reader->try_peek(message) == Transfer::kDone);
  CHECK(message.bytes.size() == 5);
  reader->release(message);
  CHECK(reader->try_peek(message) == Transfer::kBlocked);
  CHECK_FALSE(reader->is_finished());  // it was not all: the link is not closed
}

TEST_CASE("put: no longer than the ring takes, either") {
  const CommandFixture fixture;
  const Ending ending =
      put(fixture, {"put", "m", "--frames", "--capacity", "4KiB"}, frame(std::string(3000, 'x')));
  CHECK(ending.exit_status == 1);
  CHECK(contains(ending.err, "(3000 at least)"));
}

TEST_CASE("put --frames: an input that ends inside a frame is told") {
  const CommandFixture fixture;
  const Ending ending = put(fixture, {"put", "m", "--frames"}, frame("torn").substr(0, 6));
  CHECK(ending.exit_status == 1);
  CHECK(contains(ending.err, "ends inside a frame, 6 bytes of 8"));
}

TEST_CASE("put --lines: ends by SIGPIPE, quietly, when nobody reads what `get` writes") {
  const CommandFixture fixture;
  PipeEnds in = make_pipe();
  PipeEnds out = make_pipe();
  Running writer = fixture.start({"put", "m", "--lines"}, {.stdin_fd = in.read.get()});
  Running reader = fixture.start({"get", "m", "--lines"}, {.stdout_fd = out.write.get()});
  in.read = Descriptor();
  out.write = Descriptor();
  write_all(in.write, "some\n");
  CHECK(read_some(out.read, 5) == "some\n");
  out.read = Descriptor();
  signal(SIGPIPE, SIG_IGN);
  until("the writer's input breaks",
        [&] { return write(in.write.get(), "more\n", 5) < 0 && errno == EPIPE; });
  const Ending put_end = fixture.finish(std::move(writer));
  const Ending get_end = fixture.finish(std::move(reader));
  CHECK(put_end.signal_number == SIGPIPE);
  CHECK(get_end.signal_number == SIGPIPE);
  CHECK(put_end.err == "");
  CHECK(get_end.err == "");
  CHECK(is_gone(fixture));
}

TEST_CASE("get --lines: a killed writer's messages all arrive, and then the death is told") {
  const CommandFixture fixture;
  PipeEnds in = make_pipe();
  PipeEnds out = make_pipe();
  Running writer = fixture.start({"put", "m", "--lines"}, {.stdin_fd = in.read.get()});
  write_all(in.write, "one\ntwo\nhalf");
  until("both lines are published", [&] { return published(fixture, "m") >= 2 * 16; });
  REQUIRE(writer.peer.send_signal(SIGKILL).ok());
  CHECK(fixture.finish(std::move(writer)).signal_number == SIGKILL);
  // Somebody was there before us: the death is certain as soon as we look.
  Running reader = fixture.start({"get", "m", "--lines", "--stay"}, {.stdout_fd = out.write.get()});
  CHECK(read_some(out.read, 8) == "one\ntwo\n");
  // With --stay a successor goes on.
  CHECK(put(fixture, {"put", "m", "--lines"}, "three\n").exit_status == 0);
  CHECK(read_some(out.read, 6) == "three\n");
  REQUIRE(reader.peer.send_signal(SIGTERM).ok());
  CHECK(fixture.finish(std::move(reader)).signal_number == SIGTERM);
}

TEST_CASE("get --lines --stay: a killed reader's successor repeats whole messages, and says so") {
  const CommandFixture fixture;
  std::string lines;
  for (int i = 0; i < 20'000; ++i) lines += "line " + std::to_string(i) + "\n";
  PipeEnds in = make_pipe();
  Running writer = fixture.start({"put", "m", "--lines", "--stay"}, {.stdin_fd = in.read.get()});
  in.read = Descriptor();
  const pid_t feeder = fork();
  REQUIRE(feeder >= 0);
  if (feeder == 0) {
    write_all(in.write, lines);
    _exit(0);
  }
  in.write = Descriptor();
  // What is written whole, as lines that were not seen before.
  std::string whole;
  for (int kills = 0; kills < 5; ++kills) {
    PipeEnds out = make_pipe();
    Running reader =
        fixture.start({"get", "m", "--lines", "--stay"}, {.stdout_fd = out.write.get()});
    out.write = Descriptor();
    std::string got = read_some(out.read, 10'000);
    REQUIRE(reader.peer.send_signal(SIGKILL).ok());
    CHECK(fixture.finish(std::move(reader)).signal_number == SIGKILL);
    got += read_some(out.read, lines.size());
    got.resize(got.rfind('\n') + 1);
    const std::size_t at = lines.find(got);
    REQUIRE(at != std::string::npos);
    REQUIRE(at <= whole.size());  // nothing is left out
    REQUIRE((at == 0 || lines[at - 1] == '\n'));
    if (at + got.size() > whole.size()) whole = lines.substr(0, at + got.size());
  }
  PipeEnds out = make_pipe();
  Running last =
      fixture.start({"get", "m", "--lines", "--stay", "--json"}, {.stdout_fd = out.write.get()});
  out.write = Descriptor();
  std::string got;
  while (!got.ends_with("line 19999\n")) got += read_some(out.read, 1);
  const std::size_t at = lines.find(got);
  REQUIRE(at != std::string::npos);
  CHECK(at <= whole.size());
  REQUIRE(last.peer.send_signal(SIGTERM).ok());
  CHECK(fixture.finish(std::move(last)).signal_number == SIGTERM);
  CHECK(fixture.finish(std::move(writer)).exit_status == 0);
}

TEST_CASE("pipe: lines from one descriptor to frames is a change of both ends' words") {
  const CommandFixture fixture;
  const Ending both = put(fixture, {"pipe", "-", "ring:m", "--lines", "--frames"}, "");
  CHECK(both.exit_status == 2);
  CHECK(contains(both.err, "choose one"));
  CHECK(put(fixture, {"pipe", "-", "-", "--lines"}, "a\nb").out == "a\nb\n");
  CHECK(put(fixture, {"put", "m", "--lines", "--max-message", "0"}, "").exit_status == 2);
  CHECK(put(fixture, {"put", "m", "--lines", "--max-message", "5GiB"}, "").exit_status == 2);
}

TEST_CASE("put, get: records and streams are not taken for each other") {
  const CommandFixture fixture;
  CHECK(put(fixture, {"put", "s"}, "bytes").exit_status == 0);
  const Ending lines = fixture.call({"get", "s", "--lines"});
  CHECK(lines.exit_status == 5);
  CHECK(contains(lines.err, "it is no link of records but carries stream"));
  CHECK(contains(lines.err, "without --lines"));
  CHECK(fixture.call({"get", "s"}).out == "bytes");
  fixture.make_records("r");
  const Ending bytes = fixture.call({"get", "r"});
  CHECK(bytes.exit_status == 5);
  CHECK(contains(bytes.err, "by --lines or --frames"));
}

}  // namespace
}  // namespace slipring::tools
