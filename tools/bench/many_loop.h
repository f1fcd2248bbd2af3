// Many producers and many consumers on two processors: each producer's messages arrive once each,
// and every consumer sees each producer's in order.
//
// A contender is a Channel as in stream_loop.h, with producer(number) and consumer(number); numbers
// are those of the participants, producers first.  Messages carry the producer above 28 bits of
// sequence, so that they fit 32 bits.  Every consumer shows its count on a line of its own, every
// 64 messages; the rate is what these grew by in the measured time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "tools/bench/arena.h"
#include "tools/bench/cell.h"
#include "tools/bench/message.h"
#include "tools/bench/sides.h"
#include "tools/bench/stream_loop.h"

namespace slipring::bench {

inline constexpr std::uint32_t kProducerCountMax = 15;
inline constexpr std::uint32_t kSequenceBits = 28;

// Never 0, which some contenders keep for themselves.
[[nodiscard]] constexpr std::uint32_t tag_of(std::uint32_t producer,
                                             std::uint64_t sequence) noexcept {
  constexpr std::uint32_t kMask = (1U << kSequenceBits) - 1;
  return (producer + 1) << kSequenceBits | (static_cast<std::uint32_t>(sequence) & kMask);
}

// What one consumer saw of all producers.
class ManyJudge {
 public:
  void take(std::uint32_t tag, bool is_whole) noexcept {
    const std::uint32_t producer = (tag >> kSequenceBits) - 1;
    if (!is_whole || producer >= kProducerCountMax) {
      ++torn_;
      return;
    }
    std::uint64_t& next = next_[producer];
    // The distance from what is next, with its sign, on a circle of 2^28.
    const std::uint32_t ahead = (tag - static_cast<std::uint32_t>(next)) << (32 - kSequenceBits);
    const std::int64_t distance =
        static_cast<std::int32_t>(ahead) / (std::int32_t{1} << (32 - kSequenceBits));
    const std::uint64_t sequence = next + static_cast<std::uint64_t>(distance);
    if (distance < 0) {
      ++reordered_;
    } else {
      next = sequence + 1;
    }
    ++count_;
    sum_ += sequence;
  }
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  void merge_into(ManyJudge& all) const noexcept {
    all.count_ += count_;
    all.sum_ += sum_;
    all.reordered_ += reordered_;
    all.torn_ += torn_;
  }
  // `sent` and the sum of all sequences sent.  Equal counts with another sum: one twice for one
  // lost.
  [[nodiscard]] Faults faults(std::uint64_t sent, std::uint64_t sum_sent) const noexcept {
    Faults faults;
    faults.lost = sent > count_ ? sent - count_ : 0;
    if (faults.lost == 0 && torn_ == 0 && sum_ != sum_sent) faults.lost = 1;
    faults.reordered = reordered_ + (count_ > sent ? count_ - sent : 0);
    faults.torn = torn_;
    return faults;
  }

