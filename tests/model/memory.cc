#include "tests/model/memory.h"

#include <algorithm>
#include <cstring>

#include "core/cpu/cache_line.h"
#include "core/error/check.h"

namespace slipring::model {
namespace {

bool is_acquire(std::memory_order order) {
  return order == std::memory_order_acquire || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}
bool is_release(std::memory_order order) {
  return order == std::memory_order_release || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}
bool is_sc(std::memory_order order) {
  return order == std::memory_order_seq_cst;
}

std::string to_string(Site site) {
  return std::string(site.file) + ':' + std::to_string(site.line);
}

}  // namespace

Memory::Memory(Choices& choices)
    : choices_(choices),
      block_(new std::byte[kArenaBytes + kAbiLineBytes]),
      words_(kMaxWords),
      word_at_(kArenaBytes),
      bytes_(kArenaBytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(block_.get());
  arena_ = block_.get() + (kAbiLineBytes - address % kAbiLineBytes);
  used_bytes_ = kArenaBytes;
  reset();
}

void Memory::reset() {
  std::memset(arena_, 0, used_bytes_);
  std::fill_n(word_at_.begin(), used_bytes_, std::uint8_t{0});
  for (const std::size_t offset : touched_) bytes_[offset] = {};
  used_bytes_ = 0;
  word_count_ = 0;
  sc_ = {};
  touched_.clear();
  wrong_.clear();
}

std::byte* Memory::allocate(std::size_t size_bytes) {
  std::byte* const place = arena_ + used_bytes_;
  used_bytes_ += (size_bytes + kAbiLineBytes - 1) / kAbiLineBytes * kAbiLineBytes;
  check(used_bytes_ <= kArenaBytes, "the scene's memory is larger than the model's");
  return place;
}

bool Memory::contains(const void* place) const {
  const auto* const at = static_cast<const std::byte*>(place);
  return at >= arena_ && at < arena_ + used_bytes_;
}

void Memory::begin_thread(std::size_t who) {
  threads_[who].now = {};
  threads_[who].pending = {};
  threads_[who].released = {};
  threads_[who].now.clock[who] = 1;
  threads_[who].has_released = false;
  threads_[who].past = mix(0xf1b4e, who);
}

void Memory::begin_successor(std::size_t who, std::size_t predecessor) {
  begin_thread(who);
  threads_[who].now.join(threads_[predecessor].now);
  threads_[who].past = mix(threads_[predecessor].past, who);
}

std::uint64_t Memory::load(std::size_t who, Word at, std::memory_order order, Site site) {
  History& word = history_of(at);
  step(who);
  note_access(who, word, false, site);
  Thread& thread = threads_[who];
  const std::size_t first = word.first_from(floor(thread, word, is_sc(order)));
  const Store& from = word.at(word.count() - 1 - choices_.pick(word.count() - first));
  read(thread, word, from, is_acquire(order));
  return from.value;
}

void Memory::store(std::size_t who, Word at, std::uint64_t value, std::memory_order order,
                   Site site) {
  History& word = history_of(at);
  step(who);
  note_access(who, word, true, site);
  Thread& thread = threads_[who];
  const std::size_t first = word.first_from(floor(thread, word, is_sc(order)));
  std::array<std::size_t, 64> places{};
  std::size_t count = 0;
  for (std::size_t i = word.count(); i-- > first;) {
    if (word.takes_behind(i) && count < places.size()) places[count++] = i;
  }
  write(who, word, places[choices_.pick(count)], value, false, order);
}

std::uint64_t Memory::exchange(std::size_t who, Word at, std::uint64_t value,
                               std::memory_order order, Site site) {
  History& word = history_of(at);
  step(who);
  note_access(who, word, true, site);
  Thread& thread = threads_[who];
  const std::size_t first = word.first_from(floor(thread, word, is_sc(order)));
  std::array<std::size_t, 64> places{};
  std::size_t count = 0;
  for (std::size_t i = word.count(); i-- > first;) {
    if (word.takes_behind(i) && count < places.size()) places[count++] = i;
  }
  const std::size_t behind = places[choices_.pick(count)];
  const std::uint64_t before = word.at(behind).value;
  read(thread, word, word.at(behind), is_acquire(order));
  write(who, word, behind, value, true, order);
  return before;
}

bool Memory::compare_exchange(std::size_t who, Word at, std::uint64_t& seen, std::uint64_t next,
                              std::memory_order done, std::memory_order failed, Site site) {
  History& word = history_of(at);
  step(who);
  Thread& thread = threads_[who];
  const std::size_t first_done = word.first_from(floor(thread, word, is_sc(done)));
  const std::size_t first_failed = word.first_from(floor(thread, word, is_sc(failed)));
  std::array<std::size_t, 64> places{};
  std::size_t count = 0;
  for (std::size_t i = word.count(); i-- > std::min(first_done, first_failed);) {
    const bool is_equal = word.at(i).value == seen;
    const bool can_be = is_equal ? i >= first_done && word.takes_behind(i) : i >= first_failed;
    if (can_be && count < places.size()) places[count++] = i;
  }
  const std::size_t from = places[choices_.pick(count)];
  const bool is_done = word.at(from).value == seen;
  note_access(who, word, is_done, site);
  seen = word.at(from).value;
  read(thread, word, word.at(from), is_acquire(is_done ? done : failed));
  if (is_done) write(who, word, from, next, true, done);
  return is_done;
}

void Memory::fence(std::size_t who, std::memory_order order) {
  step(who);
  Thread& thread = threads_[who];
  if (is_acquire(order)) thread.now.join(thread.pending);
  if (is_sc(order)) {
    thread.now.join_seen(sc_);
    sc_.join_seen(thread.now);
    for (std::size_t i = 0; !only_values_count && i < word_count_; ++i) note(who, sc_.seen[i]);
  }
  if (is_release(order)) {
    thread.released = thread.now;
    thread.has_released = true;
  }
  note(who, 0xfe'7ce);
}

void Memory::read(Thread& thread, const History& word, const Store& from, bool takes_view) {
  std::uint32_t& seen = thread.now.seen[word.number()];
  if (takes_view) {
    thread.now.join(from.view);
  } else {
    thread.pending.join(from.view);
  }
  seen = std::max(seen, from.rank);
  thread.past = mix(thread.past, from.value);
  if (!only_values_count) thread.past = mix(thread.past, from.identity);
  last_reading_ = {word.number(), from.rank};
}

void Memory::write(std::size_t who, History& word, std::size_t behind, std::uint64_t value,
                   bool is_rmw, std::memory_order order) {
  Thread& thread = threads_[who];
  Store* const made = word.insert_behind(behind);
  check(made != nullptr, "too many stores between two others");
  note(who, value);
  thread.now.seen[word.number()] = std::max(thread.now.seen[word.number()], made->rank);
  made->value = value;
  made->reads_previous = is_rmw;
  made->view = is_release(order) ? thread.now : thread.released;
  made->view.seen[word.number()] = std::max(made->view.seen[word.number()], made->rank);
  if (is_rmw) made->view.join(word.at(behind).view);
  made->identity = mix(thread.past, word.offset());
  thread.has_released = thread.has_released || is_release(order);
  if (is_sc(order)) {
    sc_.seen[word.number()] = std::max(sc_.seen[word.number()], made->rank);
  }
  if (made == &word.last()) {
    std::memcpy(arena_ + word.offset(), &value, word.size_bytes());  // little endian
  }
}

std::uint32_t Memory::floor(const Thread& thread, const History& word, bool is_sequential) const {
  const std::uint32_t own = thread.now.seen[word.number()];
  return is_sequential ? std::max(own, sc_.seen[word.number()]) : own;
}

void Memory::plain_read(std::size_t who, const void* place, std::size_t size_bytes, Site site) {
  step(who);
  const std::size_t begin = offset_of(place);
  for (std::size_t offset = begin; offset < begin + size_bytes; ++offset) {
    check_plain(who, offset, false, site);
    Byte& byte = touch(offset);
    byte.read_clock[who] = now_of(who);
    byte.read_site[who] = site;
  }
}

void Memory::plain_write(std::size_t who, void* place, const void* own, std::size_t size_bytes,
                         Site site) {
  step(who);
  const std::size_t begin = offset_of(place);
  note(who, begin);  // how much it has written is what it may die after
  for (std::size_t i = 0; i < size_bytes; ++i) {
    check_plain(who, begin + i, true, site);
    put_plain(who, begin + i, static_cast<const std::byte*>(own)[i], site);
  }
  for (std::size_t offset = begin; offset < begin + size_bytes; ++offset) {
    if (word_at_[offset] == 0) continue;
    History& word = words_[word_at_[offset] - 1U];
    word.restart(value_in_memory(word));
  }
}

// What comes after this write comes after all that came before it: earlier reads need not be kept.
void Memory::put_plain(std::size_t who, std::size_t offset, std::byte value, Site site) {
  Byte& byte = touch(offset);
  byte.read_clock = {};
  byte.write_clock = now_of(who);
  byte.writer = static_cast<std::uint32_t>(who);
  byte.write_site = site;
  arena_[offset] = value;
}

Memory::Byte& Memory::touch(std::size_t offset) {
  Byte& byte = bytes_[offset];
  if (!byte.is_touched) touched_.push_back(offset);
  byte.is_touched = true;
  return byte;
}

std::uint64_t Memory::state_of(std::size_t who, const View& known) const {
  const Thread& thread = threads_[who];
  std::uint64_t hash = mix(thread.past, thread.has_released ? 1 : 0);
  hash = mix(hash, thread.now.hash(word_count_, known));
  // An acquire fence takes nothing from it that is known already.
  View pending = thread.pending;
  pending.join(thread.now);
  hash = mix(hash, pending.hash(word_count_, known));
  return mix(hash, thread.released.hash(word_count_, known));
}

std::uint64_t Memory::state(const View& known) const {
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < word_count_; ++i) {
    hash += words_[i].hash(word_count_, known);
    if (sc_.seen[i] > known.seen[i]) hash += mix(mix(0x5c, words_[i].offset()), sc_.seen[i]);
  }
  for (const std::size_t offset : touched_) {
    const Byte& byte = bytes_[offset];
    std::uint64_t mine = mix(offset, static_cast<std::uint64_t>(arena_[offset]));
    if (byte.write_clock > known.clock[byte.writer]) {
      mine = mix(mine, (std::uint64_t{byte.writer} << 32) | byte.write_clock);
    }
    for (std::size_t i = 0; i < kMaxFibres; ++i) {
      if (byte.read_clock[i] > known.clock[i])
        mine = mix(mine, ((i + 8) << 32) | byte.read_clock[i]);
    }
    hash += mine;
  }
  return hash;
}

std::size_t Memory::offset_of(const void* place) const {
  check(contains(place), "an access outside of the model's memory");
  return static_cast<std::size_t>(static_cast<const std::byte*>(place) - arena_);
}

History& Memory::history_of(Word word) {
  const std::size_t offset = offset_of(word.place);
  if (const std::uint8_t known = word_at_[offset]; known != 0) {
    History& there = words_[known - 1U];
    check(there.offset() == offset && there.size_bytes() == word.size_bytes,
          "two words that overlap");
    return there;
  }
  check(word_count_ < kMaxWords, "more words than the model can hold");
  check(offset % word.size_bytes == 0, "a word that is not aligned");
  History& made = words_[word_count_];
  std::uint64_t value = 0;
  std::memcpy(&value, word.place, word.size_bytes);  // little endian
  made.begin(word_count_, offset, word.size_bytes, value);
  ++word_count_;
  std::fill_n(word_at_.begin() + static_cast<std::ptrdiff_t>(offset), word.size_bytes,
              static_cast<std::uint8_t>(word_count_));
  return made;
}

std::uint64_t Memory::value_in_memory(const History& word) const {
  std::uint64_t value = 0;
  std::memcpy(&value, arena_ + word.offset(), word.size_bytes());
  return value;
}

void Memory::note_access(std::size_t who, History& word, bool is_write, Site site) {
  AccessTrace& trace = is_write ? word.stores : word.loads;
  if (trace.clock[who] != now_of(who)) {
    trace.note(who, now_of(who), site);
  }
  check_atomic(who, word, is_write, site);
}

void Memory::check_atomic(std::size_t who, const History& word, bool is_write, Site site) {
  for (std::size_t offset = word.offset(); offset < word.offset() + word.size_bytes(); ++offset) {
    const Byte& byte = bytes_[offset];
    if (!byte.is_touched) continue;
    if (!knows(who, byte.writer, byte.write_clock)) {
      return report_race("plain write and atomic access", byte.write_site, site);
    }
    for (std::size_t i = 0; is_write && i < kMaxFibres; ++i) {
      if (!knows(who, i, byte.read_clock[i])) {
        return report_race("plain read and atomic store", byte.read_site[i], site);
      }
    }
  }
}

void Memory::check_plain(std::size_t who, std::size_t offset, bool is_write, Site site) {
  const Byte& byte = bytes_[offset];
  if (byte.is_touched) {
    if (!knows(who, byte.writer, byte.write_clock)) {
      return report_race(is_write ? "two plain writes" : "plain write and plain read",
                         byte.write_site, site);
    }
    for (std::size_t i = 0; is_write && i < kMaxFibres; ++i) {
      if (!knows(who, i, byte.read_clock[i])) {
        return report_race("plain read and plain write", byte.read_site[i], site);
      }
    }
  }
  if (word_at_[offset] == 0) return;
  const History& word = words_[word_at_[offset] - 1U];
  for (std::size_t i = 0; i < kMaxFibres; ++i) {
    if (!knows(who, i, word.stores.clock[i])) {
      return report_race("atomic store and plain access", word.stores.site[i], site);
    }
    if (is_write && !knows(who, i, word.loads.clock[i])) {
      return report_race("atomic load and plain write", word.loads.site[i], site);
    }
  }
}

void Memory::report_race(const char* what, Site first, Site second) {
  if (!wrong_.empty()) return;
  wrong_ =
      std::string("data race, ") + what + ": " + to_string(first) + " and " + to_string(second);
}

}  // namespace slipring::model
