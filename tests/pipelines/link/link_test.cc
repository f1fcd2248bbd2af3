#include <sched.h>
#include <signal.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/link_observer.h"
#include "platform/wait/waiter.h"
#include "tests/pipelines/link/link_fixture.h"

namespace slipring {
namespace {

using test::Directory;
using test::in_child;
using test::must;
using test::number_in;
using test::put;
using test::reap;

TEST_CASE("link: messages cross in order, and the reader finishes when the writer has closed") {
  for (const LinkShape& shape : {test::records(4096), test::slots(8, 16)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    REQUIRE(create_link(directory, "t.link", shape).ok());
    LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
    LinkReader reader = must(LinkReader::attach(directory, "t.link"));
    std::uint64_t sent = 0;
    std::uint64_t seen = 0;
    for (int round = 0; round < 1000; ++round) {
      while (put(writer, sent)) ++sent;
      Message message;
      while (reader.try_peek(message) == Transfer::kDone) {
        CHECK(number_in(message) == seen);
        CHECK_FALSE(message.redelivered);
        CHECK_FALSE(message.aborted);
        ++seen;
        reader.release(message);
      }
      CHECK(seen == sent);
    }
    CHECK(sent > 7000);
    CHECK_FALSE(reader.is_finished());
    REQUIRE(put(writer, sent));
    writer.close();
    CHECK_FALSE(reader.is_finished());
    Message last;
    REQUIRE(reader.try_peek(last) == Transfer::kDone);
    reader.release(last);
    CHECK(reader.is_finished());
  }
}

TEST_CASE("link: a role has one living holder, who is named") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.link", test::records(4096)).ok());
  LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
  Result<LinkWriter> second = LinkWriter::attach(directory, "t.link");
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == ErrorCode::kBusy);

