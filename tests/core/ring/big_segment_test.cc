// Rings of more than 5 GiB, in a sparse file of which a few pages are touched: no offset and no
// size is cut to 32 bits.

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>

#include "core/ring/byte_stream.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr std::uint64_t kRingBytes = 8 * kGiB;  // a power of two above 5 GiB

// Where a cut offset or size would show, in bytes from the start of the ring.
constexpr std::array<std::uint64_t, 5> kEdges{2 * kGiB, 4 * kGiB, 5 * kGiB, 6 * kGiB, kRingBytes};

class BigSegment {
 public:
  BigSegment() {
    const int file = memfd_create("slipring-big", MFD_CLOEXEC);
    REQUIRE(file >= 0);
    REQUIRE(ftruncate(file, static_cast<off_t>(kRingBytes)) == 0);
    void* memory = mmap(nullptr, static_cast<std::size_t>(kRingBytes), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_NORESERVE, file, 0);
    close(file);
    REQUIRE(memory != MAP_FAILED);
    bytes_ = static_cast<std::byte*>(memory);
  }
  BigSegment(const BigSegment&) = delete;
  BigSegment& operator=(const BigSegment&) = delete;
  ~BigSegment() { munmap(bytes_, static_cast<std::size_t>(kRingBytes)); }

  [[nodiscard]] std::byte* bytes() const { return bytes_; }
  [[nodiscard]] bool contains(std::span<const std::byte> part) const {
    return part.data() >= bytes_ && part.data() + part.size() <= bytes_ + kRingBytes;
  }

  ProducerPage producer{};
  ConsumerPage consumer{};

 private:
  std::byte* bytes_ = nullptr;
};

// Whether there is room for it; what it prints is why a green run shows nothing.
bool has_address_space() {
  if constexpr (sizeof(void*) > 4) return true;
  MESSAGE("skipped: the address space has 32 bits");
  return false;
}

TEST_CASE("big: slots around 2, 4, 5, 6 GiB and the end arrive whole (iceoryx #2366)") {
  if (!has_address_space()) return;
  constexpr std::uint32_t kBytes = 4096 - 8;
  int message_count = 0;
  for (const std::uint64_t edge : kEdges) {
    BigSegment segment;
    const SlotGeometry geometry{kRingBytes / 4096, kBytes, edge / 4096 - 4};
    REQUIRE(slot_slots_bytes(geometry) == kRingBytes);
    auto producer =
        SlotProducer::attach(segment.producer, segment.bytes(), segment.consumer, geometry);
    auto consumer =
        SlotConsumer::attach(segment.consumer, segment.producer, segment.bytes(), geometry);
    for (std::uint64_t number = 0; number < 8; ++number) {
      std::span<std::byte> slot;
      REQUIRE(producer->try_reserve(slot) == Transfer::kDone);
      REQUIRE(segment.contains(slot));
      REQUIRE(static_cast<std::uint64_t>(slot.data() - segment.bytes()) ==
              (edge + number * 4096 - 4 * 4096) % kRingBytes + 8);
      write_pattern(slot, number);
      producer->commit();
    }
    for (std::uint64_t number = 0; number < 8; ++number) {
      SlotView view;
      REQUIRE(consumer->try_peek(view) == Transfer::kDone);
      REQUIRE(has_pattern(view.message, number));
      consumer->release(view);
      ++message_count;
    }
  }
  MESSAGE("messages: ", message_count);
  CHECK(message_count == 40);
}

TEST_CASE("big: values around 2, 4, 5, 6 GiB arrive whole, and 5 GiB of them go in one batch") {
  if (!has_address_space()) return;
  struct Page {
    std::array<std::byte, 4096> bytes;
  };
  for (const std::uint64_t edge : kEdges) {
    BigSegment segment;
    const SpscGeometry geometry{5 * kGiB / 4096, edge / 4096 - 3};
    REQUIRE(spsc_place_count(geometry) * sizeof(Page) == kRingBytes);
    auto* first = reinterpret_cast<Page*>(segment.bytes());
    auto producer = SpscProducer<Page>::attach(segment.producer, first, segment.consumer, geometry);
    auto consumer = SpscConsumer<Page>::attach(segment.consumer, segment.producer, first, geometry);
    for (std::uint64_t number = 0; number < 6; ++number) {
      Page page;
      write_pattern(page.bytes, number);
      REQUIRE(producer->try_push(page) == Transfer::kDone);
    }
    for (std::uint64_t number = 0; number < 6; ++number) {
      Page page;
      REQUIRE(consumer->try_pop(page) == Transfer::kDone);
      REQUIRE(has_pattern(page.bytes, number));
    }
    REQUIRE(consumer->try_pop(first[0]) == Transfer::kBlocked);
    // All of the ring, untouched but for the first and the last value of each run.
    std::uint64_t reserved = 0;
    for (std::span<Page> run; producer->try_reserve(run) == Transfer::kDone;) {
      REQUIRE(segment.contains(std::as_bytes(run)));
      write_pattern(run.front().bytes, reserved);
      reserved += run.size();
      write_pattern(run.back().bytes, reserved);
      producer->commit(run.size());
    }
    CHECK(reserved == geometry.slot_count);
    std::uint64_t seen = 0;
    for (std::span<const Page> run; consumer->try_peek(run) == Transfer::kDone;) {
      CHECK(has_pattern(run.front().bytes, seen));
      seen += run.size();
      CHECK(has_pattern(run.back().bytes, seen));
      consumer->release(run.size());
    }
    CHECK(seen == geometry.slot_count);
  }
}

