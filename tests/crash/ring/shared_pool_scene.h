// Three participants of a shared pool: 0 is stepped, 1 and 2 live.  Handles go from 0 to 1 and from
// 1 to 0 over rings, and shared buffers stand on a board.
//
// The ledger.  Each participant knows the handles that it owns and holds.  When everybody has given
// back what it knows, and whoever died has been recovered, every buffer is free: none is lost, and
// none was anybody's twice.  The bytes of a buffer are those that its first owner wrote.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/cpu/cache_line.h"
#include "core/error/check.h"
#include "core/pool/pool_recovery.h"
#include "core/pool/shared_pool.h"
#include "core/ring/spsc_ring.h"
#include "tests/crash/ring/message.h"
#include "tests/crash/stepper/findings.h"

namespace slipring::crash {

enum class PoolWay {
  kAcquire,
  kGiveBack,
  kSend,
  kReceive,
  kShare,
  kHold,
  kLetGo,
  kRetire,
  kReclaim,
  kReturnCache,
  kAttach,
  kReap
};

[[nodiscard]] constexpr const char* name_of(PoolWay way) {
  constexpr std::array kNames{"acquire", "give back", "send",    "receive",      "share",  "hold",
                              "let go",  "retire",    "reclaim", "return cache", "attach", "reap"};
  return kNames[static_cast<std::size_t>(way)];
}

inline constexpr SharedPoolGeometry kPoolShape{14, 3, 64};
inline constexpr std::uint64_t kPoolRingSlots = 4;
inline constexpr std::size_t kMostKnown = 16;

struct HandleRing {
  ProducerPage producer;
  ConsumerPage consumer;
  PoolHandle slots[kPoolRingSlots];

  [[nodiscard]] static constexpr SpscGeometry shape() { return {kPoolRingSlots, 0}; }
  [[nodiscard]] auto push_end() {
    return SpscProducer<PoolHandle>::attach(producer, slots, consumer, shape());
  }
  [[nodiscard]] auto pop_end() {
    return SpscConsumer<PoolHandle>::attach(consumer, producer, slots, shape());
  }
  // Whether it carries the handle, from the first one on that is still there or not finished.
  [[nodiscard]] bool carries(const PoolHandle& handle, bool only_unfinished) const {
    const std::uint64_t tail = producer.tail.load(std::memory_order_acquire);
    std::uint64_t at = tail < kPoolRingSlots ? 0 : tail - kPoolRingSlots;
    const std::uint64_t done = consumer.done.load(std::memory_order_acquire);
    if (only_unfinished && at < done) at = done;
    for (; at < tail; ++at) {
      if (slots[at % kPoolRingSlots] == handle) return true;
    }
    return false;
  }
};

// A buffer that a participant knows, and the message that must stand in it.
struct KnownBuffer {
  PoolHandle handle;
  std::uint64_t number;
};
struct Known {
  std::array<KnownBuffer, kMostKnown> buffers;
  std::size_t count;

  void add(const PoolHandle& handle, std::uint64_t number) {
    check(count < kMostKnown, "more handles than are looked after");
    buffers[count++] = {handle, number};
  }
  [[nodiscard]] PoolHandle last() const { return buffers[count - 1].handle; }
  KnownBuffer take() { return buffers[--count]; }
};
// The message that the stepped one writes.
inline constexpr std::uint64_t kSteppedNumber = 1000;

struct PoolScene {
  // What outlives everybody.
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> words[kPoolShape.buffer_count];
  alignas(kAbiLineBytes) std::byte pages[pool_pages_bytes(kPoolShape)];
  alignas(kAbiLineBytes) std::byte buffers[pool_buffers_bytes(kPoolShape)];
  HandleRing to_1;
  HandleRing to_0;
  std::atomic<std::uint64_t> boards[3];  // what each participant shares, or 0
  std::atomic<std::uint64_t> told;       // the stepped one came to its end: 1, or 2 if it did it
  PoolHandle handle;                     // what it gives or gets

  std::optional<SharedPool> pools[3];
  std::optional<SpscProducer<PoolHandle>> sender;    // 0's, to 1
  std::optional<SpscConsumer<PoolHandle>> receiver;  // 0's, from 1
  Known owned[3];
  Known held[3];
  std::uint64_t number_in[kPoolShape.buffer_count];  // what was written there last
  std::uint64_t next_number;
  std::byte message[kPoolShape.buffer_bytes];  // that the stepped one writes

