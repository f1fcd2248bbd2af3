#include <cstring>

#include "core/ring/cursor_page.h"
#include "core/ring/exchange_ring.h"
#include "core/ring/mpmc_ring.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"
#include "tools/bench/alone_loop.h"
#include "tools/bench/contenders.h"
#include "tools/bench/many_loop.h"
#include "tools/bench/record_loop.h"
#include "tools/bench/spsc_cells.h"
#include "tools/bench/stopped_loop.h"

namespace slipring::bench {
namespace {

// The ring whose slots are as large as the caller says at run time; written and read in place.
template <typename M, std::size_t kSlots>
class SlotChannel {
 public:
  static constexpr bool kPopBlocks = false;

  explicit SlotChannel(Arena& arena)
      : producer_page_(arena.make<ProducerPage>()),
        consumer_page_(arena.make<ConsumerPage>()),
        slots_(arena.take(static_cast<std::size_t>(slot_slots_bytes(kGeometry)), 4096)) {}

  struct Producer {
    SlotProducer end;
    [[nodiscard]] bool try_push(const M& message) noexcept {
      std::span<std::byte> slot;
      if (end.try_reserve(slot) != Transfer::kDone) return false;
      std::memcpy(slot.data(), &message, sizeof(M));
      end.commit();
      return true;
    }
  };
  struct Consumer {
    SlotConsumer end;
    [[nodiscard]] bool try_pop(M& message) noexcept {
      SlotView view;
      if (end.try_peek(view) != Transfer::kDone) return false;
      std::memcpy(&message, view.message.data(), sizeof(M));
      end.release(view);
      return true;
    }
  };
  [[nodiscard]] Producer producer() const {
    return {SlotProducer::attach(producer_page_, slots_, consumer_page_, kGeometry).value()};
  }
  [[nodiscard]] Consumer consumer() const {
    return {SlotConsumer::attach(consumer_page_, producer_page_, slots_, kGeometry).value()};
  }

 private:
  static constexpr SlotGeometry kGeometry{kSlots, sizeof(M), 0};

  ProducerPage& producer_page_;
  ConsumerPage& consumer_page_;
  std::byte* slots_;
};

// Values of one type in a plain array.
template <typename M, std::size_t kSlots>
class SpscChannel {
 public:
  static constexpr bool kPopBlocks = false;

  explicit SpscChannel(Arena& arena)
      : producer_page_(arena.make<ProducerPage>()),
        consumer_page_(arena.make<ConsumerPage>()),
        slots_(reinterpret_cast<M*>(arena.take(kSlots * sizeof(M), 4096))) {}

  struct Producer {
    SpscProducer<M> end;
    [[nodiscard]] bool try_push(const M& message) noexcept {
      return end.try_push(message) == Transfer::kDone;
    }
    [[nodiscard]] std::size_t try_push_batch(const M* messages, std::size_t count) noexcept {
      std::size_t pushed = 0;
      (void)end.try_push_batch(std::span(messages, count), pushed);
      return pushed;
    }
  };
  struct Consumer {
    SpscConsumer<M> end;
    [[nodiscard]] bool try_pop(M& message) noexcept {
      return end.try_pop(message) == Transfer::kDone;
    }
    [[nodiscard]] std::size_t try_pop_batch(M* messages, std::size_t count) noexcept {
      std::size_t popped = 0;
      (void)end.try_pop_batch(std::span(messages, count), popped);
      return popped;
    }
  };
  [[nodiscard]] Producer producer() const {
    return {SpscProducer<M>::attach(producer_page_, slots_, consumer_page_, kGeometry).value()};
  }
  [[nodiscard]] Consumer consumer() const {
    return {SpscConsumer<M>::attach(consumer_page_, producer_page_, slots_, kGeometry).value()};
  }

 private:
  static constexpr SpscGeometry kGeometry{kSlots, 0};

  ProducerPage& producer_page_;
  ConsumerPage& consumer_page_;
  M* slots_;
};

// 32 bits in the slot word, what recovery needs included; any participant may be killed.
template <typename M>
class MpmcChannel {
 public:
  static constexpr bool kPopBlocks = false;

  explicit MpmcChannel(Arena& arena)
      : shared_{reinterpret_cast<MpmcSlot*>(
                    arena.take(static_cast<std::size_t>(mpmc_slots_bytes(kGeometry)), 4096)),
                reinterpret_cast<MpmcRecord*>(
                    arena.take(static_cast<std::size_t>(mpmc_records_bytes(kGeometry)), 4096))} {}

  struct Producer {
    MpmcProducer end;
    [[nodiscard]] bool try_push(const M& message) noexcept {
      return end.try_push(static_cast<std::uint32_t>(message)) == Transfer::kDone;
    }
  };
  struct Consumer {
    MpmcConsumer end;
    [[nodiscard]] bool try_pop(M& message) noexcept {
      std::uint32_t payload = 0;
      if (end.try_pop(payload) != Transfer::kDone) return false;
      message = payload;
      return true;
    }
  };
  [[nodiscard]] Producer producer(std::uint32_t number) const {
    return {MpmcProducer::attach(shared_, number + 1, kGeometry).value()};
  }
  [[nodiscard]] Consumer consumer(std::uint32_t number) const {
    return {MpmcConsumer::attach(shared_, number + 1, kGeometry).value()};
  }

