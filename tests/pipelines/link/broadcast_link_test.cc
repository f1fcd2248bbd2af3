#include <sched.h>
#include <signal.h>

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/broadcast_observer.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/link/broadcast_link_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::Directory;
using test::kPatienceNs;
using test::kTopic;
using test::must;
using test::number_in;
using test::open_link;
using test::send;

TEST_CASE("broadcast link: every message comes to every reader, of its own length") {
  for (const auto policy :
       {BroadcastPolicy::kOverwrite, BroadcastPolicy::kBlock, BroadcastPolicy::kEvict}) {
    Directory folder;
    SegmentDirectory directory = open_link(folder, policy);
    BroadcastSender sender = must(BroadcastSender::attach(directory, kTopic));
    std::vector<BroadcastReceiver> readers;
    for (int i = 0; i < 3; ++i)
      readers.push_back(must(BroadcastReceiver::attach(directory, kTopic)));
    CHECK(sender.count_members() == 3);
    for (std::uint64_t number = 0; number < 2000; ++number) {
      REQUIRE(send(sender, number));
      for (BroadcastReceiver& reader : readers) {
        BroadcastMessage message;
        REQUIRE(reader.try_receive(message) == Transfer::kDone);
        REQUIRE(number_in(message) == number);
        CHECK(message.lost == 0);
        reader.release(message);
        CHECK(reader.try_receive(message) == Transfer::kBlocked);
      }
    }
    sender.close();
    CHECK(readers.front().is_finished());
    readers.clear();
    CHECK(sender.count_members() == 0);
  }
}

TEST_CASE("broadcast link: who overtakes a reader tells it exactly how many it lost") {
  for (const auto policy : {BroadcastPolicy::kOverwrite, BroadcastPolicy::kEvict}) {
    Directory folder;
    SegmentDirectory directory = open_link(folder, policy);
    BroadcastSender sender = must(BroadcastSender::attach(directory, kTopic));
    BroadcastReceiver reader = must(BroadcastReceiver::attach(directory, kTopic));
    std::mt19937_64 random(7);
    std::uint64_t sent = 0;
    std::uint64_t next = 0;
    std::uint64_t lost = 0;
    for (int round = 0; round < 500; ++round) {
      for (std::uint64_t count = random() % 40; count != 0; --count) REQUIRE(send(sender, sent++));
      for (std::uint64_t count = random() % 20; count != 0; --count) {
        BroadcastMessage message;
        if (reader.try_receive(message) != Transfer::kDone) break;
        const std::uint64_t number = number_in(message);
        CHECK(number - next == message.lost);
        lost += message.lost;
        next = number + 1;
      }
    }
    CHECK(lost > 1000);
    CHECK(reader.lost_count() == lost);
  }
}

TEST_CASE("broadcast link: a writer that blocks waits for the slowest, and for no dead one") {
  Directory folder;
  SegmentDirectory directory = open_link(folder, BroadcastPolicy::kBlock);
  BroadcastSender sender = must(BroadcastSender::attach(directory, kTopic));
  BroadcastReceiver quick = must(BroadcastReceiver::attach(directory, kTopic));
  OtherProcess slow([&](Line line) {
    Result<BroadcastReceiver> reader = BroadcastReceiver::attach(directory, kTopic);
    line.say(reader ? 'y' : 'n');
    line.hear();
    return 0;
  });
  REQUIRE(slow.line().hear() == 'y');
  std::uint64_t sent = 0;
  const auto read_all = [&] {
    BroadcastMessage message;
    while (quick.try_receive(message) == Transfer::kDone) quick.release(message);
  };
  while (send(sender, sent)) {
    ++sent;
    read_all();
  }
  CHECK(sent == 16);
  // Alive, though it does nothing: not dropped.
  CHECK(must(sender.drop_dead_readers()) == 0);
  CHECK_FALSE(send(sender, sent));
  slow.kill_now();
  slow.wait();
  CHECK_FALSE(send(sender, sent));
  CHECK(must(sender.drop_dead_readers()) == 1);
  CHECK(must(sender.drop_dead_readers()) == 0);
  for (int i = 0; i < 100; ++i) {
    REQUIRE(send(sender, sent++));
    read_all();
  }
  CHECK(quick.lost_count() == 0);
}

