// Sleeping and waking, idling, many readers, and large messages by handle.

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "core/error/check.h"
#include "core/pool/buffer_pool.h"
#include "core/ring/broadcast_ring.h"
#include "core/ring/cursor_page.h"
#include "core/ring/spsc_ring.h"
#include "platform/wait/doorbell.h"
#include "platform/wait/futex.h"
#include "platform/wait/waiter.h"
#include "tools/bench/contenders.h"
#include "tools/bench/many_loop.h"
#include "tools/bench/spsc_cells.h"

namespace slipring::bench {
namespace {

using M = Message<8>;
constexpr std::uint64_t kSleepNs = 20'000'000;

// A ring whose consumer may sleep; kStrategy kPoll never does, and the doorbell stays silent.
template <typename Value, WaitStrategy kStrategy>
class BellChannel {
 public:
  static constexpr bool kPopBlocks = false;

  explicit BellChannel(Arena& arena)
      : producer_page_(arena.make<ProducerPage>()),
        consumer_page_(arena.make<ConsumerPage>()),
        bell_(arena.make<BellLine>()),
        arm_(arena.make<ArmLine>()),
        slots_(reinterpret_cast<Value*>(arena.take(1024 * sizeof(Value), 4096))) {}

  struct Producer {
    SpscProducer<Value> end;
    Doorbell doorbell;
    [[nodiscard]] bool try_push(const Value& message) noexcept {
      if (end.try_push(message) != Transfer::kDone) return false;
      doorbell.ring_if_armed();
      return true;
    }
  };
  struct Consumer {
    SpscConsumer<Value> end;
    WaitPoint point;
    std::unique_ptr<Waiter> waiter;
    [[nodiscard]] bool try_pop(Value& message) noexcept {
      if (end.try_pop(message) == Transfer::kDone) return true;
      if constexpr (kStrategy == WaitStrategy::kPoll) return false;
      const std::array<WaitPoint, 1> points{point};
      const auto ready = [this] { return end.has_value(); };
      (void)waiter->wait(points, ready, deadline_after(kSleepNs));
      return end.try_pop(message) == Transfer::kDone;
    }
  };
  [[nodiscard]] Producer producer() const {
    return {SpscProducer<Value>::attach(producer_page_, slots_, consumer_page_, kGeometry).value(),
            Doorbell(bell_, arm_)};
  }
  [[nodiscard]] Consumer consumer() const {
    WaiterOptions options;
    options.strategy = kStrategy;
    return {SpscConsumer<Value>::attach(consumer_page_, producer_page_, slots_, kGeometry).value(),
            WaitPoint::of(bell_, arm_), std::make_unique<Waiter>(options)};
  }

 private:
  static constexpr SpscGeometry kGeometry{1024, 0};

  ProducerPage& producer_page_;
  ConsumerPage& consumer_page_;
  BellLine& bell_;
  ArmLine& arm_;
  Value* slots_;
};

// One message under way, and nothing but a futex to say so.
class FutexChannel {
 public:
  static constexpr bool kPopBlocks = false;

  explicit FutexChannel(Arena& arena) : shared_(arena.make<Shared>()) {}

  struct Shared {
    std::atomic<std::uint32_t> count{0};
    M payload{};
  };
  struct Producer {
    Shared* shared;
    [[nodiscard]] bool try_push(const M& message) noexcept {
      shared->payload = message;
      // bench.A pairs with bench.B, as in SharedWord; a futex has 32 bits.
      shared->count.fetch_add(1, std::memory_order_release);
      futex_wake(shared->count, 1);
      return true;
    }
  };
  struct Consumer {
    Shared* shared;
    std::uint32_t seen = 0;
    [[nodiscard]] bool try_pop(M& message) noexcept {
      // bench.B pairs with bench.A
      if (shared->count.load(std::memory_order_acquire) == seen) {
        (void)futex_wait(shared->count, seen, deadline_after(kSleepNs));
        // bench.B pairs with bench.A
        if (shared->count.load(std::memory_order_acquire) == seen) return false;
      }
      message = shared->payload;
      ++seen;
      return true;
    }
  };
  [[nodiscard]] Producer producer() const { return {&shared_}; }
  [[nodiscard]] Consumer consumer() const { return {&shared_}; }

 private:
  Shared& shared_;
};

// A pipe that is slept on.
class PipeChannel {
 public:
  static constexpr bool kPopBlocks = false;

  explicit PipeChannel(Arena&) { check(pipe(fds_.data()) == 0, "no pipe"); }

