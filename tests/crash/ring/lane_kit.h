// A kit, as in pair_kits.h, of one lane among those of a consumer that polls many.
//
// The ring of the experiments is lane 0, with its bell; its consumer polls lane 1 as well. Whenever
// a judge takes a message, lane 1's producer, who attaches anew each time, sends one too, and it
// must come.  So the other lane's traffic goes on whatever becomes of lane 0's producer.
#pragma once

#include <type_traits>

#include "core/ring/mpsc_bell.h"
#include "core/ring/mpsc_merge.h"
#include "core/ring/mpsc_ring.h"
#include "tests/crash/ring/pair_kits.h"

namespace slipring::crash {

// Polled fairly, or merged by stamps.
template <bool is_merged>
struct LaneKit {
  static constexpr const char* kName = is_merged ? "lanes, merged" : "lanes";
  static constexpr bool kIsLong = true;
  static constexpr std::uint64_t kOnce = 1;
  static constexpr std::uint64_t kBatch = 1;
  struct Memory {
    SlotKit::Memory lanes[2];
    BellPage bells;
    std::uint64_t sent;  // on lane 1
    std::uint64_t seen;
  };
  struct Producer {
    SlotProducer lane;
    LaneBell bell;
  };
  using Poll = std::conditional_t<is_merged, MpscMerge<SlotConsumer>, MpscConsumer<SlotConsumer>>;
  // The poll points at the ends beside it, so that a copy begins to poll anew.
  struct Consumer {
    Consumer(const BellPage& the_bells, const SlotConsumer& first, const SlotConsumer& second)
        : bells(&the_bells), ends{first, second}, poll(new_poll()) {
      poll.join(0, ends[0]);
      poll.join(1, ends[1]);
    }
    Consumer(const Consumer& other) : Consumer(*other.bells, other.ends[0], other.ends[1]) {}
    Consumer& operator=(const Consumer&) = delete;
    [[nodiscard]] Poll new_poll() const {
      if constexpr (is_merged) {
        return Poll();
      } else {
        return Poll(*bells, {.quantum = 2, .scan_interval = 4});
      }
    }
    [[nodiscard]] Transfer try_peek(typename Poll::Message& message) {
      if constexpr (is_merged) {
        return poll.try_peek(message, [](const SlotView&) { return std::uint64_t{0}; });
      } else {
        return poll.try_peek(message);
      }
    }

    const BellPage* bells;
    SlotConsumer ends[2];
    Poll poll;
  };

  [[nodiscard]] static constexpr bool has(ProducerWay way) { return SlotKit::has(way); }
  [[nodiscard]] static constexpr bool has(ConsumerWay way) {
    return SlotKit::has(way) && way != ConsumerWay::kPop && way != ConsumerWay::kSkip;
  }
  [[nodiscard]] static std::size_t size_of(std::uint64_t number) {
    return SlotKit::size_of(number);
  }
  [[nodiscard]] static Result<Producer> producer(Memory& memory, std::uint64_t start) {
    auto lane = SlotKit::producer(memory.lanes[0], start);
    if (!lane) return lane.error();
    return Producer{lane.value(), LaneBell(memory.bells, 0)};
  }
  [[nodiscard]] static Result<Consumer> consumer(Memory& memory, std::uint64_t start) {
    auto first = SlotKit::consumer(memory.lanes[0], start);
    auto second = SlotKit::consumer(memory.lanes[1], 0);
    if (!first) return first.error();
    if (!second) return second.error();
    return Consumer(memory.bells, first.value(), second.value());
  }
  static void load(Box& box, std::size_t at, std::uint64_t number) {
    SlotKit::load(box, at, number);
  }
  [[nodiscard]] static std::span<const std::byte> message(const Box& box, std::size_t at) {
    return SlotKit::message(box, at);
  }

  static void push(Producer& producer, ProducerWay way, const Box& box, std::uint64_t count,
                   Told& told) {
    SlotKit::push(producer.lane, way, box, count, told);
    if (told.count.load(std::memory_order_relaxed) != 0) producer.bell.ring();
  }
  static void pop(Consumer& consumer, ConsumerWay way, Box& box, std::uint64_t count, Told& told) {
    if (way == ConsumerWay::kSkip || way == ConsumerWay::kCredit) {
      return SlotKit::pop(consumer.ends[0], way, box, count, told);
    }
    typename Poll::Message message;
    told.answer = consumer.try_peek(message);
    if (told.answer != Transfer::kDone) return;
    copy_message(box.bytes[0], message.view.message.data(), kMessageBytes);
    told.hand_out(1);
    consumer.poll.release(message);
    told.finish(1);
  }
  struct Held {
    std::uint64_t count;
    typename Poll::Message last;
  };
  static std::uint64_t hold(Consumer& consumer, Held& held, Box& box) {
    held.count = 0;
    typename Poll::Message message;
    while (consumer.try_peek(message) == Transfer::kDone) {
      held.last = message;
      copy_message(box.bytes[held.count++], message.view.message.data(), kMessageBytes);
    }
    return held.count;
  }
  static void release(Consumer& consumer, const Held& held, Told& told) {
    consumer.poll.release(held.last);
    told.finish(held.count);
  }
  // Sends a message on lane 1, as the handler of a signal may.
  static void send_beside(Memory& memory) {
    auto other = SlotKit::producer(memory.lanes[1], 0);
    if (!other) return;
    LaneBell bell(memory.bells, 1);
    Box box;
    Told told;
    SlotKit::load(box, 0, kBeside + memory.sent);
    SlotKit::push(other.value(), ProducerWay::kPush, box, 1, told);
    if (told.answer != Transfer::kDone) return;
    bell.ring();
    ++memory.sent;
  }
  template <typename Sink>
  static Transfer take(Consumer& consumer, Sink sink) {
    // The consumer of a scene stands in it; so does the memory of its lanes.
    Memory& memory = memory_of(consumer);
    send_beside(memory);
    Transfer answer = Transfer::kBlocked;
    for (int look = 0; look < kLooks; ++look) {
      typename Poll::Message message;
      const Transfer found = consumer.try_peek(message);
      if (found == Transfer::kCorruptPeer) return found;
      if (found == Transfer::kBlocked) continue;
      if (message.lane == 0) {
        sink(message.view.message, message.view.redelivered);
        answer = found;
      } else if (is_message(message.view.message, kBeside + memory.seen)) {
        ++memory.seen;
      }
      consumer.poll.release(message);
      if (message.lane == 0) return answer;
    }
    // The other lane goes on, or it is the judge's turn to say so.
    if (memory.seen != memory.sent) sink(std::span<const std::byte>{}, true);
    return answer;
  }

 private:
  static constexpr std::uint64_t kBeside = 1U << 24;
  static constexpr int kLooks = 16;  // more than the rounds between two looks at every lane

  [[nodiscard]] static Memory& memory_of(Consumer& consumer) {
    auto* bells = reinterpret_cast<const std::byte*>(consumer.bells);
    return *reinterpret_cast<Memory*>(const_cast<std::byte*>(bells) - offsetof(Memory, bells));
  }
};

}  // namespace slipring::crash
