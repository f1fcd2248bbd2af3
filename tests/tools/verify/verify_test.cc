#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/ring/cursor_page.h"
#include "core/segment/segment_layout.h"
#include "pipelines/link/board.h"
#include "pipelines/link/board_page.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

void put_message(LinkWriter& writer, std::uint64_t size_bytes) {
  std::span<std::byte> place;
  REQUIRE(writer.try_reserve(size_bytes, place) == Transfer::kDone);
  writer.commit(size_bytes);
}

// A record link with three messages, of which one is finished.
void make_used(const CommandFixture& fixture, const char* name) {
  fixture.make_records(name);
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), name, MemoryLock::kOff);
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), name, MemoryLock::kOff);
  REQUIRE((writer.ok() && reader.ok()));
  for (const std::uint64_t size : {5U, 100U, 0U}) put_message(*writer, size);
  Message message;
  REQUIRE(reader->try_peek(message) == Transfer::kDone);
  reader->release(message);
}

constexpr std::uint64_t kWriterRegion = 4096;           // after the header's page
constexpr std::uint64_t kRing = kWriterRegion + 4096;   // the ring has pages of its own
constexpr std::uint64_t kReaderRegion = kRing + 4096;   // of 4096 bytes
constexpr std::uint64_t kSecondRecord = kRing + 8 + 8;  // behind the five bytes

std::string word(std::uint64_t value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

TEST_CASE("verify: what is used properly is sound, while it is used and afterwards") {
  const CommandFixture fixture;
  make_used(fixture, "used");
  fixture.make_records("fresh");
  LinkShape frames;
  frames.kind = SegmentKind::kSlotLink;
  frames.slot_count = 4;
  frames.slot_bytes = 64;
  frames.pool_buffer_count = 3;
  frames.pool_buffer_bytes = 4096;
  fixture.make_slots("frames", frames);
  REQUIRE(create_board(fixture.directory(), "a.board").ok());
  Result<LinkWriter> holder = LinkWriter::attach(fixture.directory(), "frames", MemoryLock::kOff);
  REQUIRE(holder.ok());
  put_message(*holder, 64);

  const Ending ending = fixture.call({"verify"});
  CHECK(ending.exit_status == 0);
  CHECK(ending.err == "");
  CHECK(lines_of(ending.out).size() == 4);
  CHECK(contains(ending.out, "OK    used  records, 2 records walked"));

  const auto json = nlohmann::json::parse(fixture.call({"verify", "--json"}).out);
  CHECK(json.at("schema") == 1);
  CHECK(json.at("segments").size() == 4);
  for (const auto& segment : json.at("segments")) {
    CHECK(segment.at("sound") == true);
    CHECK(segment.at("findings").empty());
  }
}

TEST_CASE("verify: every planted damage is found, and says what it is") {
  struct Damage {
    const char* what;
    std::uint64_t offset_bytes;
    std::string bytes;
    int exit_status;
  };
  const std::vector<Damage> damages = {
      {"not a slipring segment", 0, "nonsense", 5},
      {"another layout version", offsetof(SegmentHeader, version), std::string("\x09\0\0\0", 4), 5},
      {"check does not match", offsetof(SegmentHeader, created_ns), word(1), 1},
      {"check does not match", offsetof(SegmentHeader, name), "x", 1},
      {"more is done than was published", kReaderRegion + offsetof(ConsumerPage, done),
       word(1 << 20), 1},
      {"credit is beyond", kReaderRegion + offsetof(ConsumerPage, credit), word(1 << 20), 1},
      {"more is taken", kReaderRegion + offsetof(ConsumerPage, taken), word(1 << 20), 1},
      {"more is under way than the ring holds", kWriterRegion + offsetof(ProducerPage, tail),
       word(1 << 20), 1},
      {"tail is no multiple of 8", kWriterRegion + offsetof(ProducerPage, tail), word(140), 1},
      {"more is aborted", kWriterRegion + offsetof(ProducerPage, abort_before), word(1 << 20), 1},
      {"no chain of records", kSecondRecord, word(~0ULL), 1},
      {"no chain of records", kSecondRecord, word(100 | 3ULL << 32), 1},
      {"no chain of records", kSecondRecord, word(113 | 1ULL << 32), 1},
      {"the writer's state", kWriterRegion + kEndPageOffset + offsetof(EndPage, state),
       std::string("\x07\0\0\0", 4), 1},
      {"the reader's state", kReaderRegion + kEndPageOffset + offsetof(EndPage, state),
       std::string("\x07\0\0\0", 4), 1},
  };
  for (const Damage& damage : damages) {
    CAPTURE(damage.what);
    const CommandFixture fixture;
    make_used(fixture, "used");
    fixture.make_records("whole");
    REQUIRE(fixture.call({"verify"}).exit_status == 0);
    fixture.scribble("used", damage.offset_bytes, damage.bytes);
    const Ending ending = fixture.call({"verify"});
    CAPTURE(ending.out);
    CHECK(ending.exit_status == damage.exit_status);
    CHECK(contains(ending.out, damage.what));
    CHECK(contains(ending.out, "OK    whole"));
    CHECK(fixture.call({"verify", "whole"}).exit_status == 0);
    const auto json = nlohmann::json::parse(fixture.call({"verify", "used", "--json"}).out);
    CHECK(json.at("segments")[0].at("sound") == false);
    CHECK(contains(json.at("segments")[0].at("findings").dump(), damage.what));
  }
}

TEST_CASE("verify: every lane of a set is looked at") {
  const CommandFixture fixture;
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = 4096;
  shape.lane_count = 3;
  fixture.make_slots("set", shape);
  CHECK(fixture.call({"verify", "set"}).exit_status == 0);
  // The tail of the last lane.
  fixture.scribble("set", kWriterRegion + 2 * 8192 + offsetof(ProducerPage, tail), word(8192));
  const Ending ending = fixture.call({"verify", "set"});
  CHECK(ending.exit_status == 1);
  CHECK(contains(ending.out, "more is under way than the ring holds"));
}

TEST_CASE("verify: a board's entries, and a renamed file") {
  const CommandFixture fixture;
  REQUIRE(create_board(fixture.directory(), "a.board").ok());
  REQUIRE(fixture.call({"verify"}).exit_status == 0);
  fixture.scribble("a.board", kWriterRegion + offsetof(BoardPage, entry_count),
                   std::string("\xff\0\0\0", 4));
  CHECK(contains(fixture.call({"verify"}).out, "more entries than a board has"));
}

TEST_CASE("verify: changes nothing and does not mind a held link") {
  const CommandFixture fixture;
  make_used(fixture, "used");
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), "used", MemoryLock::kOff);
  REQUIRE(reader.ok());
  CHECK(fixture.call({"verify"}).exit_status == 0);
  Message message;
  REQUIRE(reader->try_peek(message) == Transfer::kDone);
  CHECK(message.bytes.size() == 100);
  CHECK(reader->incarnation() == 2);
}

TEST_CASE("verify: what there is not") {
  const CommandFixture fixture;
  const Ending missing = fixture.call({"verify", "nothing"});
  CHECK(missing.exit_status == 3);
  CHECK(missing.out == "");
  const Ending none = fixture.call({"verify"});
  CHECK(none.exit_status == 0);
  CHECK(contains(none.err, "no segments"));
}

}  // namespace
}  // namespace slipring::tools
