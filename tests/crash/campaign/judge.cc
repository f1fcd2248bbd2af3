#include "tests/crash/campaign/judge.h"

#include <algorithm>
#include <cstring>

namespace slipring::campaign {

std::uint32_t read_book(const ProducerBook& book, std::uint8_t* known) {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < book.life_count; ++i) {
    const ProducerLife& life = book.lives[i];
    const std::uint32_t committed = life.committed.get();
    const std::uint32_t attempted = life.attempted.get();
    std::memset(known + life.base, kMust, committed - life.base);
    std::memset(known + committed, kMaybe, attempted - committed);
    count = attempted;
  }
  return count;
}

void close_book(const Context& context, std::uint32_t at, std::uint32_t count) {
  const std::uint8_t* known = context.stage->known[at];
  std::uint64_t committed = 0;
  std::uint64_t vanished = 0;
  std::uint64_t delivered = 0;
  std::uint64_t in_hands = 0;
  for (std::uint32_t id = 0; id < count; ++id) {
    const bool came = (known[id] & (kDelivered | kInHands)) != 0;
    delivered += (known[id] & kDelivered) != 0 ? 1 : 0;
    in_hands += (known[id] & kInHands) != 0 ? 1 : 0;
    if ((known[id] & kMaybe) != 0) ++(came ? committed : vanished);
    if ((known[id] & kMust) != 0 && !came) {
      context.report(Wrong::kLost, "a committed message never came: producer, number", at, id);
    }
  }
  Tally& tally = *context.tally;
  tally.messages += delivered;
  tally.maybe_committed += committed;
  tally.maybe_vanished += vanished;
  tally.in_hands += in_hands;
  if (count == 0 || delivered == 0) {
    context.report(Wrong::kHang, "nothing got through in a whole round: producer", at);
  }
}

namespace {

// Goes through one lane's log.
class Lane {
 public:
  Lane(const Context& context, std::uint32_t at)
      : context_(context),
        at_(at),
        book_(context.stage->consumers[at]),
        known_(context.stage->known[at]),
        count_(read_book(context.stage->producers[at], known_)) {}

  void judge() {
    for (std::uint32_t i = 0; i < book_.life_count; ++i) judge_life(book_.lives[i], i);
    if (seen_ > done_high_) {
      context_.report(Wrong::kLost, "taken, not finished, and never came again: up to, from",
                      static_cast<std::uint64_t>(seen_),
                      static_cast<std::uint64_t>(done_high_ + 1));
    }
    take_into_hands(count_);
    close_book(context_, at_, count_);
  }

 private:
  // Whether a reader that stands behind `from` may be given `id` next.
  [[nodiscard]] bool follows(std::int64_t from, std::int64_t id) const {
    if (id <= from) return false;
    for (std::int64_t between = from + 1; between < id; ++between) {
      if ((known_[between] & (kMust | kDelivered)) != 0) return false;
    }
    return true;
  }

  // A life begins with `id`: behind what was finished, or what was being finished, or what was
  // popped for good, by the ones before.
  [[nodiscard]] bool may_begin_with(std::uint32_t id) {
    const bool may_begin = follows(done_low_, id) ||
                           (done_high_ > done_low_ && follows(done_high_, id)) ||
                           (id > done_low_ && take_into_hands(id));
    // What had been in doubt is settled by where it begins.
    if (may_begin) done_low_ = done_high_ = std::int64_t{id} - 1;
    return may_begin;
  }

  // What lies between the last finished one and `id` went with a dead consumer's hands.
  bool take_into_hands(std::uint32_t id) {
    if (hands_ == 0) return false;
    std::uint32_t count = 0;
    for (std::int64_t between = done_high_ + 1; between < id; ++between) {
      if ((known_[between] & kDelivered) != 0) return false;
      if ((known_[between] & kMust) == 0) continue;
      if (count++ == hands_) return id == count_;
      known_[between] |= kInHands;
    }
    return true;
  }

  void judge_life(const ConsumerLife& life, std::uint32_t number) {
    const std::uint32_t end = life.end.get();
    std::int64_t last = -1;
    for (std::uint32_t i = life.begin; i < end; ++i) {
      const LogEntry& entry = book_.log[i];
      if (entry.producer != at_ || entry.id >= count_) {
        context_.report(Wrong::kInvented, "never sent: number, life", entry.id, number);
        return;
      }
      judge_entry(entry, i == life.begin, last, number);
      last = entry.id;
    }
    if (end != life.begin) hands_ = 0;
    // Who pops for good has finished whatever it could log.
    const std::uint32_t finished = life.hands.get() != 0 ? end : life.finished.get();
    if (finished > life.begin) done_low_ = done_high_ = book_.log[finished - 1].id;
    if (life.finishing.get() > std::max(life.begin, finished)) {
      done_high_ = book_.log[life.finishing.get() - 1].id;
    }
    const std::uint32_t taken_end = life.taken_end.get();
    if (taken_end > end) allowance_ = std::max(allowance_, taken_end - end);
    hands_ += life.hands.get();
  }

