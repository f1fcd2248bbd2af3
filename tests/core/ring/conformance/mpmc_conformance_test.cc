#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include "core/ring/exchange_ring.h"
#include "core/ring/mpmc_ring.h"
#include "tests/core/ring/conformance/guarded_bytes.h"
#include "tests/core/ring/conformance/pair_memory.h"
#include "tests/core/ring/conformance/suite_parts.h"

namespace slipring {
namespace {

constexpr std::size_t kEnds = 2;  // of each kind; they take turns
constexpr std::uint32_t kParticipants = 2 * kEnds;

std::uint64_t slots_bytes(std::uint64_t count) {
  return count * sizeof(MpmcSlot);
}

// Messages of 32 bits in the slots themselves.
class HandleAdapter {
 public:
  static constexpr bool kIsVariable = false;

  static std::vector<RingShape> shapes() {
    return {{1, 4, 0}, {2, 4, 0}, {4, 4, 0}, {8, 4, 0}, {64, 4, 0}};
  }
  static std::uint64_t footprint(std::uint64_t) { return 1; }

  explicit HandleAdapter(const RingShape& shape)
      : geometry_{shape.capacity, kParticipants, 32},
        slots_(slots_bytes(shape.capacity)),
        records_(kParticipants * sizeof(MpmcRecord)) {}

  Transfer push(std::span<const std::byte> message) {
    std::uint32_t payload = 0;
    std::memcpy(&payload, message.data(), 4);
    return next_producer().try_push(payload);
  }
  Transfer pop(Message& message) {
    std::uint32_t payload = 0;
    MpmcConsumer& consumer = next_consumer();
    const Transfer answer = consumer.try_pop(payload);
    if (answer != Transfer::kDone) return answer;
    message.resize(4);
    std::memcpy(message.data(), &payload, 4);
    consumer.finish();
    return answer;
  }
  void flush() {}
  bool is_intact() { return slots_.is_intact() && records_.is_intact(); }
  bool has_space(std::uint64_t) { return next_producer().has_space(); }
  bool has_message() { return next_consumer().has_message(); }

  std::size_t push_batch(std::span<const Message> messages) {
    std::vector<std::uint32_t> payloads(messages.size());
    for (std::size_t i = 0; i < messages.size(); ++i) {
      std::memcpy(&payloads[i], messages[i].data(), 4);
    }
    return next_producer().try_push_batch(payloads);
  }
  // A batch of this ring's own is short: as many of them as it takes.
  std::size_t pop_batch(std::span<Message> messages) {
    std::size_t count = 0;
    while (count != messages.size()) {
      std::vector<std::uint32_t> payloads(messages.size() - count);
      MpmcConsumer& consumer = next_consumer();
      const std::size_t more = consumer.try_pop_batch(payloads);
      if (more == 0) break;
      for (std::size_t i = 0; i < more; ++i) {
        messages[count].resize(4);
        std::memcpy(messages[count++].data(), &payloads[i], 4);
      }
      consumer.finish();
    }
    return count;
  }

  bool reattach_producer() {
    MpmcProducer& producer = next_producer();
    return succeed(producer, new_producer(turn_));
  }
  bool reattach_consumer() {
    MpmcConsumer& consumer = next_consumer();
    return succeed(consumer, new_consumer(turn_));
  }

 private:
  MpmcProducer& next_producer() { return producers_[turn_ = (turn_ + 1) % kEnds]; }
  MpmcConsumer& next_consumer() { return consumers_[turn_ = (turn_ + 1) % kEnds]; }
  MpmcShared shared() { return {slots_.as<MpmcSlot>(), records_.as<MpmcRecord>()}; }
  Result<MpmcProducer> new_producer(std::size_t i) {
    return MpmcProducer::attach(shared(), static_cast<std::uint32_t>(1 + i), geometry_);
  }
  Result<MpmcConsumer> new_consumer(std::size_t i) {
    return MpmcConsumer::attach(shared(), static_cast<std::uint32_t>(1 + kEnds + i), geometry_);
  }

