#include <doctest/doctest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/link/board.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

void write_messages(LinkWriter& writer, int message_count, std::uint64_t size_bytes) {
  for (int i = 0; i < message_count; ++i) {
    std::span<std::byte> place;
    REQUIRE(writer.try_reserve(size_bytes, place) == Transfer::kDone);
    writer.commit(size_bytes);
  }
}

int read_messages(LinkReader& reader, int most) {
  int count = 0;
  Message message;
  while (count < most && reader.try_peek(message) == Transfer::kDone) {
    reader.release(message);
    ++count;
  }
  return count;
}

TEST_CASE("stat: a link's numbers are those of its ends") {
  const CommandFixture fixture;
  fixture.make_records("p.ts");
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "p.ts", MemoryLock::kOff);
  REQUIRE(writer.ok());
  write_messages(*writer, 7, 100);
  {
    Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "p.ts", MemoryLock::kOff);
    REQUIRE(reader.ok());
    CHECK(read_messages(*reader, 4) == 4);
  }
  writer->abort_published();
  const Ending ending = fixture.call({"stat", "p.ts", "--once", "--json"});
  CHECK(ending.exit_status == 0);
  CHECK(ending.err == "");
  const auto json = nlohmann::json::parse(ending.out);
  CHECK(json.at("schema") == 1);
  CHECK(json.at("interval_ns") == 0);
  REQUIRE(json.at("links").size() == 1);
  const auto& link = json.at("links")[0];
  CHECK(link.at("name") == "p.ts");
  CHECK(link.at("kind") == "records");
  CHECK(link.at("capacity") == 4096);
  CHECK(link.at("fill") > 0);
  const auto& writing = link.at("writer");
  CHECK(writing.at("state") == "held");
  CHECK(writing.at("pid") == getpid());
  CHECK(writing.at("incarnation") == 1);
  CHECK(writing.at("messages") == 7);
  CHECK(writing.at("payload_bytes") == 700);
  CHECK(writing.at("aborts") == 1);
  CHECK(writing.at("locked") == false);
  CHECK_FALSE(writing.contains("messages_per_s"));
  const auto& reading = link.at("reader");
  CHECK(reading.at("state") == "gone");
  CHECK(reading.at("messages") == 4);
  CHECK(json.at("processes").size() == 1);
  CHECK(json.at("processes")[0].at("pid") == getpid());
  CHECK(json.at("processes")[0].at("resident_bytes") > 0);
}

TEST_CASE("stat: -i prints one line of JSON a sample, with rates of what is moving") {
  const CommandFixture fixture;
  fixture.make_records("p.ts");
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "p.ts", MemoryLock::kOff);
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "p.ts", MemoryLock::kOff);
  REQUIRE((writer.ok() && reader.ok()));
  Running running = fixture.start({"stat", "p", "-i", "0.1", "-n", "3", "--json"});
  // Moves messages for as long as somebody looks.
  for (;;) {
    Result<bool> has_ended = running.peer.has_ended();
    REQUIRE(has_ended.ok());
    if (*has_ended) break;
    write_messages(*writer, 8, 100);
    CHECK(read_messages(*reader, 8) == 8);
  }
  const Ending ending = fixture.finish(std::move(running));
  CHECK(ending.exit_status == 0);
  const std::vector<std::string> lines = lines_of(ending.out);
  REQUIRE(lines.size() == 3);
  for (const std::string& line : lines) {
    const auto json = nlohmann::json::parse(line);
    CHECK(json.at("schema") == 1);
    CHECK(json.at("interval_ns") >= 100'000'000);
    const auto& link = json.at("links").at(0);
    CHECK(link.at("writer").at("messages_per_s") > 0);
    CHECK(link.at("reader").at("payload_bytes_per_s") > 0);
    CHECK(link.at("peak_fill") >= link.at("fill"));
    CHECK(json.at("processes").at(0).at("cpu_percent") >= 0);
  }
}

TEST_CASE("stat: a board's numbers are shown by name, and its process by the stage's") {
  const CommandFixture fixture;
  REQUIRE(create_board(fixture.directory(), "p.demux.board").ok());
  Result<Board> board = Board::attach(fixture.directory(), "p.demux.board", MemoryLock::kOff);
  REQUIRE(board.ok());
  board->number("packets", BoardKind::kCounter).add(12);
  board->number("depth", BoardKind::kGauge).set(3);
  const auto json = nlohmann::json::parse(fixture.call({"stat", "p", "--once", "--json"}).out);
  const auto& shown = json.at("boards").at(0);
  CHECK(shown.at("name") == "p.demux.board");
  CHECK(shown.at("pid") == getpid());
  REQUIRE(shown.at("values").size() == 2);
  CHECK(shown.at("values")[0].at("name") == "packets");
  CHECK(shown.at("values")[0].at("kind") == "counter");
  CHECK(shown.at("values")[0].at("value") == 12);
  CHECK(shown.at("values")[1].at("kind") == "gauge");
  CHECK(json.at("processes").at(0).at("name") == "p.demux");

  const Ending text = fixture.call({"stat", "p", "--once"});
  CHECK(contains(text.out, "packets"));
  CHECK(contains(text.out, "p.demux.board  pid " + std::to_string(getpid())));
}

TEST_CASE("stat: a pool shows what is lent") {
  const CommandFixture fixture;
  LinkShape shape;
  shape.kind = SegmentKind::kSlotLink;
  shape.slot_count = 4;
  shape.slot_bytes = 64;
  shape.pool_buffer_count = 3;
  shape.pool_buffer_bytes = 4096;
  fixture.make_slots("p.frames", shape);
  const auto json = nlohmann::json::parse(fixture.call({"stat", "--once", "--json"}).out);
  const auto& pool = json.at("links").at(0).at("pool");
  CHECK(pool.at("lent") == 0);
  CHECK(pool.at("buffers") == 3);
  CHECK(pool.at("buffer_bytes") == 4096);
  CHECK(contains(fixture.call({"stat", "--once"}).out, "0 of 3 buffers of 4 KiB lent"));
}

TEST_CASE("stat: a segment of another layout version is status 5 when it was asked for") {
  const CommandFixture fixture;
  fixture.make_records("newer");
  fixture.make_records("sound");
  const std::uint32_t version = 99;
  fixture.scribble("newer", 8, {reinterpret_cast<const char*>(&version), sizeof version});
  const Ending named = fixture.call({"stat", "newer", "--once"});
  CHECK(named.exit_status == 5);
  CHECK(contains(named.err, "slipring rm"));
  const Ending all = fixture.call({"stat", "--once"});
  CHECK(all.exit_status == 0);
  CHECK(contains(all.err, "newer"));
  CHECK(contains(all.out, "sound"));
}

TEST_CASE("stat: nothing to look at is an empty sample for programs") {
  const CommandFixture fixture;
  const auto json = nlohmann::json::parse(fixture.call({"stat", "--json"}).out);
  CHECK(json.at("links").empty());
  CHECK(json.at("boards").empty());
}

}  // namespace
}  // namespace slipring::tools
