// A third process has a link's reader drop what is queued: nothing behind the position is lost,
// nothing before it is delivered, all buffers come back, and the sender knows what was dropped.

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <vector>

#include "pipelines/link/commander.h"
#include "pipelines/link/stream_link.h"
#include "pipelines/link/value_link.h"
#include "tests/pipelines/link/abort_fixture.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring {
namespace {

using test::Directory;
using test::must;
using test::number_in;
using test::put;

TEST_CASE("abort: what was published before the command is dropped, and nothing behind it") {
  for (const LinkShape& shape : {test::records(4096), test::slots(16, 16)}) {
    const bool is_records = shape.kind == SegmentKind::kRecordLink;
    CAPTURE(is_records);
    Directory folder;
    SegmentDirectory directory = folder.open();
    REQUIRE(create_link(directory, kName, shape).ok());
    LinkWriter writer = must(LinkWriter::attach(directory, kName));
    LinkReader reader = must(LinkReader::attach(directory, kName));
    const auto send = [&](std::uint64_t number) {
      REQUIRE((is_records ? put_record(writer, number) : put(writer, number)));
    };
    for (std::uint64_t round = 0; round < 300; ++round) {
      const std::uint64_t base = round * 100;
      const std::uint64_t queued = round % 9;
      const std::uint64_t read_before = round % 4 < queued ? round % 4 : queued;
      const std::uint64_t later = round % 5;
      for (std::uint64_t i = 0; i < queued; ++i) send(base + i);
      Message message;
      for (std::uint64_t i = 0; i < read_before; ++i) {
        REQUIRE(reader.try_peek(message) == Transfer::kDone);
        reader.release(message);
      }
      const DropReport before = writer.drops();
      const std::uint64_t position = writer.position();
      const AbortTicket ticket = command(directory);
      CHECK(ticket.lanes[0].boundary.position == position);
      for (std::uint64_t i = 0; i < later; ++i) send(base + queued + i);
      CHECK(drain(reader) == from_to(base + queued, base + queued + later));
      const DropReport after = writer.drops();
      CHECK(after.dropped.messages - before.dropped.messages == queued - read_before);
      CHECK((after.dropped.bytes != before.dropped.bytes) == (queued != read_before));
      CHECK(after.obeyed == ticket.lanes[0].count);
      CHECK(after.refused == 0);
      if (queued != read_before) CHECK(after.before == position);
    }
    // The sender's word is what observers see too, and the reader's count.
    LinkObserver observer = must(LinkObserver::attach(directory, kName));
    const LinkReport report = observer.report();
    CHECK(report.drops.dropped.messages == writer.drops().dropped.messages);
    CHECK(report.reader.abort_count == writer.drops().dropped.messages);
    CHECK(report.writer.message_count ==
          report.reader.message_count + report.drops.dropped.messages);
  }
}

TEST_CASE("abort: messages that are held stay held, and what was dropped ends with them") {
  for (const LinkShape& shape : {test::records(4096), test::slots(16, 16)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    REQUIRE(create_link(directory, kName, shape).ok());
    LinkWriter writer = must(LinkWriter::attach(directory, kName));
    LinkReader reader = must(LinkReader::attach(directory, kName));
    for (std::uint64_t i = 0; i < 8; ++i) REQUIRE(put(writer, i));
    std::array<Message, 2> held;
    for (Message& message : held) REQUIRE(reader.try_peek(message) == Transfer::kDone);
    const AbortTicket ticket = command(directory);
    REQUIRE(put(writer, 8));
    Message fresh;
    REQUIRE(reader.try_peek(fresh) == Transfer::kDone);
    CHECK(number_in(fresh) == 8);
    CHECK(writer.drops().obeyed == ticket.lanes[0].count);
    CHECK(writer.drops().dropped.messages == 0);  // not yet: a successor would be sent 0 and 1
    // A second command waits until the first one's messages are finished.
    REQUIRE(put(writer, 9));
    const AbortTicket second = command(directory);
    REQUIRE(put(writer, 10));
    CHECK(number_in(held[1]) == 1);
    reader.release(held[0]);
    CHECK(writer.drops().dropped.messages == 0);
    reader.release(held[1]);
    CHECK(writer.drops().dropped.messages == 6);
    CHECK(writer.drops().before == ticket.lanes[0].boundary.position);
    reader.release(fresh);
    CHECK(drain(reader) == std::vector<std::uint64_t>{10});
    CHECK(writer.drops().dropped.messages == 7);
    CHECK(writer.drops().obeyed == second.lanes[0].count);
    // Everything is free again.
    LinkObserver observer = must(LinkObserver::attach(directory, kName));
    CHECK(observer.report().fill == 0);
    CHECK(observer.report().reader.message_count == 4);
  }
}

TEST_CASE("abort: releasing what lies behind the gap finishes the gap too") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, test::records(4096)).ok());
  LinkWriter writer = must(LinkWriter::attach(directory, kName));
  LinkReader reader = must(LinkReader::attach(directory, kName));
  for (std::uint64_t i = 0; i < 5; ++i) REQUIRE(put(writer, i));
  Message held;
  REQUIRE(reader.try_peek(held) == Transfer::kDone);
  command(directory);
  REQUIRE(put(writer, 5));
  Message fresh;
  REQUIRE(reader.try_peek(fresh) == Transfer::kDone);
  reader.release(fresh);
  CHECK(writer.drops().dropped.messages == 4);
  LinkObserver observer = must(LinkObserver::attach(directory, kName));
  CHECK(observer.report().reader.message_count == 2);
  CHECK(observer.report().fill == 0);
}

