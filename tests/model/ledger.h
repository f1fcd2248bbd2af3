// Knows what was committed, handed out and finished on a ring with one producer and one consumer,
// and what each end and its successors must therefore see.
//
// Messages have numbers from 0 on.  A call that has begun and not returned may have happened or
// not: who dies in it leaves it so.  All else is certain.
#pragma once

#include <cstdint>

#include "tests/model/run.h"

namespace slipring::model {

class Ledger {
 public:
  explicit Ledger(Run& run) : run_(run) {}

  // --- The producer's end.

  // A producer has attached, and `count` messages are published by all before it.
  void producer_attached(std::uint64_t count) {
    run_.require(count >= pushed_, "a successor has lost a committed message");
    run_.require(count <= pushing_, "a successor sees what was never published");
    pushed_ = pushing_ = count;
  }
  void push_begins(std::uint64_t count) { pushing_ = pushed_ + count; }
  void push_ends(std::uint64_t count) {
    pushed_ += count;
    run_.require(pushed_ <= pushing_, "more was published than was pushed");
    run_.require(pushed_ <= may_be_finished() + capacity_,
                 "a message was overwritten before its end");
    pushing_ = pushed_;
  }
  void abort_begins() { aborting_ = pushed_; }
  void abort_ends() { aborted_ = pushed_; }

  // --- The consumer's.

  void consumer_attached(std::uint64_t done) {
    run_.require(done >= finished_, "what was finished comes again");
    run_.require(done <= may_be_finished(), "what was not finished is lost");
    if (done > handed_) handed_ = done;  // it died in the call that finished it
    is_skipping_ = 0;
    finished_ = finishing_ = done;
    next_ = done;
    handed_before_ = handed_;
    taking_before_ = taking_;
  }
  // Up to `count` messages may be handed out now.
  void take_begins(std::uint64_t count) {
    if (next_ + count > taking_) taking_ = next_ + count;
  }
  void take_ends() { taking_ = handed_; }
  void handed_out(std::uint64_t number, bool is_redelivered, bool is_aborted) {
    run_.require(number >= next_, "a message comes twice or too late");
    run_.require(number == next_, "a message is lost");
    run_.require(number < pushing_, "a message that nobody sent");
    run_.require(is_redelivered || number >= handed_before_, "a repeated message is not marked");
    run_.require(!is_redelivered || number < taking_before_, "a new message is marked repeated");
    run_.require(!is_aborted || number < aborting_, "a message that is wanted is marked aborted");
    next_ = number + 1;
    if (next_ > handed_) handed_ = next_;
  }
  void finish_begins(std::uint64_t count) { finishing_ = finished_ + count; }
  void finish_ends() { finished_ = finishing_; }
  // In one call.
  void skip_begins() { is_skipping_ = 1; }
  void skip_ends(std::uint64_t done) {
    run_.require(done == finished_ || done == aborting_, "skipped to where nobody said");
    is_skipping_ = 0;
    finished_ = finishing_ = done;
    if (done > next_) next_ = done;
    if (done > handed_) handed_ = done;
    if (handed_ > taking_) taking_ = handed_;
  }

  [[nodiscard]] std::uint64_t pushed() const { return pushed_; }
  [[nodiscard]] std::uint64_t aborted() const { return aborted_; }
  [[nodiscard]] std::uint64_t finished() const { return finished_; }
  [[nodiscard]] std::uint64_t handed() const { return handed_; }
  void set_capacity(std::uint64_t capacity) { capacity_ = capacity; }

 private:
  // Whoever skips may see an abort that comes while it does.
  [[nodiscard]] std::uint64_t may_be_finished() const {
    return is_skipping_ != 0 && aborting_ > finishing_ ? aborting_ : finishing_;
  }

  Run& run_;
  std::uint64_t capacity_ = UINT64_MAX / 2;
  std::uint64_t pushing_ = 0;  // below: may have been published
  std::uint64_t pushed_ = 0;   // below: has been
  std::uint64_t aborting_ = 0;
  std::uint64_t aborted_ = 0;
  std::uint64_t next_ = 0;    // what comes next to this consumer
  std::uint64_t taking_ = 0;  // below: may have been handed out
  std::uint64_t handed_ = 0;
  std::uint64_t handed_before_ = 0;  // of the predecessors, as of the attach
  std::uint64_t taking_before_ = 0;
  std::uint64_t finishing_ = 0;
  std::uint64_t finished_ = 0;
  std::uint64_t is_skipping_ = 0;  // as wide as the rest: its bytes are hashed
};

}  // namespace slipring::model
