#include "pipelines/link/value_link.h"

#include <cstdint>
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
using test::reap;

struct Reading {
  std::uint64_t number;
  std::uint32_t check;
  std::uint32_t channel;

  static Reading of(std::uint64_t number) {
    return {number, static_cast<std::uint32_t>(number * 2'654'435'761U), 7};
  }
  [[nodiscard]] bool is(std::uint64_t wanted) const {
    const Reading whole = of(wanted);
    return number == whole.number && check == whole.check && channel == whole.channel;
  }
};
static_assert(sizeof(Reading) == 16);

TEST_CASE("value link: values cross in order, one at a time, in batches, and in place") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.values", value_link_shape<Reading>(100)).ok());
  auto writer = must(ValueWriter<Reading>::attach(directory, "t.values"));
  auto reader = must(ValueReader<Reading>::attach(directory, "t.values"));
  std::uint64_t sent = 0;
  std::uint64_t seen = 0;
  for (int round = 0; round < 300; ++round) {
    while (writer.try_push(Reading::of(sent)) == Transfer::kDone) ++sent;
    CHECK(sent - seen == 100);
    std::vector<Reading> taken(33);
    std::size_t count = 0;
    REQUIRE(reader.try_pop_batch(taken, count) == Transfer::kDone);
    for (std::size_t i = 0; i < count; ++i) CHECK(taken[i].is(seen++));
    std::span<const Reading> values;
    while (reader.try_peek(values) == Transfer::kDone) {
      for (const Reading& value : values) CHECK(value.is(seen++));
      reader.release(values.size());
    }
    CHECK(seen == sent);
    std::span<Reading> place;
    REQUIRE(writer.try_reserve(place) == Transfer::kDone);
    place[0] = Reading::of(sent++);
    writer.commit(1);
    Reading one{};
    REQUIRE(reader.try_pop(one) == Transfer::kDone);
    CHECK(one.is(seen++));
  }
  writer.close();
  CHECK(reader.is_finished());

  const LinkReport report = must(LinkObserver::attach(directory, "t.values")).report();
  CHECK(report.capacity == 100);
  CHECK(report.fill == 0);
  CHECK(report.writer.message_count == sent);
  CHECK(report.reader.payload_bytes == sent * sizeof(Reading));
  CHECK(report.writer.blocked_count == 300);
}

TEST_CASE("value link: another type, or another kind of link, is refused by name") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.values", value_link_shape<Reading>(4)).ok());
  REQUIRE(create_link(directory, "t.records", test::records(4096)).ok());
  const auto narrow = ValueWriter<std::uint32_t>::attach(directory, "t.values");
  REQUIRE_FALSE(narrow.ok());
  CHECK(narrow.error().code == ErrorCode::kVersion);
  CHECK(narrow.error().found == 16);
  CHECK(narrow.error().wanted == 4);
  const auto records = ValueReader<Reading>::attach(directory, "t.records");
  REQUIRE_FALSE(records.ok());
  CHECK(records.error().code == ErrorCode::kVersion);
  CHECK_FALSE(create_link(directory, "t.none", value_link_shape<Reading>(0)).ok());
  LinkShape with_pool = value_link_shape<Reading>(4);
  with_pool.pool_buffer_count = 1;
  CHECK_FALSE(create_link(directory, "t.pool", with_pool).ok());
}

TEST_CASE("value link: a reader that sleeps is woken, by values and by the end") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.values", value_link_shape<std::uint64_t>(64)).ok());
  constexpr std::uint64_t kCount = 20'000;
  const pid_t child = in_child([&] {
    auto reader = must(ValueReader<std::uint64_t>::attach(directory, "t.values"));
    Waiter waiter({.strategy = WaitStrategy::kSleep});
    std::uint64_t seen = 0;
    for (;;) {
      std::uint64_t value = 0;
      if (reader.try_pop(value) == Transfer::kDone) {
        if (value != seen++) return 1;
        continue;
      }
      if (reader.is_finished()) return seen == kCount ? 0 : 2;
      const WaitPoint point = reader.value_point();
      (void)waiter.wait(
          {&point, 1}, [&] { return reader.has_value() || reader.is_finished(); }, kNoDeadline);
    }
  });
  auto writer = must(ValueWriter<std::uint64_t>::attach(directory, "t.values"));
  Waiter waiter({.strategy = WaitStrategy::kSleep});
  for (std::uint64_t i = 0; i < kCount; ++i) {
    while (writer.try_push(i) != Transfer::kDone) {
      const WaitPoint point = writer.space_point();
      (void)waiter.wait(
          {&point, 1}, [&] { return writer.has_space(); }, kNoDeadline);
    }
  }
  writer.close();
  CHECK(reap(child) == 0);
}

TEST_CASE("value link: what a dead reader had peeked comes again, what it had popped does not") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  REQUIRE(create_link(directory, "t.values", value_link_shape<std::uint64_t>(64)).ok());
  auto writer = must(ValueWriter<std::uint64_t>::attach(directory, "t.values"));
  for (std::uint64_t i = 0; i < 10; ++i) REQUIRE(writer.try_push(i) == Transfer::kDone);
  const pid_t child = in_child([&] {
    auto reader = must(ValueReader<std::uint64_t>::attach(directory, "t.values"));
    std::uint64_t value = 0;
    std::span<const std::uint64_t> held;
    const bool right = reader.try_pop(value) == Transfer::kDone && value == 0 &&
                       reader.try_peek(held) == Transfer::kDone && held.size() == 9;
    return right ? 0 : 1;  // without releasing
  });
  REQUIRE(reap(child) == 0);
  auto reader = must(ValueReader<std::uint64_t>::attach(directory, "t.values"));
  CHECK(reader.incarnation() == 2);
  CHECK(reader.redelivered_count() == 9);
  REQUIRE(writer.try_push(10) == Transfer::kDone);
  std::uint64_t value = 0;
  for (std::uint64_t i = 1; i <= 10; ++i) {
    REQUIRE(reader.try_pop(value) == Transfer::kDone);
    CHECK(value == i);
  }
  CHECK(reader.redelivered_count() == 0);
}

}  // namespace
}  // namespace slipring
