// A lane set that was made in passing goes with its last user, and no mail goes with it.

#include "pipelines/adapter/lane_meeting.h"

#include <sched.h>

#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/link_segment.h"
#include "platform/wait/clock.h"
#include "tests/pipelines/link/link_fixture.h"
#include "tests/platform/other_process.h"

namespace slipring {
namespace {

using test::Directory;
using test::must;
using test::number_in;
using test::put;

constexpr const char* kName = "t.box";
constexpr std::uint64_t kPatienceNs = 60'000'000'000;
constexpr std::uint64_t kCapacityBytes = 65536;

bool exists(const SegmentDirectory& directory) {
  return SegmentFile::open(directory, kName).ok();
}

LaneMeetingOptions in_passing() {
  LaneMeetingOptions options;
  options.waits = false;
  options.making = LaneMaking{kCapacityBytes};
  return options;
}

TEST_CASE("lane meeting: a set goes with its last user, and as long as there is one it stays") {
  Directory folder;
  const SegmentDirectory directory = folder.open();
  REQUIRE(make_lane_set(directory, kName, kCapacityBytes).ok());
  {
    LinkWriter sender = must(meet_as_sender(directory, kName, in_passing()));
    CHECK_FALSE(must(remove_if_idle(directory, kName)));
    LaneReader reader = must(meet_as_reader_of_lanes(directory, kName, in_passing()));
    LinkWriter gone = std::move(sender);
  }
  CHECK(exists(directory));
  {
    LaneReader reader = must(meet_as_reader_of_lanes(directory, kName, in_passing()));
    CHECK_FALSE(must(remove_if_idle(directory, kName)));
  }
  CHECK(must(remove_if_idle(directory, kName)));
  CHECK_FALSE(exists(directory));
  CHECK_FALSE(must(remove_if_idle(directory, kName)));
}

TEST_CASE("lane meeting: unread mail keeps the set, until it is read") {
  Directory folder;
  const SegmentDirectory directory = folder.open();
  // Where there is none, it is made.
  {
    LinkWriter sender = must(meet_as_sender(directory, kName, in_passing()));
    REQUIRE(put(sender, 7));
  }
  CHECK_FALSE(must(remove_if_idle(directory, kName)));
  {
    LaneReader reader = must(meet_as_reader_of_lanes(directory, kName, in_passing()));
    LaneMessage message;
    REQUIRE(reader.try_peek(message) == Transfer::kDone);  // and dies before it has finished it
  }
  CHECK_FALSE(must(remove_if_idle(directory, kName)));
  {
    LaneReader reader = must(meet_as_reader_of_lanes(directory, kName, in_passing()));
    LaneMessage message;
    REQUIRE(reader.try_peek(message) == Transfer::kDone);
    CHECK(number_in(message.message) == 7);
    reader.release(message);
  }
  CHECK(must(remove_if_idle(directory, kName)));
}

TEST_CASE("lane meeting: what was created on purpose, and what is no lane set, stays") {
  Directory folder;
  const SegmentDirectory directory = folder.open();
  for (const LinkShape& shape : {lane_set_shape(4, 4096), test::records(4096)}) {
    REQUIRE(create_link(directory, kName, shape).ok());
    CHECK(make_lane_set(directory, kName, kCapacityBytes).ok());
    CHECK_FALSE(must(remove_if_idle(directory, kName)));
    CHECK(exists(directory));
    REQUIRE(remove_segment(directory, kName).ok());
  }
}

// Sends its numbers, each as a user of its own.
int send_all(const SegmentDirectory& directory, std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t number = first; number < first + count;) {
    {
      Result<LinkWriter> sender = meet_as_sender(directory, kName, in_passing());
      if (!sender) {
        const ErrorCode code = sender.error().code;
        if (code != ErrorCode::kBusy && code != ErrorCode::kNoSpace) return 1;
        sched_yield();
        continue;
      }
      if (!put(*sender, number)) return 2;
      ++number;
    }
    if (!remove_if_idle(directory, kName).ok()) return 3;
  }
  return 0;
}

TEST_CASE("lane meeting: sets that come and go under senders and a reader lose no mail") {
  Directory folder;
  const SegmentDirectory directory = folder.open();
  constexpr std::uint64_t kSenders = 3;
  constexpr std::uint64_t kEach = 400;
  std::vector<std::unique_ptr<OtherProcess>> senders;
  for (std::uint64_t who = 0; who < kSenders; ++who) {
    senders.push_back(std::make_unique<OtherProcess>(
        [&directory, who](Line) { return send_all(directory, who * kEach, kEach); }));
  }
  std::set<std::uint64_t> got;
  std::uint64_t removals = 0;
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  while (got.size() != kSenders * kEach && monotonic_ns() < deadline_ns) {
    {
      Result<LaneReader> reader = meet_as_reader_of_lanes(directory, kName, in_passing());
      if (!reader && reader.error().code == ErrorCode::kBusy) continue;
      REQUIRE(reader.ok());
      LaneMessage message;
      while (reader->try_peek(message) == Transfer::kDone) {
        CHECK_FALSE(message.message.redelivered);
        CHECK(got.insert(number_in(message.message)).second);
        reader->release(message);
      }
    }
    if (must(remove_if_idle(directory, kName))) ++removals;
  }
  CHECK(got.size() == kSenders * kEach);
  for (auto& sender : senders) CHECK(sender->wait() == 0);
  // Whoever was last has removed it, or nobody has since we read the last.
  static_cast<void>(must(remove_if_idle(directory, kName)));
  CHECK_FALSE(exists(directory));
  CHECK(removals > 0);
  MESSAGE(removals << " sets removed by the reader under " << got.size() << " messages");
}

}  // namespace
}  // namespace slipring