  void judge_entry(const LogEntry& entry, bool is_first, std::int64_t last, std::uint32_t number) {
    const std::uint32_t id = entry.id;
    const bool is_marked = (entry.flags & kMarked) != 0;
    const bool came_before = (known_[id] & kDelivered) != 0;
    if (!(is_first ? may_begin_with(id) : follows(last, id))) {
      const std::int64_t from = is_first ? done_low_ : last;
      const Wrong wrong = id > from ? Wrong::kLost : is_first ? Wrong::kDuplicated : Wrong::kOrder;
      context_.report(wrong,
                      is_first ? "a successor begins with the wrong message: number, behind"
                               : "not the next message: number, behind",
                      id, static_cast<std::uint64_t>(from));
    }
    if (came_before) {
      ++context_.tally->redelivered;
      if (!is_marked) {
        context_.report(Wrong::kDuplicated, "came again without a mark: number, life", id, number);
      }
    } else if (is_marked) {
      if (allowance_ == 0) {
        context_.report(Wrong::kMark, "marked, and nobody held it: number, life", id, number);
      } else {
        --allowance_;
      }
    }
    known_[id] |= kDelivered;
    seen_ = std::max(seen_, std::int64_t{id});
  }

  const Context& context_;
  std::uint32_t at_;
  const ConsumerBook& book_;
  std::uint8_t* known_;
  std::uint32_t count_;
  std::int64_t done_low_ = -1;   // finished for certain
  std::int64_t done_high_ = -1;  // perhaps finished
  std::int64_t seen_ = -1;
  std::uint32_t allowance_ = 0;  // messages that the dead may have taken and not logged
  std::uint32_t hands_ = 0;      // messages that the dead may have popped and not logged
};

// Goes through one reader's log.  All logs together say which message stood where.
class Listener {
 public:
  Listener(const Context& context, std::uint32_t at, std::uint32_t count, bool may_lose)
      : context_(context),
        book_(context.stage->consumers[at]),
        count_(count),
        may_lose_(may_lose) {}

  void judge() {
    for (std::uint32_t i = 0; i < book_.life_count; ++i) judge_life(book_.lives[i], i);
  }
  [[nodiscard]] std::uint32_t end() const { return low_; }
  // Whether it had all up to there; what it has counted as lost, and no message came to say so,
  // included.
  [[nodiscard]] bool has_reached(std::uint32_t furthest) const {
    return low_ == kAnywhere || adds_up(furthest, untold_);
  }

 private:
  static constexpr std::uint32_t kAnywhere = UINT32_MAX;

  void judge_life(const ConsumerLife& life, std::uint32_t number) {
    const std::uint32_t end = life.end.get();
    bool is_first = true;
    for (std::uint32_t i = life.begin; i < end; ++i) {
      const LogEntry& entry = book_.log[i];
      if ((entry.flags & kJoined) != 0) {
        if (!may_join_) context_.report(Wrong::kLost, "a membership got lost: life", number);
        begin_anew();
        is_first = false;
        continue;
      }
      if (!is_in_place(entry)) return;
      judge_entry(entry, is_first, life, number);
      is_first = false;
      low_ = high_ = entry.position + 1;
    }
    settle(life, end);
  }

  // Whether one that went past `counted` lost messages, and told of none, can have come to
  // `position` from where its predecessors may have been.  What died in their hands, and no counter
  // knows, may lie between too.
  [[nodiscard]] bool adds_up(std::uint32_t position, std::uint32_t counted) const {
    for (const std::uint32_t from : {low_, middle_, high_}) {
      if (from == kAnywhere || position < from + counted) continue;
      if (position - from - counted <= slack_) return true;
    }
    return false;
  }

  // A new membership, which may begin with what the place had seen before.
  void begin_anew() {
    low_ = high_ = middle_ = kAnywhere;
    has_seen_ = false;
    seen_ = 0;
  }

  // What a successor of this life finds.
  void settle(const ConsumerLife& life, std::uint32_t end) {
    const std::uint32_t finished = std::max(life.begin, life.finished.get());
    // A reader that goes past a loss, or is put out, has finished what it held.
    const std::uint32_t finishing =
        may_lose_ ? end : std::max(finished, std::min(end, life.finishing.get()));
    // Where the first unfinished one stands; a life that logged nothing changes nothing.
    bool has_jumped = false;
    if (end != life.begin) middle_ = kAnywhere;
    for (std::uint32_t i = end; i-- > life.begin;) {
      if ((book_.log[i].flags & kJoined) != 0) break;
      const std::uint32_t due = book_.log[i].position - book_.log[i].lost;
      if (i >= finished) low_ = due;
      // Going past the last loss has finished all before it.
      if (i >= finished && book_.log[i].since_loss != 0 && !has_jumped) {
        middle_ = book_.log[i].position + 1 - book_.log[i].since_loss;
        has_jumped = true;
      }
      if (i >= finishing) high_ = due;
    }
    slack_ = (end == life.begin ? slack_ : 0) + life.hands.get();
    // A reader that dies going past a loss may leave marks on what it would have left behind.
    const std::uint32_t taken_end = life.taken_end.get();
    if (taken_end > end)
      allowance_ = may_lose_ ? kAnyNumber : std::max(allowance_, taken_end - end);
    may_join_ = life.joining.get() != 0;
    untold_ = life.lost_at_exit.get() - lost_before_;
  }

