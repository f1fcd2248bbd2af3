// A broadcast ring whose writer passes positions over, because it never had what belongs there:
// every reader counts them, exactly, and nothing else becomes of them.

#include <doctest/doctest.h>

#include <array>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/ring/broadcast_ring.h"
#include "tests/core/ring/broadcast_memory.h"

namespace slipring {
namespace {

constexpr std::uint32_t kBytes = 16;
constexpr std::uint32_t kReaders = 3;

BroadcastGeometry shape(BroadcastPolicy policy, std::uint64_t count, std::uint64_t start = 0) {
  return {count, kBytes, start, kReaders, policy, policy == BroadcastPolicy::kEvict ? count : 0};
}

struct Got {
  Reception answer = Reception::kBlocked;
  BroadcastView view;
};

Got pop(BroadcastReader& reader) {
  Got got;
  std::vector<std::byte> message(kBytes);
  got.answer = reader.try_pop(message, got.view);
  if (got.answer == Reception::kDone) REQUIRE(has_pattern(message, got.view.position));
  return got;
}

TEST_CASE("broadcast missing: what is passed over is lost at once, and what is held stays held") {
  for (const BroadcastPolicy policy : kAllPolicies) {
    BroadcastMemory memory(shape(policy, 8));
    BroadcastWriter writer = memory.writer();
    BroadcastReader reader = memory.member(0, BroadcastJoin::kNewest);
    REQUIRE(push_pattern(writer) == Transfer::kDone);
    writer.pass_over_to(5);
    CHECK(pop(reader).view.position == 0);
    CHECK(reader.has_message());  // a loss to be counted
    CHECK(pop(reader).answer == Reception::kBlocked);
    CHECK(reader.lost_count() == 4);
    CHECK_FALSE(reader.has_message());
    BroadcastReader late = memory.member(1, BroadcastJoin::kNewest);
    REQUIRE(push_pattern(writer) == Transfer::kDone);
    const Got got = pop(reader);
    CHECK(got.view.position == 5);
    CHECK(got.view.lost == 4);
    CHECK(pop(late).view.lost == 0);
    CHECK(late.lost_count() == 0);
  }
}

TEST_CASE("broadcast missing: far more than a lap takes one step") {
  for (const BroadcastPolicy policy : {BroadcastPolicy::kOverwrite, BroadcastPolicy::kBlock}) {
    BroadcastMemory memory(shape(policy, 4, 1000));
    BroadcastWriter writer = memory.writer();
    BroadcastReader reader = memory.member(0, BroadcastJoin::kNewest);
    for (int i = 0; i < 3; ++i) REQUIRE(push_pattern(writer) == Transfer::kDone);
    const std::uint64_t far = 1000 + (std::uint64_t{1} << 61);
    writer.pass_over_to(far);
    for (std::uint64_t at = 1000; at < 1003; ++at) CHECK(pop(reader).view.position == at);
    BroadcastReader oldest = memory.member(1, BroadcastJoin::kOldest);
    CHECK(oldest.position() == far);  // of the three nothing is within a lap
    CHECK(pop(reader).answer == Reception::kBlocked);
    CHECK(reader.position() == far);
    REQUIRE(push_pattern(writer) == Transfer::kDone);
    CHECK(pop(reader).view.lost == far - 1003);
    CHECK(reader.lost_count() == far - 1003);
    CHECK(pop(oldest).view.position == far);
    CHECK(oldest.lost_count() == 0);
  }
}

TEST_CASE("broadcast missing: under block passing over waits for nobody, and what follows does") {
  BroadcastMemory memory(shape(BroadcastPolicy::kBlock, 4));
  BroadcastWriter writer = memory.writer();
  BroadcastReader reader = memory.member(0, BroadcastJoin::kNewest);
  REQUIRE(push_pattern(writer) == Transfer::kDone);
  writer.pass_over_to(100);
  CHECK(push_pattern(writer) == Transfer::kBlocked);  // its slot is the first one's
  BroadcastView held;
  REQUIRE(reader.try_peek(held) == Reception::kDone);
  BroadcastView none;
  CHECK(reader.try_peek(none) == Reception::kBlocked);
  CHECK_FALSE(reader.has_message());  // nothing comes before it has let go
  reader.release(held);
  CHECK(reader.has_message());
  CHECK(reader.try_peek(none) == Reception::kBlocked);
  CHECK(reader.lost_count() == 99);
  CHECK(writer.has_space());
  REQUIRE(push_pattern(writer) == Transfer::kDone);
  CHECK(pop(reader).view.position == 100);
}

TEST_CASE("broadcast missing: who comes before the next message finds what was passed over") {
  BroadcastMemory memory(shape(BroadcastPolicy::kOverwrite, 4));
  {
    BroadcastWriter writer = memory.writer();
    REQUIRE(push_pattern(writer) == Transfer::kDone);
    memory.state(1).store(3);  // in the middle of the next one its predecessor had died
    writer.pass_over_to(7);
    CHECK(memory.writer_page->tail.load() == 1);
  }
  BroadcastReader early = memory.member(0, BroadcastJoin::kNewest);
  CHECK(early.position() == 7);
  CHECK(memory.reader(0).position() == 7);  // and a successor's cursor is no lie
  BroadcastWriter writer = memory.writer();
  CHECK(writer.position() == 7);
  REQUIRE(push_pattern(writer) == Transfer::kDone);
  CHECK(pop(early).view.position == 7);
  CHECK(early.lost_count() == 0);
}

TEST_CASE("broadcast missing: a reader goes back to what is held, and loses what is not") {
  for (const BroadcastPolicy policy : kAllPolicies) {
    BroadcastMemory memory(shape(policy, 8));
    BroadcastWriter writer = memory.writer();
    BroadcastReader reader = memory.member(0, BroadcastJoin::kNewest);
    for (int i = 0; i < 6; ++i) REQUIRE(push_pattern(writer) == Transfer::kDone);
    for (int i = 0; i < 6; ++i) CHECK(pop(reader).answer == Reception::kDone);
    CHECK_FALSE(reader.go_to(7));
    REQUIRE(reader.go_to(2));
    for (std::uint64_t at = 2; at < 6; ++at) CHECK(pop(reader).view.position == at);
    for (int i = 0; i < 8; ++i) {
      REQUIRE(push_pattern(writer) == Transfer::kDone);
      CHECK(pop(reader).answer == Reception::kDone);
    }
    const std::uint64_t lost = reader.lost_count();
    REQUIRE(reader.go_to(3));
    const Got got = pop(reader);
    CHECK(got.view.position >= 6);
    CHECK(got.view.lost == got.view.position - 3);
    CHECK(reader.lost_count() - lost == got.view.lost);
  }
}

struct Member {
  std::optional<BroadcastReader> reader;
  std::uint64_t next = 0;       // the position it is owed
  std::uint64_t joined_at = 0;  // where the writer stood: what lies before was never promised
  std::uint64_t lost = 0;       // its place's
};

// What a reader got and what it lost make up for all positions since it joined, in order; under
// block it lost nothing but what was passed over.
class Walk {
 public:
  Walk(std::uint64_t seed, const BroadcastGeometry& geometry)
      : random_(seed), geometry_(geometry), memory_(geometry), writer_(memory_.writer()) {}

