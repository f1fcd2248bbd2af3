// The byte stream against an oracle that a child could check: three counts.  Every byte tells its
// position, so that content needs no oracle.  Random operations, deaths, aborts, and in the second
// walk a peer that scribbles; the seed of a failure is printed.

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <vector>

#include "core/ring/byte_stream.h"
#include "tests/core/ring/byte_stream_memory.h"

namespace slipring {
namespace {

struct Counts {
  std::uint64_t read = 0;
  std::uint64_t partial = 0;
  std::uint64_t blocked = 0;
  std::uint64_t death = 0;
  std::uint64_t skipped = 0;
};

class StreamWalk {
 public:
  StreamWalk(std::uint64_t seed, const StreamGeometry& geometry)
      : random_(seed), memory_(geometry) {}

  void step(Counts& counts) {
    switch (random_() % 16) {
      default:
        return write(counts);
      case 5:
        return write_in_place(counts);
      case 6:
      case 7:
      case 8:
      case 9:
        return read(counts);
      case 10:
      case 11:
      case 12:
        return peek(counts);
      case 13:
        if (random_() % 8 == 0) abort(counts);
        return;
      case 14:
        if (random_() % 4 == 0) {
          producer_ = memory_.producer();
          free_below_ = done_;
          ++counts.death;
        }
        return;
      case 15:
        if (random_() % 4 == 0) {
          consumer_ = memory_.consumer();
          peeked_ = done_;
          ++counts.death;
        }
    }
  }

 private:
  [[nodiscard]] std::uint64_t capacity() const { return memory_.geometry.capacity_bytes; }
  [[nodiscard]] std::uint64_t random_count() {
    return random_() % 2 == 0 ? random_() % 4 : random_() % (capacity() + 3);
  }
  // What the producer must know to be free once it has looked.
  [[nodiscard]] std::uint64_t free_bytes() {
    const std::uint64_t done = memory_.consumer_page->done.load(std::memory_order_relaxed);
    if (done > free_below_) free_below_ = done;
    return free_below_ + capacity() - tail_;
  }

  void write(Counts& counts) {
    const std::uint64_t wanted = random_count();
    const std::uint64_t known = producer_.has_space(wanted) ? wanted : 0;
    const std::size_t written = write_some(producer_, static_cast<std::size_t>(wanted));
    REQUIRE(written >= known);
    REQUIRE(written == std::min(wanted, free_bytes()));
    tail_ += written;
    REQUIRE(producer_.position() == tail_);
    if (written == 0 && wanted != 0) ++counts.blocked;
    if (written != 0 && written < wanted) ++counts.partial;
  }
  void write_in_place(Counts& counts) {
    StreamParts<std::byte> room;
    const std::uint64_t wanted = random_count();
    const Transfer answer = producer_.try_reserve(room, wanted);
    if (answer == Transfer::kBlocked) {
      REQUIRE(free_bytes() == 0);
      ++counts.blocked;
      return;
    }
    REQUIRE(answer == Transfer::kDone);
    REQUIRE(room.size() <= free_bytes());
    REQUIRE(room.size() >= std::min(wanted, free_bytes()));
    REQUIRE(memory_.contains(room));
    write_stream(room.first, tail_);
    write_stream(room.second, tail_ + room.first.size());
    if (random_() % 16 == 0) return;  // never committed
    const std::uint64_t count = random_() % (room.size() + 1);
    producer_.commit(count);
    tail_ += count;
  }
  void read(Counts& counts) {
    const std::uint64_t wanted = random_count();
    std::size_t count = 0;
    REQUIRE(consumer_.has_bytes(1) == (tail_ != done_));
    REQUIRE(read_some(consumer_, static_cast<std::size_t>(wanted), count));
    REQUIRE(count <= tail_ - done_);
    REQUIRE((count != 0 || wanted == 0 || tail_ == done_));
    done_ += count;
    if (peeked_ < done_) peeked_ = done_;
    if (taken_ < done_) taken_ = done_;
    counts.read += count;
    agree();
  }
  void peek(Counts& counts) {
    StreamView view;
    const Transfer answer = consumer_.try_peek(view, random_() % 2 == 0 ? 1 : capacity());
    REQUIRE(answer == (tail_ != done_ ? Transfer::kDone : Transfer::kBlocked));
    if (answer != Transfer::kDone) return;
    const std::uint64_t count = view.bytes.size();
    REQUIRE(view.position == done_);
    REQUIRE(count >= peeked_ - done_);
    REQUIRE(count <= tail_ - done_);
    REQUIRE(memory_.contains(view.bytes));
    REQUIRE(is_stream(view.bytes, done_));
    REQUIRE(view.aborted_bytes == std::min(fence_ > done_ ? fence_ - done_ : 0, count));
    if (peeked_ == done_ && random_() % 4 == 0) {
      // A reader that dies at once: its successor sees exactly this much marked.
      const std::uint64_t marked = std::max(taken_, done_ + count) - done_;
      consumer_ = memory_.consumer();
      REQUIRE(consumer_.try_peek(view, capacity()) == Transfer::kDone);
      REQUIRE(view.redelivered_bytes == marked);
      ++counts.death;
    }
    peeked_ = done_ + view.bytes.size();
    if (taken_ < peeked_) taken_ = peeked_;
    const std::uint64_t consumed = random_() % (view.bytes.size() + 1);
    consumer_.consume(consumed);
    done_ += consumed;
    counts.read += consumed;
    agree();
  }
  void abort(Counts& counts) {
    if (random_() % 2 == 0) {
      producer_.abort_published();
      fence_ = tail_;
      return;
    }
    const std::uint64_t wanted = fence_ > done_ ? fence_ - done_ : 0;
    REQUIRE(consumer_.skip_aborted() == wanted);
    counts.skipped += wanted;
    done_ += wanted;
    if (peeked_ < done_) peeked_ = done_;
    if (taken_ < done_) taken_ = done_;
    agree();
  }
  void agree() {
    REQUIRE(consumer_.done() == done_);
    REQUIRE(producer_.done() == done_);
    const std::uint64_t shown = memory_.consumer_page->taken.load(std::memory_order_relaxed);
    REQUIRE((shown == taken_ || (shown == 0 && taken_ == start_)));
  }