  struct Producer {
    int fd;
    [[nodiscard]] bool try_push(const M& message) noexcept {
      return write(fd, &message, sizeof message) == sizeof message;
    }
  };
  struct Consumer {
    int fd;
    [[nodiscard]] bool try_pop(M& message) noexcept {
      pollfd waited{fd, POLLIN, 0};
      constexpr int kSleepMs = static_cast<int>(kSleepNs / 1'000'000);
      if (::poll(&waited, 1, kSleepMs) <= 0) return false;
      return read(fd, &message, sizeof message) == sizeof message;
    }
  };
  [[nodiscard]] Producer producer() const { return {fds_[1]}; }
  [[nodiscard]] Consumer consumer() const { return {fds_[0]}; }

 private:
  std::array<int, 2> fds_{};
};

std::uint64_t thread_time_ns() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<std::uint64_t>(spent.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(spent.tv_nsec);
}

// What a consumer uses that waits adaptively for what never comes.
CellResult run_idle(const CellSettings& settings) {
  Arena arena(1U << 20);
  auto& channel = arena.make<BellChannel<M, WaitStrategy::kAdaptive>>(arena);
  // Only there: it registers its process, as a link's producer does.
  [[maybe_unused]] const auto producer = channel.producer();
  auto consumer = channel.consumer();
  M message;
  const std::uint64_t begin_ns = monotonic_ns();
  const std::uint64_t begin_used_ns = thread_time_ns();
  while (monotonic_ns() - begin_ns < 4 * settings.duration_ns) (void)consumer.try_pop(message);
  CellResult result;
  result.value = 100 * static_cast<double>(thread_time_ns() - begin_used_ns) /
                 static_cast<double>(monotonic_ns() - begin_ns);
  return result;
}

constexpr BroadcastGeometry fan_geometry(std::uint32_t reader_count) {
  return {1024, 64, 0, reader_count, BroadcastPolicy::kOverwrite, 0};
}

// Reads until told to stop; every message that it gets is whole.
void read_fan(BroadcastReader reader, const SharedWord& stop, ManyJudge& judge) {
  Message<64> message;
  BroadcastView view;
  while (stop.look() == 0) {
    const auto bytes = std::as_writable_bytes(std::span(&message, 1));
    if (reader.try_pop(bytes, view) != Reception::kDone) {
      relax();
      continue;
    }
    judge.take(tag_of(0, 0), message.is(message.first()));
  }
}

// The writer's time a message, while readers keep up as well as they can and count what they miss.
template <std::uint32_t kReaders>
CellResult run_fan(const CellSettings& settings) {
  constexpr BroadcastGeometry kGeometry = fan_geometry(kReaders);
  Arena arena(kArenaBytes);
  auto& stop = arena.make<SharedWord>();
  auto& page = arena.make<BroadcastWriterPage>();
  auto* const slots = arena.take(static_cast<std::size_t>(broadcast_slots_bytes(kGeometry)), 4096);
  std::array<BroadcastReaderPage*, kReaders> own{};
  std::array<const BroadcastReaderPage*, kReaders> seen{};
  for (std::uint32_t i = 0; i < kReaders; ++i)
    seen[i] = own[i] = &arena.make<BroadcastReaderPage>();
  BroadcastWriter writer = BroadcastWriter::attach(page, slots, seen, kGeometry).value();
  std::array<ManyJudge, kReaders> judges;
  std::vector<std::thread> readers;
  for (std::uint32_t i = 0; i < kReaders; ++i) {
    BroadcastReader reader = BroadcastReader::attach(*own[i], page, slots, i, kGeometry).value();
    check(reader.join(BroadcastJoin::kNewest).ok(), "a reader cannot join");
    readers.emplace_back([&settings, &stop, &judges, i, reader] {
      pin_to(settings.cpu_there);
      read_fan(reader, stop, judges[i]);
    });
  }
  pin_to(settings.cpu_here);
  Message<64> message;
  std::uint64_t count = 0;
  const std::uint64_t begin_ns = monotonic_ns();
  std::uint64_t now_ns = begin_ns;
  for (; now_ns - begin_ns < settings.duration_ns; now_ns = monotonic_ns()) {
    for (int i = 0; i < 512; ++i) {
      message.set(first_word(count));
      const auto bytes = std::as_bytes(std::span(&message, 1));
      if (writer.try_push(bytes) == Transfer::kDone) ++count;
    }
  }
  stop.publish(1);
  for (std::thread& reader : readers) reader.join();
  CellResult result;
  result.value = static_cast<double>(now_ns - begin_ns) / static_cast<double>(count);
  result.message_count = count;
  for (const ManyJudge& judge : judges) {
    result.faults.torn += judge.faults(judge.count(), 0).torn;
    result.extras.emplace_back("read_share",
                               static_cast<double>(judge.count()) / static_cast<double>(count));
  }
  return result;
}

// Messages that stay where they are: a ring carries their handles.
template <std::size_t kBytes>
class HandleChannel {
 public:
  static constexpr bool kPopBlocks = false;
  static constexpr std::uint32_t kBufferCount = 32;
  static constexpr std::uint32_t kSlotCount = 2 * kBufferCount;