  void step() {
    const auto place = static_cast<std::uint32_t>(random_() % kReaders);
    Member& one = members_[place];
    switch (random_() % 16) {
      default:
        pushed += push_pattern(writer_) == Transfer::kDone ? 1U : 0U;
        return;
      case 6:
      case 7:
      case 8:
      case 9:
        if (one.reader) read(one);
        return;
      case 10:
      case 11:
        return pass_over();
      case 12:
        if (!one.reader) join(one, place, random_() % 2 == 0);
        return;
      case 13:
        if (!one.reader || random_() % 4 != 0) return;
        read_all(one);
        one.reader->leave();
        one.reader.reset();
        return;
      case 14:
        writer_ = memory_.writer();
        return;
      case 15:
        if (!one.reader) return;
        one.reader.emplace(memory_.reader(place));
        REQUIRE(one.reader->position() == one.next);
    }
  }
  void end() {
    for (Member& one : members_) {
      if (one.reader) read_all(one);
    }
  }
  std::uint64_t pushed = 0;
  std::uint64_t passed = 0;
  std::uint64_t got = 0;
  std::uint64_t lost = 0;

 private:
  void pass_over() {
    const std::uint64_t before = writer_.position();
    const std::uint64_t count = random_() % (random_() % 8 == 0 ? 100 : 4);
    for (std::uint64_t i = 0; i < count; ++i) passed_.insert(before + i);
    writer_.pass_over_to(before + count);
    passed += count;
    if (random_() % 2 == 0) writer_ = memory_.writer();
    REQUIRE(writer_.position() == before + count);
  }
  void join(Member& one, std::uint32_t place, bool is_oldest) {
    one.reader.emplace(memory_.reader(place));
    one.lost = one.reader->lost_count();
    REQUIRE(one.reader->join(is_oldest ? BroadcastJoin::kOldest : BroadcastJoin::kNewest).ok());
    one.next = one.reader->position();
    one.joined_at = writer_.position();
    if (!is_oldest) REQUIRE(one.next == writer_.position());
    REQUIRE(passed_.count(one.next) == 0);
    REQUIRE(one.reader->lost_count() == one.lost);
  }
  void read(Member& one) {
    std::vector<std::byte> message(kBytes);
    BroadcastView view;
    const Reception answer = one.reader->try_pop(message, view);
    REQUIRE(answer != Reception::kCorruptPeer);
    if (answer == Reception::kEvicted) {
      REQUIRE(geometry_.policy == BroadcastPolicy::kEvict);
      REQUIRE(one.reader->join(BroadcastJoin::kOldest).ok());
    }
    const std::uint64_t stands = one.reader->position();
    const std::uint64_t taken = answer == Reception::kDone ? 1 : 0;
    const std::uint64_t gone = one.reader->lost_count() - one.lost;
    REQUIRE(stands - one.next == gone + taken);
    if (geometry_.policy == BroadcastPolicy::kBlock) {
      for (std::uint64_t at = one.next; at != stands - taken; ++at) {
        if (at - one.joined_at < std::uint64_t{1} << 62) REQUIRE(passed_.count(at) == 1);
      }
    }
    if (taken != 0) {
      REQUIRE(view.position == stands - 1);
      REQUIRE(passed_.count(view.position) == 0);
      REQUIRE(has_pattern(message, view.position));
    }
    got += taken;
    lost += gone;
    one.lost += gone;
    one.next = stands;
  }
  void read_all(Member& one) {
    for (int i = 0; i < 1000 && one.next != writer_.position(); ++i) read(one);
    REQUIRE(one.next == writer_.position());
    REQUIRE_FALSE(one.reader->has_message());
  }

