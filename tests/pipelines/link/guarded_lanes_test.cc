#include <errno.h>
#include <sched.h>
#include <signal.h>

#include <cstdint>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/guarded_end.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_observer.h"
#include "tests/pipelines/link/guarded_set.h"
#include "tests/pipelines/link/lane_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::attach_reader;
using test::GuardedSet;
using test::kSetName;
using test::letter_in;
using test::LetterLedger;
using test::must;
using test::peek;
using test::put_letter;
using test::take_lane;

TEST_CASE("guarded lanes: each message comes with the kernel's word on its sender") {
  const GuardedSet set(4);
  LaneReader reader = must(LaneReader::attach(set.directory, kSetName));
  std::vector<pid_t> children;
  for (std::uint64_t child = 0; child < 4; ++child) {
    children.push_back(test::in_child([&] {
      Result<LinkWriter> writer = LinkWriter::attach(set.directory, kSetName);
      if (!writer) return 1;
      for (std::uint64_t number = 0; number < 3000;) {
        if (put_letter(*writer, number)) {
          ++number;
        } else {
          sched_yield();
        }
      }
      writer->close();
      return 0;
    }));
  }
  LetterLedger ledger;
  while (ledger.count() < 12'000) {
    LaneMessage message;
    REQUIRE(peek(reader, message));
    CHECK(message.sender.is_known);
    CHECK(message.sender.user == geteuid());
    CHECK(message.sender.protection == best_protection_level());
    REQUIRE(ledger.enter(message));
    reader.release(message);
  }
  for (const pid_t child : children) {
    CHECK(WEXITSTATUS(test::reap(child)) == 0);
    CHECK(ledger.next_of(child) == 3000);
  }
  CHECK(reader.is_finished());
  CHECK(ledger.repeated() == 0);
}

TEST_CASE("guarded lanes: nobody gets the memory of a writer whose messages are unread") {
  const GuardedSet set(2);
  const pid_t dead = test::in_child([&] {
    Result<LinkWriter> writer = LinkWriter::attach(set.directory, kSetName);
    return writer && put_letter(*writer, 0) ? 0 : 1;
  });
  REQUIRE(WEXITSTATUS(test::reap(dead)) == 0);
  LinkWriter other = must(LinkWriter::attach(set.directory, kSetName));
  CHECK(other.lane() == 1);
  const Result<LinkWriter> none = LinkWriter::attach(set.directory, kSetName);
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == ErrorCode::kNoSpace);
  CHECK(none.error().found == 1);
  CHECK(none.error().wanted == 2);
  REQUIRE(put_letter(other, 0));

  LaneReader reader = must(LaneReader::attach(set.directory, kSetName));
  LetterLedger ledger;
  LaneMessage message;
  REQUIRE(peek(reader, message));
  CHECK(message.sender.process_id == dead);
  REQUIRE(ledger.enter(message));
  CHECK(LinkWriter::attach(set.directory, kSetName).error().code == ErrorCode::kNoSpace);
  reader.release(message);
  // Read: now it goes to a successor, and the reader is told whose it is before anything comes.
  LinkWriter successor = must(LinkWriter::attach(set.directory, kSetName));
  CHECK(successor.lane() == 0);
  REQUIRE(put_letter(successor, 1));
  for (int i = 0; i < 2; ++i) {
    REQUIRE(peek(reader, message));
    CHECK(message.sender.process_id == getpid());
    CHECK(message.sender.is_known);
    reader.release(message);
  }
}

TEST_CASE("guarded lanes: a process gets its share and no more, and one process reads") {
  GuardOptions options;
  options.lanes_per_process = 1;
  const GuardedSet set(3, options);
  LinkWriter writer = must(LinkWriter::attach(set.directory, kSetName));
  const Result<LinkWriter> second = LinkWriter::attach(set.directory, kSetName);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == ErrorCode::kBusy);
  CHECK(second.error().os_errno == EDQUOT);
  CHECK(second.error().found == 1);
  CHECK(second.error().wanted == 1);
  OtherProcess other([&](Line line) {
    Result<LinkWriter> own = LinkWriter::attach(set.directory, kSetName);
    Result<LaneReader> reader = LaneReader::attach(set.directory, kSetName);
    line.say(own && reader ? 'y' : 'n');
    return line.hear() == 'e' ? 0 : 1;
  });
  REQUIRE(other.line().hear() == 'y');
  const Result<LaneReader> reader = LaneReader::attach(set.directory, kSetName);
  REQUIRE_FALSE(reader.ok());
  CHECK(reader.error().code == ErrorCode::kBusy);
  CHECK(reader.error().found == static_cast<std::uint64_t>(other.pid()));
  CHECK(LinkReader::attach(set.directory, kSetName).error().code == ErrorCode::kBusy);
  other.line().say('e');
  CHECK(other.wait() == 0);
  CHECK(attach_reader(set.directory).ok());
}

TEST_CASE("guarded lanes: a share of the user's") {
  GuardOptions options;
  options.lanes_per_user = 2;
  const GuardedSet set(3, options);
  std::vector<LinkWriter> writers;
  for (int i = 0; i < 2; ++i) {
    writers.push_back(must(LinkWriter::attach(set.directory, kSetName)));
  }
  CHECK(LinkWriter::attach(set.directory, kSetName).error().os_errno == EDQUOT);
  writers.pop_back();
  CHECK(take_lane(set.directory).ok());
}

