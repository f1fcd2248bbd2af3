// In and out again on one thread: nanoseconds, and a fixed count of messages for an instruction
// counter to run over.
#pragma once

#include <cstdint>
#include <cstdlib>

#include "platform/wait/clock.h"
#include "tools/bench/arena.h"
#include "tools/bench/cell.h"
#include "tools/bench/message.h"
#include "tools/bench/sides.h"
#include "tools/bench/stream_loop.h"

namespace slipring::bench {

// False when the contender refused, or gave back something else.
template <typename M, typename Producer, typename Consumer>
[[nodiscard]] inline bool in_and_out(Producer& producer, Consumer& consumer, std::uint64_t& first) {
  M message;
  message.set(first);
  if (!producer.try_push(message)) return false;
  if (!consumer.try_pop(message)) return false;
  const bool right = message.is(first);
  first += kStep;
  return right;
}

template <typename Channel, typename M>
CellResult run_alone(const CellSettings& settings) {
  Arena arena(kArenaBytes);
  auto& channel = arena.make<Channel>(arena);
  auto producer = channel.producer();
  auto consumer = channel.consumer();
  pin_to(settings.cpu_here);
  CellResult result;
  std::uint64_t first = first_word(0);
  const std::uint64_t start_ns = monotonic_ns();
  std::uint64_t begin_ns = 0;
  std::uint64_t counted = 0;
  bool right = true;
  for (std::uint64_t now_ns = start_ns; right && now_ns - start_ns < settings.duration_ns;) {
    for (int i = 0; i < 4096; ++i) right &= in_and_out<M>(producer, consumer, first);
    now_ns = monotonic_ns();
    if (begin_ns != 0) counted += 4096;
    if (begin_ns == 0 && now_ns - start_ns > settings.duration_ns / 5) begin_ns = now_ns;
  }
  const std::uint64_t end_ns = monotonic_ns();
  result.message_count = counted;
  if (!right) result.faults.torn = 1;
  if (counted != 0) {
    result.value = static_cast<double>(end_ns - begin_ns) / static_cast<double>(counted);
  }
  return result;
}

// Run under an instruction counter twice, with different counts; the difference is the contender's.
// `duration_ns` is the count of messages.
template <typename Channel, typename M>
CellResult run_counted(const CellSettings& settings) {
  Arena arena(kArenaBytes);
  auto& channel = arena.make<Channel>(arena);
  auto producer = channel.producer();
  auto consumer = channel.consumer();
  std::uint64_t first = first_word(0);
  CellResult result;
  result.message_count = settings.duration_ns;
  for (std::uint64_t i = 0; i < settings.duration_ns; ++i) {
    if (!in_and_out<M>(producer, consumer, first)) result.faults.torn = 1;
  }
  return result;
}

template <template <typename, std::size_t> class Channel>
void add_alone(Registry& registry, const Contender& contender) {
  using Small = Channel<Message<8>, 1024>;
  registry.add("alone8", contender, run_alone<Small, Message<8>>);
  registry.add("instructions8", contender, run_counted<Small, Message<8>>);
}

}  // namespace slipring::bench