TEST_CASE("abort: a pool's queued buffers go back, all of them, and those in use do not") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, pool_shape()).ok());
  LinkWriter writer = must(LinkWriter::attach(directory, kName));
  LinkReader reader = must(LinkReader::attach(directory, kName));
  for (int round = 0; round < 20; ++round) {
    std::uint64_t sent = 0;
    while (put_buffer(writer, sent)) ++sent;
    REQUIRE(sent == 8);
    CHECK(writer.pool()->lent_count() == 8);
    Message held;
    REQUIRE(reader.try_peek(held) == Transfer::kDone);
    command(directory);
    Message none;
    CHECK(reader.try_peek(none) == Transfer::kBlocked);
    CHECK(writer.pool()->lent_count() == 1);
    BufferHandle handle;
    std::memcpy(&handle, held.bytes.data(), sizeof handle);
    CHECK(reader.pool()->holds(handle));
    reader.give_back(handle);
    reader.release(held);
    CHECK(writer.pool()->lent_count() == 0);
    CHECK(writer.drops().dropped.messages == 7 * static_cast<std::uint64_t>(round + 1));
  }
}

TEST_CASE("abort: the writer's own abort drops at once on a link with a pool, too") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, pool_shape()).ok());
  LinkWriter writer = must(LinkWriter::attach(directory, kName));
  LinkReader reader = must(LinkReader::attach(directory, kName));
  for (std::uint64_t i = 0; i < 5; ++i) REQUIRE(put_buffer(writer, i));
  writer.abort_published();
  REQUIRE(put_buffer(writer, 5));
  reader.skip_aborted();
  CHECK(writer.pool()->lent_count() == 1);
  CHECK(writer.drops().dropped.messages == 5);
  Message message;
  REQUIRE(reader.try_peek(message) == Transfer::kDone);
  CHECK_FALSE(message.aborted);
}

TEST_CASE("abort: the writer's own abort counts the records that it dropped") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, test::records(4096)).ok());
  LinkWriter writer = must(LinkWriter::attach(directory, kName));
  LinkReader reader = must(LinkReader::attach(directory, kName));
  std::uint64_t number = 0;
  std::uint64_t dropped = 0;
  for (int round = 0; round < 50; ++round) {
    const int count = round % 7;
    for (int i = 0; i < count; ++i) REQUIRE(put_record(writer, number++));
    writer.abort_published();
    reader.skip_aborted();
    dropped += static_cast<std::uint64_t>(count);
    CHECK(writer.drops().dropped.messages == dropped);
    REQUIRE(put_record(writer, number++));
    CHECK(drain(reader) == std::vector<std::uint64_t>{number - 1});
  }
}

TEST_CASE("abort: a stream drops bytes, those looked at and not consumed included") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, stream_link_shape(4096)).ok());
  StreamWriter writer = must(StreamWriter::attach(directory, kName));
  StreamReader reader = must(StreamReader::attach(directory, kName));
  std::vector<std::byte> bytes(3000, std::byte{1});
  std::size_t count = 0;
  REQUIRE(writer.try_write(bytes, count) == Transfer::kDone);
  StreamView view;
  REQUIRE(reader.try_peek(view) == Transfer::kDone);
  reader.consume(100);
  command(directory);
  const std::array<std::byte, 2> fresh{std::byte{7}, std::byte{8}};
  REQUIRE(writer.try_write(fresh, count) == Transfer::kDone);
  std::array<std::byte, 64> got{};
  REQUIRE(reader.try_read(got, count) == Transfer::kDone);
  CHECK(count == 2);
  CHECK(got[0] == std::byte{7});
  CHECK(writer.drops().dropped.bytes == 2900);
  CHECK(writer.drops().before == 3000);
  CHECK(writer.drops().dropped.messages == 0);
}

TEST_CASE("abort: a value link drops when its reader looks") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, kName, value_link_shape<std::uint64_t>(100)).ok());
  auto writer = must(ValueWriter<std::uint64_t>::attach(directory, kName));
  auto reader = must(ValueReader<std::uint64_t>::attach(directory, kName));
  for (std::uint64_t i = 0; i < 60; ++i) REQUIRE(writer.try_push(i) == Transfer::kDone);
  std::uint64_t value = 0;
  REQUIRE(reader.try_pop(value) == Transfer::kDone);
  command(directory);
  REQUIRE(writer.try_push(1000) == Transfer::kDone);
  CHECK(reader.has_command());
  reader.obey_commands();
  CHECK_FALSE(reader.has_command());
  REQUIRE(reader.try_pop(value) == Transfer::kDone);
  CHECK(value == 1000);
  CHECK(writer.drops().dropped.messages == 59);
  CHECK(writer.drops().dropped.bytes == 59 * 8);
}

}  // namespace
}  // namespace slipring