TEST_CASE("broadcast link: late joiners begin where they like") {
  Directory folder;
  SegmentDirectory directory = open_link(folder, BroadcastPolicy::kOverwrite);
  BroadcastSender sender = must(BroadcastSender::attach(directory, kTopic));
  for (std::uint64_t number = 0; number < 40; ++number) REQUIRE(send(sender, number));
  BroadcastReceiver newest = must(BroadcastReceiver::attach(directory, kTopic));
  BroadcastReceiver oldest =
      must(BroadcastReceiver::attach(directory, kTopic, {BroadcastJoin::kOldest, {}}));
  REQUIRE(send(sender, 40));
  BroadcastMessage message;
  REQUIRE(newest.try_receive(message) == Transfer::kDone);
  CHECK(number_in(message) == 40);
  REQUIRE(oldest.try_receive(message) == Transfer::kDone);
  const std::uint64_t first = number_in(message);
  CHECK(first >= 24);
  CHECK(first <= 28);
  while (oldest.try_receive(message) == Transfer::kDone) {
  }
  CHECK(number_in(message) == 40);
}

TEST_CASE("broadcast link: a successor goes on where a dead reader stopped") {
  Directory folder;
  SegmentDirectory directory = open_link(folder, BroadcastPolicy::kBlock);
  BroadcastSender sender = must(BroadcastSender::attach(directory, kTopic));
  OtherProcess dies([&](Line line) {
    Result<BroadcastReceiver> reader = BroadcastReceiver::attach(directory, kTopic);
    if (!reader) return 1;
    line.say('y');
    line.hear();
    BroadcastMessage message;
    for (int taken = 0; taken < 5; ++taken) {
      if (reader->try_receive(message) != Transfer::kDone) return 2;
      if (taken < 3) reader->release(message);
    }
    line.say('d');
    line.hear();
    return 0;
  });
  REQUIRE(dies.line().hear() == 'y');
  for (std::uint64_t number = 0; number < 8; ++number) REQUIRE(send(sender, number));
  dies.line().say('g');
  REQUIRE(dies.line().hear() == 'd');
  dies.kill_now();
  dies.wait();
  // A newcomer leaves the dead reader's place alone while there are others.
  BroadcastReceiver newcomer = must(BroadcastReceiver::attach(directory, kTopic));
  CHECK(newcomer.place() == 1);
  BroadcastReceiver successor =
      must(BroadcastReceiver::attach(directory, kTopic, {BroadcastJoin::kNewest, 0}));
  for (std::uint64_t number = 3; number < 8; ++number) {
    BroadcastMessage message;
    REQUIRE(successor.try_receive(message) == Transfer::kDone);
    CHECK(number_in(message) == number);
    CHECK(message.redelivered == (number < 5));
    successor.release(message);
  }
  CHECK(BroadcastReceiver::attach(directory, kTopic, {BroadcastJoin::kNewest, 0}).error().code ==
        ErrorCode::kBusy);
  CHECK(BroadcastReceiver::attach(directory, kTopic, {BroadcastJoin::kNewest, 9}).error().code ==
        ErrorCode::kInvalidArgument);
}

