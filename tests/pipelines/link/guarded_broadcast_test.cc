// A guarded broadcast link: the writer's sealed memory, and readers whose cursors nobody sees.

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "core/ring/broadcast_page.h"
#include "pipelines/link/broadcast_observer.h"
#include "pipelines/link/broadcast_receiver.h"
#include "pipelines/link/broadcast_sender.h"
#include "pipelines/link/link_reader.h"
#include "platform/wait/waiter.h"
#include "tests/pipelines/link/guarded_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::BrokerProcess;
using test::must;

constexpr const char* kName = "t.topic";

LinkShape topic_shape(std::uint64_t slot_count, std::uint32_t message_bytes = 64) {
  LinkShape shape;
  shape.kind = SegmentKind::kBroadcastLink;
  shape.slot_count = slot_count;
  shape.slot_bytes = message_bytes;
  return shape;
}

struct Topic {
  explicit Topic(std::uint64_t slot_count = 8)
      : directory(folder.open()), broker(directory, topic_shape(slot_count), {}, kName) {}

  test::Directory folder;
  SegmentDirectory directory;
  BrokerProcess broker;
};

bool send_number(BroadcastSender& sender, std::uint64_t number) {
  return sender.try_send(std::as_bytes(std::span(&number, 1))) == Transfer::kDone;
}

std::uint64_t number_in(const BroadcastMessage& message) {
  std::uint64_t number = UINT64_MAX;
  REQUIRE(message.bytes.size() == sizeof number);
  std::memcpy(&number, message.bytes.data(), sizeof number);
  return number;
}

Transfer receive(BroadcastReceiver& reader, BroadcastMessage& message) {
  const std::uint64_t deadline_ns = deadline_after(test::kPatienceNs);
  for (;;) {
    const Transfer answer = reader.try_receive(message);
    if (answer != Transfer::kBlocked || monotonic_ns() >= deadline_ns) return answer;
    sched_yield();
  }
}

BroadcastReadOptions from_oldest() {
  BroadcastReadOptions options;
  options.from = BroadcastJoin::kOldest;
  return options;
}

Result<BroadcastSender> take_over(const Topic& topic) {
  return test::attach_when_free<BroadcastSender>(topic.directory, kName);
}

TEST_CASE("guarded broadcast: each reader gets all, late ones begin where they like") {
  const Topic topic;
  BroadcastReceiver early = must(BroadcastReceiver::attach(topic.directory, kName));
  BroadcastSender sender = must(BroadcastSender::attach(topic.directory, kName));
  BroadcastMessage message;
  for (std::uint64_t number = 0; number < 5; ++number) REQUIRE(send_number(sender, number));
  BroadcastReceiver newest = must(BroadcastReceiver::attach(topic.directory, kName));
  BroadcastReceiver oldest = must(BroadcastReceiver::attach(topic.directory, kName, from_oldest()));
  REQUIRE(send_number(sender, 5));
  for (std::uint64_t number = 0; number < 6; ++number) {
    for (BroadcastReceiver* reader : {&early, &oldest}) {
      REQUIRE(receive(*reader, message) == Transfer::kDone);
      CHECK(number_in(message) == number);
      CHECK(message.lost == 0);
      CHECK(reader->sender().is_known);
      CHECK(reader->sender().process_id == getpid());
    }
  }
  REQUIRE(receive(newest, message) == Transfer::kDone);
  CHECK(number_in(message) == 5);
  CHECK(newest.try_receive(message) == Transfer::kBlocked);
  CHECK_FALSE(newest.is_writer_closed());
  sender.close();
  CHECK(newest.is_finished());
  CHECK(LinkReader::attach(topic.directory, kName).error().code == ErrorCode::kInvalidArgument);
  CHECK(BroadcastSender::attach(topic.directory, kName).error().code == ErrorCode::kBusy);
}

TEST_CASE("guarded broadcast: what is lost is counted exactly") {
  const Topic topic(8);
  BroadcastSender sender = must(BroadcastSender::attach(topic.directory, kName));
  BroadcastReceiver reader = must(BroadcastReceiver::attach(topic.directory, kName));
  BroadcastMessage message;
  std::uint64_t next = 0;
  std::uint64_t got = 0;
  std::uint64_t lost = 0;
  for (std::uint64_t burst = 1; burst < 40; ++burst) {
    for (std::uint64_t i = 0; i < burst; ++i) REQUIRE(send_number(sender, next++));
    while (reader.try_receive(message) == Transfer::kDone) {
      lost += message.lost;
      CHECK(number_in(message) == got + lost);
      ++got;
    }
    CHECK(got + lost == next);
    CHECK(reader.lost_count() == lost);
  }
  CHECK(lost > 0);
}