  [[nodiscard]] std::span<const std::byte> image() const {
    const auto* begin = reinterpret_cast<const std::byte*>(this);
    return {begin, reinterpret_cast<const std::byte*>(&pools)};
  }
  [[nodiscard]] PoolMemory memory() { return {words, pages, buffers}; }
  [[nodiscard]] auto attach(std::uint32_t who) {
    return SharedPool::attach(memory(), kPoolShape, who);
  }
  // What the rings and the board say of a dead participant's buffer.
  [[nodiscard]] bool carries(const PoolDoubt& doubt) const {
    if (doubt.state == BufferState::kInFlight) return to_1.carries(doubt.handle, false);
    if (doubt.state == BufferState::kOwned) return to_0.carries(doubt.handle, true);
    return boards[0].load(std::memory_order_relaxed) == doubt.handle.bits;
  }
};

class PoolJudge {
 public:
  PoolJudge(PoolScene& scene, Findings& findings) : scene_(scene), findings_(findings) {}

  // 0 owns a buffer, has sent one and is sent one, shares one that 1 holds if so chosen, and may
  // hold one that 1 shares.
  void begin(PoolWay way, bool is_held, bool is_warm) {
    for (std::uint32_t i = 0; i < 3; ++i) scene_.pools[i].emplace(scene_.attach(i).value());
    scene_.sender.emplace(scene_.to_1.push_end().value());
    scene_.receiver.emplace(scene_.to_0.pop_end().value());
    if (is_warm) {
      acquire(0);
      acquire(0);
      give_back_all(0);
    }
    acquire(0);
    send(*scene_.sender, 0);
    acquire(1);
    auto to_0 = scene_.to_0.push_end().value();
    send(to_0, 1);
    acquire(0);
    share(0);
    acquire(1);
    share(1);
    if (is_held) hold(1, 0);
    if (way == PoolWay::kReclaim) retire(0);
    if (way == PoolWay::kLetGo) hold(0, 1);
    acquire(0);
    // What leaves its hands meanwhile is nobody's to compare with.
    const bool parts = way == PoolWay::kGiveBack || way == PoolWay::kSend || way == PoolWay::kShare;
    if (parts) scene_.handle = scene_.owned[0].take().handle;
    write_message(scene_.message, kSteppedNumber);
  }

  // 1 and 2 acquire and give back, 1 receives: whatever 0 does or does not.
  void others_work() {
    for (int lap = 0; lap < 3; ++lap) {
      for (const std::uint32_t who : {1U, 2U}) {
        findings_.expect(acquire(who), Oracle::kProgress, "nobody else gets a buffer");
        while (acquire(who)) {
        }
        if (who == 1) receive_1();
        give_back_all(who);
        scene_.pools[who]->return_cache();
      }
    }
  }
  // 0 is dead: recovered, and followed.
  void recover() {
    const auto carried = [this](const PoolDoubt& doubt) { return scene_.carries(doubt); };
    const auto recovery = recover_participant(scene_.memory(), kPoolShape, 0, carried);
    findings_.expect(recovery.ok(), Oracle::kOutcome, "recovery is refused");
    forget_dead();
  }
  // Recovering once more changes nothing.
  void recover_again() {
    const std::array before = words();
    recover();
    findings_.expect(before == words(), Oracle::kOutcome, "a second recovery changes something");
  }
  void forget_dead() {
    scene_.owned[0] = {};
    scene_.held[0] = {};
    auto sender = scene_.to_1.push_end();
    auto receiver = scene_.to_0.pop_end();
    if (!sender || !receiver) return findings_.add(Oracle::kOutcome, "no successor on the rings");
    scene_.sender.emplace(sender.value());
    scene_.receiver.emplace(receiver.value());
  }
  void follow() {
    auto successor = scene_.attach(0);
    if (!successor) return findings_.add(Oracle::kOutcome, "no successor can attach");
    scene_.pools[0].emplace(successor.value());
  }
  // 0 has gone on after a stop: what it got and gave counts.
  void settle(PoolWay way) {
    findings_.expect(scene_.told.load(std::memory_order_relaxed) == 2, Oracle::kOutcome,
                     "the stopped one is refused");
    const std::uint32_t slot = scene_.handle.slot();
    if (way == PoolWay::kAcquire) scene_.number_in[slot] = kSteppedNumber;
    if (way == PoolWay::kAcquire || way == PoolWay::kReceive) {
      scene_.owned[0].add(scene_.handle, scene_.number_in[slot]);
    }
    if (way == PoolWay::kShare) {  // two are shared: the one before comes off here
      findings_.expect(scene_.pools[0]->retire(scene_.handle), Oracle::kOutcome, "not retired");
    }
    if (way == PoolWay::kHold) scene_.held[0].add(scene_.handle, scene_.number_in[slot]);
    if (way == PoolWay::kLetGo) scene_.held[0].take();
  }
  // Everybody gives back what it knows of; then all is free.
  void end() {
    findings_.expect(sum() == kPoolShape.buffer_count, Oracle::kLeak, "a word is impossible");
    receive_0();
    receive_1();
    for (std::uint32_t i = 0; i < 3; ++i) {
      give_back_all(i);
      while (scene_.held[i].count != 0) {
        const KnownBuffer buffer = scene_.held[i].take();
        check_bytes(buffer);
        findings_.expect(scene_.pools[i]->let_go(buffer.handle), Oracle::kOutcome,
                         "a hold is not known");
      }
    }
    for (std::uint32_t i = 0; i < 3; ++i) retire(i);
    for (std::uint32_t i = 0; i < 3; ++i) {
      scene_.pools[i]->reclaim();
      scene_.pools[i]->return_cache();
    }
    const PoolCensus census = take_census(scene_.memory(), kPoolShape);
    findings_.expect(census.free == kPoolShape.buffer_count, Oracle::kLeak, "not all came back");
  }

