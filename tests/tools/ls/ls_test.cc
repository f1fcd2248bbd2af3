#include <doctest/doctest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "pipelines/link/board.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

nlohmann::json list_json(const CommandFixture& fixture) {
  const Ending ending = fixture.call({"ls", "--json"});
  CHECK(ending.exit_status == 0);
  CHECK(ending.err == "");
  return nlohmann::json::parse(ending.out);
}

nlohmann::json segment(const nlohmann::json& list, const std::string& name) {
  for (const auto& entry : list.at("segments")) {
    if (entry.at("name") == name) return entry;
  }
  FAIL("not listed: " << name);
  return {};
}

TEST_CASE("ls: an empty directory is an empty list") {
  const CommandFixture fixture;
  const auto list = list_json(fixture);
  CHECK(list.at("schema") == 1);
  CHECK(list.at("directory") == fixture.path());
  CHECK(list.at("segments").empty());
}

TEST_CASE("ls: every state of an end has its word") {
  const CommandFixture fixture;
  for (const char* name : {"gone", "held", "never", "closed"}) fixture.make_records(name);
  {
    Result<LinkWriter> gone = LinkWriter::attach(fixture.directory(), "gone", MemoryLock::kOff);
    Result<LinkWriter> closed = LinkWriter::attach(fixture.directory(), "closed", MemoryLock::kOff);
    REQUIRE((gone.ok() && closed.ok()));
    closed->close();
  }
  Result<LinkWriter> held = LinkWriter::attach(fixture.directory(), "held", MemoryLock::kOff);
  REQUIRE(held.ok());
  const auto list = list_json(fixture);
  for (const char* name : {"gone", "held", "never", "closed"}) {
    CAPTURE(name);
    const auto entry = segment(list, name);
    CHECK(entry.at("ends")[0].at("role") == "writer");
    CHECK(entry.at("ends")[0].at("state") == name);
    CHECK(entry.at("ends")[1].at("state") == "never");
  }
  CHECK(segment(list, "held").at("ends")[0].at("pid") == getpid());
  CHECK(segment(list, "gone").at("stale") == true);
  CHECK(segment(list, "closed").at("stale") == true);
  CHECK(segment(list, "held").at("stale") == false);
  CHECK(segment(list, "never").at("stale") == false);

  const Ending text = fixture.call({"ls"});
  CHECK(text.err == "");
  CHECK(contains(text.out, "pid " + std::to_string(getpid())));
  CHECK(contains(text.out, "gone " + std::to_string(getpid())));
  CHECK(contains(text.out, "stale"));
  CHECK(lines_of(text.out).size() == 5);
}

TEST_CASE("ls: fill, kind and size are those of the link") {
  const CommandFixture fixture;
  LinkShape shape;
  shape.kind = SegmentKind::kSlotLink;
  shape.slot_count = 4;
  shape.slot_bytes = 64;
  fixture.make_slots("slots", shape);
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "slots", MemoryLock::kOff);
  REQUIRE(writer.ok());
  for (int i = 0; i < 3; ++i) {
    std::span<std::byte> place;
    REQUIRE(writer->try_reserve(64, place) == Transfer::kDone);
    writer->commit(64);
  }
  const auto entry = segment(list_json(fixture), "slots");
  CHECK(entry.at("kind") == "slots");
  CHECK(entry.at("fill") == 3);
  CHECK(entry.at("capacity") == 4);
  CHECK(entry.at("fill_unit") == "slots");
  CHECK(contains(fixture.call({"ls"}).out, "75 %"));
}

TEST_CASE("ls: a board's stage stands where a link's writer does") {
  const CommandFixture fixture;
  REQUIRE(create_board(fixture.directory(), "p.demux.board").ok());
  Result<Board> board = Board::attach(fixture.directory(), "p.demux.board", MemoryLock::kOff);
  REQUIRE(board.ok());
  const auto entry = segment(list_json(fixture), "p.demux.board");
  CHECK(entry.at("kind") == "board");
  REQUIRE(entry.at("ends").size() == 1);
  CHECK(entry.at("ends")[0].at("role") == "stage");
  CHECK(entry.at("ends")[0].at("pid") == getpid());
}

TEST_CASE("ls: what cannot be read is listed for what it is, and is no error") {
  const CommandFixture fixture;
  for (const char* name : {"corrupt", "foreign", "newer", "sound"}) fixture.make_records(name);
  const std::uint32_t version = 99;
  fixture.scribble("newer", 8, {reinterpret_cast<const char*>(&version), sizeof version});
  fixture.scribble("foreign", 0, "whatever");
  fixture.scribble("corrupt", 200, "x");
  const auto list = list_json(fixture);
  CHECK(segment(list, "newer").at("kind") == "version 99");
  CHECK(segment(list, "newer").at("condition") == "foreign");
  CHECK(segment(list, "foreign").at("condition") == "foreign");
  CHECK(segment(list, "corrupt").at("condition") == "corrupt");
  CHECK(segment(list, "sound").at("condition") == "sound");
  const Ending text = fixture.call({"ls"});
  CHECK(text.exit_status == 0);
  CHECK(contains(text.out, "version 99"));
  CHECK(lines_of(text.out).size() == 5);
}

}  // namespace
}  // namespace slipring::tools