TEST_CASE("broadcast link: places run out, and say so") {
  Directory folder;
  SegmentDirectory directory = open_link(folder, BroadcastPolicy::kOverwrite, 16, 2);
  CHECK(LinkReader::attach(directory, kTopic).error().code == ErrorCode::kCorruptPeer);
  BroadcastReceiver first = must(BroadcastReceiver::attach(directory, kTopic));
  std::optional<BroadcastReceiver> second(must(BroadcastReceiver::attach(directory, kTopic)));
  const Result<BroadcastReceiver> third = BroadcastReceiver::attach(directory, kTopic);
  REQUIRE_FALSE(third.ok());
  CHECK(third.error().code == ErrorCode::kBusy);
  CHECK(third.error().wanted == 2);
  second.reset();
  CHECK(BroadcastReceiver::attach(directory, kTopic).ok());
  REQUIRE(create_link(directory, "t.link", test::records(4096)).ok());
  CHECK(BroadcastReceiver::attach(directory, "t.link").error().code == ErrorCode::kVersion);
  CHECK(create_broadcast(directory, "t.wrong", {16, 64, 33, BroadcastPolicy::kBlock, 0})
            .error()
            .code == ErrorCode::kInvalidArgument);
}

TEST_CASE("broadcast link: what is aborted is marked, and observers see the readers") {
  Directory folder;
  SegmentDirectory directory = open_link(folder, BroadcastPolicy::kOverwrite);
  BroadcastSender sender = must(BroadcastSender::attach(directory, kTopic));
  BroadcastReceiver reader = must(BroadcastReceiver::attach(directory, kTopic));
  for (std::uint64_t number = 0; number < 3; ++number) REQUIRE(send(sender, number));
  const LinkReport report = must(look_at_broadcast(directory, kTopic));
  CHECK(report.tail == 3);
  CHECK(report.fill == 3);
  CHECK(report.writer.holder == Holder::kUs);
  REQUIRE(report.places.size() == 4);
  CHECK(report.places[0].is_member);
  CHECK(report.places[0].lag == 3);
  CHECK_FALSE(report.places[1].is_member);
  sender.abort_published();
  REQUIRE(send(sender, 3));
  for (std::uint64_t number = 0; number < 4; ++number) {
    BroadcastMessage message;
    REQUIRE(reader.try_receive(message) == Transfer::kDone);
    CHECK(message.aborted == (number < 3));
  }
}

// ---- deaths ----

TEST_CASE("broadcast link: writers killed at random lose nothing that was published") {
  for (const auto policy : {BroadcastPolicy::kBlock, BroadcastPolicy::kOverwrite}) {
    Directory folder;
    SegmentDirectory directory = open_link(folder, policy, 64);
    BroadcastReceiver reader = must(BroadcastReceiver::attach(directory, kTopic));
    std::uint64_t next = 0;
    std::uint64_t lost = 0;
    const std::uint64_t seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    int kills = 0;
    for (; kills < 60; ++kills) {
      const std::string path = folder.path();
      const pid_t child = test::in_child([&] {
        Result<SegmentDirectory> own = SegmentDirectory::open_at(path);
        if (!own) return 1;
        Result<BroadcastSender> sender = BroadcastSender::attach(*own, kTopic);
        if (!sender) return 2;
        // The message's number is its position, so that a loss or a repetition shows.
        for (;;) {
          if (!send(*sender, sender->position())) sched_yield();
        }
      });
      const std::uint64_t enough = next + random() % 400;
      const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
      while (next < enough && monotonic_ns() < deadline_ns) {
        BroadcastMessage message;
        if (reader.try_receive(message) != Transfer::kDone) {
          sched_yield();
          continue;
        }
        const std::uint64_t number = number_in(message);
        REQUIRE(number == message.position);
        REQUIRE(number == next + message.lost);
        lost += message.lost;
        next = number + 1;
        reader.release(message);
      }
      REQUIRE(kill(child, SIGKILL) == 0);
      static_cast<void>(test::reap(child));
    }
    if (policy == BroadcastPolicy::kBlock) CHECK(lost == 0);
    CHECK(reader.lost_count() == lost);
    MESSAGE(std::string(name_of(policy))
            << ": " << kills << " kills, " << next << " messages, " << lost << " lost and counted");
  }
}

}  // namespace
}  // namespace slipring
