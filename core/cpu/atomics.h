// How rings and pools touch memory that others touch too: a template argument of theirs, so that
// the very code that runs on the processor also runs on models of the C++ memory model
// (tests/model), which decide what each load may see and where each participant dies.
//
// A policy is a class with the functions below and nothing else.  The words keep their types: a
// model knows a word by its address.  An order is named at each call, never by default; a call
// stands on one line of its own, because models know the places of the code by file and line.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "core/cpu/relax.h"

namespace slipring {

// The processor itself.  Each function is exactly the operation that its name says.
struct StdAtomics {
  template <typename T>
  [[nodiscard]] static T load(const std::atomic<T>& word, std::memory_order order) noexcept {
    return word.load(order);
  }
  template <typename T>
  static void store(std::atomic<T>& word, std::type_identity_t<T> value,
                    std::memory_order order) noexcept {
    word.store(value, order);
  }
  template <typename T>
  static T exchange(std::atomic<T>& word, std::type_identity_t<T> value,
                    std::memory_order order) noexcept {
    return word.exchange(value, order);
  }
  // Strong.  False, and `seen` is what stands there, when the word does not hold `seen`.
  template <typename T>
  [[nodiscard]] static bool compare_exchange(std::atomic<T>& word, std::type_identity_t<T>& seen,
                                             std::type_identity_t<T> next, std::memory_order done,
                                             std::memory_order failed) noexcept {
    return word.compare_exchange_strong(seen, next, done, failed);
  }
  static void fence(std::memory_order order) noexcept { std::atomic_thread_fence(order); }

  // Memory that is not atomic, of a size known when compiled.
  template <typename T>
  [[nodiscard]] static T read(const T& place) noexcept {
    return place;
  }
  // The same to a place of the caller's: large values must not take the way over a copy.
  template <typename T>
  static void read_into(T& own, const T& place) noexcept {
    own = place;
  }
  template <typename T>
  static void write(T& place, const T& value) noexcept {
    place = value;
  }
  // And of any size: into shared memory, and out of it.
  static void copy_in(void* shared, const void* own, std::size_t size_bytes) noexcept {
    std::memcpy(shared, own, size_bytes);
  }
  static void copy_out(void* own, const void* shared, std::size_t size_bytes) noexcept {
    std::memcpy(own, shared, size_bytes);
  }

  // The caller polls.
  static void pause() noexcept { relax(); }
};

}  // namespace slipring
