// Who commands a link's reader to drop what is queued, who may, and what becomes of a command that
// comes when an end is dead.

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "pipelines/link/commander.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/message_mark.h"
#include "tests/pipelines/link/abort_fixture.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring {
namespace {

using test::Directory;
using test::must;
using test::number_in;
using test::put;

TEST_CASE("abort: while the reader is dead, what is dropped is what its successor skips") {
  for (const LinkShape& shape : {test::records(4096), test::slots(16, 16)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    REQUIRE(create_link(directory, kName, shape).ok());
    LinkWriter writer = must(LinkWriter::attach(directory, kName));
    for (std::uint64_t i = 0; i < 8; ++i) REQUIRE(put(writer, i));
    const pid_t child = test::in_child([&] {
      LinkReader reader = must(LinkReader::attach(directory, kName));
      Message message;
      if (reader.try_peek(message) != Transfer::kDone) return 1;
      reader.release(message);
      if (reader.try_peek(message) != Transfer::kDone) return 1;  // held
      return raise(SIGKILL);
    });
    REQUIRE(WIFSIGNALED(test::reap(child)));
    const AbortTicket ticket = command(directory);
    REQUIRE(put(writer, 8));
    CHECK(writer.drops().obeyed == 0);
    LinkReader successor = must(LinkReader::attach(directory, kName));
    CHECK(drain(successor) == std::vector<std::uint64_t>{8});
    CHECK(writer.drops().obeyed == ticket.lanes[0].count);
    CHECK(writer.drops().dropped.messages == 7);  // what the dead one held included
  }
}

// Of a reader's two marks the one that holds at `done` is read alone: what stands in the other is
// written over before `done` gets there.  So a fault that zeroes the other can be seen by nobody.
TEST_CASE("abort: a successor counts by the mark that holds, whatever stands in the other") {
  int wrong_count = 0;
  for (const bool spoils_other : {true, false}) {
    for (const std::uint64_t value :
         {std::uint64_t{0}, UINT64_MAX, std::uint64_t{0x1234'5678'9abc'def0}}) {
      CAPTURE(value);
      Directory folder;
      SegmentDirectory directory = folder.open();
      REQUIRE(create_link(directory, kName, test::records(4096)).ok());
      LinkWriter writer = must(LinkWriter::attach(directory, kName));
      for (std::uint64_t i = 0; i < 20; ++i) REQUIRE(put_record(writer, i));
      std::uint64_t done = 0;
      {
        LinkReader reader = must(LinkReader::attach(directory, kName));
        for (int i = 0; i < 7; ++i) {
          Message message;
          REQUIRE(reader.try_peek(message) == Transfer::kDone);
          reader.release(message);
        }
        done = reader.done();
      }
      Result<SegmentFile> file = SegmentFile::open(directory, kName);
      const SegmentHeader header = must(read_header(*file));
      MappingOptions options;
      options.access = Access::kReadWrite;
      const Descriptor writable = must(file->open_writable(directory));
      const Mapping region = must(Mapping::map(writable.get(), header.regions[1].offset_bytes,
                                               header.regions[1].size_bytes, options));
      auto& marks = end_page_of(region.writable_bytes()).drops.marks;
      const std::size_t used = holds_at(marks[0].load(), done) ? 0 : 1;
      REQUIRE(holds_at(marks[used].load(), done));
      marks[spoils_other ? 1 - used : used].store(value);
      LinkReader successor = must(LinkReader::attach(directory, kName));
      command(directory);
      CHECK(drain(successor).empty());
      if (spoils_other) {
        CHECK(writer.drops().dropped.messages == 13);
      } else if (writer.drops().dropped.messages != 13) {
        ++wrong_count;
      }
    }
  }
  CHECK(wrong_count == 3);  // the one that holds does matter
}

TEST_CASE("abort: while the writer is dead, all that it had published is dropped and counted") {
  for (const LinkShape& shape : {test::records(4096), test::slots(16, 16)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    REQUIRE(create_link(directory, kName, shape).ok());
    LinkReader reader = must(LinkReader::attach(directory, kName));
    const pid_t child = test::in_child([&] {
      LinkWriter writer = must(LinkWriter::attach(directory, kName));
      for (std::uint64_t i = 0; i < 6; ++i) {
        if (!put(writer, i)) return 1;
      }
      return raise(SIGKILL);
    });
    REQUIRE(WIFSIGNALED(test::reap(child)));
    LinkCommander commander = must(LinkCommander::attach(directory, kName));
    const AbortTicket ticket = must(commander.abort());
    CHECK_FALSE(commander.is_obeyed(ticket));
    CHECK(drain(reader).empty());
    CHECK(commander.is_obeyed(ticket));
    CHECK(commander.dropped(ticket).messages == 6);
    LinkWriter successor = must(LinkWriter::attach(directory, kName));
    REQUIRE(put(successor, 6));
    CHECK(drain(reader) == std::vector<std::uint64_t>{6});
    CHECK(successor.drops().dropped.messages == 6);
  }
}

TEST_CASE("abort: credit comes back with what is dropped") {
  for (LinkShape shape : {test::records(4096), test::slots(16, 16)}) {
    shape.credit_count = 4;
    Directory folder;
    SegmentDirectory directory = folder.open();
    REQUIRE(create_link(directory, kName, shape).ok());
    LinkWriter writer = must(LinkWriter::attach(directory, kName));
    LinkReader reader = must(LinkReader::attach(directory, kName));
    for (std::uint64_t round = 0; round < 10; ++round) {
      for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(put(writer, i));
      CHECK_FALSE(put(writer, 4));
      command(directory);
      CHECK(drain(reader).empty());
    }
    // Two messages finished by one release give both back.
    for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(put(writer, i));
    std::array<Message, 2> held;
    for (Message& message : held) REQUIRE(reader.try_peek(message) == Transfer::kDone);
    reader.release(held[1]);
    CHECK(put(writer, 4));
    CHECK(put(writer, 5));
    CHECK_FALSE(put(writer, 6));
  }
}

TEST_CASE("abort: with an interval the reader looks at every so many calls, and when it is idle") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, test::slots(64, 16)).ok());
  LinkWriter writer = must(LinkWriter::attach(directory, kName));
  LinkReader reader = must(LinkReader::attach(directory, kName));
  reader.set_control_interval(8);
  for (std::uint64_t i = 0; i < 40; ++i) REQUIRE(put(writer, i));
  Message message;
  for (std::uint64_t i = 0; i < 3; ++i) {
    REQUIRE(reader.try_peek(message) == Transfer::kDone);
    reader.release(message);
  }
  command(directory);
  REQUIRE(put(writer, 40));
  // Calls 4 to 7 do not look; the eighth does.
  CHECK(drain(reader) == std::vector<std::uint64_t>{3, 4, 5, 6, 40});
  CHECK(writer.drops().dropped.messages == 33);
  command(directory);
  CHECK(reader.has_message());
  CHECK(reader.try_peek(message) == Transfer::kBlocked);
  CHECK_FALSE(reader.has_message());
}

TEST_CASE("abort: an impossible position is refused and counted, and the next command is obeyed") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, test::records(4096)).ok());
  LinkWriter writer = must(LinkWriter::attach(directory, kName));
  LinkReader reader = must(LinkReader::attach(directory, kName));
  for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(put(writer, i));
  Result<SegmentFile> file = SegmentFile::open(directory, kName);
  const SegmentHeader header = must(read_header(*file));
  MappingOptions options;
  options.access = Access::kReadWrite;
  const Descriptor writable = must(file->open_writable(directory));
  const Mapping page = must(Mapping::map(writable.get(), header.regions[2].offset_bytes,
                                         header.regions[2].size_bytes, options));
  auto& control = *reinterpret_cast<ControlPage*>(page.writable_bytes().data());
  std::uint64_t next = 0;
  for (const std::uint64_t lie :
       {std::uint64_t{1} << 63, UINT64_MAX, writer.position() + 8, std::uint64_t{3}}) {
    post_command(control, {lie, 77}, 1, 1);
    Message message;
    REQUIRE(reader.try_peek(message) == Transfer::kDone);
    CHECK(number_in(message) == next++);
    reader.release(message);
  }
  CHECK(writer.drops().refused == 3);  // the last was about what is read already
  CHECK(writer.drops().dropped.messages == 0);
  // A count that goes backwards is a command like any other.
  control.count.store(0, std::memory_order_relaxed);
  CHECK(reader.has_message());
  CHECK(drain(reader).empty());
  CHECK_FALSE(reader.has_message());
  REQUIRE(put(writer, 9));
  command(directory);
  REQUIRE(put(writer, 10));
  CHECK(drain(reader) == std::vector<std::uint64_t>{10});
}

