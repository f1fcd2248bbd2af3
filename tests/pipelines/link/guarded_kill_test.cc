// The ends of a guarded link are killed, again and again: nothing that was published is lost, and
// what was unfinished comes again, marked.

#include <sched.h>
#include <signal.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/value_link.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring {
namespace {

using test::attach_when_free;
using test::BrokerProcess;
using test::Directory;
using test::must;
using test::number_in;
using test::peek;
using test::put;

// The next number, once there is room for it.
void send_or_yield(LinkWriter& writer, std::uint64_t& number) {
  if (put(writer, number)) {
    ++number;
  } else {
    sched_yield();
  }
}

TEST_CASE("guarded link: killed writers lose nothing that was published") {
  int kill_count = 0;
  std::uint64_t message_count = 0;
  for (const LinkShape& shape : {test::records(4096), test::slots(64, 64)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    BrokerProcess broker(directory, shape);
    LinkReader reader = must(LinkReader::attach(directory, "t.link"));
    std::uint64_t next = 0;
    for (int kills = 0; kills < 60; ++kills, ++kill_count) {
      OtherProcess child([&](Line) {
        Result<LinkWriter> writer = attach_when_free<LinkWriter>(directory);
        if (!writer) return 2;
        std::uint64_t number =
            shape.kind == SegmentKind::kSlotLink ? writer->position() : writer->position() / 16;
        for (;;) {
          send_or_yield(*writer, number);
        }
      });
      const std::uint64_t enough = next + 300 + static_cast<std::uint64_t>(kills) * 37;
      while (next < enough) {
        Message message;
        REQUIRE(peek(reader, message));
        REQUIRE(number_in(message) == next);
        CHECK_FALSE(message.redelivered);
        ++next;
        reader.release(message);
      }
      child.kill_now();
      CHECK(child.wait() == -SIGKILL);
    }
    LinkWriter last = must(attach_when_free<LinkWriter>(directory));
    const std::uint64_t published =
        shape.kind == SegmentKind::kSlotLink ? last.position() : last.position() / 16;
    while (next < published) {
      Message message;
      REQUIRE(peek(reader, message));
      REQUIRE(number_in(message) == next);
      ++next;
      reader.release(message);
    }
    CHECK(last.incarnation() == 61);
    message_count += next;
  }
  MESSAGE(kill_count << " kills, " << message_count << " messages, 0 lost, 0 repeated");
}

TEST_CASE("guarded link: a killed reader's successor gets all that was unfinished, marked") {
  int kill_count = 0;
  std::uint64_t redelivered_count = 0;
  for (const LinkShape& shape : {test::records(4096), test::slots(64, 64)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    BrokerProcess broker(directory, shape);
    LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
    std::uint64_t sent = 0;
    std::uint64_t finished = 0;
    for (int kills = 0; kills < 40; ++kills, ++kill_count) {
      const int held = kills % 5;
      while (put(writer, sent)) ++sent;
      // Finishes some, holds some, and is killed.
      OtherProcess child([&](Line line) {
        Result<LinkReader> reader = attach_when_free<LinkReader>(directory);
        if (!reader) return 2;
        std::vector<Message> messages;
        for (int i = 0; i < 20 + held; ++i) {
          Message message;
          if (!peek(*reader, message) || number_in(message) != finished + messages.size()) return 3;
          messages.push_back(message);
        }
        reader->release(messages[19]);
        line.say('.');
        line.hear();
        return 0;
      });
      REQUIRE(child.line().hear() == '.');
      finished += 20;
      child.kill_now();
      CHECK(child.wait() == -SIGKILL);
      LinkReader next = must(attach_when_free<LinkReader>(directory));
      // The living writer does not see the successor's page yet, and goes on all the same.
      std::vector<Message> messages;
      for (int i = 0; i < held + 1; ++i) {
        Message message;
        REQUIRE(peek(next, message));
        CHECK(number_in(message) == finished + static_cast<std::uint64_t>(i));
        CHECK(message.redelivered == (i < held));
        redelivered_count += message.redelivered ? 1 : 0;
        messages.push_back(message);
      }
      while (put(writer, sent)) ++sent;
      next.release(messages.back());
      finished += static_cast<std::uint64_t>(held) + 1;
    }
  }
  MESSAGE(kill_count << " kills, " << redelivered_count << " redelivered, 0 lost");
}

TEST_CASE("guarded link: both ends killed, again and again") {
  constexpr int kKills = 40;
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::slots(64, 64));
  std::uint64_t finished = 0;
  for (int kills = 0; kills < kKills; ++kills) {
    OtherProcess writer([&](Line) {
      Result<LinkWriter> end = attach_when_free<LinkWriter>(directory);
      if (!end) return 2;
      for (std::uint64_t number = end->position();;) {
        send_or_yield(*end, number);
      }
    });
    OtherProcess reader([&](Line line) {
      Result<LinkReader> end = attach_when_free<LinkReader>(directory);
      if (!end) return 2;
      std::uint64_t expected = finished;
      for (int i = 0; i < 500; ++i, ++expected) {
        Message message;
        if (!peek(*end, message)) return 3;
        if (number_in(message) != expected) return 4;
        end->release(message);
      }
      line.say('.');
      line.hear();
      return 0;
    });
    const char heard = reader.line().hear();
    if (heard != '.') FAIL("the reader ended with " << reader.wait());
    finished += 500;
    if (kills % 2 == 0) {
      writer.kill_now();
      reader.kill_now();
    } else {
      reader.kill_now();
      writer.kill_now();
    }
  }
  MESSAGE(kKills << " times both, " << finished << " messages, 0 lost, 0 repeated");
}

TEST_CASE("guarded link: buffers stay where they are looked at, whoever dies") {
  LinkShape shape = test::slots(16, 64);
  shape.pool_buffer_count = 8;
  shape.pool_buffer_bytes = 4096;
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, shape);
  LinkReader reader = must(LinkReader::attach(directory, "t.link"));
  constexpr int kKills = 40;
  std::uint64_t frame_count = 0;
  for (int kills = 0; kills < kKills; ++kills) {
    // Sends three frames, and dies with a fourth lent and never sent.
    OtherProcess child([&](Line line) {
      Result<LinkWriter> writer = attach_when_free<LinkWriter>(directory);
      if (!writer) return 1;
      for (int i = 0; i < 4; ++i) {
        std::uint32_t slot = 0;
        if (writer->pool()->try_acquire(slot) != Transfer::kDone) return 2;
        std::memset(writer->pool()->bytes(slot).data(), kills * 4 + i, 4096);
        const BufferHandle handle = writer->pool()->lend(slot);
        if (i == 3) break;
        std::span<std::byte> place;
        if (writer->try_reserve(sizeof handle, place) != Transfer::kDone) return 3;
        std::memcpy(place.data(), &handle, sizeof handle);
        writer->commit(sizeof handle);
      }
      line.say('y');
      line.hear();
      return 0;
    });
    const char heard = child.line().hear();
    if (heard != 'y') FAIL("the writer ended with " << child.wait());
    Message messages[3];
    std::span<const std::byte> views[3];
    BufferHandle handles[3];
    for (int i = 0; i < 3; ++i) {
      REQUIRE(peek(reader, messages[i]));
      std::memcpy(&handles[i], messages[i].bytes.data(), sizeof handles[i]);
      REQUIRE(reader.pool()->holds(handles[i]));
      views[i] = reader.pool()->bytes(handles[i]);
    }
    child.kill_now();
    child.wait();
    // The successor's memory takes the place of the dead one's under the views.
    {
      LinkWriter next = must(attach_when_free<LinkWriter>(directory));
      CHECK(next.pool()->lent_count() == 3);
      reader.look_for_news();
      CHECK(reader.sender().process_id == getpid());
      std::uint32_t slot = 0;
      for (int i = 0; i < 5; ++i) REQUIRE(next.pool()->try_acquire(slot) == Transfer::kDone);
      CHECK(next.pool()->try_acquire(slot) == Transfer::kBlocked);
    }
    for (int i = 0; i < 3; ++i) {
      for (const std::byte byte : views[i]) {
        REQUIRE(byte == static_cast<std::byte>(kills * 4 + i));
      }
      BufferHandle again;
      std::memcpy(&again, messages[i].bytes.data(), sizeof again);
      CHECK(again.slot == handles[i].slot);
      reader.give_back(handles[i]);
      ++frame_count;
    }
    reader.release(messages[2]);
  }
  MESSAGE(kKills << " kills, " << frame_count << " frames whole, none lost");
}

TEST_CASE("guarded link: values, held ones included, outlive their writer") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, value_link_shape<std::uint64_t>(64));
  auto reader = must(ValueReader<std::uint64_t>::attach(directory, "t.link"));
  std::uint64_t next = 0;
  constexpr int kKills = 60;
  for (int kills = 0; kills < kKills; ++kills) {
    OtherProcess child([&](Line) {
      auto writer = attach_when_free<ValueWriter<std::uint64_t>>(directory);
      if (!writer) return 1;
      for (std::uint64_t number = writer->position();;) {
        if (writer->try_push(number) == Transfer::kDone) {
          ++number;
        } else {
          sched_yield();
        }
      }
    });
    const std::uint64_t enough = next + 300;
    std::span<const std::uint64_t> held;
    while (next < enough) {
      const Transfer answer = reader.try_peek(held);
      REQUIRE(answer != Transfer::kCorruptPeer);
      if (answer != Transfer::kDone) continue;
      for (const std::uint64_t number : held) REQUIRE(number == next++);
      if (next < enough) reader.release(held.size());
    }
    child.kill_now();
    child.wait();
    auto heir = must(attach_when_free<ValueWriter<std::uint64_t>>(directory));
    std::uint64_t expected = next - held.size();
    for (const std::uint64_t number : held) REQUIRE(number == expected++);
    reader.look_for_news();
    CHECK(reader.sender().process_id == getpid());
    expected = next - held.size();
    for (const std::uint64_t number : held) REQUIRE(number == expected++);
    reader.release(held.size());
  }
  MESSAGE(kKills << " kills, " << next << " values, 0 lost, 0 repeated");
}

}  // namespace
}  // namespace slipring