 private:
  bool acquire(std::uint32_t who) {
    PoolHandle handle;
    if (scene_.pools[who]->try_acquire(handle) != Transfer::kDone) return false;
    for (const Known& known : scene_.owned) {
      for (std::size_t i = 0; i < known.count; ++i) {
        findings_.expect(known.buffers[i].handle.slot() != handle.slot(), Oracle::kLeak,
                         "a buffer is two people's");
      }
    }
    const std::uint64_t number = ++scene_.next_number;
    write_message(scene_.pools[who]->bytes(handle), number);
    scene_.number_in[handle.slot()] = number;
    scene_.owned[who].add(handle, number);
    return true;
  }
  void check_bytes(const KnownBuffer& buffer) {
    findings_.expect(is_message(scene_.pools[1]->view(buffer.handle), buffer.number), Oracle::kTorn,
                     "bytes that were not written there");
  }
  void give_back_all(std::uint32_t who) {
    while (scene_.owned[who].count != 0) {
      const KnownBuffer buffer = scene_.owned[who].take();
      check_bytes(buffer);
      findings_.expect(scene_.pools[who]->give_back(buffer.handle), Oracle::kLeak,
                       "not taken back");
    }
  }
  void send(SpscProducer<PoolHandle>& ring, std::uint32_t who) {
    const PoolHandle handle = scene_.owned[who].take().handle;
    const Transfer answer = scene_.pools[who]->send(
        handle, 0, [&ring](const PoolHandle& sent) { return ring.try_push(sent); });
    check(answer == Transfer::kDone, "a handle is sent");
  }
  void receive_from(SpscConsumer<PoolHandle>& ring, std::uint32_t who) {
    for (std::uint64_t i = 0; i < 2 * kPoolRingSlots; ++i) {
      std::span<const PoolHandle> there;
      if (ring.try_peek(there) != Transfer::kDone) return;
      for (const PoolHandle& handle : there) {
        if (scene_.pools[who]->claim(handle)) {
          scene_.owned[who].add(handle, scene_.number_in[handle.slot()]);
        } else {
          findings_.add(Oracle::kLost, "what a ring delivers cannot be claimed");
        }
      }
      ring.release(there.size());
    }
  }
  void receive_1() {
    auto ring = scene_.to_1.pop_end();
    if (!ring) return findings_.add(Oracle::kOutcome, "1 cannot receive");
    receive_from(ring.value(), 1);
  }
  void receive_0() { receive_from(*scene_.receiver, 0); }
  void share(std::uint32_t who) {
    const PoolHandle shared = scene_.pools[who]->share(scene_.owned[who].take().handle);
    check(!shared.is_null(), "a buffer is shared");
    scene_.boards[who].store(shared.bits, std::memory_order_relaxed);
  }
  void hold(std::uint32_t who, std::uint32_t whose) {
    const PoolHandle handle{scene_.boards[whose].load(std::memory_order_relaxed)};
    check(scene_.pools[who]->hold(handle), "a buffer is held");
    scene_.held[who].add(handle, scene_.number_in[handle.slot()]);
  }
  void retire(std::uint32_t who) {
    const PoolHandle handle{scene_.boards[who].exchange(0, std::memory_order_relaxed)};
    if (!handle.is_null()) {
      findings_.expect(scene_.pools[who]->retire(handle), Oracle::kLeak, "not retired");
    }
  }
  [[nodiscard]] std::array<std::uint64_t, kPoolShape.buffer_count> words() const {
    std::array<std::uint64_t, kPoolShape.buffer_count> all;
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i] = scene_.words[i].load(std::memory_order_relaxed);
    }
    return all;
  }
  [[nodiscard]] std::uint32_t sum() {
    const PoolCensus census = take_census(scene_.memory(), kPoolShape);
    return census.free + census.cached + census.owned + census.in_flight + census.shared +
           census.retired;
  }

  PoolScene& scene_;
  Findings& findings_;
};

}  // namespace slipring::crash
