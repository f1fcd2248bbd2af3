#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

void put_text(LinkWriter& writer, const std::string& text) {
  std::span<std::byte> place;
  REQUIRE(writer.try_reserve(text.size(), place) == Transfer::kDone);
  std::ranges::copy(std::as_bytes(std::span(text)), place.begin());
  writer.commit(text.size());
}

TEST_CASE("tail: shows what is unread, and takes nothing") {
  const CommandFixture fixture;
  fixture.make_records("log");
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "log", MemoryLock::kOff);
  REQUIRE(writer.ok());
  put_text(*writer, "one");
  put_text(*writer, std::string("t\two\n\\\x01\xff", 8));
  put_text(*writer, "");
  CHECK(fixture.call({"tail", "log", "--unread", "-n", "3"}).out ==
        "one\nt\\two\\n\\\\\\x01\\xff\n\n");
  CHECK(fixture.call({"tail", "log", "--unread", "-n", "1", "--hex"}).out == "6f6e65\n");
  CHECK(fixture.call({"tail", "log", "--unread", "-n", "1", "--raw"}).out == "one");
  const auto json =
      nlohmann::json::parse(fixture.call({"tail", "log", "--unread", "-n", "1", "--json"}).out);
  CHECK(json.at("schema") == 1);
  CHECK(json.at("hex") == "6f6e65");
  CHECK(json.at("position") == 0);
  CHECK(json.at("lost") == 0);
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "log", MemoryLock::kOff);
  REQUIRE(reader.ok());
  Message message;
  REQUIRE(reader->try_peek(message) == Transfer::kDone);
  CHECK(message.bytes.size() == 3);
  CHECK_FALSE(message.redelivered);
}

TEST_CASE("tail: follows until the writer closes, also behind a reader that is quicker") {
  const CommandFixture fixture;
  fixture.make_records("log", 65536);
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "log", MemoryLock::kOff);
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "log", MemoryLock::kOff);
  REQUIRE((writer.ok() && reader.ok()));
  put_text(*writer, "first");
  // With --unread it does not matter when it has started, as long as the reader takes nothing.
  Running running = fixture.start({"tail", "log", "--unread"});
  std::string expected = "first\n";
  for (int i = 0; i < 100; ++i) {
    put_text(*writer, std::to_string(i));
    expected += std::to_string(i) + "\n";
  }
  writer->close();
  const Ending ending = fixture.finish(std::move(running));
  CHECK(ending.exit_status == 0);
  CHECK(ending.out == expected);
  CHECK(ending.err == "");
}

TEST_CASE("tail: what the writer went past is counted, and never shown torn") {
  const CommandFixture fixture;
  fixture.make_records("log", 4096);
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "log", MemoryLock::kOff);
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "log", MemoryLock::kOff);
  REQUIRE((writer.ok() && reader.ok()));
  Running running = fixture.start({"tail", "log", "--unread", "--json"});
  for (int i = 0; i < 20'000; ++i) {
    put_text(*writer,
             std::string(static_cast<std::size_t>(i % 700), static_cast<char>('a' + i % 26)));
    Message message;
    REQUIRE(reader->try_peek(message) == Transfer::kDone);
    reader->release(message);
  }
  writer->close();
  const Ending ending = fixture.finish(std::move(running));
  CHECK(ending.exit_status == 0);
  for (const std::string& line : lines_of(ending.out)) {
    const auto json = nlohmann::json::parse(line);
    const std::string hex = json.at("hex");
    REQUIRE(hex.size() == 2 * json.at("size_bytes").get<std::size_t>());
    for (std::size_t i = 2; i < hex.size(); i += 2) REQUIRE(hex.substr(i, 2) == hex.substr(0, 2));
  }
}

TEST_CASE("tail: slots, and what cannot be listened to") {
  const CommandFixture fixture;
  LinkShape shape;
  shape.kind = SegmentKind::kSlotLink;
  shape.slot_count = 8;
  shape.slot_bytes = 4;
  fixture.make_slots("slots", shape);
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "slots", MemoryLock::kOff);
  REQUIRE(writer.ok());
  put_text(*writer, "abcd");
  CHECK(fixture.call({"tail", "slots", "--unread", "-n", "1"}).out == "abcd\n");

  shape = {};
  shape.kind = SegmentKind::kStreamLink;
  shape.capacity_bytes = 4096;
  fixture.make_slots("stream", shape);
  const Ending stream = fixture.call({"tail", "stream"});
  CHECK(stream.exit_status == 1);
  CHECK(stream.out == "");
  CHECK(contains(stream.err, "slipring get"));
  CHECK(fixture.call({"tail", "nothing"}).exit_status == 3);
  CHECK(fixture.call({"tail"}).exit_status == 2);
  CHECK(fixture.call({"tail", "slots", "-n", "0"}).exit_status == 2);
  CHECK(fixture.call({"tail", "slots", "--raw", "--hex"}).exit_status == 2);
}

TEST_CASE("tail: a signal ends it") {
  const CommandFixture fixture;
  fixture.make_records("log");
  Running running = fixture.start({"tail", "log"});
  REQUIRE(running.peer.send_signal(SIGTERM).ok());
  CHECK(fixture.finish(std::move(running)).signal_number == SIGTERM);
}

}  // namespace
}  // namespace slipring::tools
