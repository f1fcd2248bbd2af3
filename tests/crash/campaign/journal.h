// What the participants of a scene write down about themselves, in memory that no ring touches.
//
// A role (producer 0, consumer 1, ...) is played by one life after another.  Every life has an
// entry of its own in its role's book, made by the scene's process before the life begins, so that
// it is whole even when the life ends at once.
//
// Producers.  Messages of a role are numbered from 0 on, over all lives; `attempted` is raised
// before a message is given to the ring, `committed` after the ring said kDone.  What lies below
// committed must arrive; what lies between the two when a life ends may have got in or not.  The
// next life goes on behind `attempted`, so that no number is used twice.
//
// Consumers.  Every message is logged when it has been taken and checked, before it is finished.
// `finishing` is raised before the call that finishes, `finished` after it.  What stood between
// finished and the log's end when a life ends was held by a dead consumer, and may come again,
// marked; what stood between finishing and the end has to.
//
// A death falls between two instructions, and program order is what the kernel leaves in memory;
// so relaxed stores that the compiler may not reorder are enough.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/error/check.h"

namespace slipring::campaign {

inline constexpr std::uint32_t kMaxLives = 2048;
inline constexpr std::uint32_t kMaxIds = 1U << 18;      // of a producer, in a round
inline constexpr std::uint32_t kMaxEntries = 1U << 19;  // of a log
// A producer rests when it has used so many; the round then ends.
inline constexpr std::uint32_t kEnoughIds = kMaxIds - (1U << 14);

// A word of a journal.
class Note {
 public:
  [[nodiscard]] std::uint32_t get() const { return word_.load(std::memory_order_relaxed); }
  void set(std::uint32_t value) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    word_.store(value, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

 private:
  std::atomic<std::uint32_t> word_;
};

// What a life is about to do, or in the middle of.
enum class Op : std::uint32_t {
  kNothing,
  kAttach,
  kPush,
  kTake,
  kFinish,
  kWait,
  kRecover,
};
inline constexpr std::uint32_t kOpCount = 7;

struct ProducerLife {
  std::uint32_t base;  // its first message
  Note committed;
  Note attempted;
};

struct ProducerBook {
  std::uint32_t life_count;
  std::uint32_t has_stamps;
  ProducerLife lives[kMaxLives];
  // When a push began and when it was over, by a clock that all lives share; for rings with one
  // order over all producers.
  std::uint32_t begun[kMaxIds];
  std::uint32_t over[kMaxIds];

  void begin_life() {
    check(life_count < kMaxLives, "more lives than the journal holds");
    const std::uint32_t base = life_count == 0 ? 0 : lives[life_count - 1].attempted.get();
    ProducerLife& life = lives[life_count];
    life.base = base;
    life.committed.set(base);
    life.attempted.set(base);
    ++life_count;
  }
};

inline constexpr std::uint8_t kMarked = 1;  // the ring said: redelivered
inline constexpr std::uint8_t kJoined = 2;  // not a message: a reader begins anew
inline constexpr std::uint32_t kAnyNumber = 1U << 24;

struct LogEntry {
  std::uint32_t id;
  std::uint8_t producer;
  std::uint8_t flags;
  // Broadcast: messages that were looked at since the ring last told of a loss, this one included,
  // unless an earlier one was logged; 0: it told of none.
  std::uint16_t since_loss;
  std::uint32_t position;    // broadcast: of the ring
  std::uint32_t lost;        // broadcast: as told with this message
  std::uint32_t lost_count;  // broadcast: what the ring's own counter of losses said then
};

struct ConsumerLife {
  std::uint32_t begin;  // of its part of the log
  Note end;
  Note finishing;
  Note finished;
  Note taken_end;  // the log cannot reach further than this by what was taken so far
  Note hands;      // messages that are popped for good and not logged yet, at most
  // Broadcast: what the ring's own counter of losses said at attach, and when its reader left.
  Note lost_at_attach;
  Note lost_at_exit;
  Note joining;  // broadcast: a join is under way, or was never done
};

struct ConsumerBook {
  std::uint32_t life_count;
  ConsumerLife lives[kMaxLives];
  LogEntry log[kMaxEntries];

  void begin_life() {
    check(life_count < kMaxLives, "more lives than the journal holds");
    const ConsumerLife* last = life_count == 0 ? nullptr : &lives[life_count - 1];
    const std::uint32_t begin = last == nullptr ? 0 : last->end.get();
    ConsumerLife& life = lives[life_count];
    life.begin = begin;
    for (Note* note : {&life.end, &life.finishing, &life.finished, &life.taken_end}) {
      note->set(begin);
    }
    life.hands.set(0);
    life.lost_at_attach.set(0);
    life.lost_at_exit.set(0);
    life.joining.set(last == nullptr ? 1 : last->joining.get());
    ++life_count;
  }
};

// The present life's pen, a producer's.
class Sender {
 public:
  explicit Sender(ProducerBook& book)
      : book_(&book), life_(&book.lives[book.life_count - 1]), next_(life_->attempted.get()) {}

  [[nodiscard]] std::uint32_t next() const { return next_; }
  [[nodiscard]] std::uint32_t life() const { return book_->life_count; }
  void about_to_send(std::uint32_t count) {
    check(next_ + count <= kMaxIds, "more messages than the journal holds");
    life_->attempted.set(next_ + count);
  }
  void sent(std::uint32_t count) {
    next_ += count;
    life_->committed.set(next_);
  }
  // The ring refused what was left of the attempt.
  void refused() { life_->attempted.set(next_); }

