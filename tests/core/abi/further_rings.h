// The rings that joined after the first three, shared by two processors: typed values, a byte
// stream, the many-to-many ring and its exchange form, and broadcast.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/ring/broadcast_ring.h"
#include "core/ring/byte_stream.h"
#include "core/ring/exchange_ring.h"
#include "core/ring/mpmc_ring.h"
#include "core/ring/spsc_ring.h"

namespace slipring {

// Another alignment of 64-bit members would show here: i386 gives them 4 bytes in a struct.
struct AbiValue {
  std::uint32_t low;
  std::uint32_t check;
  alignas(8) std::uint64_t number;
};
static_assert(sizeof(AbiValue) == 16);

inline constexpr std::uint64_t kAbiStart = (std::uint64_t{1} << 32) - 4096;
inline constexpr SpscGeometry kAbiValues{50, kAbiStart};
inline constexpr StreamGeometry kAbiStream{1024, kAbiStart};
inline constexpr MpmcGeometry kAbiMpmc{64, 2, 32};
inline constexpr ExchangeGeometry kAbiExchange{
    .slot_count = 16, .participant_count = 2, .buffer_bytes = 128};
inline constexpr BroadcastGeometry kAbiBroadcast{.slot_count = 64,
                                                 .slot_bytes = 40,
                                                 .start_position = kAbiStart,
                                                 .reader_count = 1,
                                                 .policy = BroadcastPolicy::kBlock,
                                                 .lag_limit = 0};

struct FurtherRings {
  ProducerPage value_producer;
  ConsumerPage value_consumer;
  ProducerPage stream_producer;
  ConsumerPage stream_consumer;
  MpmcRecord mpmc_records[2];
  MpmcRecord exchange_records[2];
  BroadcastWriterPage broadcast_writer;
  BroadcastReaderPage broadcast_reader;
  alignas(kAbiLineBytes) std::atomic<std::uint32_t> reader_has_joined;
  alignas(kAbiLineBytes) AbiValue values[64];
  alignas(kAbiLineBytes) std::byte stream[1024];
  alignas(kAbiLineBytes) MpmcSlot mpmc_slots[64];
  alignas(kAbiLineBytes) MpmcSlot exchange_slots[16];
  alignas(kAbiLineBytes) std::byte exchange_buffers[18 * 128];
  alignas(kAbiLineBytes) std::byte broadcast_slots[64 * 64];
};
static_assert(exchange_buffers_bytes(kAbiExchange) == 18 * 128);

// Retries `attempt` until it answers kDone; `wait` says whether there is patience left.
template <typename Attempt, typename Patience>
[[nodiscard]] bool until_done(Attempt&& attempt, Patience& patience) {
  while (attempt() != Transfer::kDone) {
    if (!patience.wait()) return false;
  }
  return true;
}

template <typename Patience, typename Fill>
[[nodiscard]] bool produce_further(FurtherRings& shared, std::uint64_t count, Fill&& fill) {
  auto values = SpscProducer<AbiValue>::attach(shared.value_producer, shared.values,
                                               shared.value_consumer, kAbiValues);
  auto stream = StreamProducer::attach(shared.stream_producer, shared.stream,
                                       shared.stream_consumer, kAbiStream);
  auto mpmc = MpmcProducer::attach({shared.mpmc_slots, shared.mpmc_records}, 1, kAbiMpmc);
  auto exchange = ExchangeProducer::attach(
      {shared.exchange_slots, shared.exchange_records, shared.exchange_buffers}, 1, kAbiExchange);
  const BroadcastReaderPage* const readers[] = {&shared.broadcast_reader};
  auto broadcast = BroadcastWriter::attach(shared.broadcast_writer, shared.broadcast_slots, readers,
                                           kAbiBroadcast);
  if (!values || !stream || !mpmc || !exchange || !broadcast) return false;
  // A writer waits for its readers only, and those join first.
  Patience joining;
  while (shared.reader_has_joined.load() == 0) {
    if (!joining.wait()) return false;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    Patience patience;
    const auto low = static_cast<std::uint32_t>(i);
    std::byte bytes[40];
    fill(std::span(bytes), i);
    std::size_t written = 0;
    const bool is_done = until_done(
                             [&] {
                               return values->try_push({low, ~low, i});
                             },
                             patience) &&
                         until_done([&] { return mpmc->try_push(low); }, patience) &&
                         until_done([&] { return exchange->try_push(bytes); }, patience) &&
                         until_done([&] { return broadcast->try_push(bytes); }, patience);
    if (!is_done) return false;
    while (written < sizeof bytes) {
      std::size_t more = 0;
      if (stream->try_write(std::span(bytes).subspan(written), more) != Transfer::kDone &&
          !patience.wait()) {
        return false;
      }
      written += more;
    }
  }
  return true;
}

template <typename Patience, typename IsRight>
[[nodiscard]] bool consume_further(FurtherRings& shared, std::uint64_t count, IsRight&& is_right) {
  auto values = SpscConsumer<AbiValue>::attach(shared.value_consumer, shared.value_producer,
                                               shared.values, kAbiValues);
  auto stream = StreamConsumer::attach(shared.stream_consumer, shared.stream_producer,
                                       shared.stream, kAbiStream);
  auto mpmc = MpmcConsumer::attach({shared.mpmc_slots, shared.mpmc_records}, 2, kAbiMpmc);
  auto exchange = ExchangeConsumer::attach(
      {shared.exchange_slots, shared.exchange_records, shared.exchange_buffers}, 2, kAbiExchange);
  auto broadcast = BroadcastReader::attach(shared.broadcast_reader, shared.broadcast_writer,
                                           shared.broadcast_slots, 0, kAbiBroadcast);
  if (!values || !stream || !mpmc || !exchange || !broadcast) return false;
  if (!broadcast->join(BroadcastJoin::kNewest)) return false;
  shared.reader_has_joined.store(1);
  for (std::uint64_t i = 0; i < count; ++i) {
    Patience patience;
    const auto low = static_cast<std::uint32_t>(i);
    AbiValue value{};
    std::uint32_t payload = 0;
    std::byte bytes[128];
    const bool is_done = until_done([&] { return values->try_pop(value); }, patience) &&
                         until_done([&] { return mpmc->try_pop(payload); }, patience) &&
                         until_done([&] { return exchange->try_pop(bytes); }, patience);
    if (!is_done || value.low != low || value.check != ~low || value.number != i ||
        payload != low || !is_right(std::span(bytes).first(40), i)) {
      return false;
    }
    BroadcastView view;
    while (broadcast->try_peek(view) != Reception::kDone) {
      if (!patience.wait()) return false;
    }
    if (!is_right(view.message.first(40), i)) return false;
    broadcast->release(view);
    std::size_t read = 0;
    while (read < 40) {
      std::size_t more = 0;
      if (stream->try_read(std::span(bytes).subspan(read, 40 - read), more) != Transfer::kDone &&
          !patience.wait()) {
        return false;
      }
      read += more;
    }
    if (!is_right(std::span(bytes).first(40), i)) return false;
  }
  return true;
}

}  // namespace slipring
