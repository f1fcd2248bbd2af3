// One producer and one consumer on a ring, with successors for both, and a ledger that knows what
// each must see.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/ring/transfer.h"
#include "tests/model/ledger.h"
#include "tests/model/run.h"
#include "tests/model/spsc_adapters.h"

namespace slipring::model {

inline constexpr std::uint64_t kNever = UINT64_MAX;

struct SpscPlan {
  Way push = Way::kCopy;
  Way take = Way::kCopy;
  Shape shape;
  std::uint64_t messages = 2;
  // Tries of either end.  kNever: both poll until everything has gone through.
  std::uint64_t tries = kNever;
  std::uint64_t abort_at = kNever;  // when so many are published, all of them are aborted
  bool asks = false;                // both ends ask before they try
  bool skips = false;               // the consumer leaves behind what is aborted
  std::uint32_t successors = 0;     // of each end
};

template <typename Ring>
class SpscPlay : public Play {
 public:
  SpscPlay(Run& run, const SpscPlan& plan)
      : plan_(plan), run_(run), ring_(run, plan.shape), ledger_(run) {
    ledger_.set_capacity(ring_.capacity());
    producer_ = run.fibre([this] { produce(); });
    consumer_ = run.fibre([this] { consume(); });
    for (std::uint32_t i = 0; i < plan.successors; ++i) {
      producer_ = run.successor(producer_, [this] { produce(); });
      consumer_ = run.successor(consumer_, [this] { consume(); });
    }
  }

  void settle(Run& run) override {
    bool is_anybody_stopped = false;
    for (std::size_t i = 0; i < 2 + 2 * plan_.successors; ++i) {
      const bool is_producer = i % 2 == 0;
      is_anybody_stopped = is_anybody_stopped || run.fate(i) == Fate::kStopped;
      if (run.fate(i) != Fate::kWaiting) continue;
      if (is_producer) {
        run.require(ledger_.pushed() >= ledger_.finished() + ring_.capacity(),
                    "a producer waits although there is room");
      } else {
        run.require(ledger_.handed() >= ledger_.pushed(),
                    "a consumer waits although there are messages");
      }
    }
    if (plan_.tries == kNever && run.death_count() <= plan_.successors && !is_anybody_stopped) {
      run.require(ledger_.finished() == plan_.messages, "somebody gave up");
    }
    drain();
  }

  [[nodiscard]] std::uint64_t ghost() const override { return hash_of(ledger_); }
  [[nodiscard]] bool tells_all() const override { return true; }

 private:
  using Product = typename Ring::Product;
  using Taker = typename Ring::Taker;

  void produce() {
    auto end = ring_.produce();
    run_.require(end.ok(), "a producer cannot attach");
    ledger_.producer_attached(ring_.published(*end));
    std::uint64_t tries = 0;
    std::uint64_t aborted = kNever;
    while (ledger_.pushed() < plan_.messages && tries != plan_.tries) {
      if (ledger_.pushed() == plan_.abort_at && aborted != plan_.abort_at) abort(*end, aborted);
      ++tries;
      run_.at_rest(mix(mix(hash_of(*end), count_of(tries)), aborted));
      if (!push(*end) && plan_.tries == kNever) run_.wait_for_news();
    }
    if (ledger_.pushed() == plan_.abort_at) abort(*end, aborted);
  }
  // A body that polls for ever does the same at each try.
  [[nodiscard]] std::uint64_t count_of(std::uint64_t tries) const {
    return plan_.tries == kNever ? 0 : tries;
  }
  void abort(Product& end, std::uint64_t& aborted) {
    ledger_.abort_begins();
    end.abort_published();
    ledger_.abort_ends();
    aborted = ledger_.pushed();
  }
  // Whether anything was moved.
  bool push(Product& end) {
    const std::uint64_t left = plan_.messages - ledger_.pushed();
    const std::size_t wanted = plan_.push == Way::kBatch && left > 1 ? 2 : 1;
    std::size_t pushed = 0;
    const bool has_space = plan_.asks && Ring::has_space(end);
    ledger_.push_begins(wanted);
    const Transfer answer = ring_.push(end, plan_.push, ledger_.pushed(), wanted, pushed);
    run_.require(answer != Transfer::kCorruptPeer, "the consumer looks corrupt");
    ledger_.push_ends(answer == Transfer::kDone ? pushed : 0);
    run_.require(!has_space || answer == Transfer::kDone, "a ring has space, and has none");
    return answer == Transfer::kDone;
  }

  void consume() {
    auto end = ring_.consume();
    run_.require(end.ok(), "a consumer cannot attach");
    ledger_.consumer_attached(ring_.done(*end));
    for (std::uint64_t i = 0; ledger_.finished() < plan_.messages && i != plan_.tries; ++i) {
      run_.at_rest(mix(hash_of(*end), count_of(i)));
      if (plan_.skips) skip(*end);
      if (!take(*end) && ledger_.finished() < plan_.messages && plan_.tries == kNever) {
        run_.wait_for_news();
      }
    }
  }
  void skip(Taker& end) {
    const bool has_seen = end.has_abort();
    ledger_.skip_begins();
    const std::uint64_t skipped = end.skip_aborted();
    ledger_.skip_ends(ring_.done(end));
    run_.require(!has_seen || skipped != 0, "an abort is seen and what it aborts is not");
  }
  bool take(Taker& end) {
    std::array<Handed, kMostHanded> handed{};
    std::size_t count = 0;
    const bool finishes = Ring::takes_and_finishes(plan_.take);
    const bool has_message = plan_.asks && Ring::has_message(end);
    ledger_.take_begins(kMostHanded);
    ledger_.finish_begins(finishes ? kMostHanded : 0);
    const Transfer answer = ring_.take(end, plan_.take, handed, count);
    run_.require(answer != Transfer::kCorruptPeer, "the producer looks corrupt");
    run_.require(!has_message || answer == Transfer::kDone, "a ring has a message, and has none");
    if (answer != Transfer::kDone) count = 0;
    for (std::size_t i = 0; i < count; ++i) {
      run_.require(handed[i].is_whole, "a torn message");
      ledger_.handed_out(handed[i].number, handed[i].is_redelivered, handed[i].is_aborted);
    }
    ledger_.take_ends();
    if (run_.is_inside() && count != 0) run_.before_plain();  // it may die of the message
    ledger_.finish_begins(count);
    if (!finishes && count != 0) Ring::finish(ring_, end, count);
    ledger_.finish_ends();
    return count != 0;
  }

  // What nobody has finished is still there, in order.
  void drain() {
    auto producer = ring_.produce();
    run_.require(producer.ok(), "the last producer cannot attach");
    ledger_.producer_attached(ring_.published(*producer));
    auto consumer = ring_.consume();
    run_.require(consumer.ok(), "the last consumer cannot attach");
    ledger_.consumer_attached(ring_.done(*consumer));
    run_.require(consumer->has_abort() || ledger_.finished() >= ledger_.aborted(),
                 "an abort is forgotten");
    while (take(*consumer)) {
    }
    run_.require(ledger_.finished() == ledger_.pushed(), "a message is lost");
  }

  SpscPlan plan_;
  Run& run_;
  Ring ring_;
  Ledger ledger_;
  std::size_t producer_ = 0;
  std::size_t consumer_ = 0;
};

}  // namespace slipring::model