  // Whether the message can stand there, by its number and by what others saw there.
  [[nodiscard]] bool is_in_place(const LogEntry& entry) {
    if (entry.id >= count_ || entry.position >= kMaxIds * 2) {
      context_.report(Wrong::kInvented, "never sent: number, position", entry.id, entry.position);
      return false;
    }
    std::uint32_t& there = context_.stage->at_position[entry.position];
    if (there != 0 && there != entry.id + 1) {
      context_.report(Wrong::kOrder, "two messages in one place: number, position", entry.id,
                      entry.position);
    }
    there = entry.id + 1;
    context_.stage->known[0][entry.id] |= kDelivered;
    return true;
  }

  void judge_entry(const LogEntry& entry, bool is_first, const ConsumerLife& life,
                   std::uint32_t number) {
    const bool is_marked = (entry.flags & kMarked) != 0;
    const bool came_before = has_seen_ && entry.position <= seen_;
    const std::uint32_t due = entry.position - entry.lost;
    context_.tally->told_lost += entry.lost;
    if (entry.lost != 0 && !may_lose_) {
      context_.report(Wrong::kLost, "lost where nothing may be: position, count", entry.position,
                      entry.lost);
    }
    // Predecessors may have gone past losses, counted them, and died before they could say so.
    const std::uint32_t hidden = is_first ? life.lost_at_attach.get() - lost_before_ : 0;
    if (low_ != kAnywhere && !(is_first ? adds_up(due, hidden) : due == low_)) {
      context_.report(due < low_ ? Wrong::kDuplicated : Wrong::kLost,
                      "not the next message: position less lost, expected", due, low_);
    } else if (low_ != kAnywhere && due > high_) {
      (may_lose_ ? context_.tally->told_lost : context_.tally->in_hands) += due - high_;
    }
    lost_before_ = entry.lost_count;
    if (came_before) {
      ++context_.tally->redelivered;
      if (!is_marked) {
        context_.report(Wrong::kDuplicated, "came again without a mark: number, life", entry.id,
                        number);
      }
    } else if (is_marked) {
      if (allowance_ == 0) {
        context_.report(Wrong::kMark, "marked, and nobody held it: number, life", entry.id, number);
      } else {
        --allowance_;
      }
    }
    seen_ = std::max(seen_, entry.position);
    has_seen_ = true;
  }

  const Context& context_;
  const ConsumerBook& book_;
  std::uint32_t count_;
  bool may_lose_;
  std::uint32_t low_ = kAnywhere;     // the position that is due, if the last finish() did nothing
  std::uint32_t high_ = kAnywhere;    // and if it did
  std::uint32_t middle_ = kAnywhere;  // and if a loss was gone past
  std::uint32_t seen_ = 0;
  bool has_seen_ = false;
  bool may_join_ = true;
  std::uint32_t lost_before_ = 0;  // what the ring had counted as lost at the last message
  std::uint32_t untold_ = 0;
  std::uint32_t slack_ = 0;  // what the dead may have popped, or found overwritten, untold
  std::uint32_t allowance_ = 0;
};

}  // namespace

void judge_lane(const Context& context, std::uint32_t at) {
  Lane(context, at).judge();
}

void judge_audience(const Context& context, std::uint32_t reader_count, std::uint32_t published,
                    bool may_lose) {
  std::uint8_t* known = context.stage->known[0];
  const std::uint32_t count = read_book(context.stage->producers[0], known);
  for (std::uint32_t i = 0; i < reader_count; ++i) {
    Listener listener(context, i, count, may_lose);
    listener.judge();
    if (listener.has_reached(published)) continue;
    context.report(Wrong::kLost, "a reader falls short: reader, position", i, listener.end());
  }
  // Places hold messages in the order of their numbers, and between two neighbours lie none that
  // had been accepted.
  std::uint32_t last = 0;
  std::uint32_t last_position = 0;
  for (std::uint32_t position = 0; position < kMaxIds * 2; ++position) {
    const std::uint32_t here = context.stage->at_position[position];
    if (here == 0) continue;
    if (here <= last) {
      context.report(Wrong::kOrder, "out of order: number, position", here - 1, position);
    }
    std::uint32_t between = 0;
    for (std::uint32_t id = last; last != 0 && id + 1 < here; ++id) {
      between += (known[id] & kMust) != 0 ? 1 : 0;
    }
    if (last != 0 && here > last && between > position - last_position - 1) {
      context.report(Wrong::kLost, "fewer places than messages: position, messages", position,
                     between);
    }
    last = here;
    last_position = position;
  }
  // What nobody read was overwritten, and the losses were told; or it was sent before anybody
  // listened.
  bool has_begun = false;
  for (std::uint32_t id = 0; id < count; ++id) {
    has_begun = has_begun || (known[id] & kDelivered) != 0;
    if ((may_lose || !has_begun) && (known[id] & kMust) != 0) known[id] |= kDelivered;
  }
  close_book(context, 0, count);
}

}  // namespace slipring::campaign
