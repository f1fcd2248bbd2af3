// The rings that many produce into and many consume from, as the experiments need them.  Messages
// are numbers below 2^20; a larger message says its number in every word.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "core/cpu/cache_line.h"
#include "core/ring/exchange_ring.h"
#include "core/ring/mpmc_ring.h"
#include "tests/crash/ring/message.h"

namespace slipring::crash {

enum class ManyWay { kPush, kPushBatch, kReserve, kPop, kPopBatch, kTake, kAttach, kReap };

[[nodiscard]] constexpr const char* name_of(ManyWay way) {
  constexpr std::array kNames{"push",      "push batch",   "reserve, commit", "pop",
                              "pop batch", "take, finish", "attach",          "reap"};
  return kNames[static_cast<std::size_t>(way)];
}
[[nodiscard]] constexpr bool is_push(ManyWay way) {
  return way == ManyWay::kPush || way == ManyWay::kPushBatch || way == ManyWay::kReserve;
}

inline constexpr std::uint32_t kManyNumbers = 1U << 20;
inline constexpr std::uint32_t kNoNumber = UINT32_MAX;
inline constexpr std::uint64_t kManySlots = 4;
inline constexpr std::uint32_t kManyParticipants = 4;  // 1 and 2 produce, 3 and 4 consume
inline constexpr std::size_t kManyBatch = 3;

// What the stepped one has been told.
struct ManyTold {
  Transfer answer;
  std::atomic<std::uint64_t> count;     // pushed, or handed out
  std::atomic<std::uint64_t> finished;  // consumer: needs no redelivery
};

struct HandleKit {
  static constexpr const char* kName = "mpmc";
  static constexpr MpmcGeometry kGeometry{kManySlots, kManyParticipants, 20};
  struct Memory {
    alignas(kAbiLineBytes) MpmcSlot slots[kManySlots];
    MpmcRecord records[kManyParticipants];
  };
  using Producer = MpmcProducer;
  using Consumer = MpmcConsumer;
  struct Box {
    std::uint32_t payloads[kManyBatch];
  };
  [[nodiscard]] static constexpr bool has(ManyWay way) {
    return way != ManyWay::kReserve && way != ManyWay::kTake;
  }
  [[nodiscard]] static MpmcShape shape() { return MpmcShape(kGeometry); }
  [[nodiscard]] static MpmcShared shared(Memory& memory) { return {memory.slots, memory.records}; }
  [[nodiscard]] static auto producer(Memory& memory, std::uint32_t who) {
    return Producer::attach(shared(memory), who, kGeometry);
  }
  [[nodiscard]] static auto consumer(Memory& memory, std::uint32_t who) {
    return Consumer::attach(shared(memory), who, kGeometry);
  }
  // An odd factor has its inverse, so that few values are numbers of messages.
  [[nodiscard]] static std::uint32_t payload_of(std::uint32_t number) {
    return (number + 1) * 0x9e37'79b1U & (kManyNumbers - 1);
  }
  static void load(Box& box, std::size_t at, std::uint32_t number) {
    box.payloads[at] = payload_of(number);
  }
  [[nodiscard]] static std::uint32_t number_in(const Box& box, std::size_t at) {
    for (std::uint32_t number = 0; number < 1024; ++number) {
      if (box.payloads[at] == payload_of(number)) return number;
    }
    return kNoNumber;
  }

