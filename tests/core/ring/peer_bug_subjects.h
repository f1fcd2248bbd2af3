// The rings with two pages as subjects of one test: pushing as much as fits, popping all there is,
// in memory that a child shares, so that a child can be stopped in between.
#pragma once

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

#include "core/ring/byte_stream.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {

struct Value {
  std::array<std::byte, 40> bytes;
};

// The words and bytes of any of the rings with two pages, in memory that a child shares.
struct Shared {
  ProducerPage producer;
  ConsumerPage consumer;
  alignas(kAbiLineBytes) std::byte ring[1024];
  // What was popped last, for the parent to judge.
  std::uint64_t popped_count;
  Value popped[16];
};

struct SharedBlock {
  SharedBlock()
      : at(static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    REQUIRE(at != MAP_FAILED);
  }
  SharedBlock(const SharedBlock&) = delete;
  SharedBlock& operator=(const SharedBlock&) = delete;
  ~SharedBlock() { munmap(at, sizeof(Shared)); }
  void clear() const { std::memset(static_cast<void*>(at), 0, sizeof(Shared)); }
  void copy(const SharedBlock& from) const {
    std::memcpy(static_cast<void*>(at), static_cast<const void*>(from.at), sizeof(Shared));
  }
  Shared* at;
};

// Message n, n from 0 in each scene; 40 bytes in each ring, so that five or six fill it.
inline constexpr std::uint64_t kStart =
    (std::uint64_t{1} << 32) - 40 * 4;  // a multiple of 8 and of 40
inline constexpr std::uint64_t kPerRing = 4;

// A ring's pushing of as much as fits, and its popping of all there is, in terms of Shared.
struct Subject {
  const char* name;
  // Pushes messages from number `first` on, at most `most`; answers how many went in.
  std::function<std::uint64_t(Shared&, std::uint64_t first, std::uint64_t most)> push;
  // Pops all there is, at most 16, into shared.popped.
  std::function<void(Shared&)> pop;
};

template <typename Producer>
void push_all(Producer& producer, std::uint64_t& count, std::uint64_t first, std::uint64_t most) {
  std::array<std::byte, 40> message;
  while (count != most) {
    write_pattern(message, first + count);
    if (producer.try_push(message) != Transfer::kDone) break;
    ++count;
  }
}

inline Subject typed_subject() {
  const SpscGeometry geometry{kPerRing, kStart};
  return {"typed",
          [=](Shared& shared, std::uint64_t first, std::uint64_t most) {
            auto producer = SpscProducer<Value>::attach(
                shared.producer, reinterpret_cast<Value*>(shared.ring), shared.consumer, geometry);
            std::vector<Value> values(most);
            for (std::size_t i = 0; i < most; ++i) write_pattern(values[i].bytes, first + i);
            std::size_t count = 0;
            static_cast<void>(producer->try_push_batch(values, count));
            return count;
          },
          [=](Shared& shared) {
            auto consumer = SpscConsumer<Value>::attach(
                shared.consumer, shared.producer, reinterpret_cast<Value*>(shared.ring), geometry);
            std::uint64_t& count = shared.popped_count;
            count = 0;
            while (count != 16 && consumer->try_pop(shared.popped[count]) == Transfer::kDone) {
              ++count;
            }
          }};
}
inline Subject slot_subject() {
  const SlotGeometry geometry{kPerRing, 40, kStart};
  return {
      "slots",
      [=](Shared& shared, std::uint64_t first, std::uint64_t most) {
        auto producer =
            SlotProducer::attach(shared.producer, shared.ring, shared.consumer, geometry);
        std::uint64_t count = 0;
        push_all(*producer, count, first, most);
        return count;
      },
      [=](Shared& shared) {
        auto consumer =
            SlotConsumer::attach(shared.consumer, shared.producer, shared.ring, geometry);
        std::uint64_t& count = shared.popped_count;
        count = 0;
        while (count != 16 && consumer->try_pop(shared.popped[count].bytes) == Transfer::kDone) {
          ++count;
        }
      }};
}
inline Subject record_subject() {
  const RecordGeometry geometry{256, kStart};
  return {"records",
          [=](Shared& shared, std::uint64_t first, std::uint64_t most) {
            auto producer =
                RecordProducer::attach(shared.producer, shared.ring, shared.consumer, geometry);
            std::uint64_t count = 0;
            push_all(*producer, count, first, most);
            return count;
          },
          [=](Shared& shared) {
            auto consumer =
                RecordConsumer::attach(shared.consumer, shared.producer, shared.ring, geometry);
            std::uint64_t& count = shared.popped_count;
            count = 0;
            std::uint64_t size = 0;
            while (count != 16 &&
                   consumer->try_pop(shared.popped[count].bytes, size) == Transfer::kDone) {
              ++count;
            }
          }};
}
inline Subject stream_subject() {
  const StreamGeometry geometry{256, kStart};
  return {"stream",
          [=](Shared& shared, std::uint64_t first, std::uint64_t most) {
            auto producer =
                StreamProducer::attach(shared.producer, shared.ring, shared.consumer, geometry);
            std::uint64_t count = 0;
            std::array<std::byte, 40> message;
            while (count != most && producer->has_space(40)) {
              std::size_t written = 0;
              write_pattern(message, first + count);
              static_cast<void>(producer->try_write(message, written));
              ++count;
            }
            return count;
          },
          [=](Shared& shared) {
            auto consumer =
                StreamConsumer::attach(shared.consumer, shared.producer, shared.ring, geometry);
            std::uint64_t& count = shared.popped_count;
            count = 0;
            std::size_t read = 0;
            while (count != 16 &&
                   consumer->try_read(shared.popped[count].bytes, read) == Transfer::kDone) {
              ++count;
            }
          }};
}
inline std::vector<Subject> all_subjects() {
  return {typed_subject(), slot_subject(), record_subject(), stream_subject()};
}

// How many of the messages popped last are not those from number `first` on.
inline std::uint64_t wrong_count(const Shared& shared, std::uint64_t first) {
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < shared.popped_count; ++i) {
    wrong += has_pattern(shared.popped[i].bytes, first + i) ? 0U : 1U;
  }
  return wrong;
}

}  // namespace slipring