  // Around a push, before sent(): the clock's time before and after.
  void stamp_begun(const std::atomic<std::uint32_t>& clock, std::uint32_t count) {
    const std::uint32_t now = clock.load(std::memory_order_seq_cst);
    for (std::uint32_t i = next_; i < next_ + count; ++i) {
      book_->over[i] = UINT32_MAX;
      book_->begun[i] = now;
    }
  }
  void stamp_over(std::atomic<std::uint32_t>& clock, std::uint32_t count) {
    const std::uint32_t now = clock.fetch_add(1, std::memory_order_seq_cst) + 1;
    for (std::uint32_t i = next_; i < next_ + count; ++i) book_->over[i] = now;
  }

 private:
  ProducerBook* book_;
  ProducerLife* life_;
  std::uint32_t next_;
};

// The present life's pen, a consumer's.
class Taker {
 public:
  explicit Taker(ConsumerBook& book)
      : book_(&book), life_(&book.lives[book.life_count - 1]), end_(life_->end.get()) {}

  [[nodiscard]] std::uint32_t end() const { return end_; }
  [[nodiscard]] ConsumerLife& life() { return *life_; }
  [[nodiscard]] bool has_room() const { return end_ + 4096 < kMaxEntries; }

  // A call is about to take up to `count` messages, which a death leaves to the successor.
  void about_to_take(std::uint32_t count) { life_->taken_end.set(end_ + count); }
  // It took so many; they will be logged now.
  void took(std::uint32_t count) { life_->taken_end.set(end_ + count); }
  // A call is about to take and finish up to `count`: a death takes them along.
  void about_to_pop(std::uint32_t count) { life_->hands.set(count); }
  void log(const LogEntry& entry) {
    check(end_ < kMaxEntries, "more messages than the log holds");
    book_->log[end_] = entry;
    life_->end.set(++end_);
  }
  void about_to_finish(std::uint32_t end) { life_->finishing.set(end); }
  void finished(std::uint32_t end) { life_->finished.set(end); }
  void popped() {  // logged, and finished by the same call
    life_->finishing.set(end_);
    life_->finished.set(end_);
    life_->taken_end.set(end_);
    life_->hands.set(0);
  }

 private:
  ConsumerBook* book_;
  ConsumerLife* life_;
  std::uint32_t end_;
};

// Messages.  Eight bytes say who sent which; the bytes behind them are made from those, so that one
// which is torn, or mixed from two, is seen at any byte.
struct MessageName {
  std::uint32_t id = 0;
  std::uint32_t producer = 0;
  std::uint32_t life = 0;

  [[nodiscard]] std::uint64_t word() const {
    return std::uint64_t{id} | std::uint64_t{producer & 0xff} << 32 |
           std::uint64_t{life & 0xffffff} << 40;
  }
  [[nodiscard]] static MessageName of(std::uint64_t word) {
    return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32 & 0xff),
            static_cast<std::uint32_t>(word >> 40)};
  }
};

[[nodiscard]] inline std::uint64_t pattern(std::uint64_t name, std::uint64_t at) {
  return (name + 1) * 0x9e37'79b9'7f4a'7c15 + at * 0xd1b5'4a32'd192'ed03;
}

// Requires: at least eight bytes.
inline void write_message(std::span<std::byte> bytes, const MessageName& name) {
  const std::uint64_t word = name.word();
  std::memcpy(bytes.data(), &word, 8);
  for (std::size_t at = 8; at < bytes.size(); at += 8) {
    const std::uint64_t more = pattern(word, at);
    const std::size_t left = bytes.size() - at;
    std::memcpy(bytes.data() + at, &more, left < 8 ? left : 8);
  }
}

// Whether all bytes are those of one message; `name` is whose.
[[nodiscard]] inline bool read_message(std::span<const std::byte> bytes, MessageName& name) {
  if (bytes.size() < 8) return false;
  std::uint64_t word = 0;
  std::memcpy(&word, bytes.data(), 8);
  name = MessageName::of(word);
  std::uint64_t wrong = 0;
  for (std::size_t at = 8; at < bytes.size(); at += 8) {
    std::uint64_t found = 0;
    std::uint64_t wanted = pattern(word, at);
    const std::size_t left = bytes.size() - at;
    std::memcpy(&found, bytes.data() + at, left < 8 ? left : 8);
    if (left < 8) wanted &= (std::uint64_t{1} << 8 * left) - 1;
    wrong |= found ^ wanted;
  }
  return wrong == 0;
}

[[nodiscard]] inline std::uint64_t mixed(std::uint64_t seed) {
  seed += 0x9e37'79b9'7f4a'7c15;
  seed = (seed ^ seed >> 30) * 0xbf58'476d'1ce4'e5b9;
  seed = (seed ^ seed >> 27) * 0x94d0'49bb'1331'11eb;
  return seed ^ seed >> 31;
}

// A small source of chance, repeatable by its seed.
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() { return mixed(state_++); }
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(next() % bound); }
  bool one_in(std::uint32_t count) { return below(count) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace slipring::campaign