  explicit HandleChannel(Arena& arena)
      : handles_(arena.make<Handles>(arena)),
        lent_(reinterpret_cast<PoolWord*>(arena.take(kBufferCount * sizeof(PoolWord), 128))),
        returned_(reinterpret_cast<PoolWord*>(arena.take(kBufferCount * sizeof(PoolWord), 128))),
        buffers_(arena.take(kBufferCount * kBytes, 4096)) {}

  struct Producer {
    SpscProducer<BufferHandle> end;
    PoolOwner pool;
    // The message's first line; the rest of the buffer is the payload that nobody copies.
    [[nodiscard]] bool try_push(const Message<64>& message) noexcept {
      std::uint32_t slot = 0;
      if (pool.try_acquire(slot) != Transfer::kDone) return false;
      std::memcpy(pool.bytes(slot).data(), &message, sizeof message);
      const BufferHandle handle = pool.lend(slot);
      pool.drop(slot);
      // Never full: twice as many slots as buffers, and credit lags by a quarter of a lap at most.
      return end.try_push(handle) == Transfer::kDone;
    }
  };
  struct Consumer {
    SpscConsumer<BufferHandle> end;
    PoolReader pool;
    [[nodiscard]] bool try_pop(Message<64>& message) noexcept {
      BufferHandle handle{};
      if (end.try_pop(handle) != Transfer::kDone) return false;
      std::memcpy(&message, pool.bytes(handle).data(), sizeof message);
      pool.give_back(handle);
      return true;
    }
  };
  [[nodiscard]] Producer producer() const {
    return {handles_.producer(), PoolOwner::attach(lent_, returned_, buffers_, kGeometry).value()};
  }
  [[nodiscard]] Consumer consumer() const {
    return {handles_.consumer(), PoolReader::attach(returned_, lent_, buffers_, kGeometry).value()};
  }

 private:
  struct Handles {
    explicit Handles(Arena& arena)
        : slots(reinterpret_cast<BufferHandle*>(
              arena.take(kSlotCount * sizeof(BufferHandle), 4096))) {}
    [[nodiscard]] SpscProducer<BufferHandle> producer() {
      return SpscProducer<BufferHandle>::attach(producer_page, slots, consumer_page,
                                                {kSlotCount, 0})
          .value();
    }
    [[nodiscard]] SpscConsumer<BufferHandle> consumer() {
      return SpscConsumer<BufferHandle>::attach(consumer_page, producer_page, slots,
                                                {kSlotCount, 0})
          .value();
    }
    ProducerPage producer_page{};
    ConsumerPage consumer_page{};
    BufferHandle* slots;
  };
  static constexpr PoolGeometry kGeometry{kBufferCount, 0, kBytes};

  Handles& handles_;
  PoolWord* lent_;
  PoolWord* returned_;
  std::byte* buffers_;
};

constexpr Contender kBell{"slipring.bell", "slipring SPSC ring, doorbell", Family::kOurs,
                          "its consumer may sleep"};
constexpr Contender kFutex{"futex", "bare futex", Family::kKernel, ""};
constexpr Contender kPipeSlept{"pipe.slept", "pipe, slept on", Family::kKernel, ""};
constexpr Contender kBroadcast{"slipring.broadcast", "slipring broadcast ring", Family::kOurs,
                               "overwrites; readers are told what they missed"};
constexpr Contender kHandles{"slipring.pool", "slipring buffer pool", Family::kOurs,
                             "32 buffers, handles on an SPSC ring"};

}  // namespace

void add_slipring_waiting(Registry& registry) {
  using Sleeping = BellChannel<M, WaitStrategy::kSleep>;
  using Polling = BellChannel<M, WaitStrategy::kPoll>;
  registry.add("wake", kBell, run_trips<Sleeping, M, Sides::kThreads>);
  registry.add("wake", kFutex, run_trips<FutexChannel, M, Sides::kThreads>);
  registry.add("wake", kPipeSlept, run_trips<PipeChannel, M, Sides::kThreads>);
  registry.add("ready8", kBell, run_stream<Polling, M, 1, Sides::kThreads>);
  registry.add("idle", kBell, run_idle);
  registry.add("fan1", kBroadcast, run_fan<1>);
  registry.add("fan2", kBroadcast, run_fan<2>);
  registry.add("fan4", kBroadcast, run_fan<4>);
  using First = Message<64>;
  registry.add("handle64", kHandles, run_stream<HandleChannel<64>, First, 1, Sides::kThreads>);
  registry.add("handle4k", kHandles, run_stream<HandleChannel<4096>, First, 1, Sides::kThreads>);
  registry.add("handle1m", kHandles,
               run_stream<HandleChannel<1U << 20>, First, 1, Sides::kThreads>);
}

}  // namespace slipring::bench
