// Shared memory under the C++ memory model, for fibres of one thread.
//
// Model.  RC11 without its seldom cases, by views: a thread's view says of each word which stores
// it may still read.  A release attaches the view to the store, an acquire takes it; fences do the
// same for the relaxed accesses around them; read-modify-writes carry the view of what they read
// on.  Sequentially consistent accesses and fences also share one view, in the order in which they
// are executed.  What is excluded: a load that reads a store which is executed later (load
// buffering).
//
// Plain accesses are checked and nothing else: they must be ordered, by what happened before, with
// every access to the same bytes of which one is a write.  So they always see the latest value,
// which is in the memory itself.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/model/choices.h"
#include "tests/model/history.h"
#include "tests/model/site.h"
#include "tests/model/view.h"

namespace slipring::model {

// An atomic word as the policy sees it.
struct Word {
  void* place;
  std::size_t size_bytes;
};

class Memory {
 public:
  static constexpr std::size_t kArenaBytes = std::size_t{16} << 10;

  explicit Memory(Choices& choices);

  // Empties the memory and forgets all.
  void reset();
  // Zeroed bytes on a line of their own, at the same place in every execution.
  [[nodiscard]] std::byte* allocate(std::size_t size_bytes);
  [[nodiscard]] bool contains(const void* place) const;
  // Requires: contains(place).
  [[nodiscard]] std::size_t offset_of(const void* place) const;

  // Fibre `who` knows all that happened in setting up.
  void begin_thread(std::size_t who);
  // And all that `predecessor` did and knew at its death.
  void begin_successor(std::size_t who, std::size_t predecessor);
  // What fibre `who` has read since its beginning, or since forget(), decides what it will do.
  [[nodiscard]] std::uint64_t past(std::size_t who) const { return threads_[who].past; }
  // Its past and what it may still read, beside what all know.
  [[nodiscard]] std::uint64_t state_of(std::size_t who, const View& known) const;
  // What fibre `who` knows: which steps of whom have happened before, and what it may still read.
  [[nodiscard]] const View& view(std::size_t who) const { return threads_[who].now; }
  // From now on only `rest` and what comes decide.
  void forget(std::size_t who, std::uint64_t rest) { threads_[who].past = mix(0xf09e7, rest); }
  void note(std::size_t who, std::uint64_t value) {
    threads_[who].past = mix(threads_[who].past, value);
  }

  // Of what a fibre reads only the values are its past.  Otherwise also who stored them, with all
  // its own past, which is more than any code can tell.
  bool only_values_count = false;

  [[nodiscard]] std::uint64_t load(std::size_t who, Word word, std::memory_order order, Site site);
  void store(std::size_t who, Word word, std::uint64_t value, std::memory_order order, Site site);
  [[nodiscard]] std::uint64_t exchange(std::size_t who, Word word, std::uint64_t value,
                                       std::memory_order order, Site site);
  [[nodiscard]] bool compare_exchange(std::size_t who, Word word, std::uint64_t& seen,
                                      std::uint64_t next, std::memory_order done,
                                      std::memory_order failed, Site site);
  void fence(std::size_t who, std::memory_order order);

  void plain_read(std::size_t who, const void* place, std::size_t size_bytes, Site site);
  // Copies `own` there.
  void plain_write(std::size_t who, void* place, const void* own, std::size_t size_bytes,
                   Site site);

  // Why the last access was wrong; empty when it was not.
  [[nodiscard]] const std::string& wrong() const { return wrong_; }
  // Of all words, all bytes, and the sequentially consistent view, for those who know all of
  // `known`.
  [[nodiscard]] std::uint64_t state(const View& known) const;

  // How far the modification order of a word goes, and the store of it that was read last.
  struct Reading {
    std::size_t word;
    std::uint32_t rank;
    bool operator==(const Reading&) const = default;
  };
  [[nodiscard]] const Reading& last_reading() const { return last_reading_; }
  [[nodiscard]] bool has_newer(const Reading& reading) const {
    return words_[reading.word].last().rank > reading.rank;
  }

 private:
  struct Thread {
    View now;
    View pending;   // what an acquire fence would take
    View released;  // what a relaxed store attaches: as of the last release fence
    std::uint64_t past = 0;
    bool has_released = false;  // the next step begins another stretch
  };
  // Plain accesses to one byte.
  struct Byte {
    std::uint32_t write_clock;
    std::uint32_t writer;
    Site write_site;
    std::array<std::uint32_t, kMaxFibres> read_clock;
    std::array<Site, kMaxFibres> read_site;
    bool is_touched;
  };

  [[nodiscard]] History& history_of(Word word);
  [[nodiscard]] std::uint64_t value_in_memory(const History& word) const;
  [[nodiscard]] std::uint32_t floor(const Thread& thread, const History& word, bool is_sc) const;
  [[nodiscard]] bool knows(std::size_t who, std::size_t other, std::uint32_t clock) const {
    return who == other || threads_[who].now.clock[other] >= clock;
  }
  // A step of fibre `who` begins.  Until then its clock shows the stretch of the step before.
  void step(std::size_t who) {
    Thread& thread = threads_[who];
    thread.now.clock[who] += thread.has_released ? 1 : 0;
    thread.has_released = false;
  }
  // The stretch that fibre `who` is in.
  [[nodiscard]] std::uint32_t now_of(std::size_t who) const { return threads_[who].now.clock[who]; }
  void note_access(std::size_t who, History& word, bool is_write, Site site);
  void read(Thread& thread, const History& word, const Store& from, bool is_acquire);
  void write(std::size_t who, History& word, std::size_t behind, std::uint64_t value, bool is_rmw,
             std::memory_order order);
  void check_atomic(std::size_t who, const History& word, bool is_write, Site site);
  Byte& touch(std::size_t offset);
  void put_plain(std::size_t who, std::size_t offset, std::byte value, Site site);
  void check_plain(std::size_t who, std::size_t offset, bool is_write, Site site);
  void report_race(const char* what, Site first, Site second);

  Choices& choices_;
  std::unique_ptr<std::byte[]> block_;
  std::byte* arena_;
  std::size_t used_bytes_ = 0;
  std::vector<History> words_;
  std::size_t word_count_ = 0;
  std::vector<std::uint8_t> word_at_;  // by offset: number of the word that covers it, plus one
  std::vector<Byte> bytes_;
  std::array<Thread, kMaxFibres> threads_;
  View sc_;
  std::vector<std::size_t> touched_;  // by plain accesses
  Reading last_reading_{};
  std::string wrong_;
};

}  // namespace slipring::model
