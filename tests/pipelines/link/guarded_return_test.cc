// A lane that was cut off, since its writer's memory made no sense, comes back with its next
// sender.

#include <sched.h>
#include <unistd.h>

#include <cstdint>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "core/ring/record_ring.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_observer.h"
#include "platform/wait/waiter.h"
#include "tests/pipelines/link/guarded_set.h"
#include "tests/pipelines/link/lane_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::attach_reader;
using test::GuardedSet;
using test::kSetName;
using test::Letter;
using test::letter_in;
using test::must;
using test::peek;
using test::put_letter;
using test::take_lane;

// A writer in a process of its own that publishes three letters, and lies when it is told to.
constexpr std::uint64_t kSoundLetters = 3;
OtherProcess start_liar(const GuardedSet& set, std::uint64_t lie) {
  return OtherProcess([&set, lie](Line line) {
    Result<GuardedHold> hold =
        GuardedEnd::take_role(set.directory, kSetName, Role::kWriter, MemoryLock::kOff, kAnyLane);
    if (!hold) return 1;
    Result<RecordProducer> ring =
        RecordProducer::attach(*reinterpret_cast<ProducerPage*>(hold->own.writable_bytes().data()),
                               hold->own.writable_bytes().data() + hold->parts.ring_offset,
                               *reinterpret_cast<const ConsumerPage*>(hold->peer.bytes().data()),
                               record_geometry(hold->shape));
    if (!ring) return 2;
    const auto process_id = static_cast<std::uint64_t>(getpid());
    for (std::uint64_t number = 0; number < kSoundLetters; ++number) {
      const Letter letter{process_id, number, test::check_of(process_id, number)};
      if (ring->try_push(std::as_bytes(std::span(&letter, 1))) != Transfer::kDone) return 3;
    }
    line.say('y');
    if (line.hear() != 'l') return 4;
    // relaxed: a lie needs no order.
    reinterpret_cast<ProducerPage*>(hold->own.writable_bytes().data())
        ->tail.store(lie, std::memory_order_relaxed);
    line.say('y');
    return line.hear() == 'e' ? 0 : 5;
  });
}

Transfer look_until(LaneReader& reader, LaneMessage& message) {
  const std::uint64_t deadline_ns = deadline_after(test::kLanePatienceNs);
  Transfer answer = Transfer::kBlocked;
  while (answer == Transfer::kBlocked && monotonic_ns() < deadline_ns) {
    answer = reader.try_peek(message);
  }
  return answer;
}

// Has it lie, and the reader notice.
void cut_off(const OtherProcess& liar, LaneReader& reader, LaneMessage& message) {
  liar.line().say('l');
  REQUIRE(liar.line().hear() == 'y');
  Transfer answer = look_until(reader, message);
  while (answer == Transfer::kDone) answer = look_until(reader, message);  // seen before the lie
  REQUIRE(answer == Transfer::kCorruptPeer);
}

// One round of a liar in the only free lane: what it published soundly is read, it is cut off and
// named, its lane stays its own while it lives, and goes to the next one when it has gone.
void deceive_once(const GuardedSet& set, LaneReader& reader, LinkWriter& sound,
                  std::uint64_t& number, std::uint64_t lie) {
  OtherProcess liar = start_liar(set, lie);
  REQUIRE(liar.line().hear() == 'y');
  LaneMessage message;
  std::vector<LaneMessage> held;
  for (std::uint64_t count = 0; count < kSoundLetters; ++count) {
    REQUIRE(peek(reader, message));
    CHECK(letter_in(message).number == count);
    CHECK(message.sender.process_id == liar.pid());
    CHECK_FALSE(message.message.redelivered);
    held.push_back(message);
  }
  cut_off(liar, reader, message);
  CHECK(message.lane == 1);
  CHECK(message.sender.process_id == liar.pid());
  CHECK(reader.cut_lanes() == 2);
  // While anything of it is held its memory stays where it is.
  for (const LaneMessage& letter : held) {
    CHECK(letter_in(letter).process_id == static_cast<std::uint64_t>(liar.pid()));
  }
  CHECK(LinkWriter::attach(set.directory, kSetName).error().code == ErrorCode::kBusy);
  liar.line().say('e');
  CHECK(liar.wait() == 0);
  CHECK(LinkWriter::attach(set.directory, kSetName).error().code == ErrorCode::kNoSpace);
  reader.release(held.back());
  for (int i = 0; i < 50; ++i) {  // the other lane goes on meanwhile
    REQUIRE(put_letter(sound, number));
    REQUIRE(peek(reader, message));
    CHECK(letter_in(message).number == number++);
    reader.release(message);
  }
  LinkWriter next = must(take_lane(set.directory));
  CHECK(next.lane() == 1);
  for (std::uint64_t mine = 0; mine < 300; ++mine) {  // several times round its ring
    REQUIRE(put_letter(next, mine));
    REQUIRE(peek(reader, message));
    CHECK(message.lane == 1);
    CHECK(letter_in(message).number == mine);
    CHECK(message.sender.process_id == getpid());
    CHECK_FALSE(message.message.redelivered);
    reader.release(message);
  }
  CHECK(reader.cut_lanes() == 0);
  CHECK(reader.try_peek(message) == Transfer::kBlocked);
}