  std::mt19937_64 random_;
  BroadcastGeometry geometry_;
  BroadcastMemory memory_;
  BroadcastWriter writer_;
  std::set<std::uint64_t> passed_;
  std::array<Member, kReaders> members_;
};

TEST_CASE("broadcast missing: received and lost make up for every position") {
  for (const BroadcastPolicy policy : kAllPolicies) {
    std::uint64_t pushed = 0;
    std::uint64_t passed = 0;
    std::uint64_t got = 0;
    std::uint64_t lost = 0;
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
      CAPTURE(seed);
      CAPTURE(std::string(name_of(policy)));
      const std::uint64_t start = seed % 3 == 0 ? 0 : (std::uint64_t{1} << 63) - seed;
      Walk walk(seed, shape(policy, seed % 2 == 0 ? 4 : 16, start));
      for (int i = 0; i < 400; ++i) walk.step();
      walk.end();
      pushed += walk.pushed;
      passed += walk.passed;
      got += walk.got;
      lost += walk.lost;
    }
    MESSAGE(std::string(name_of(policy)), ": ", pushed, " pushed, ", passed, " passed over, ", got,
            " received, ", lost, " lost and counted");
    CHECK(got > 1000);
    CHECK(lost > 1000);
  }
}

}  // namespace
}  // namespace slipring
