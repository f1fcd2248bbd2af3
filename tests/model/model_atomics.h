// The policy of core/cpu/atomics.h on the model: every access becomes a step of the current Run.
//
// Outside of fibres, in what sets a scene up and settles it, accesses go to the memory at once.
// Plain accesses to memory that is not the model's are the caller's own and nobody's business.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tests/model/access.h"
#include "tests/model/site.h"

namespace slipring::model {

struct ModelAtomics {
  template <typename T>
  [[nodiscard]] static T load(const std::atomic<T>& word, std::memory_order order,
                              Site site = Site::here()) noexcept {
    return value_of<T>(load_word(word_of(word), order, site));
  }
  template <typename T>
  static void store(std::atomic<T>& word, std::type_identity_t<T> value, std::memory_order order,
                    Site site = Site::here()) noexcept {
    store_word(word_of(word), bits_of(value), order, site);
  }
  template <typename T>
  static T exchange(std::atomic<T>& word, std::type_identity_t<T> value, std::memory_order order,
                    Site site = Site::here()) noexcept {
    return value_of<T>(exchange_word(word_of(word), bits_of(value), order, site));
  }
  template <typename T>
  [[nodiscard]] static bool compare_exchange(std::atomic<T>& word, std::type_identity_t<T>& seen,
                                             std::type_identity_t<T> next, std::memory_order done,
                                             std::memory_order failed,
                                             Site site = Site::here()) noexcept {
    std::uint64_t bits = bits_of(seen);
    const bool is_done =
        compare_exchange_word(word_of(word), bits, bits_of(next), done, failed, site);
    seen = value_of<T>(bits);
    return is_done;
  }
  static void fence(std::memory_order order, Site site = Site::here()) noexcept {
    make_fence(order, site);
  }

  template <typename T>
  [[nodiscard]] static T read(const T& place, Site site = Site::here()) noexcept {
    read_bytes(&place, sizeof(T), site);
    return place;
  }
  template <typename T>
  static void read_into(T& own, const T& place, Site site = Site::here()) noexcept {
    read_bytes(&place, sizeof(T), site);
    own = place;
  }
  template <typename T>
  static void write(T& place, const T& value, Site site = Site::here()) noexcept {
    write_bytes(&place, &value, sizeof(T), site);
  }
  static void copy_in(void* shared, const void* own, std::size_t size_bytes,
                      Site site = Site::here()) noexcept {
    write_bytes(shared, own, size_bytes, site);
  }
  static void copy_out(void* own, const void* shared, std::size_t size_bytes,
                       Site site = Site::here()) noexcept {
    read_bytes(shared, size_bytes, site);
    if (size_bytes != 0) std::memcpy(own, shared, size_bytes);
  }

  static void pause() noexcept {}

 private:
  template <typename T>
  [[nodiscard]] static Word word_of(const std::atomic<T>& word) noexcept {
    static_assert(sizeof(word) == sizeof(T) && sizeof(T) <= sizeof(std::uint64_t));
    return {const_cast<std::atomic<T>*>(&word), sizeof(T)};
  }
  template <typename T>
  [[nodiscard]] static std::uint64_t bits_of(T value) noexcept {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
  }
  template <typename T>
  [[nodiscard]] static T value_of(std::uint64_t bits) noexcept {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
  }
};

}  // namespace slipring::model