 private:
  std::array<std::uint64_t, kProducerCountMax> next_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t reordered_ = 0;
  std::uint64_t torn_ = 0;
};

// 8 bytes or 32 bits: the tag alone.
template <typename M>
requires std::is_integral_v<M>
void set_tagged(M& message, std::uint32_t tag) noexcept {
  message = tag;
}
template <typename M>
requires std::is_integral_v<M>
void judge_tagged(ManyJudge& judge, const M& message) noexcept {
  judge.take(static_cast<std::uint32_t>(message), static_cast<std::uint64_t>(message) >> 32 == 0);
}
// Larger ones: every word.
template <std::size_t kBytes>
void set_tagged(Message<kBytes>& message, std::uint32_t tag) noexcept {
  message.set(tag);
}
template <std::size_t kBytes>
void judge_tagged(ManyJudge& judge, const Message<kBytes>& message) noexcept {
  judge.take(static_cast<std::uint32_t>(message.first()), message.is(message.first()));
}

inline constexpr std::uint32_t kSideCountMax = 32;
inline constexpr std::uint64_t kShowEvery = 64;

// Shared by all sides; lies in the arena.
struct ManyTotals {
  SharedWord stop;
  SharedWord sent;
  SharedWord sum_sent;
  std::array<SharedWord, kSideCountMax> received;  // by consumer
  std::array<ManyJudge, kSideCountMax> judges;     // by consumer, at its end
};

template <typename M, typename Channel>
void send_many(Channel& channel, std::uint32_t number, std::uint32_t side_count,
               MeetingPoint& point, ManyTotals& totals, std::uint64_t deadline_ns) {
  auto end = channel.producer(number);
  start_together(point, side_count);
  Patience patience(point, deadline_ns, side_count > 2);
  M message;
  std::uint64_t sequence = 0;
  bool going = true;
  while (going && totals.stop.look() == 0) {
    for (std::uint64_t i = 0; going && i < kShowEvery; ++i) {
      set_tagged(message, tag_of(number, sequence));
      patience.reset();
      while (going && !end.try_push(message)) going = patience.wait();
      if (going) ++sequence;
    }
  }
  flush(end);
  totals.sent.add(sequence);
  if (sequence != 0) totals.sum_sent.add(sequence * (sequence - 1) / 2);
}

// Takes until the producers have ended and nothing has come for a while.
template <typename M, typename Channel>
void receive_many(Channel& channel, std::uint32_t number, std::uint32_t consumer,
                  std::uint32_t side_count, MeetingPoint& point, ManyTotals& totals,
                  std::uint64_t deadline_ns) {
  auto end = channel.consumer(number);
  start_together(point, side_count);
  Patience patience(point, deadline_ns, side_count > 2);
  M message;
  ManyJudge judge;
  for (bool going = true; going;) {
    for (std::uint64_t i = 0; going && i < kShowEvery; ++i) {
      patience.reset();
      while (going && !end.try_pop(message)) going = patience.wait();
      if (going) judge_tagged(judge, message);
    }
    totals.received[consumer].publish(judge.count());
  }
  totals.judges[consumer] = judge;
}

struct ManyRate {
  double messages_per_second = 0;
  bool stood_still = false;  // nothing arrived at all
};

// Lets the sides run for `duration_ns`, of which the first fifth is not counted.
[[nodiscard]] ManyRate watch_many(const ManyTotals& totals, std::uint32_t consumer_count,
                                  std::uint64_t duration_ns);

template <typename Channel, typename M, std::uint32_t kProducers, std::uint32_t kConsumers>
CellResult run_many(const CellSettings& settings) {
  constexpr std::uint32_t kSides = kProducers + kConsumers;
  Arena arena(kArenaBytes);
  auto& point = arena.make<MeetingPoint>();
  auto& totals = arena.make<ManyTotals>();
  auto& channel = arena.make<Channel>(arena);
  const std::uint64_t deadline_ns = monotonic_ns() + settings.duration_ns + kStallNs;
  std::vector<std::thread> producers;
  std::vector<std::thread> consumers;
  const auto place = [&](std::uint32_t cpu) {
    // Two sides have a processor each; more of them share both as the kernel likes.
    if (kSides == 2) {
      pin_to(cpu);
    } else {
      pin_to_both(settings);
    }
  };
  for (std::uint32_t i = 0; i < kProducers; ++i) {
    producers.emplace_back([&, i] {
      place(settings.cpu_here);
      send_many<M>(channel, i, kSides + 1, point, totals, deadline_ns);
    });
  }
  for (std::uint32_t i = 0; i < kConsumers; ++i) {
    consumers.emplace_back([&, i] {
      place(settings.cpu_there);
      receive_many<M>(channel, kProducers + i, i, kSides + 1, point, totals, deadline_ns);
    });
  }
  pin_to_both(settings);
  start_together(point, kSides + 1);
  const ManyRate rate = watch_many(totals, kConsumers, settings.duration_ns);
  totals.stop.publish(1);
  for (std::thread& thread : producers) thread.join();
  point.sent_and_one.publish(totals.sent.look() + 1);
  for (std::thread& thread : consumers) thread.join();
  ManyJudge all;
  for (std::uint32_t i = 0; i < kConsumers; ++i) totals.judges[i].merge_into(all);
  CellResult result;
  result.value = rate.stood_still ? 0 : rate.messages_per_second;
  result.stalled = rate.stood_still;
  result.message_count = all.count();
  result.faults = all.faults(totals.sent.look(), totals.sum_sent.look());
  return result;
}

// One contender in every shape.
template <template <typename> class Channel>
void add_many(Registry& registry, const Contender& contender) {
  using Small = std::uint64_t;
  registry.add("mpmc8.1x1", contender, run_many<Channel<Small>, Small, 1, 1>);
  registry.add("mpmc8.2x2", contender, run_many<Channel<Small>, Small, 2, 2>);
  registry.add("mpmc8.4x4", contender, run_many<Channel<Small>, Small, 4, 4>);
  registry.add("mpmc8.1x4", contender, run_many<Channel<Small>, Small, 1, 4>);
  registry.add("mpmc8.4x1", contender, run_many<Channel<Small>, Small, 4, 1>);
  registry.add("mpmc8.8x8", contender, run_many<Channel<Small>, Small, 8, 8>);
}
template <template <typename> class Channel>
void add_many_large(Registry& registry, const Contender& contender) {
  using Large = Message<64>;
  registry.add("mpmc64.1x1", contender, run_many<Channel<Large>, Large, 1, 1>);
  registry.add("mpmc64.2x2", contender, run_many<Channel<Large>, Large, 2, 2>);
  registry.add("mpmc64.4x4", contender, run_many<Channel<Large>, Large, 4, 4>);
}

}  // namespace slipring::bench
