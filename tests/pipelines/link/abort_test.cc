// A third process has a link's reader drop what is queued: nothing behind the position is lost,
// nothing before it is delivered, all buffers come back, and the sender knows what was dropped.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/link/commander.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/stream_link.h"
#include "pipelines/link/value_link.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring {
namespace {

using test::Directory;
using test::must;
using test::number_in;
using test::put;

constexpr const char* kName = "t.link";

// A record of any length, beginning with its number.
[[nodiscard]] bool put_record(LinkWriter& writer, std::uint64_t number) {
  const std::uint64_t size_bytes = 8 + number * 29 % 150;
  std::span<std::byte> place;
  if (writer.try_reserve(size_bytes, place) != Transfer::kDone) return false;
  std::memcpy(place.data(), &number, sizeof number);
  writer.commit(size_bytes);
  return true;
}

[[nodiscard]] LinkShape pool_shape() {
  LinkShape shape = test::slots(16, 16);
  shape.pool_buffer_count = 8;
  shape.pool_buffer_bytes = 4096;
  return shape;
}

// Sends a number with a buffer of the pool; false when there is none.
[[nodiscard]] bool put_buffer(LinkWriter& writer, std::uint64_t number) {
  std::uint32_t slot = 0;
  std::span<std::byte> place;
  if (!writer.has_space(16) || writer.pool()->try_acquire(slot) != Transfer::kDone) return false;
  REQUIRE(writer.try_reserve(16, place) == Transfer::kDone);
  const BufferHandle handle = writer.pool()->lend(slot);
  writer.pool()->drop(slot);
  std::memcpy(place.data(), &handle, sizeof handle);
  std::memcpy(place.data() + 8, &number, sizeof number);
  writer.commit(16);
  return true;
}

AbortTicket command(const SegmentDirectory& directory) {
  LinkCommander commander = must(LinkCommander::attach(directory, kName));
  return must(commander.abort());
}

// What is there, each finished at once.
std::vector<std::uint64_t> drain(LinkReader& reader) {
  std::vector<std::uint64_t> numbers;
  Message message;
  while (reader.try_peek(message) == Transfer::kDone) {
    numbers.push_back(number_in(message));
    reader.release(message);
  }
  return numbers;
}

std::vector<std::uint64_t> from_to(std::uint64_t first, std::uint64_t last) {
  std::vector<std::uint64_t> numbers;
  for (; first != last; ++first) numbers.push_back(first);
  return numbers;
}

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
