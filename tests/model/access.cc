#include "tests/model/access.h"

#include <algorithm>
#include <cstring>

#include "tests/model/mutation.h"
#include "tests/model/run.h"

namespace slipring::model {
namespace {

std::memory_order load_part(std::memory_order order) {
  if (order == std::memory_order_acq_rel) return std::memory_order_acquire;
  return order == std::memory_order_release ? std::memory_order_relaxed : order;
}
std::memory_order store_part(std::memory_order order) {
  if (order == std::memory_order_acq_rel) return std::memory_order_release;
  return order == std::memory_order_acquire ? std::memory_order_relaxed : order;
}

// Takes the use down, and answers the mutation that changes it, or null.
const Mutation* met(Run& run, const SiteUse& use) {
  if (run.sites != nullptr &&
      std::find(run.sites->begin(), run.sites->end(), use) == run.sites->end()) {
    run.sites->push_back(use);
  }
  return run.mutation != nullptr && run.mutation->use == use ? run.mutation : nullptr;
}

std::uint64_t bits_at(Word word) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, word.place, word.size_bytes);
  return bits;
}
void put_bits(Word word, std::uint64_t bits) {
  std::memcpy(word.place, &bits, word.size_bytes);
}

std::uint64_t do_load(Run& run, Word word, std::memory_order order, Site site) {
  run.before(true);
  const std::uint64_t value = run.memory().load(run.running(), word, order, site);
  run.tell("load", word.place, value, site);
  run.after(true);
  return value;
}
void do_store(Run& run, Word word, std::uint64_t value, std::memory_order order, Site site) {
  run.before(true);
  run.memory().store(run.running(), word, value, order, site);
  run.tell("store", word.place, value, site);
  run.after(false);
}

}  // namespace

std::uint64_t load_word(Word word, std::memory_order order, Site site) {
  Run& run = Run::current();
  if (!run.is_inside()) return bits_at(word);
  const Mutation* const change = met(run, {site, Access::kLoad, order, order});
  return do_load(run, word, change != nullptr ? change->order : order, site);
}

void store_word(Word word, std::uint64_t value, std::memory_order order, Site site) {
  Run& run = Run::current();
  if (!run.is_inside()) return put_bits(word, value);
  const Mutation* const change = met(run, {site, Access::kStore, order, order});
  if (change != nullptr && change->change == Change::kLeftOut) return;
  do_store(run, word, value, change != nullptr ? change->order : order, site);
}

std::uint64_t exchange_word(Word word, std::uint64_t value, std::memory_order order, Site site) {
  Run& run = Run::current();
  if (!run.is_inside()) {
    const std::uint64_t before = bits_at(word);
    put_bits(word, value);
    return before;
  }
  const Mutation* const change = met(run, {site, Access::kExchange, order, order});
  if (change != nullptr && change->change == Change::kSplit) {
    const std::uint64_t before = do_load(run, word, load_part(order), site);
    do_store(run, word, value, store_part(order), site);
    return before;
  }
  run.before(true);
  const std::uint64_t before = run.memory().exchange(
      run.running(), word, value, change != nullptr ? change->order : order, site);
  run.tell("exchange", word.place, value, site);
  run.after(true);
  return before;
}

bool compare_exchange_word(Word word, std::uint64_t& seen, std::uint64_t next,
                           std::memory_order done, std::memory_order failed, Site site) {
  Run& run = Run::current();
  if (!run.is_inside()) {
    const std::uint64_t there = bits_at(word);
    const bool is_equal = there == seen;
    if (is_equal) put_bits(word, next);
    seen = there;
    return is_equal;
  }
  const Mutation* const change = met(run, {site, Access::kCompareExchange, done, failed});
  if (change != nullptr && change->change == Change::kSplit) {
    const std::uint64_t there = do_load(run, word, load_part(done), site);
    const bool is_equal = there == seen;
    if (is_equal) do_store(run, word, next, store_part(done), site);
    seen = there;
    return is_equal;
  }
  if (change != nullptr) (change->change == Change::kOrder ? done : failed) = change->order;
  run.before(true);
  const bool is_done =
      run.memory().compare_exchange(run.running(), word, seen, next, done, failed, site);
  run.tell(is_done ? "cas" : "cas no", word.place, is_done ? next : seen, site);
  run.after(!is_done);
  return is_done;
}

void make_fence(std::memory_order order, Site site) {
  Run& run = Run::current();
  if (!run.is_inside()) return;
  const Mutation* const change = met(run, {site, Access::kFence, order, order});
  if (change != nullptr && change->change == Change::kLeftOut) return;
  run.before(true);
  run.memory().fence(run.running(), change != nullptr ? change->order : order);
  run.tell("fence", nullptr, 0, site);
  run.after(false);
}

void read_bytes(const void* place, std::size_t size_bytes, Site site) {
  Run& run = Run::current();
  if (!run.is_inside() || !run.memory().contains(place)) return;
  run.memory().plain_read(run.running(), place, size_bytes, site);
  run.tell("read", place, size_bytes, site);
  run.after_plain();
}

// Word by word: a death may leave any part of it written.
void write_bytes(void* place, const void* own, std::size_t size_bytes, Site site) {
  Run& run = Run::current();
  if (!run.is_inside() || !run.memory().contains(place)) {
    if (size_bytes != 0) std::memcpy(place, own, size_bytes);
    return;
  }
  for (std::size_t at = 0; at < size_bytes; at += 8) {
    const std::size_t count = std::min<std::size_t>(8, size_bytes - at);
    run.before(false);
    run.memory().plain_write(run.running(), static_cast<std::byte*>(place) + at,
                             static_cast<const std::byte*>(own) + at, count, site);
    run.tell("write", static_cast<std::byte*>(place) + at, count, site);
    run.after_plain();
  }
}

}  // namespace slipring::model
