#include <algorithm>

#include "tests/crash/campaign/judge.h"

namespace slipring::campaign {
namespace {

// Goes through one consumer's log of many.
class Member {
 public:
  Member(const Context& context, std::uint32_t at, std::uint32_t producer_count)
      : context_(context), book_(context.stage->consumers[at]), producer_count_(producer_count) {}

  void judge() {
    for (std::uint32_t i = 0; i < book_.life_count; ++i) judge_life(book_.lives[i], i);
    if (has_to_come_ && pending_begin_ != pending_end_) {
      context_.report(Wrong::kLost, "taken, not finished, and never came again: entries",
                      pending_begin_, pending_end_);
    }
  }

 private:
  // What one life saw of its predecessor's messages.
  struct Again {
    std::uint32_t next;       // the entry that comes again next
    std::uint32_t fresh = 0;  // messages that nobody had logged
  };

  void judge_life(const ConsumerLife& life, std::uint32_t number) {
    const std::uint32_t end = life.end.get();
    std::uint32_t at = life.begin;
    Again again{pending_begin_};
    // First what the one before had not finished.
    for (; at < end && (book_.log[at].flags & kMarked) != 0; ++at) {
      if (!is_known(book_.log[at], number)) return;
      judge_again(book_.log[at], number, again);
      note(book_.log[at]);
    }
    const bool goes_on = at < end || life.finished.get() > life.begin;
    if (goes_on) check_all_came(again, number);
    for (; at < end; ++at) {
      const LogEntry& entry = book_.log[at];
      if (!is_known(entry, number)) return;
      if ((entry.flags & kMarked) != 0) {
        context_.report(Wrong::kMark, "marked in the middle: number, life", entry.id, number);
      } else if (came_before(entry)) {
        context_.report(Wrong::kDuplicated, "came again without a mark: number, life", entry.id,
                        number);
      }
      note(entry);
    }
    inherit(life, end, again, goes_on);
  }

  // Whether the dead one's logged messages have to come, now that some of them did or a mark came.
  void check_all_came(Again& again, std::uint32_t number) {
    const bool has_begun = again.next != pending_begin_;
    if (again.next == pending_end_ || !(has_begun || has_to_come_)) return;
    context_.report(Wrong::kLost, "taken, not finished, and did not come again: entry, life",
                    again.next, number);
    again.next = pending_end_;
  }

  // A marked message: one of those that the dead one had logged, in their order; or one that it had
  // taken and not logged, behind them or, if its last call had finished them, in their place.
  void judge_again(const LogEntry& entry, std::uint32_t number, Again& again) {
    if (came_before(entry)) {
      ++context_.tally->redelivered;
      if (again.fresh != 0 || again.next == pending_end_ || book_.log[again.next].id != entry.id ||
          book_.log[again.next].producer != entry.producer) {
        context_.report(Wrong::kDuplicated, "came again and was not held: number, life", entry.id,
                        number);
      } else {
        ++again.next;
      }
      return;
    }
    if (again.fresh == 0) check_all_came(again, number);
    if (again.fresh == allowance_) {
      context_.report(Wrong::kMark, "marked, and nobody held it: number, life", entry.id, number);
    } else {
      ++again.fresh;
    }
  }

  void inherit(const ConsumerLife& life, std::uint32_t end, const Again& again, bool goes_on) {
    const std::uint32_t finished = std::max(life.begin, life.finished.get());
    const std::uint32_t more = life.taken_end.get() > end ? life.taken_end.get() - end : 0;
    if (goes_on) {
      allowance_ = more;
    } else {
      // What it saw of the unlogged ones is logged now; it may have left others.
      allowance_ = std::max(allowance_ - again.fresh, more);
      if (end == life.begin) return;
      if (again.fresh == 0 && again.next != pending_end_) {
        // It died with some of them still to come, and until they have come none is finished.
        has_to_come_ = true;
        return;
      }
    }
    pending_begin_ = finished;
    pending_end_ = end;
    has_to_come_ = life.finishing.get() <= finished;
  }

  [[nodiscard]] bool is_known(const LogEntry& entry, std::uint32_t number) const {
    if (entry.producer < producer_count_ &&
        (context_.stage->known[entry.producer][entry.id] & (kMust | kMaybe)) != 0) {
      return true;
    }
    context_.report(Wrong::kInvented, "never sent: number, life", entry.id, number);
    return false;
  }
  [[nodiscard]] bool came_before(const LogEntry& entry) const {
    return (context_.stage->known[entry.producer][entry.id] & kDelivered) != 0;
  }

  void note(const LogEntry& entry) {
    std::uint8_t& known = context_.stage->known[entry.producer][entry.id];
    const bool is_again = (known & kDelivered) != 0;
    known |= kDelivered;
    const ProducerBook& sender = context_.stage->producers[entry.producer];
    if (is_again || sender.has_stamps == 0) return;
    if (sender.over[entry.id] < latest_begun_) {
      context_.report(Wrong::kOrder, "came behind one that was sent later: producer, number",
                      entry.producer, entry.id);
    }
    latest_begun_ = std::max(latest_begun_, sender.begun[entry.id]);
  }

  const Context& context_;
  const ConsumerBook& book_;
  std::uint32_t producer_count_;
  std::uint32_t pending_begin_ = 0;  // entries that come again
  std::uint32_t pending_end_ = 0;
  bool has_to_come_ = false;     // they have to
  std::uint32_t allowance_ = 0;  // messages that the dead one may hold and not have logged
  std::uint32_t latest_begun_ = 0;
};

}  // namespace

void judge_crowd(const Context& context, std::uint32_t producer_count,
                 std::uint32_t consumer_count) {
  std::uint32_t counts[kMaxBooks] = {};
  for (std::uint32_t i = 0; i < producer_count; ++i) {
    counts[i] = read_book(context.stage->producers[i], context.stage->known[i]);
  }
  for (std::uint32_t i = 0; i < consumer_count; ++i) Member(context, i, producer_count).judge();
  for (std::uint32_t i = 0; i < producer_count; ++i) close_book(context, i, counts[i]);
}

}  // namespace slipring::campaign
