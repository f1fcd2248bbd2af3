// One access of the code under test: the mutation of its place, if there is one, a step of the run,
// and what the model makes of it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "tests/model/memory.h"
#include "tests/model/site.h"

namespace slipring::model {

[[nodiscard]] std::uint64_t load_word(Word word, std::memory_order order, Site site);
void store_word(Word word, std::uint64_t value, std::memory_order order, Site site);
[[nodiscard]] std::uint64_t exchange_word(Word word, std::uint64_t value, std::memory_order order,
                                          Site site);
[[nodiscard]] bool compare_exchange_word(Word word, std::uint64_t& seen, std::uint64_t next,
                                         std::memory_order done, std::memory_order failed,
                                         Site site);
void make_fence(std::memory_order order, Site site);

void read_bytes(const void* place, std::size_t size_bytes, Site site);
void write_bytes(void* place, const void* own, std::size_t size_bytes, Site site);

}  // namespace slipring::model
