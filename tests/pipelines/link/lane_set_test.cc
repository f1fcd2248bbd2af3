#include "pipelines/link/lane_reader.h"

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/link_observer.h"
#include "platform/memory/segment_file.h"
#include "platform/wait/waiter.h"
#include "tests/pipelines/link/lane_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::Directory;
using test::kSetName;
using test::letter_in;
using test::LetterLedger;
using test::must;
using test::put_letter;
using test::take_lane;

SegmentDirectory open_set(const Directory& folder, std::uint32_t lane_count,
                          std::uint64_t lane_bytes, std::uint64_t credit_count = 0) {
  SegmentDirectory directory = folder.open();
  const LinkShape shape = lane_set_shape(lane_count, lane_bytes, credit_count);
  REQUIRE(create_link(directory, kSetName, shape).ok());
  return directory;
}

TEST_CASE(
    "lane set: writers' messages cross in each one's order, and finish when all have closed") {
  Directory folder;
  SegmentDirectory directory = open_set(folder, 4, 4096);
  LaneReader reader = must(LaneReader::attach(directory, kSetName));
  CHECK(reader.lane_count() == 4);
  CHECK_FALSE(reader.is_finished());
  std::vector<LinkWriter> writers;
  for (std::uint32_t lane = 0; lane < 4; ++lane) {
    writers.push_back(must(LinkWriter::attach(directory, kSetName)));
    CHECK(writers.back().lane() == lane);
  }
  CHECK(must(reader.count_writers()) == 4);
  std::array<std::uint64_t, 4> sent{};
  std::array<std::uint64_t, 4> seen{};
  for (int round = 0; round < 300; ++round) {
    for (std::uint32_t lane = 0; lane < 4; ++lane) {
      while (put_letter(writers[lane], sent[lane])) ++sent[lane];
    }
    LaneMessage message;
    while (reader.try_peek(message) == Transfer::kDone) {
      CHECK(letter_in(message).number == seen[message.lane]);
      CHECK(message.sender.is_known);
      CHECK(message.sender.process_id == getpid());
      CHECK(message.sender.user == geteuid());
      CHECK(message.sender.group == getegid());
      CHECK(message.sender.protection == ProtectionLevel::kNone);
      ++seen[message.lane];
      reader.release(message);
    }
    CHECK(sent == seen);
  }
  CHECK(sent[3] > 30'000);
  REQUIRE(put_letter(writers[2], sent[2]));
  for (LinkWriter& writer : writers) writer.close();
  CHECK_FALSE(reader.is_finished());
  LaneMessage last;
  REQUIRE(reader.try_peek(last) == Transfer::kDone);
  CHECK(last.lane == 2);
  reader.release(last);
  CHECK(reader.is_finished());
  writers.clear();
  CHECK(must(reader.count_writers()) == 0);
}

TEST_CASE("lane set: a lane that is always full does not keep the others waiting") {
  Directory folder;
  SegmentDirectory directory = open_set(folder, 3, 65536);
  LaneReader reader =
      must(LaneReader::attach(directory, kSetName, MemoryLock::kTry, LanePolicy{8}));
  LinkWriter loud = must(LinkWriter::attach(directory, kSetName));
  LinkWriter quiet = must(LinkWriter::attach(directory, kSetName));
  std::uint64_t loud_sent = 0;
  for (std::uint64_t round = 0; round < 500; ++round) {
    while (put_letter(loud, loud_sent)) ++loud_sent;
    REQUIRE(put_letter(quiet, round));
    LaneMessage message;
    std::uint32_t before = 0;
    for (;; ++before) {
      REQUIRE(reader.try_peek(message) == Transfer::kDone);
      reader.release(message);
      if (message.lane == quiet.lane()) break;
    }
    CHECK(before <= 8);
  }
  CHECK(loud_sent > 2000);
}

TEST_CASE("lane set: too many writers, and unread messages of dead ones, are told apart") {
  Directory folder;
  SegmentDirectory directory = open_set(folder, 2, 4096);
  {
    LinkWriter first = must(LinkWriter::attach(directory, kSetName));
    LinkWriter second = must(LinkWriter::attach(directory, kSetName));
    const Result<LinkWriter> third = LinkWriter::attach(directory, kSetName);
    REQUIRE_FALSE(third.ok());
    CHECK(third.error().code == ErrorCode::kBusy);
    CHECK(third.error().found == 0);
    CHECK(third.error().wanted == 2);
    REQUIRE(put_letter(first, 0));
  }
  // The lane whose message nobody has read is passed over; the other is taken.
  LinkWriter other = must(LinkWriter::attach(directory, kSetName));
  CHECK(other.lane() == 1);
  const Result<LinkWriter> none = LinkWriter::attach(directory, kSetName);
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == ErrorCode::kNoSpace);
  CHECK(none.error().found == 1);

  LaneReader reader = must(LaneReader::attach(directory, kSetName));
  LaneMessage message;
  REQUIRE(reader.try_peek(message) == Transfer::kDone);
  CHECK(message.lane == 0);
  CHECK(LinkWriter::attach(directory, kSetName).error().code == ErrorCode::kNoSpace);
  reader.release(message);
  LinkWriter successor = must(LinkWriter::attach(directory, kSetName));
  CHECK(successor.lane() == 0);
  CHECK(successor.incarnation() == 2);
}