TEST_CASE("guarded lanes: a hostile writer's lane is cut off, and the writer named") {
  const GuardedSet set(3);
  LaneReader reader = must(LaneReader::attach(set.directory, kSetName));
  LinkWriter sound = must(LinkWriter::attach(set.directory, kSetName));
  OtherProcess hostile([&](Line line) {
    Result<GuardedHold> hold =
        GuardedEnd::take_role(set.directory, kSetName, Role::kWriter, MemoryLock::kOff, kAnyLane);
    if (!hold) return 1;
    // relaxed: a lie needs no order.
    reinterpret_cast<ProducerPage*>(hold->own.writable_bytes().data())
        ->tail.store(0x7777, std::memory_order_relaxed);
    line.say('y');
    line.hear();
    return 0;
  });
  REQUIRE(hostile.line().hear() == 'y');
  LaneMessage message;
  const std::uint64_t deadline_ns = deadline_after(test::kLanePatienceNs);
  Transfer answer = Transfer::kBlocked;
  while (answer == Transfer::kBlocked && monotonic_ns() < deadline_ns) {
    answer = reader.try_peek(message);
  }
  REQUIRE(answer == Transfer::kCorruptPeer);
  CHECK(message.lane == 1);
  CHECK(message.sender.process_id == hostile.pid());
  for (std::uint64_t number = 0; number < 500; ++number) {
    REQUIRE(put_letter(sound, number));
    REQUIRE(peek(reader, message));
    CHECK(letter_in(message).number == number);
    reader.release(message);
  }
}

TEST_CASE("guarded lanes: observers see one link, and follow its changes") {
  const GuardedSet set(3);
  LinkObserver observer = must(LinkObserver::attach(set.directory, kSetName));
  CHECK(observer.report().lanes.size() == 3);
  LaneReader reader = must(LaneReader::attach(set.directory, kSetName));
  LinkWriter first = must(LinkWriter::attach(set.directory, kSetName));
  LinkWriter second = must(LinkWriter::attach(set.directory, kSetName));
  REQUIRE(put_letter(first, 0));
  REQUIRE(put_letter(second, 0));
  const std::uint64_t deadline_ns = deadline_after(test::kLanePatienceNs);
  LinkReport report = observer.report();
  while (report.writer.message_count != 2 && monotonic_ns() < deadline_ns) {
    sched_yield();
    report = observer.report();
  }
  CHECK(report.is_guarded);
  CHECK(report.writer.message_count == 2);
  CHECK(report.lanes[1].writer.message_count == 1);
  CHECK(report.lanes[1].writer.process_id == getpid());
  CHECK(report.lanes[2].writer.holder == Holder::kNobody);
}

// ---- deaths ----

int send_forever(const std::string& path) {
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(path);
  if (!directory) return 1;
  Result<LinkWriter> writer = take_lane(*directory);
  if (!writer) return 2;
  for (std::uint64_t number = 0;;) {
    if (put_letter(*writer, number)) {
      ++number;
    } else {
      writer->look_for_news();
      sched_yield();
    }
  }
}

TEST_CASE("guarded lanes: writers and readers killed at random lose nothing") {
  const GuardedSet set(4);
  const std::string path = set.folder.path();
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::vector<pid_t> living;
  LetterLedger ledger;
  int kills = 0;
  int readers = 0;
  while (kills < 60) {
    // A reader that goes while it holds letters: they come again, marked, to the next.
    LaneReader reader = must(attach_reader(set.directory));
    ++readers;
    for (int turn = 0; turn < 6; ++turn) {
      while (living.size() < 5) {
        living.push_back(test::in_child([&] { return send_forever(path); }));
      }
      for (std::uint64_t count = 5 + random() % 60; count != 0; --count) {
        LaneMessage message;
        REQUIRE(peek(reader, message));
        REQUIRE(ledger.enter(message));
        reader.release(message);
      }
      const std::size_t victim = random() % living.size();
      REQUIRE(kill(living[victim], SIGKILL) == 0);
      static_cast<void>(test::reap(living[victim]));
      living.erase(living.begin() + static_cast<std::ptrdiff_t>(victim));
      ++kills;
    }
    for (int held = 0; held < 7; ++held) {
      LaneMessage message;
      REQUIRE(peek(reader, message));
      REQUIRE(ledger.enter(message));
    }
  }
  for (const pid_t child : living) {
    REQUIRE(kill(child, SIGKILL) == 0);
    static_cast<void>(test::reap(child));
  }
  LaneReader reader = must(attach_reader(set.directory));
  LaneMessage message;
  while (reader.has_message() && reader.try_peek(message) == Transfer::kDone) {
    REQUIRE(ledger.enter(message));
    reader.release(message);
  }
  CHECK(ledger.repeated() >= 7);
  MESSAGE(kills << " kills, " << readers << " readers, " << ledger.count() << " messages, "
                << ledger.repeated() << " again");
}

}  // namespace
}  // namespace slipring
