#include <doctest/doctest.h>
#include <unistd.h>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/stage/oob.h"
#include "platform/wait/clock.h"
#include "platform/wait/waiter.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

// The next command of the lane, as a stage takes it.
std::optional<Command> take(LinkReader& lane) {
  Waiter waiter;
  const WaitPoint point = lane.message_point();
  const WaitOutcome outcome = waiter.wait(
      std::span<const WaitPoint>(&point, 1), [&] { return lane.has_message(); },
      deadline_after(30'000'000'000));
  if (outcome != WaitOutcome::kReady) return std::nullopt;
  Message message;
  if (lane.try_peek(message) != Transfer::kDone) return std::nullopt;
  std::optional<Command> command = decode_command(message.bytes);
  lane.release(message);
  return command;
}

TEST_CASE("oob: a stage gets the words, joined by one space, and the time they were given") {
  const CommandFixture fixture;
  fixture.make_records("p.lane");
  Result<LinkReader> lane = LinkReader::attach(fixture.directory(), "p.lane", MemoryLock::kOff);
  REQUIRE(lane.ok());
  const std::uint64_t before_ns = monotonic_ns();
  const Ending ending = fixture.call({"oob", "p.lane", "program", "2"});
  CHECK(ending.exit_status == 0);
  CHECK(ending.out == "");
  CHECK(ending.err == "");
  const std::optional<Command> command = take(*lane);
  REQUIRE(command.has_value());
  CHECK(command->text == "program 2");
  CHECK(command->issued_ns >= before_ns);
  CHECK(command->issued_ns <= monotonic_ns());
}

TEST_CASE("oob: several calls of the program follow each other in the lane") {
  const CommandFixture fixture;
  fixture.make_records("p.lane");
  Result<LinkReader> lane = LinkReader::attach(fixture.directory(), "p.lane", MemoryLock::kOff);
  REQUIRE(lane.ok());
  for (const char* word : {"one", "two", "three"}) {
    CHECK(fixture.call({"oob", "p.lane", word}).exit_status == 0);
  }
  for (const char* word : {"one", "two", "three"}) {
    const std::optional<Command> command = take(*lane);
    REQUIRE(command.has_value());
    CHECK(command->text == word);
  }
}

TEST_CASE("oob: --wait ends when the stage has taken the command, and says how long it took") {
  const CommandFixture fixture;
  fixture.make_records("p.lane");
  Result<LinkReader> lane = LinkReader::attach(fixture.directory(), "p.lane", MemoryLock::kOff);
  REQUIRE(lane.ok());
  Running running = fixture.start({"oob", "p.lane", "--wait=30", "--json", "--", "seek", "-10"});
  const std::optional<Command> command = take(*lane);
  REQUIRE(command.has_value());
  CHECK(command->text == "seek -10");
  const Ending ending = fixture.finish(std::move(running));
  CHECK(ending.exit_status == 0);
  const auto json = nlohmann::json::parse(ending.out);
  CHECK(json.at("schema") == 1);
  CHECK(json.at("command") == "seek -10");
  CHECK(json.at("taken") == true);
  CHECK(json.at("taken_after_ns") > 0);
}

TEST_CASE("oob: --wait ends with status 4 when nobody takes the command, which stays") {
  const CommandFixture fixture;
  fixture.make_records("p.lane");
  const Ending ending = fixture.call({"oob", "p.lane", "program", "2", "--wait=0.01"});
  CHECK(ending.exit_status == 4);
  CHECK(ending.out == "");
  CHECK(contains(ending.err, "no stage is attached"));
  CHECK(contains(ending.err, "still in the lane"));
  Result<LinkReader> lane = LinkReader::attach(fixture.directory(), "p.lane", MemoryLock::kOff);
  REQUIRE(lane.ok());
  const std::optional<Command> command = take(*lane);
  REQUIRE(command.has_value());
  CHECK(command->text == "program 2");
}

TEST_CASE("oob: a lane that another process holds is waited for, and then given up") {
  const CommandFixture fixture;
  fixture.make_records("p.lane");
  std::optional<LinkWriter> holder;
  {
    Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "p.lane", MemoryLock::kOff);
    REQUIRE(writer.ok());
    holder.emplace(std::move(writer).value());
  }
  const std::uint64_t before_ns = monotonic_ns();
  const Ending refused = fixture.call({"oob", "p.lane", "word", "--timeout", "0.02"});
  CHECK(monotonic_ns() - before_ns >= 20'000'000);
  CHECK(refused.exit_status == 4);
  CHECK(contains(refused.err, std::to_string(getpid())));

  Running running = fixture.start({"oob", "p.lane", "word", "--timeout", "30"});
  holder.reset();
  CHECK(fixture.finish(std::move(running)).exit_status == 0);
}

TEST_CASE("oob: a full lane is status 4") {
  const CommandFixture fixture;
  fixture.make_records("p.lane", 64);
  int full_status = 0;
  for (int i = 0; i < 8 && full_status == 0; ++i) {
    full_status = fixture.call({"oob", "p.lane", "0123456789", "--timeout", "0.02"}).exit_status;
  }
  CHECK(full_status == 4);
}

TEST_CASE("oob: a data link is never written to") {
  const CommandFixture fixture;
  fixture.make_records("p.data", 1024 * 1024);
  LinkShape shape;
  shape.kind = SegmentKind::kSlotLink;
  shape.slot_count = 4;
  shape.slot_bytes = 64;
  fixture.make_slots("p.slots", shape);
  for (const char* name : {"p.data", "p.slots"}) {
    CAPTURE(name);
    const Ending ending = fixture.call({"oob", name, "word"});
    CHECK(ending.exit_status == 2);
    CHECK(contains(ending.err, "no command lane"));
    Result<LinkReader> reader = LinkReader::attach(fixture.directory(), name, MemoryLock::kOff);
    REQUIRE(reader.ok());
    CHECK_FALSE(reader->has_message());
  }
}

}  // namespace
}  // namespace slipring::tools