TEST_CASE("abort: the role is taken from nobody: a second commander is told who has it") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, test::records(4096)).ok());
  Result<SegmentFile> file = SegmentFile::open(directory, kName);
  REQUIRE(file.ok());
  LinkCommander commander = must(LinkCommander::attach(directory, kName));
  {
    const Certificate held =
        must(Certificate::acquire(file->lock_file(), static_cast<std::uint32_t>(Role::kCommander)));
    const Result<AbortTicket> refused = commander.abort();
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::kBusy);
    CHECK(refused.error().found == static_cast<std::uint64_t>(getpid()));
  }
  CHECK(commander.abort().ok());
}

TEST_CASE(
    "abort: of a lane set every lane's messages are dropped, and each sender is told its own") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, lane_set_shape(4, 4096)).ok());
  LaneReader reader = must(LaneReader::attach(directory, kName));
  std::vector<LinkWriter> writers;
  for (std::uint64_t i = 0; i < 3; ++i) {
    writers.push_back(must(LinkWriter::attach(directory, kName)));
    for (std::uint64_t number = 0; number < 5 + i; ++number) {
      REQUIRE(put(writers.back(), number));
    }
  }
  LaneMessage message;
  REQUIRE(reader.try_peek(message) == Transfer::kDone);
  CHECK(message.lane == 0);
  reader.release(message);
  LinkCommander commander = must(LinkCommander::attach(directory, kName));
  const AbortTicket ticket = must(commander.abort());
  CHECK(ticket.lanes.size() == 4);
  for (LinkWriter& writer : writers) REQUIRE(put(writer, 100));
  std::uint64_t seen = 0;
  while (reader.try_peek(message) == Transfer::kDone) {
    CHECK(number_in(message.message) == 100);
    reader.release(message);
    ++seen;
  }
  CHECK(seen == 3);
  CHECK(commander.is_obeyed(ticket));
  CHECK(commander.dropped(ticket).messages == 4 + 6 + 7);
  CHECK(writers[0].drops().dropped.messages == 4);
  CHECK(writers[1].drops().dropped.messages == 6);
  CHECK(writers[2].drops().dropped.messages == 7);
}