  MpmcGeometry geometry_;
  GuardedBytes slots_;
  GuardedBytes records_;
  std::size_t turn_ = 0;
  std::array<MpmcProducer, kEnds> producers_{new_producer(0).value(), new_producer(1).value()};
  std::array<MpmcConsumer, kEnds> consumers_{new_consumer(0).value(), new_consumer(1).value()};
};
static_assert(BatchAdapter<HandleAdapter> && HandOverAdapter<HandleAdapter> &&
              AskableAdapter<HandleAdapter>);

// Messages in buffers that change hands.  A message that is taken has left the ring, so that the
// checks of what a ring holds for its reader do not apply.
class ExchangeAdapter {
 public:
  static constexpr bool kIsVariable = false;

  static std::vector<RingShape> shapes() {
    return {{1, 64, 0}, {2, 64, 0}, {8, 64, 0}, {8, 4096, 0}, {64, 128, 0}};
  }
  static std::uint64_t footprint(std::uint64_t) { return 1; }

  explicit ExchangeAdapter(const RingShape& shape)
      : geometry_{shape.capacity, kParticipants, static_cast<std::uint32_t>(shape.message_bytes)},
        slots_(slots_bytes(shape.capacity)),
        records_(kParticipants * sizeof(MpmcRecord)),
        buffers_(exchange_buffers_bytes(geometry_)) {}

  // One end copies, the other fills in place.
  Transfer push(std::span<const std::byte> message) {
    ExchangeProducer& producer = next_producer();
    if (turn_ == 0) return producer.try_push(message);
    std::copy(message.begin(), message.end(), producer.reserve().begin());
    return producer.commit();
  }
  Transfer pop(Message& message) {
    ExchangeConsumer& consumer = next_consumer();
    message.resize(geometry_.buffer_bytes);
    if (turn_ == 0) return consumer.try_pop(message);
    std::span<const std::byte> taken;
    const Transfer answer = consumer.try_take(taken);
    if (answer != Transfer::kDone) return answer;
    message.assign(taken.begin(), taken.end());
    consumer.finish();
    return answer;
  }
  void flush() {}
  bool is_intact() { return slots_.is_intact() && records_.is_intact() && buffers_.is_intact(); }
  bool has_space(std::uint64_t) { return next_producer().has_space(); }
  bool has_message() { return next_consumer().has_message(); }

  bool reattach_producer() {
    ExchangeProducer& producer = next_producer();
    return succeed(producer, new_producer(turn_));
  }
  bool reattach_consumer() {
    ExchangeConsumer& consumer = next_consumer();
    return succeed(consumer, new_consumer(turn_));
  }

 private:
  ExchangeProducer& next_producer() { return producers_[turn_ = (turn_ + 1) % kEnds]; }
  ExchangeConsumer& next_consumer() { return consumers_[turn_ = (turn_ + 1) % kEnds]; }
  ExchangeShared shared() {
    return {slots_.as<MpmcSlot>(), records_.as<MpmcRecord>(), buffers_.data()};
  }
  Result<ExchangeProducer> new_producer(std::size_t i) {
    return ExchangeProducer::attach(shared(), static_cast<std::uint32_t>(1 + i), geometry_);
  }
  Result<ExchangeConsumer> new_consumer(std::size_t i) {
    return ExchangeConsumer::attach(shared(), static_cast<std::uint32_t>(1 + kEnds + i), geometry_);
  }

  ExchangeGeometry geometry_;
  GuardedBytes slots_;
  GuardedBytes records_;
  GuardedBytes buffers_;
  std::size_t turn_ = 0;
  std::array<ExchangeProducer, kEnds> producers_{new_producer(0).value(), new_producer(1).value()};
  std::array<ExchangeConsumer, kEnds> consumers_{new_consumer(0).value(), new_consumer(1).value()};
};
static_assert(HandOverAdapter<ExchangeAdapter> && AskableAdapter<ExchangeAdapter>);

TEST_CASE("conformance: the handle form of the ring for many producers and consumers") {
  conformance::conforms<HandleAdapter>("mpmc handles");
}

TEST_CASE("conformance: the exchange form of the ring for many producers and consumers") {
  conformance::conforms<ExchangeAdapter>("mpmc exchange");
}

}  // namespace
}  // namespace slipring