  std::mt19937_64 random_;
  StreamMemory memory_;
  std::uint64_t start_ = memory_.geometry.start_position;
  std::uint64_t tail_ = start_;
  std::uint64_t done_ = tail_;
  std::uint64_t peeked_ = tail_;
  std::uint64_t taken_ = tail_;
  std::uint64_t fence_ = 0;
  std::uint64_t free_below_ = tail_;
  StreamProducer producer_ = memory_.producer();
  StreamConsumer consumer_ = memory_.consumer();
};

TEST_CASE("model: the byte stream behaves as three counts, deaths and aborts included") {
  constexpr int kStepCount = 30'000;
  Counts counts;
  std::uint64_t seed = 0;
  for (const std::uint64_t capacity : {1U, 2U, 16U, 64U, 1024U}) {
    for (const std::uint64_t start :
         {std::uint64_t{0}, (std::uint64_t{1} << 32) - 300, (std::uint64_t{1} << 63) - 300}) {
      ++seed;
      CAPTURE(seed);
      StreamWalk walk(seed, {capacity, start});
      for (int i = 0; i < kStepCount; ++i) walk.step(counts);
    }
  }
  MESSAGE("steps ", seed * kStepCount, ", bytes read ", counts.read, ", partial writes ",
          counts.partial, ", blocked ", counts.blocked, ", deaths ", counts.death, ", skipped ",
          counts.skipped);
  CHECK(counts.read > 1'000'000);
  CHECK(counts.partial > 1000);
  CHECK(counts.blocked > 1000);
  CHECK(counts.death > 1000);
  CHECK(counts.skipped > 1000);
}

// What an attacker would try first, around a value that is right now.
std::vector<std::uint64_t> interesting(std::uint64_t right, std::uint64_t lap) {
  return {0,
          1,
          right,
          right + 1,
          right - 1,
          right + lap,
          right + lap + 1,
          right - lap,
          UINT32_MAX,
          INT64_MAX,
          UINT64_MAX,
          right - lap - 1,
          right + 100,
          UINT64_MAX - right};
}

TEST_CASE("hostile stream: a peer that keeps scribbling never moves an end outside") {
  constexpr std::uint64_t kCapacity = 64;
  std::uint64_t scribble_count = 0;
  std::uint64_t corrupt_count = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    StreamMemory memory({kCapacity, 0});
    StreamProducer producer = memory.producer();
    StreamConsumer consumer = memory.consumer();
    // Odd seeds: the consumer's peer lies.  Even seeds: the producer's does.
    ProducerPage& sent = *memory.producer_page;
    ConsumerPage& taken = *memory.consumer_page;
    const bool lies_to_consumer = seed % 2 == 1;
    const std::array<std::atomic<std::uint64_t>*, 3> words{
        lies_to_consumer ? &sent.tail : &taken.credit,
        lies_to_consumer ? &sent.abort_before : &taken.done,
        lies_to_consumer ? &sent.tail : &taken.taken};
    for (int i = 0; i < 20'000; ++i) {
      StreamParts<std::byte> room;
      StreamView view;
      std::vector<std::byte> copied(40);
      std::size_t count = 0;
      const Transfer space = producer.try_reserve(room, random() % 80);
      if (space == Transfer::kCorruptPeer) ++corrupt_count;
      if (space == Transfer::kDone) {
        REQUIRE(memory.contains(room));
        REQUIRE(room.size() <= kCapacity);
        producer.commit(random() % (room.size() + 1));
      }
      if (random() % 4 == 0) {
        std::atomic<std::uint64_t>& word = *words[random() % words.size()];
        const auto values = interesting(word.load(std::memory_order_relaxed), kCapacity);
        word.store(random() % 8 == 0 ? random() : values[random() % values.size()],
                   std::memory_order_relaxed);
        ++scribble_count;
      }
      const Transfer answer = consumer.try_peek(view, random() % 80);
      if (answer == Transfer::kCorruptPeer) ++corrupt_count;
      if (answer == Transfer::kDone) {
        REQUIRE(memory.contains(view.bytes));
        REQUIRE(view.bytes.size() <= kCapacity);
        REQUIRE(view.redelivered_bytes <= view.bytes.size());
        REQUIRE(view.aborted_bytes <= view.bytes.size());
        consumer.consume(random() % (view.bytes.size() + 1));
      }
      if (consumer.try_read(copied, count) == Transfer::kDone) REQUIRE(count <= copied.size());
      static_cast<void>(consumer.skip_aborted());
      REQUIRE(consumer.position() - consumer.done() <= kCapacity);
      REQUIRE(producer.done() <= producer.position());
      if (lies_to_consumer) REQUIRE(memory.try_consumer().ok());
    }
  }
  MESSAGE("scribbles ", scribble_count, ", answered corrupt ", corrupt_count);
  CHECK(corrupt_count > 1000);
}

}  // namespace
}  // namespace slipring