  static void push(Producer& producer, ManyWay way, const Box& box, ManyTold& told) {
    if (way == ManyWay::kPush) {
      told.answer = producer.try_push(box.payloads[0]);
      if (told.answer == Transfer::kDone) told.count.store(1, std::memory_order_release);
    } else {
      const std::size_t pushed = producer.try_push_batch(box.payloads);
      told.answer = pushed != 0 ? Transfer::kDone : Transfer::kBlocked;
      told.count.store(pushed, std::memory_order_release);
    }
  }
  static void pop(Consumer& consumer, ManyWay way, Box& box, ManyTold& told) {
    std::size_t popped = 1;
    if (way == ManyWay::kPopBatch) {
      popped = consumer.try_pop_batch(box.payloads);
      told.answer = popped != 0 ? Transfer::kDone : Transfer::kBlocked;
    } else {
      told.answer = consumer.try_pop(box.payloads[0]);
    }
    if (told.answer != Transfer::kDone) return;
    told.count.store(popped, std::memory_order_release);
    consumer.finish();
    told.finished.store(popped, std::memory_order_release);
  }
  // Gives the estate of a dead consumer out, and settles it.
  static void reap(Memory& memory, std::uint32_t dead, Box& box, ManyTold& told) {
    const auto judged = mpmc_recover(shared(memory), dead, kGeometry);
    if (!judged) return;
    const MpmcEstate& estate = judged.value();
    told.answer = Transfer::kDone;
    const bool holds = estate.role == MpmcRole::kConsumer;
    for (std::uint32_t i = 0; holds && i < estate.happened; ++i) {
      box.payloads[i] = estate.payloads[i];
      told.count.store(i + 1, std::memory_order_release);
    }
    mpmc_settle(shared(memory), dead);
    told.finished.store(told.count.load(std::memory_order_relaxed), std::memory_order_release);
  }
  // What recovery says of a dead producer's message: whether it is in, if it says anything.
  [[nodiscard]] static std::optional<bool> says_pushed(Memory& memory, std::uint32_t dead,
                                                       std::uint32_t number) {
    const MpmcEstate estate = mpmc_recover(shared(memory), dead, kGeometry).value();
    for (std::uint32_t i = 0; i < estate.count; ++i) {
      if (estate.payloads[i] == payload_of(number)) return i < estate.happened;
    }
    return std::nullopt;
  }
  // Whether no buffer is lost; there are none.
  template <typename Scene>
  [[nodiscard]] static bool is_whole(Scene&) {
    return true;
  }
};

struct ExchangeKit {
  static constexpr const char* kName = "exchange";
  static constexpr std::uint32_t kBytes = 64;
  static constexpr ExchangeGeometry kGeometry{kManySlots, kManyParticipants, kBytes};
  static constexpr std::size_t kBuffers = kManySlots + kManyParticipants;
  struct Memory {
    alignas(kAbiLineBytes) MpmcSlot slots[kManySlots];
    MpmcRecord records[kManyParticipants];
    alignas(kAbiLineBytes) std::byte buffers[kBuffers * kBytes];
  };
  using Producer = ExchangeProducer;
  using Consumer = ExchangeConsumer;
  struct Box {
    alignas(8) std::byte bytes[1][kBytes];
  };
  [[nodiscard]] static constexpr bool has(ManyWay way) {
    return way != ManyWay::kPushBatch && way != ManyWay::kPopBatch && way != ManyWay::kReap;
  }
  [[nodiscard]] static MpmcShape shape() { return MpmcShape(exchange_ring_of(kGeometry)); }
  [[nodiscard]] static ExchangeShared shared(Memory& memory) {
    return {memory.slots, memory.records, memory.buffers};
  }
  [[nodiscard]] static auto producer(Memory& memory, std::uint32_t who) {
    return Producer::attach(shared(memory), who, kGeometry);
  }
  [[nodiscard]] static auto consumer(Memory& memory, std::uint32_t who) {
    return Consumer::attach(shared(memory), who, kGeometry);
  }
  static void load(Box& box, std::size_t at, std::uint32_t number) {
    write_message(box.bytes[at], number);
  }
  [[nodiscard]] static std::uint32_t number_in(const Box& box, std::size_t at) {
    for (std::uint32_t number = 0; number < 1024; ++number) {
      if (is_message(box.bytes[at], number)) return number;
    }
    return kNoNumber;
  }

  static void push(Producer& producer, ManyWay way, const Box& box, ManyTold& told) {
    if (way == ManyWay::kPush) {
      told.answer = producer.try_push(box.bytes[0]);
    } else {
      std::memcpy(producer.reserve().data(), box.bytes[0], kBytes);
      told.answer = producer.commit();
    }
    if (told.answer == Transfer::kDone) told.count.store(1, std::memory_order_release);
  }
  static void pop(Consumer& consumer, ManyWay way, Box& box, ManyTold& told) {
    if (way == ManyWay::kPop) {
      told.answer = consumer.try_pop(box.bytes[0]);
      if (told.answer != Transfer::kDone) return;
    } else {
      std::span<const std::byte> message;
      told.answer = consumer.try_take(message);
      if (told.answer != Transfer::kDone) return;
      std::memcpy(box.bytes[0], message.data(), kBytes);
      told.count.store(1, std::memory_order_release);
      consumer.finish();
    }
    told.finished.store(1, std::memory_order_release);
  }
  static void reap(Memory&, std::uint32_t, Box&, ManyTold&) {}
  [[nodiscard]] static std::optional<bool> says_pushed(Memory&, std::uint32_t, std::uint32_t) {
    return std::nullopt;
  }
  // Every buffer is in one slot, or one living end's spare.
  template <typename Scene>
  [[nodiscard]] static bool is_whole(Scene& scene) {
    std::array<int, kBuffers> seen{};
    const MpmcShape words = shape();
    for (std::size_t i = 0; i < kManySlots; ++i) {
      const std::uint64_t word = scene.memory.slots[i].load(std::memory_order_relaxed);
      const std::uint64_t buffer = words.who_of(word) == 0 ? i : words.payload_of(word);
      if (buffer >= kBuffers) return false;
      ++seen[buffer];
    }
    for (auto& end : scene.producers) ++seen[end->spare_number()];
    for (auto& end : scene.consumers) ++seen[end->spare_number()];
    for (const int count : seen) {
      if (count != 1) return false;
    }
    return true;
  }
};

}  // namespace slipring::crash