 private:
  static constexpr MpmcGeometry kGeometry{1024, 16, 32};

  MpmcShared shared_;
};

// Larger messages: the sixteen participants exchange buffers with the slots.
template <typename M>
class ExchangeChannel {
 public:
  static constexpr bool kPopBlocks = false;

  explicit ExchangeChannel(Arena& arena)
      : shared_{reinterpret_cast<MpmcSlot*>(arena.take(1024 * sizeof(MpmcSlot), 4096)),
                reinterpret_cast<MpmcRecord*>(arena.take(16 * sizeof(MpmcRecord), 4096)),
                arena.take(static_cast<std::size_t>(exchange_buffers_bytes(kGeometry)), 4096)} {}

  struct Producer {
    ExchangeProducer end;
    [[nodiscard]] bool try_push(const M& message) noexcept {
      return end.try_push(std::as_bytes(std::span<const M, 1>(&message, 1))) == Transfer::kDone;
    }
  };
  struct Consumer {
    ExchangeConsumer end;
    [[nodiscard]] bool try_pop(M& message) noexcept {
      return end.try_pop(std::as_writable_bytes(std::span<M, 1>(&message, 1))) == Transfer::kDone;
    }
  };
  [[nodiscard]] Producer producer(std::uint32_t number) const {
    return {ExchangeProducer::attach(shared_, number + 1, kGeometry).value()};
  }
  [[nodiscard]] Consumer consumer(std::uint32_t number) const {
    return {ExchangeConsumer::attach(shared_, number + 1, kGeometry).value()};
  }

 private:
  static constexpr ExchangeGeometry kGeometry{1024, 16, sizeof(M)};

  ExchangeShared shared_;
};

// Records, written and read in place.
class RecordCarrier {
 public:
  RecordCarrier(Arena& arena, std::size_t)
      : producer_page_(arena.make<ProducerPage>()),
        consumer_page_(arena.make<ConsumerPage>()),
        bytes_(arena.take(kRecordRingBytes, 4096)) {}

  struct Producer {
    RecordProducer end;
    template <typename Fill>
    [[nodiscard]] bool try_send(std::size_t size_bytes, Fill&& fill) {
      std::span<std::byte> payload;
      if (end.try_reserve(size_bytes, payload) != Transfer::kDone) return false;
      fill(payload);
      end.commit(size_bytes);
      return true;
    }
  };
  struct Consumer {
    RecordConsumer end;
    template <typename Look>
    [[nodiscard]] bool try_receive(Look&& look) {
      RecordView view;
      if (end.try_peek(view) != Transfer::kDone) return false;
      look(view.message);
      end.release(view);
      return true;
    }
  };
  [[nodiscard]] Producer producer() const {
    return {RecordProducer::attach(producer_page_, bytes_, consumer_page_, kGeometry).value()};
  }
  [[nodiscard]] Consumer consumer() const {
    return {RecordConsumer::attach(consumer_page_, producer_page_, bytes_, kGeometry).value()};
  }

 private:
  static constexpr RecordGeometry kGeometry{kRecordRingBytes, 0};

  ProducerPage& producer_page_;
  ConsumerPage& consumer_page_;
  std::byte* bytes_;
};

constexpr Contender kSpscRing{"slipring.spsc", "slipring SPSC ring", Family::kOurs, ""};
constexpr Contender kMpmcRing{"slipring.mpmc", "slipring MPMC ring", Family::kOurs,
                              "32-bit handles; recovery's stores included"};
constexpr Contender kExchange{"slipring.exchange", "slipring exchange ring", Family::kOurs,
                              "recovery's stores included"};
constexpr Contender kSlotRing{"slipring.slot", "slipring slot ring", Family::kOurs,
                              "slots sized at run time, in place"};
constexpr Contender kRecordRing{"slipring.record", "slipring record ring", Family::kOurs,
                                "in place"};

}  // namespace

void add_slipring(Registry& registry) {
  add_streams<SpscChannel>(registry, kSpscRing);
  add_batches<SpscChannel>(registry, kSpscRing);
  add_trips<SpscChannel>(registry, kSpscRing);
  add_processes<SpscChannel>(registry, kSpscRing);
  add_alone<SpscChannel>(registry, kSpscRing);
  add_many<MpmcChannel>(registry, kMpmcRing);
  add_stopped<MpmcChannel>(registry, kMpmcRing);
  add_many_large<ExchangeChannel>(registry, kExchange);
  add_streams<SlotChannel>(registry, kSlotRing);
  add_trips<SlotChannel>(registry, kSlotRing);
  add_processes<SlotChannel>(registry, kSlotRing);
  add_alone<SlotChannel>(registry, kSlotRing);
  add_records<RecordCarrier>(registry, kRecordRing);
}

}  // namespace slipring::bench