TEST_CASE(
    "guarded broadcast: readers in other processes, as many as come, none told of by others") {
  const Topic topic(1 << 10);
  constexpr std::uint64_t kCount = 20'000;
  constexpr int kReaders = 5;
  std::vector<std::unique_ptr<OtherProcess>> readers;
  for (int i = 0; i < kReaders; ++i) {
    readers.push_back(std::make_unique<OtherProcess>([&](Line line) {
      Result<BroadcastReceiver> reader = BroadcastReceiver::attach(topic.directory, kName);
      line.say(reader ? 'y' : 'n');
      if (!reader) return 1;
      std::uint64_t next = 0;
      BroadcastMessage message;
      while (next != kCount) {
        if (receive(*reader, message) != Transfer::kDone) return 2;
        next += message.lost;
        std::uint64_t number = 0;
        std::memcpy(&number, message.bytes.data(), sizeof number);
        if (number != next++) return 3;
      }
      return reader->lost_count() < kCount ? 0 : 4;
    }));
    REQUIRE(readers.back()->line().hear() == 'y');
  }
  BroadcastSender sender = must(BroadcastSender::attach(topic.directory, kName));
  for (std::uint64_t number = 0; number < kCount; ++number) REQUIRE(send_number(sender, number));
  for (auto& reader : readers) CHECK(reader->wait() == 0);
  CHECK(sender.count_members() == 0);
  const LinkReport report = must(look_at_broadcast(topic.directory, kName));
  CHECK(report.is_guarded);
  CHECK(report.tail == kCount);
  CHECK(report.writer.message_count == kCount);
  CHECK(report.writer.process_id == getpid());
  CHECK(report.places.empty());
}

TEST_CASE("guarded broadcast: a successor goes on behind what its killed predecessor published") {
  const Topic topic(8);
  BroadcastReceiver reader = must(BroadcastReceiver::attach(topic.directory, kName));
  BroadcastMessage message;
  std::uint64_t next = 0;
  for (int round = 0; round < 10; ++round) {
    OtherProcess first([&](Line line) {
      Result<BroadcastSender> sender = take_over(topic);
      if (!sender) return 1;
      for (std::uint64_t i = 0; i < 5; ++i) {
        if (!send_number(*sender, next + i)) return 2;
      }
      line.say('y');
      line.hear();
      return 0;
    });
    REQUIRE(first.line().hear() == 'y');
    // Two are read of it, three of its memory's copy.
    for (int i = 0; i < 2; ++i) {
      REQUIRE(receive(reader, message) == Transfer::kDone);
      CHECK(number_in(message) == next++);
      CHECK(reader.sender().process_id == first.pid());
    }
    first.kill_now();
    CHECK(first.wait() == -SIGKILL);
    BroadcastSender second = must(take_over(topic));
    CHECK(second.incarnation() == static_cast<std::uint32_t>(2 * round + 2));
    REQUIRE(send_number(second, next + 3));
    for (int i = 0; i < 4; ++i) {
      REQUIRE(receive(reader, message) == Transfer::kDone);
      CHECK(number_in(message) == next++);
      CHECK(message.lost == 0);
    }
    CHECK(reader.lost_count() == 0);
  }
}

TEST_CASE("guarded broadcast: a reader that sleeps is woken by a message, and by a successor's") {
  const Topic topic;
  BroadcastReceiver reader = must(BroadcastReceiver::attach(topic.directory, kName));
  std::optional<BroadcastSender> sender;
  for (std::uint64_t number = 0; number < 6; ++number) {
    OtherProcess other([&](Line line) {
      line.hear();
      Result<BroadcastSender> own = take_over(topic);
      return own && send_number(*own, number) ? 0 : 1;
    });
    other.line().say('g');
    Waiter waiter;
    BroadcastMessage message;
    Transfer answer = reader.try_receive(message);
    const std::uint64_t deadline_ns = deadline_after(test::kPatienceNs);
    while (answer == Transfer::kBlocked && monotonic_ns() < deadline_ns) {
      const std::vector<WaitPoint> points{reader.message_point(), *reader.news_point()};
      REQUIRE(waiter.wait(
                  points, [&] { return reader.has_message(); }, deadline_ns) ==
              WaitOutcome::kReady);
      answer = reader.try_receive(message);
    }
    REQUIRE(answer == Transfer::kDone);
    CHECK(number_in(message) == number);
    CHECK(other.wait() == 0);
  }
}

// ---- hostile ends ----

