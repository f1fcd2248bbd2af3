// One atomic word: its stores in modification order, and what may be read and written where.
//
// A store may take any place in the order that is not older than what its thread knows; nothing
// comes between a read-modify-write and the store that it read.  A load may read any store that is
// not older than what its thread knows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/model/site.h"
#include "tests/model/view.h"

namespace slipring::model {

struct Store {
  std::uint64_t value = 0;
  std::uint32_t rank = 0;       // grows along the modification order
  bool reads_previous = false;  // a read-modify-write: stays next to the store before it
  std::uint64_t identity = 0;   // who stored it, with all its past
  View view;                    // what an acquire of it learns
};

// The last stretch in which each fibre loaded or stored the word: what plain accesses must come
// after.
struct AccessTrace {
  std::array<std::uint32_t, kMaxFibres> clock{};
  std::array<Site, kMaxFibres> site{};

  void note(std::size_t who, std::uint32_t stretch, const Site& at) noexcept {
    clock[who] = stretch;
    site[who] = at;
  }
};

class History {
 public:
  // A word as it was before anybody shared it.
  void begin(std::size_t number, std::size_t offset, std::size_t size_bytes, std::uint64_t value) {
    number_ = number;
    offset_ = offset;
    size_bytes_ = size_bytes;
    loads = {};
    stores = {};
    count_ = 0;
    add(0).value = value;
  }
  // A plain write, that happened after all before it, ends the word's history so far.
  void restart(std::uint64_t value) {
    loads = {};
    stores = {};
    const std::uint32_t rank = order_[count_ - 1].rank + kStep;
    count_ = 0;
    Store& only = add(rank);
    only.value = value;
  }

  [[nodiscard]] std::size_t number() const { return number_; }
  [[nodiscard]] std::size_t offset() const { return offset_; }
  [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] const Store& at(std::size_t i) const { return order_[i]; }
  [[nodiscard]] const Store& last() const { return order_[count_ - 1]; }

  // The first store that is not older than `rank`.
  [[nodiscard]] std::size_t first_from(std::uint32_t rank) const {
    std::size_t i = count_ - 1;
    while (i > 0 && order_[i - 1].rank >= rank) --i;
    return i;
  }
  // Whether a store may go right behind store i.
  [[nodiscard]] bool takes_behind(std::size_t i) const {
    return i + 1 == count_ || !order_[i + 1].reads_previous;
  }
  // Makes room behind store i.  Null when no rank is left between its neighbours.
  [[nodiscard]] Store* insert_behind(std::size_t i) {
    const std::uint32_t low = order_[i].rank;
    const std::uint32_t high = i + 1 == count_ ? low + 2 * kStep : order_[i + 1].rank;
    if (high - low < 2) return nullptr;
    add(0);
    for (std::size_t k = count_ - 1; k > i + 1; --k) std::swap(order_[k], order_[k - 1]);
    order_[i + 1].rank = low + (high - low) / 2;
    return &order_[i + 1];
  }
  // Of what anybody who knows all of `known` can still tell.
  [[nodiscard]] std::uint64_t hash(std::size_t word_count, const View& known) const {
    std::uint64_t hash = mix(0, offset_);
    for (std::size_t i = first_from(known.seen[number_]); i < count_; ++i) {
      const Store& store = order_[i];
      hash = mix(mix(hash, store.value), store.view.hash(word_count, known));
      hash = mix(hash, (std::uint64_t{store.rank} << 1) | (store.reads_previous ? 1 : 0));
    }
    for (std::size_t i = 0; i < kMaxFibres; ++i) {
      if (loads.clock[i] > known.clock[i]) hash = mix(hash, (i << 32) | loads.clock[i]);
      if (stores.clock[i] > known.clock[i]) hash = mix(hash, ((i + 8) << 32) | stores.clock[i]);
    }
    return hash;
  }

  AccessTrace loads;
  AccessTrace stores;

 private:
  static constexpr std::uint32_t kStep = 1U << 16;

  // Reuses what earlier executions have allocated.
  Store& add(std::uint32_t rank) {
    if (count_ == order_.size()) order_.emplace_back();
    Store& store = order_[count_++];
    store.rank = rank;
    store.reads_previous = false;
    store.identity = 0;
    store.view = {};
    return store;
  }

  std::size_t number_ = 0;
  std::size_t offset_ = 0;
  std::size_t size_bytes_ = 0;
  std::vector<Store> order_;
  std::size_t count_ = 0;
};

}  // namespace slipring::model