TEST_CASE("big: records around 2, 4, 5, 6 GiB arrive whole, and one of almost 4 GiB") {
  if (!has_address_space()) return;
  std::array<std::byte, 1000> message;
  for (const std::uint64_t edge : kEdges) {
    BigSegment segment;
    const RecordGeometry geometry{kRingBytes, edge - 2048};
    auto producer =
        RecordProducer::attach(segment.producer, segment.bytes(), segment.consumer, geometry);
    auto consumer =
        RecordConsumer::attach(segment.consumer, segment.producer, segment.bytes(), geometry);
    for (std::uint64_t number = 0; number < 5; ++number) {
      write_pattern(message, number);
      REQUIRE(producer->try_push(message) == Transfer::kDone);
    }
    for (std::uint64_t number = 0; number < 5; ++number) {
      RecordView view;
      REQUIRE(consumer->try_peek(view) == Transfer::kDone);
      REQUIRE(segment.contains(view.message));
      REQUIRE(has_pattern(view.message, number));
      consumer->release(view);
    }
    consumer->publish_credit();
    const std::uint64_t longest = producer->max_payload_bytes();
    CHECK(longest == 4 * kGiB - 16);
    std::span<std::byte> payload;
    REQUIRE(producer->try_reserve(longest, payload) == Transfer::kDone);
    REQUIRE(segment.contains(payload));
    write_pattern(payload.first(64), 1);
    write_pattern(payload.last(64), 2);
    producer->commit(longest);
    RecordView view;
    REQUIRE(consumer->try_peek(view) == Transfer::kDone);
    CHECK(view.message.size() == longest);
    CHECK(has_pattern(view.message.first(64), 1));
    CHECK(has_pattern(view.message.last(64), 2));
    consumer->release(view);
    CHECK(consumer->try_peek(view) == Transfer::kBlocked);
  }
}

TEST_CASE("big: bytes around 2, 4, 5, 6 GiB arrive whole, and 8 GiB at once") {
  if (!has_address_space()) return;
  std::array<std::byte, 4096> message;
  std::array<std::byte, 4096> out;
  for (const std::uint64_t edge : kEdges) {
    BigSegment segment;
    const StreamGeometry geometry{kRingBytes, edge - 1000};
    auto producer =
        StreamProducer::attach(segment.producer, segment.bytes(), segment.consumer, geometry);
    auto consumer =
        StreamConsumer::attach(segment.consumer, segment.producer, segment.bytes(), geometry);
    std::size_t count = 0;
    write_pattern(message, edge);
    REQUIRE(producer->try_write(message, count) == Transfer::kDone);
    REQUIRE(count == message.size());
    REQUIRE(consumer->try_read(out, count) == Transfer::kDone);
    REQUIRE(count == out.size());
    CHECK(out == message);
    consumer->publish_credit();
    StreamParts<std::byte> room;
    REQUIRE(producer->try_reserve(room, kRingBytes) == Transfer::kDone);
    CHECK(room.size() == kRingBytes);
    write_pattern(room.first.last(16), 3);
    producer->commit(kRingBytes);
    StreamView view;
    REQUIRE(consumer->try_peek(view, kRingBytes) == Transfer::kDone);
    CHECK(view.bytes.size() == kRingBytes);
    CHECK(has_pattern(view.bytes.first.last(16), 3));
    consumer->consume(kRingBytes);
    CHECK(consumer->try_peek(view) == Transfer::kBlocked);
  }
}

}  // namespace
}  // namespace slipring