TEST_CASE("guarded broadcast: a reader cannot write a byte of what it sees, nor open it for that") {
  const Topic topic;
  BroadcastSender sender = must(BroadcastSender::attach(topic.directory, kName));
  BroadcastReceiver honest = must(BroadcastReceiver::attach(topic.directory, kName));
  // Each store of a reader faults in it.
  Result<GuardedSubscription::Taken> seen =
      GuardedSubscription::attach(topic.directory, kName, MemoryLock::kOff);
  REQUIRE(seen.ok());
  const std::span<const std::byte> bytes = seen->writer.bytes();
  int fault_count = 0;
  int page_count = 0;
  for (std::size_t at = 0; at < bytes.size(); at += 4096) {
    OtherProcess thief([&](Line) {
      *const_cast<volatile std::byte*>(bytes.data() + at) = std::byte{1};
      return 0;
    });
    ++page_count;
    if (thief.wait() == -SIGSEGV) ++fault_count;
  }
  CHECK(fault_count == page_count);
  CHECK(page_count >= 2);
  CHECK(mprotect(const_cast<std::byte*>(bytes.data()), bytes.size(), PROT_READ | PROT_WRITE) != 0);
  BroadcastMessage message;
  REQUIRE(send_number(sender, 7));
  REQUIRE(receive(honest, message) == Transfer::kDone);
  CHECK(number_in(message) == 7);
}

// A writer that stores nonsense into one word, and waits to be killed.
OtherProcess start_liar(const Topic& topic, std::uint64_t word_offset, std::uint64_t value) {
  return OtherProcess([&topic, word_offset, value](Line line) {
    if (!take_over(topic)) return 1;  // once nobody has the role
    Result<GuardedHold> hold =
        GuardedEnd::take_role(topic.directory, kName, Role::kWriter, MemoryLock::kOff, kAnyLane);
    if (!hold) return 2;
    std::byte* region = hold->own.writable_bytes().data();
    // relaxed: a lie needs no order.
    if (word_offset + 8 <= hold->own.size_bytes()) {
      reinterpret_cast<std::atomic<std::uint64_t>*>(region + word_offset)
          ->store(value, std::memory_order_relaxed);
    }
    line.say('y');
    line.hear();
    return 0;
  });
}

TEST_CASE(
    "guarded broadcast: a hostile writer harms its readers' messages, and its successor heals") {
  const std::uint64_t values[] = {0, 1, 2, 7, 1U << 20, std::uint64_t{1} << 62, UINT64_MAX};
  const Topic topic(4);
  const BroadcastParts parts = parts_of(guarded_broadcast(topic_shape(4)), 4096);
  int corrupt_count = 0;
  std::uint64_t sent = 0;
  BroadcastReceiver reader = must(BroadcastReceiver::attach(topic.directory, kName));
  for (std::uint64_t place : {std::uint64_t{0}, std::uint64_t{128}, std::uint64_t{136},
                              std::uint64_t{256}, parts.slots_offset, parts.slots_offset + 8,
                              parts.slots_offset + 128, parts.slots_offset + 256}) {
    for (const std::uint64_t value : values) {
      CAPTURE(place);
      CAPTURE(value);
      OtherProcess liar = start_liar(topic, place, value);
      REQUIRE(liar.line().hear() == 'y');
      BroadcastMessage message;
      Transfer answer = Transfer::kDone;
      for (int looks = 0; looks < 50 && answer == Transfer::kDone; ++looks) {
        answer = reader.try_receive(message);
        if (answer == Transfer::kDone) CHECK(message.bytes.size() <= 64);
      }
      if (answer == Transfer::kCorruptPeer) ++corrupt_count;
      // Who comes now is told the same, or nothing.
      const Result<BroadcastReceiver> late = BroadcastReceiver::attach(topic.directory, kName);
      CHECK(late.ok());
      liar.kill_now();
      CHECK(liar.wait() == -SIGKILL);
      BroadcastSender sender = must(take_over(topic));
      std::uint64_t mark = 1'000'000 + ++sent;
      REQUIRE(send_number(sender, mark));
      bool has_come = false;
      const std::uint64_t deadline_ns = deadline_after(test::kPatienceNs);
      while (!has_come && monotonic_ns() < deadline_ns) {
        REQUIRE(reader.try_receive(message) != Transfer::kCorruptPeer);
        has_come = message.bytes.size() == 8 && number_in(message) == mark;
      }
      REQUIRE(has_come);
    }
  }
  CHECK(corrupt_count > 0);
  MESSAGE(corrupt_count << " of " << sent << " lies were answered as such");
}

}  // namespace
}  // namespace slipring
