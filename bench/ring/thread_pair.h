// Two threads, each on a processor of its own, from a common start to the end of both.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "core/cpu/relax.h"

namespace slipring {

// Where the process may not run there, the scheduler decides; the figures then say less.
inline void pin_to(int cpu) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  static_cast<void>(pthread_setaffinity_np(pthread_self(), sizeof set, &set));
}

// Seconds from the moment when both stand ready until receive() returns.
template <typename Send, typename Receive>
double pair_seconds(Send send, Receive receive) {
  std::atomic<int> ready_count = 0;
  const auto meet = [&ready_count] {
    ready_count.fetch_add(1, std::memory_order_acq_rel);
    while (ready_count.load(std::memory_order_acquire) != 2) relax();
  };
  double seconds = 0;
  std::thread sender([&] {
    pin_to(0);
    meet();
    send();
  });
  std::thread receiver([&] {
    pin_to(1);
    meet();
    const auto begin = std::chrono::steady_clock::now();
    receive();
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  });
  sender.join();
  receiver.join();
  return seconds;
}

}  // namespace slipring
