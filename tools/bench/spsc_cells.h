// The cells of a contender with one producer and one consumer: one call adds all that it can do.
#pragma once

#include <cstddef>

#include "tools/bench/stream_loop.h"
#include "tools/bench/trip_loop.h"

namespace slipring::bench {

inline constexpr std::size_t kSmallRing = 1024;
inline constexpr std::size_t kLargeRing = 65536;
inline constexpr std::size_t kBatchCount = 32;

// Channel<M, slots> as stream_loop.h describes it.
template <template <typename, std::size_t> class Channel, std::size_t kBytes>
using ChannelOf = Channel<Message<kBytes>, kSmallRing>;

template <template <typename, std::size_t> class Channel>
void add_streams(Registry& registry, const Contender& contender) {
  registry.add("spsc8.1k", contender,
               run_stream<ChannelOf<Channel, 8>, Message<8>, 1, Sides::kThreads>);
  registry.add("spsc8.64k", contender,
               run_stream<Channel<Message<8>, kLargeRing>, Message<8>, 1, Sides::kThreads>);
  registry.add("spsc64.1k", contender,
               run_stream<ChannelOf<Channel, 64>, Message<64>, 1, Sides::kThreads>);
  registry.add("spsc64.64k", contender,
               run_stream<Channel<Message<64>, kLargeRing>, Message<64>, 1, Sides::kThreads>);
}

// Only for those with a batch call of their own.
template <template <typename, std::size_t> class Channel>
void add_batches(Registry& registry, const Contender& contender) {
  registry.add("spsc8.batch", contender,
               run_stream<ChannelOf<Channel, 8>, Message<8>, kBatchCount, Sides::kThreads>);
  registry.add("spsc64.batch", contender,
               run_stream<ChannelOf<Channel, 64>, Message<64>, kBatchCount, Sides::kThreads>);
}

template <template <typename, std::size_t> class Channel>
void add_trips(Registry& registry, const Contender& contender) {
  registry.add("trip8", contender, run_trips<ChannelOf<Channel, 8>, Message<8>, Sides::kThreads>);
  registry.add("trip56", contender,
               run_trips<ChannelOf<Channel, 56>, Message<56>, Sides::kThreads>);
  registry.add("trip64", contender,
               run_trips<ChannelOf<Channel, 64>, Message<64>, Sides::kThreads>);
}

// Only for those that work in memory of any process: no pointers, no heap.
template <template <typename, std::size_t> class Channel>
void add_processes(Registry& registry, const Contender& contender) {
  registry.add("process.spsc8", contender,
               run_stream<ChannelOf<Channel, 8>, Message<8>, 1, Sides::kProcesses>);
  registry.add("process.spsc64", contender,
               run_stream<ChannelOf<Channel, 64>, Message<64>, 1, Sides::kProcesses>);
  registry.add("process.trip8", contender,
               run_trips<ChannelOf<Channel, 8>, Message<8>, Sides::kProcesses>);
  registry.add("process.trip64", contender,
               run_trips<ChannelOf<Channel, 64>, Message<64>, Sides::kProcesses>);
}

}  // namespace slipring::bench