TEST_CASE("guarded lanes: a lane that was cut off comes back with its next sender") {
  const GuardedSet set(2);
  LaneReader reader = must(LaneReader::attach(set.directory, kSetName));
  LinkWriter sound = must(LinkWriter::attach(set.directory, kSetName));
  std::uint64_t number = 0;
  for (const std::uint64_t lie : {std::uint64_t{0x7777}, UINT64_MAX, UINT64_MAX - 7,
                                  std::uint64_t{3 * 32 + 4}, std::uint64_t{1} << 40}) {
    CAPTURE(lie);
    deceive_once(set, reader, sound, number, lie);
  }
}

void succeed_a_reader(bool holds) {
  CAPTURE(holds);
  const GuardedSet set(1);
  OtherProcess liar = start_liar(set, 0x7777);
  REQUIRE(liar.line().hear() == 'y');
  LaneMessage message;
  {
    LaneReader first = must(attach_reader(set.directory));
    REQUIRE(peek(first, message));
    LaneMessage last = message;
    while (first.try_peek(message) == Transfer::kDone) last = message;
    // What it still holds, nobody will say any more what it was.
    if (!holds) first.release(last);
    cut_off(liar, first, message);
    CHECK(first.try_peek(message) == Transfer::kBlocked);
  }
  LaneReader second = must(attach_reader(set.directory));
  CHECK(second.cut_lanes() == (holds ? 0 : 1));  // given up by the first, or found anew
  CHECK(look_until(second, message) == Transfer::kCorruptPeer);
  CHECK(second.cut_lanes() == 1);
  CHECK(second.try_peek(message) == Transfer::kBlocked);
  liar.line().say('e');
  CHECK(liar.wait() == 0);
  LinkWriter next = must(take_lane(set.directory));
  CHECK(second.has_message());
  REQUIRE(put_letter(next, 0));
  REQUIRE(peek(second, message));
  CHECK(letter_in(message).number == 0);
  CHECK_FALSE(message.message.redelivered);
  second.release(message);
  LinkObserver observer = must(LinkObserver::attach(set.directory, kSetName));
  CHECK(observer.report().fill == 0);
}

TEST_CASE("guarded lanes: a reader's successor knows what was cut off, and takes the next sender") {
  succeed_a_reader(true);
  succeed_a_reader(false);
}

TEST_CASE("guarded lanes: a reader asleep on a lane that was cut off is woken by the next sender") {
  const GuardedSet set(1);
  OtherProcess liar = start_liar(set, 0x7777);
  REQUIRE(liar.line().hear() == 'y');
  LaneReader reader = must(attach_reader(set.directory));
  LaneMessage message;
  cut_off(liar, reader, message);
  CHECK(reader.try_peek(message) == Transfer::kBlocked);
  liar.line().say('e');
  CHECK(liar.wait() == 0);
  OtherProcess sender([&](Line line) {
    line.hear();
    Result<LinkWriter> next = take_lane(set.directory);
    return next && put_letter(*next, 0) ? 0 : 1;
  });
  REQUIRE(reader.message_points().size() == 1);
  Waiter waiter;
  sender.line().say('g');
  const WaitOutcome outcome = waiter.wait(
      reader.message_points(), [&] { return reader.has_message(); },
      deadline_after(test::kLanePatienceNs));
  CHECK(outcome == WaitOutcome::kReady);
  REQUIRE(peek(reader, message));
  CHECK(message.sender.process_id == sender.pid());
  CHECK(sender.wait() == 0);
}

}  // namespace
}  // namespace slipring
