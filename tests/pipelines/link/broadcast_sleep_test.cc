// Whoever sleeps at a broadcast link is rung for: readers by the writer, the writer by readers.

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "platform/wait/clock.h"
#include "platform/wait/waiter.h"
#include "tests/pipelines/link/broadcast_link_fixture.h"

namespace slipring {
namespace {

using test::Directory;
using test::kPatienceNs;
using test::kTopic;
using test::must;
using test::open_link;
using test::send;

// Of whoever sleeps for as long as that: a ring that is missed shows as a sleep that ended by its
// bound.
constexpr std::uint64_t kLongPatienceNs = 2 * kPatienceNs;

TEST_CASE("broadcast link: sleepers on both sides are woken") {
  Directory folder;
  SegmentDirectory directory = open_link(folder, BroadcastPolicy::kBlock, 4, 3);
  BroadcastSender sender = must(BroadcastSender::attach(directory, kTopic));
  WaiterOptions options;
  options.strategy = WaitStrategy::kSleep;
  options.sleep_bound_ns = kPatienceNs;  // only a ring ends it in time
  constexpr std::uint64_t kCount = 600;
  std::atomic<int> joined{0};
  std::atomic<int> whole{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      Result<BroadcastReceiver> reader = BroadcastReceiver::attach(directory, kTopic);
      joined.fetch_add(1, std::memory_order_release);
      if (!reader) return;
      // From then on nobody is above a place that was never held.
      while (joined.load(std::memory_order_acquire) != 3) sched_yield();
      Waiter waiter(options);
      for (std::uint64_t number = 0; number < kCount; ++number) {
        const WaitPoint point = reader->message_point();
        static_cast<void>(waiter.wait(
            {&point, 1}, [&] { return reader->has_message(); }, deadline_after(kLongPatienceNs)));
        BroadcastMessage message;
        if (reader->try_receive(message) != Transfer::kDone || message.position != number) return;
        reader->release(message);
      }
      if (waiter.counts().bound_expiries == 0) whole.fetch_add(1, std::memory_order_relaxed);
    });
  }
  while (joined.load(std::memory_order_acquire) != 3) sched_yield();
  Waiter waiter(options);
  for (std::uint64_t number = 0; number < kCount; ++number) {
    while (!send(sender, number)) {
      static_cast<void>(waiter.wait(
          sender.space_points(), [&] { return sender.has_space(); },
          deadline_after(kLongPatienceNs)));
    }
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(whole.load() == 3);
  CHECK(waiter.counts().bound_expiries == 0);
}

// Whether a reader that alone sleeps is rung for the next message.
bool is_rung_for(BroadcastSender& sender, BroadcastReceiver& reader) {
  WaiterOptions options;
  options.strategy = WaitStrategy::kSleep;
  options.sleep_bound_ns = kPatienceNs;  // only a ring ends it in time
  BroadcastMessage message;
  while (reader.try_receive(message) == Transfer::kDone) {
  }
  const std::uint64_t number = sender.position();
  std::atomic<bool> is_looking{false};
  bool is_rung = false;
  std::thread sleeper([&] {
    Waiter waiter(options);
    const WaitPoint point = reader.message_point();
    const auto ready = [&] {
      is_looking.store(true, std::memory_order_release);
      return reader.has_message();
    };
    const WaitOutcome outcome = waiter.wait({&point, 1}, ready, deadline_after(kLongPatienceNs));
    is_rung = outcome == WaitOutcome::kReady && !point.is_deaf &&
              waiter.counts().bound_expiries == 0 &&
              reader.try_receive(message) == Transfer::kDone && message.position == number;
  });
  while (!is_looking.load(std::memory_order_acquire)) sched_yield();
  const bool is_sent = send(sender, number);
  sleeper.join();
  return is_sent && is_rung;
}

TEST_CASE("broadcast link: newcomers are rung for from their first sleep on, by successors too") {
  constexpr std::size_t kReaders = 8;
  Directory folder;
  SegmentDirectory directory = open_link(folder, BroadcastPolicy::kOverwrite, 16, kReaders);
  std::optional<BroadcastSender> sender(must(BroadcastSender::attach(directory, kTopic)));
  std::vector<BroadcastReceiver> readers;
  while (readers.size() < kReaders) {
    readers.push_back(must(BroadcastReceiver::attach(directory, kTopic)));
    // Often, so that the sleeper is met before its first look, and asleep.
    for (int round = 0; round < 20; ++round) REQUIRE(is_rung_for(*sender, readers.back()));
  }
  sender.reset();
  sender.emplace(must(BroadcastSender::attach(directory, kTopic)));
  for (BroadcastReceiver& reader : readers) CHECK(is_rung_for(*sender, reader));
}

TEST_CASE("broadcast link: above a place that was never held sleeps are short") {
  Directory folder;
  SegmentDirectory directory = open_link(folder, BroadcastPolicy::kOverwrite);
  BroadcastReceiver third =
      must(BroadcastReceiver::attach(directory, kTopic, {BroadcastJoin::kNewest, 2}));
  CHECK(third.message_point().is_deaf);
  BroadcastReceiver first = must(BroadcastReceiver::attach(directory, kTopic));
  CHECK(first.place() == 0);
  CHECK_FALSE(first.message_point().is_deaf);
  CHECK(third.message_point().is_deaf);
  std::optional<BroadcastReceiver> second(must(BroadcastReceiver::attach(directory, kTopic)));
  CHECK(second->place() == 1);
  CHECK_FALSE(second->message_point().is_deaf);
  CHECK_FALSE(third.message_point().is_deaf);
  // One that has gone was there all the same.
  second.reset();
  CHECK_FALSE(third.message_point().is_deaf);
  BroadcastReceiver fourth =
      must(BroadcastReceiver::attach(directory, kTopic, {BroadcastJoin::kNewest, 3}));
  CHECK_FALSE(fourth.message_point().is_deaf);
}

}  // namespace
}  // namespace slipring