// ---- guarded ----

TEST_CASE("abort: on a guarded lane set the broker commands every lane") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  const test::BrokerProcess broker(directory, lane_set_shape(2, 4096));
  LaneReader reader = must(LaneReader::attach(directory, kName));
  LinkWriter one = must(test::attach_when_free<LinkWriter>(directory));
  LinkWriter other = must(test::attach_when_free<LinkWriter>(directory));
  for (std::uint64_t i = 0; i < 5; ++i) REQUIRE((put(one, i) && put(other, i)));
  const AbortTicket ticket = command(directory);
  CHECK(ticket.lanes.size() == 2);
  REQUIRE(put(one, 7));
  LaneMessage message;
  REQUIRE(reader.try_peek(message) == Transfer::kDone);
  CHECK(number_in(message.message) == 7);
  reader.release(message);
  CHECK(reader.try_peek(message) == Transfer::kBlocked);
  CHECK(one.drops().dropped.messages == 5);
  CHECK(other.drops().dropped.messages == 5);
}

TEST_CASE("abort: on a guarded link the broker commands, between two successors of each end") {
  for (const LinkShape& shape : {test::records(4096), test::slots(16, 16)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    const test::BrokerProcess broker(directory, shape);
    std::uint64_t dropped = 0;
    for (std::uint64_t round = 0; round < 4; ++round) {
      LinkWriter writer = must(test::attach_when_free<LinkWriter>(directory));
      CHECK(writer.protection() == best_protection_level());
      for (std::uint64_t i = 0; i < 5; ++i) REQUIRE(put(writer, i));
      const AbortTicket early = command(directory);
      CHECK(early.lanes[0].boundary.position == writer.position());
      LinkReader reader = must(test::attach_when_free<LinkReader>(directory));
      writer.look_for_news();
      REQUIRE(put(writer, 5));
      CHECK(drain(reader) == std::vector<std::uint64_t>{5});
      dropped += 5;
      CHECK(writer.drops().dropped.messages == dropped);
      CHECK(writer.drops().obeyed == early.lanes[0].count);
      for (std::uint64_t i = 0; i < 3; ++i) REQUIRE(put(writer, i));
      command(directory);
      CHECK(drain(reader).empty());
      dropped += 3;
      CHECK(writer.drops().dropped.messages == dropped);
    }
  }
}

TEST_CASE("abort: on a guarded link only those may command whom the broker allows") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  GuardOptions options;
  GuardAccess nobody;
  nobody.only_process = true;
  options.commander = nobody;
  options.observer = std::nullopt;
  const test::BrokerProcess broker(directory, test::records(4096), options);
  LinkCommander commander = must(LinkCommander::attach(directory, kName));
  const Result<AbortTicket> answer = commander.abort();
  // The broker's root may look and command whatever the rules say.
  if (geteuid() == 0) {
    CHECK(answer.ok());
  } else {
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == ErrorCode::kPermission);
  }
}

}  // namespace
}  // namespace slipring