  const std::string path = folder.path();
  const pid_t parent = getpid();
  const int status = reap(in_child([&] {
    Result<SegmentDirectory> own = SegmentDirectory::open_at(path);
    if (!own) return 1;
    Result<LinkWriter> third = LinkWriter::attach(*own, "t.link");
    if (third || third.error().code != ErrorCode::kBusy) return 2;
    return third.error().found == static_cast<std::uint64_t>(parent) ? 0 : 3;
  }));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(create_link(directory, "t.link", test::records(4096)).error().code == ErrorCode::kExists);
}

// Children send numbers until they are killed; the numbers that a successor goes on with are read
// from the link itself, so that any loss or repetition shows.
TEST_CASE("link: killed writers lose nothing that was published") {
  for (const LinkShape& shape : {test::records(4096), test::slots(64, 64)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    REQUIRE(create_link(directory, "t.link", shape).ok());
    LinkReader reader = must(LinkReader::attach(directory, "t.link"));
    LinkObserver observer = must(LinkObserver::attach(directory, "t.link"));
    std::uint64_t next = 0;
    int kills = 0;
    for (; kills < 60; ++kills) {
      const std::string path = folder.path();
      const pid_t child = in_child([&] {
        Result<SegmentDirectory> own = SegmentDirectory::open_at(path);
        if (!own) return 1;
        Result<LinkWriter> writer = LinkWriter::attach(*own, "t.link");
        if (!writer) return 2;
        // A slot link's position counts messages; a record link's counts 16 bytes a message, and
        // 4096 is a multiple of that, so that there is never padding.
        std::uint64_t number =
            shape.kind == SegmentKind::kSlotLink ? writer->position() : writer->position() / 16;
        for (;;) {
          if (put(*writer, number)) {
            ++number;
          } else {
            sched_yield();
          }
        }
      });
      const std::uint64_t enough = next + 300 + static_cast<std::uint64_t>(kills) * 37;
      while (next < enough) {
        Message message;
        if (reader.try_peek(message) != Transfer::kDone) {
          sched_yield();
          continue;
        }
        REQUIRE(number_in(message) == next);
        ++next;
        reader.release(message);
      }
      REQUIRE(kill(child, SIGKILL) == 0);
      CHECK(WTERMSIG(reap(child)) == SIGKILL);
    }
    Message message;
    while (reader.try_peek(message) == Transfer::kDone) {
      REQUIRE(number_in(message) == next);
      ++next;
      reader.release(message);
    }
    MESSAGE("kills: " << kills << ", messages: " << next);
    CHECK(observer.report().writer.incarnation == 60);
    CHECK(observer.report().writer.holder == Holder::kNobody);
  }
}

TEST_CASE("link: what a killed reader had not finished is delivered again, and marked") {
  for (const LinkShape& shape : {test::records(4096), test::slots(16, 16)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    REQUIRE(create_link(directory, "t.link", shape).ok());
    LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
    for (std::uint64_t i = 0; i < 8; ++i) REQUIRE(put(writer, i));
    const std::string path = folder.path();
    const pid_t child = in_child([&] {
      Result<SegmentDirectory> own = SegmentDirectory::open_at(path);
      Result<LinkReader> reader = LinkReader::attach(*own, "t.link");
      if (!reader) return 1;
      Message messages[5];
      for (Message& message : messages) {
        if (reader->try_peek(message) != Transfer::kDone) return 2;
      }
      reader->release(messages[1]);  // and 0 with it
      return raise(SIGKILL);
    });
    CHECK(WTERMSIG(reap(child)) == SIGKILL);
    LinkReader successor = must(LinkReader::attach(directory, "t.link"));
    CHECK(successor.incarnation() == 2);
    for (std::uint64_t i = 2; i < 8; ++i) {
      Message message;
      REQUIRE(successor.try_peek(message) == Transfer::kDone);
      CHECK(number_in(message) == i);
      CHECK(message.redelivered == (i < 5));
      successor.release(message);
    }
  }
}

TEST_CASE("link: an abort marks what was published before it and nothing after") {
  for (const LinkShape& shape : {test::records(4096), test::slots(16, 16)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    REQUIRE(create_link(directory, "t.link", shape).ok());
    LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
    LinkReader reader = must(LinkReader::attach(directory, "t.link"));
    for (std::uint64_t i = 0; i < 6; ++i) REQUIRE(put(writer, i));
    Message held;
    REQUIRE(reader.try_peek(held) == Transfer::kDone);
    CHECK_FALSE(reader.has_abort());
    writer.abort_published();
    REQUIRE(put(writer, 100));
    CHECK(reader.has_abort());
    Message message;
    REQUIRE(reader.try_peek(message) == Transfer::kDone);
    CHECK(message.aborted);
    reader.release(message);
    reader.skip_aborted();
    CHECK_FALSE(reader.has_abort());
    REQUIRE(reader.try_peek(message) == Transfer::kDone);
    CHECK_FALSE(message.aborted);
    CHECK(number_in(message) == 100);
  }
}

TEST_CASE("link: pool buffers of a killed owner come back, those under way stay lent") {
  LinkShape shape = test::slots(16, 64);
  shape.pool_buffer_count = 4;
  shape.pool_buffer_bytes = 4096;
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.link", shape).ok());
  const std::string path = folder.path();
  const pid_t child = in_child([&] {
    Result<SegmentDirectory> own = SegmentDirectory::open_at(path);
    Result<LinkWriter> writer = LinkWriter::attach(*own, "t.link");
    if (!writer) return 1;
    for (std::uint32_t i = 0; i < 3; ++i) {
      std::uint32_t slot = 0;
      if (writer->pool()->try_acquire(slot) != Transfer::kDone) return 2;
      std::memset(writer->pool()->bytes(slot).data(), static_cast<int>(i + 1), 4096);
      const BufferHandle handle = writer->pool()->lend(slot);
      if (i == 2) break;  // lent, and never sent
      std::span<std::byte> place;
      if (writer->try_reserve(64, place) != Transfer::kDone) return 3;
      std::memcpy(place.data(), &handle, sizeof handle);
      writer->commit(64);
    }
    return raise(SIGKILL);
  });
  CHECK(WTERMSIG(reap(child)) == SIGKILL);
  LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
  LinkReader reader = must(LinkReader::attach(directory, "t.link"));
  CHECK(writer.pool()->lent_count() == 2);
  std::uint32_t slot = 0;
  CHECK(writer.pool()->try_acquire(slot) == Transfer::kDone);
  CHECK(writer.pool()->try_acquire(slot) == Transfer::kDone);
  CHECK(writer.pool()->try_acquire(slot) == Transfer::kBlocked);
  for (std::uint32_t i = 0; i < 2; ++i) {
    Message message;
    REQUIRE(reader.try_peek(message) == Transfer::kDone);
    BufferHandle handle;
    std::memcpy(&handle, message.bytes.data(), sizeof handle);
    REQUIRE(reader.pool()->holds(handle));
    CHECK(reader.pool()->bytes(handle)[4095] == static_cast<std::byte>(i + 1));
    reader.give_back(handle);
    CHECK_FALSE(reader.pool()->holds(handle));
    reader.release(message);
  }
  CHECK(writer.pool()->lent_count() == 0);
  CHECK(writer.pool()->try_acquire(slot) == Transfer::kDone);
}

TEST_CASE("link: two sleepers wake each other, and no wake-up is lost") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.there", test::slots(2, 8)).ok());
  REQUIRE(create_link(directory, "t.back", test::records(4096)).ok());
  static constexpr std::uint64_t kRounds = 20'000;
  WaiterOptions options;
  options.strategy = WaitStrategy::kSleep;
  options.sleep_bound_ns = 20'000'000'000;  // so long that a lost wake-up shows as an expiry
  const auto exchange = [&](LinkReader& from, LinkWriter& to, bool first) {
    Waiter waiter(options);
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      if (first && !put(to, round)) return 1;
      const WaitPoint point = from.message_point();
      if (waiter.wait(
              {&point, 1}, [&] { return from.has_message(); }, kNoDeadline) !=
          WaitOutcome::kReady) {
        return 2;
      }
      Message message;
      if (from.try_peek(message) != Transfer::kDone || number_in(message) != round) return 3;
      from.release(message);
      if (!first && !put(to, round)) return 4;
    }
    return waiter.counts().late_finds == 0 ? 0 : 5;
  };
  const std::string path = folder.path();
  const pid_t child = in_child([&] {
    Result<SegmentDirectory> own = SegmentDirectory::open_at(path);
    Result<LinkReader> from = LinkReader::attach(*own, "t.there");
    Result<LinkWriter> to = LinkWriter::attach(*own, "t.back");
    if (!from || !to) return 9;
    return exchange(*from, *to, false);
  });
  LinkWriter to = must(LinkWriter::attach(directory, "t.there"));
  LinkReader from = must(LinkReader::attach(directory, "t.back"));
  CHECK(exchange(from, to, true) == 0);
  CHECK(WEXITSTATUS(reap(child)) == 0);
}

TEST_CASE("link: a full link with credit answers, and the credit comes back") {
  LinkShape shape = test::records(4096);
  shape.credit_count = 3;
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.link", shape).ok());
  LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
  LinkReader reader = must(LinkReader::attach(directory, "t.link"));
  for (std::uint64_t i = 0; i < 3; ++i) REQUIRE(put(writer, i));
  CHECK_FALSE(put(writer, 3));
  CHECK_FALSE(writer.has_space(8));
  Message message;
  REQUIRE(reader.try_peek(message) == Transfer::kDone);
  reader.release(message);
  CHECK(writer.has_space(8));
  CHECK(put(writer, 3));
  CHECK_FALSE(put(writer, 4));
}

TEST_CASE("link: a header that was changed anywhere is refused") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.link", test::records(4096)).ok());
  const std::string file = folder.path() + "/t.link";
  int refused = 0;
  for (long at = 0; at < static_cast<long>(sizeof(SegmentHeader)); ++at) {
    FILE* stream = fopen(file.c_str(), "r+b");
    REQUIRE(stream != nullptr);
    REQUIRE(fseek(stream, at, SEEK_SET) == 0);
    const int byte = fgetc(stream);
    REQUIRE(fseek(stream, at, SEEK_SET) == 0);
    fputc(byte ^ 0x41, stream);
    fclose(stream);
    if (!LinkReader::attach(directory, "t.link").ok()) ++refused;
    stream = fopen(file.c_str(), "r+b");
    REQUIRE(fseek(stream, at, SEEK_SET) == 0);
    fputc(byte, stream);
    fclose(stream);
  }
  CHECK(refused == static_cast<int>(sizeof(SegmentHeader)));
  CHECK(LinkReader::attach(directory, "t.link").ok());
}

TEST_CASE("link: an observer counts what the ends do, and sees who lives") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.link", test::slots(4, 8)).ok());
  LinkObserver observer = must(LinkObserver::attach(directory, "t.link"));
  CHECK(observer.report().writer.state == EndState::kNever);
  CHECK(observer.report().writer.holder == Holder::kNobody);
  {
    LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
    for (std::uint64_t i = 0; i < 3; ++i) REQUIRE(put(writer, i));
    const LinkReport report = observer.report();
    CHECK(report.fill == 3);
    CHECK(report.capacity == 4);
    CHECK(report.writer.message_count == 3);
    CHECK(report.writer.payload_bytes == 24);
    CHECK(report.writer.holder == Holder::kUs);
  }
  CHECK(observer.report().writer.holder == Holder::kNobody);
  CHECK(observer.report().writer.state == EndState::kOpen);
}

}  // namespace
}  // namespace slipring