TEST_CASE("lane set: a set is no link, and a link no set") {
  Directory folder;
  SegmentDirectory directory = open_set(folder, 2, 4096);
  CHECK(LinkReader::attach(directory, kSetName).error().code == ErrorCode::kVersion);
  REQUIRE(create_link(directory, "t.link", test::records(4096)).ok());
  CHECK(LaneReader::attach(directory, "t.link").error().code == ErrorCode::kVersion);
  CHECK(LaneReader::attach(directory, "t.none").error().code == ErrorCode::kNotFound);
  LaneReader reader = must(LaneReader::attach(directory, kSetName));
  const Result<LaneReader> second = LaneReader::attach(directory, kSetName);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == ErrorCode::kBusy);

  LinkShape shape = lane_set_shape(33, 4096);
  CHECK(create_link(directory, "t.wrong", shape).error().code == ErrorCode::kInvalidArgument);
  shape = test::slots(8, 8);
  shape.lane_count = 2;
  CHECK(create_link(directory, "t.wrong", shape).error().code == ErrorCode::kInvalidArgument);
}

TEST_CASE("lane set: a writer's credit bounds what it may have unread") {
  Directory folder;
  SegmentDirectory directory = open_set(folder, 2, 4096, 5);
  LaneReader reader = must(LaneReader::attach(directory, kSetName));
  LinkWriter writer = must(LinkWriter::attach(directory, kSetName));
  std::uint64_t sent = 0;
  while (put_letter(writer, sent)) ++sent;
  CHECK(sent == 5);
  LaneMessage message;
  REQUIRE(reader.try_peek(message) == Transfer::kDone);
  reader.release(message);
  CHECK(put_letter(writer, sent));
  CHECK_FALSE(put_letter(writer, sent + 1));
}

TEST_CASE("lane set: what a dead reader had taken comes again, marked, from every lane") {
  Directory folder;
  SegmentDirectory directory = open_set(folder, 3, 4096);
  std::vector<LinkWriter> writers;
  for (int lane = 0; lane < 3; ++lane) {
    writers.push_back(must(LinkWriter::attach(directory, kSetName)));
    for (std::uint64_t number = 0; number < 4; ++number) {
      REQUIRE(put_letter(writers.back(), number));
    }
  }
  {
    // Of each lane it finishes one, and holds two.
    LaneReader reader =
        must(LaneReader::attach(directory, kSetName, MemoryLock::kTry, LanePolicy{1}));
    for (int taken = 0; taken < 9; ++taken) {
      LaneMessage message;
      REQUIRE(reader.try_peek(message) == Transfer::kDone);
      if (taken < 3) reader.release(message);
    }
  }
  LaneReader successor = must(LaneReader::attach(directory, kSetName));
  CHECK(successor.incarnation() == 2);
  std::array<std::uint64_t, 3> next{1, 1, 1};
  LaneMessage message;
  while (successor.try_peek(message) == Transfer::kDone) {
    const std::uint64_t number = letter_in(message).number;
    CHECK(number == next[message.lane]++);
    CHECK(message.message.redelivered == (number < 3));
    successor.release(message);
  }
  CHECK(next == std::array<std::uint64_t, 3>{4, 4, 4});
}

