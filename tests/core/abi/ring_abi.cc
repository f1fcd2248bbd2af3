// One side of a ring in a file, built for two processors: `ring_abi produce|consume FILE COUNT`.
//
// The producer fills a slot ring, a record ring and buffers of a pool, then the rings of
// further_rings.h; the consumer checks every byte and reports.  `ring_abi size` says how long the
// file has to be.
// Both run at once; the test starts one side as i386 and the other as x86-64.

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

#include "core/cpu/line_wait.h"
#include "core/cpu/relax.h"
#include "core/pool/buffer_pool.h"
#include "core/pool/pool_recovery.h"
#include "core/pool/shared_pool.h"
#include "core/ring/broadcast_ring.h"
#include "core/ring/byte_stream.h"
#include "core/ring/exchange_ring.h"
#include "core/ring/mpmc_ring.h"
#include "core/ring/mpsc_merge.h"
#include "core/ring/mpsc_ring.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/segment/segment_layout.h"
#include "tests/core/abi/further_rings.h"

namespace slipring {

// Compiled whole on every processor.
template class TypedBroadcastWriter<std::uint64_t>;
template class TypedBroadcastReader<std::uint64_t>;
template class MpscConsumer<SlotConsumer>;
template class MpscMerge<RecordConsumer>;

namespace {

constexpr std::uint64_t kStart = (std::uint64_t{1} << 32) - 4096;
constexpr SlotGeometry kSlots{64, 40, kStart};
constexpr RecordGeometry kRecords{4096, kStart};

constexpr SharedPoolGeometry kPool{8, 2, 256};

// The whole file; every part has its place on both processors, or the static_asserts of the
// headers fail first.
struct Shared {
  ProducerPage slot_producer;
  ConsumerPage slot_consumer;
  ProducerPage record_producer;
  ConsumerPage record_consumer;
  alignas(kAbiLineBytes) std::byte slots[64 * 64];
  alignas(kAbiLineBytes) std::byte records[4096];
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> pool_words[8];
  std::atomic<std::uint64_t> pool_handle;  // on its way from one to the other; 0: none
  alignas(kAbiLineBytes) std::byte pool_pages[2 * kPoolPageBytes];
  std::byte pool_buffers[8 * 256];
  FurtherRings further;
};
static_assert(offsetof(Shared, further) == 4 * 256 + 4096 + 4096 + 128 + 8192 + 2048);
static_assert(pool_pages_bytes(kPool) == 8192 && pool_buffers_bytes(kPool) == 2048);

Result<SharedPool> attach_pool(Shared& shared, std::uint32_t participant) {
  return SharedPool::attach({shared.pool_words, shared.pool_pages, shared.pool_buffers}, kPool,
                            participant);
}

std::byte pattern(std::uint64_t number, std::size_t at) {
  return static_cast<std::byte>(number * 7 + at * 13);
}

void fill(std::span<std::byte> message, std::uint64_t number) {
  for (std::size_t i = 0; i < message.size(); ++i) message[i] = pattern(number, i);
}

bool is_right(std::span<const std::byte> message, std::uint64_t number) {
  for (std::size_t i = 0; i < message.size(); ++i) {
    if (message[i] != pattern(number, i)) return false;
  }
  return true;
}

std::size_t record_size(std::uint64_t number) {
  return static_cast<std::size_t>(number % 1000);
}

// False once nothing has moved for half a minute.
class Patience {
 public:
  bool wait() {
    relax();
    if (++spin_count_ % 256 != 0) return true;
    sched_yield();
    return std::time(nullptr) < deadline_;
  }

 private:
  std::uint64_t spin_count_ = 0;
  std::time_t deadline_ = std::time(nullptr) + 30;
};

bool produce(Shared& shared, std::uint64_t count) {
  Result<SlotProducer> slots =
      SlotProducer::attach(shared.slot_producer, shared.slots, shared.slot_consumer, kSlots);
  Result<RecordProducer> records = RecordProducer::attach(shared.record_producer, shared.records,
                                                          shared.record_consumer, kRecords);
  Result<SharedPool> pool = attach_pool(shared, 0);
  if (!slots || !records || !pool) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::span<std::byte> message;
    Patience patience;
    PoolHandle buffer;
    while (pool->try_acquire(buffer) != Transfer::kDone) {
      if (!patience.wait()) return false;
    }
    fill(pool->bytes(buffer), i + 2);
    const auto publish = [&](const PoolHandle& sent) {
      std::uint64_t none = 0;
      return shared.pool_handle.compare_exchange_strong(none, sent.bits) ? Transfer::kDone
                                                                         : Transfer::kBlocked;
    };
    while (pool->send(buffer, 0, publish) != Transfer::kDone) {
      if (!patience.wait()) return false;
    }
    while (slots->try_reserve(message) != Transfer::kDone) {
      if (!patience.wait()) return false;
    }
    fill(message, i);
    slots->commit();
    while (records->try_reserve(record_size(i), message) != Transfer::kDone) {
      if (!patience.wait()) return false;
    }
    fill(message, i + 1);
    records->commit(message.size());
  }
  return produce_further<Patience>(shared.further, count, fill);
}

bool consume(Shared& shared, std::uint64_t count) {
  Result<SlotConsumer> slots =
      SlotConsumer::attach(shared.slot_consumer, shared.slot_producer, shared.slots, kSlots);
  Result<RecordConsumer> records = RecordConsumer::attach(
      shared.record_consumer, shared.record_producer, shared.records, kRecords);
  Result<SharedPool> pool = attach_pool(shared, 1);
  if (!slots || !records || !pool) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    Patience patience;
    PoolHandle buffer;
    while ((buffer.bits = shared.pool_handle.exchange(0)) == 0) {
      if (!patience.wait()) return false;
    }
    if (!pool->claim(buffer) || !is_right(pool->bytes(buffer), i + 2)) return false;
    if (!pool->give_back(buffer)) return false;
    SlotView slot;
    while (slots->try_peek(slot) != Transfer::kDone) {
      if (!patience.wait()) return false;
    }
    if (!is_right(slot.message, i)) return false;
    slots->release(slot);
    RecordView record;
    while (records->try_peek(record) != Transfer::kDone) {
      if (!patience.wait()) return false;
    }
    if (record.message.size() != record_size(i) || !is_right(record.message, i + 1)) return false;
    records->release(record);
  }
  return consume_further<Patience>(shared.further, count, is_right);
}

int run(std::string_view role, const char* path, std::uint64_t count) {
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return 2;
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (memory == MAP_FAILED) return 2;
  Shared& shared = *static_cast<Shared*>(memory);
  const bool is_right_run =
      role == "produce" ? produce(shared, count) : role == "consume" && consume(shared, count);
  std::printf("%zu-bit %.*s: %llu messages through each of 8 rings and pools, %s\n",
              sizeof(void*) * 8, static_cast<int>(role.size()), role.data(),
              static_cast<unsigned long long>(count), is_right_run ? "all right" : "WRONG");
  return is_right_run ? 0 : 1;
}

}  // namespace
}  // namespace slipring

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "size") {
    std::printf("%zu\n", sizeof(slipring::Shared));
    return 0;
  }
  if (argc != 4) return 2;
  return slipring::run(argv[1], argv[2], std::strtoull(argv[3], nullptr, 10));
}