// Stores `value` over a word of a lane, as a process of the same user can on a named set.
void scribble(const SegmentDirectory& directory, std::uint32_t lane, std::uint64_t value) {
  SegmentFile file = must(SegmentFile::open(directory, kSetName));
  const SegmentHeader header = must(read_header(file));
  const LinkParts parts = parts_of(must(shape_of(header)), header.page_bytes);
  Descriptor writable = must(file.open_writable(directory));
  const auto at = static_cast<off_t>(header.regions[0].offset_bytes + lane * parts.writer_bytes);
  REQUIRE(pwrite(writable.get(), &value, sizeof value, at) == sizeof value);
}

TEST_CASE("lane set: a corrupt lane is named and cut off, and the others go on") {
  Directory folder;
  SegmentDirectory directory = open_set(folder, 3, 4096);
  LaneReader reader = must(LaneReader::attach(directory, kSetName));
  std::vector<LinkWriter> writers;
  for (int lane = 0; lane < 3; ++lane) {
    writers.push_back(must(LinkWriter::attach(directory, kSetName)));
  }
  scribble(directory, 1, 0x1234'5678);
  for (LinkWriter& writer : writers) {
    if (writer.lane() != 1) REQUIRE(put_letter(writer, 0));
  }
  int corrupt = 0;
  int taken = 0;
  for (int look = 0; look < 10; ++look) {
    LaneMessage message;
    const Transfer answer = reader.try_peek(message);
    if (answer == Transfer::kDone) {
      ++taken;
      reader.release(message);
    } else if (answer == Transfer::kCorruptPeer) {
      ++corrupt;
      CHECK(message.lane == 1);
      CHECK(message.sender.process_id == getpid());
    }
  }
  CHECK(taken == 2);
  CHECK(corrupt == 1);
  CHECK(reader.cut_lanes() == 2);
  for (LinkWriter& writer : writers) {
    if (writer.lane() != 1) REQUIRE(put_letter(writer, 1));
  }
  LaneMessage message;
  for (int i = 0; i < 2; ++i) {
    REQUIRE(reader.try_peek(message) == Transfer::kDone);
    reader.release(message);
  }
  CHECK(reader.try_peek(message) == Transfer::kBlocked);
  CHECK_FALSE(reader.has_message());
}

TEST_CASE("lane set: observers see one link, and each writer in it") {
  Directory folder;
  SegmentDirectory directory = open_set(folder, 4, 4096);
  LinkObserver observer = must(LinkObserver::attach(directory, kSetName));
  CHECK(observer.report().writer.state == EndState::kNever);
  LaneReader reader = must(LaneReader::attach(directory, kSetName));
  LinkWriter first = must(LinkWriter::attach(directory, kSetName));
  LinkWriter second = must(LinkWriter::attach(directory, kSetName));
  for (std::uint64_t i = 0; i < 3; ++i) REQUIRE(put_letter(first, i));
  REQUIRE(put_letter(second, 0));
  const LinkReport report = observer.report();
  CHECK(is_lane_set(report.shape));
  CHECK(report.capacity == 4 * 4096);
  CHECK(report.fill == 4 * 32);
  CHECK(report.writer.message_count == 4);
  CHECK(report.writer.holder == Holder::kUs);
  CHECK(report.writer.incarnation == 2);
  CHECK(report.reader.incarnation == 1);
  CHECK(report.reader.holder == Holder::kUs);
  REQUIRE(report.lanes.size() == 4);
  CHECK(report.lanes[0].fill == 3 * 32);
  CHECK(report.lanes[1].fill == 32);
  CHECK(report.lanes[2].writer.state == EndState::kNever);
}

TEST_CASE("lane set: a sleeping reader is woken by any writer") {
  Directory folder;
  SegmentDirectory directory = open_set(folder, 8, 4096);
  LaneReader reader = must(LaneReader::attach(directory, kSetName));
  constexpr std::uint64_t kRounds = 400;
  std::atomic<std::uint64_t> asked{0};
  std::vector<std::thread> threads;
  for (std::uint64_t turn = 0; turn < 8; ++turn) {
    threads.emplace_back([&, turn] {
      Result<LinkWriter> writer = LinkWriter::attach(directory, kSetName);
      if (!writer) return;
      for (std::uint64_t round = turn; round < kRounds; round += 8) {
        while (asked.load(std::memory_order_acquire) != round + 1) sched_yield();
        static_cast<void>(put_letter(*writer, round));
      }
    });
  }
  WaiterOptions options;
  options.strategy = WaitStrategy::kSleep;
  options.sleep_bound_ns = test::kLanePatienceNs;  // only a ring ends it in time
  Waiter waiter(options);
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    asked.store(round + 1, std::memory_order_release);
    const WaitOutcome outcome = waiter.wait(
        reader.message_points(), [&] { return reader.has_message(); },
        deadline_after(test::kLanePatienceNs));
    REQUIRE(outcome == WaitOutcome::kReady);
    LaneMessage message;
    REQUIRE(reader.try_peek(message) == Transfer::kDone);
    CHECK(letter_in(message).number == round);
    reader.release(message);
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(waiter.counts().bound_expiries == 0);
}

// ---- deaths ----

TEST_CASE("lane set: the judge sees a wrong sender, a lost, a repeated, and a torn message") {
  Directory folder;
  SegmentDirectory directory = open_set(folder, 2, 4096);
  LinkWriter writer = must(LinkWriter::attach(directory, kSetName));
  LaneReader reader = must(LaneReader::attach(directory, kSetName));
  for (const std::uint64_t number : {0U, 1U, 3U, 3U}) REQUIRE(put_letter(writer, number));
  LetterLedger ledger;
  std::vector<bool> verdicts;
  LaneMessage message;
  while (reader.try_peek(message) == Transfer::kDone) {
    LaneMessage told = message;
    if (verdicts.empty()) {
      ++told.sender.process_id;
      CHECK_FALSE(ledger.enter(told));
      const std::vector<std::byte> torn(sizeof(test::Letter), std::byte{7});
      told = message;
      told.message.bytes = torn;
      CHECK_FALSE(ledger.enter(told));
    }
    verdicts.push_back(ledger.enter(message));
    reader.release(message);
  }
  CHECK(verdicts == std::vector<bool>{true, true, false, false});
}

// Sends numbered letters until it is killed.
int send_forever(const std::string& path) {
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(path);
  if (!directory) return 1;
  Result<LinkWriter> writer = take_lane(*directory);
  if (!writer) return 2;
  for (std::uint64_t number = 0;;) {
    if (put_letter(*writer, number)) {
      ++number;
    } else {
      sched_yield();
    }
  }
}

TEST_CASE("lane set: writers killed at random lose nothing, and each message keeps its sender") {
  Directory folder;
  SegmentDirectory directory = open_set(folder, 4, 4096);
  LaneReader reader = must(LaneReader::attach(directory, kSetName));
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  // More than there are lanes: some wait until a dead one's letters are read.
  std::vector<pid_t> living;
  LetterLedger ledger;
  int kills = 0;
  const std::string path = folder.path();
  while (kills < 150) {
    while (living.size() < 6) living.push_back(test::in_child([&] { return send_forever(path); }));
    for (std::uint64_t count = 20 + random() % 200; count != 0;) {
      LaneMessage message;
      if (reader.try_peek(message) != Transfer::kDone) {
        sched_yield();
        continue;
      }
      REQUIRE(ledger.enter(message));
      reader.release(message);
      --count;
    }
    const std::size_t victim = random() % living.size();
    REQUIRE(kill(living[victim], SIGKILL) == 0);
    static_cast<void>(test::reap(living[victim]));
    living.erase(living.begin() + static_cast<std::ptrdiff_t>(victim));
    ++kills;
  }
  for (const pid_t child : living) {
    REQUIRE(kill(child, SIGKILL) == 0);
    static_cast<void>(test::reap(child));
  }
  LaneMessage message;
  while (reader.try_peek(message) == Transfer::kDone) {
    REQUIRE(ledger.enter(message));
    reader.release(message);
  }
  CHECK(ledger.repeated() == 0);
  CHECK(must(reader.count_writers()) == 0);
  MESSAGE(kills << " kills, " << ledger.count() << " messages");
}

}  // namespace
}  // namespace slipring
