// Two producers with a lane each, their bells, and one consumer, who goes round or merges by
// stamps.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "core/error/check.h"
#include "core/ring/mpsc_bell.h"
#include "core/ring/mpsc_merge.h"
#include "core/ring/mpsc_ring.h"
#include "core/ring/transfer.h"
#include "tests/model/ledger.h"
#include "tests/model/run.h"
#include "tests/model/spsc_adapters.h"

namespace slipring::model {

struct LanesPlan {
  std::uint64_t messages = 1;         // of each lane
  std::uint32_t scan_interval = 256;  // 256 is never reached: bells alone must do
  bool merges = false;
  bool has_successors = false;  // of the producers; the consumer has one when anybody dies
  std::uint32_t deaths = 0;
};

class LanesPlay : public Play {
 public:
  static constexpr std::size_t kLanes = 2;

  LanesPlay(Run& run, const LanesPlan& plan)
      : plan_(plan),
        run_(run),
        lanes_{SlotRing(run, {}), SlotRing(run, {})},
        bells_(run.place<BellPage>()),
        ledgers_{Ledger(run), Ledger(run)} {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      ledgers_[lane].set_capacity(lanes_[lane].capacity());
      // Who comes first has attached before all others, who succeeds it attaches among them.
      producers_[lane].emplace(lanes_[lane].produce().value());
      bell_[lane].emplace(*bells_, static_cast<std::uint32_t>(lane));
      consumers_[lane].emplace(lanes_[lane].consume().value());
      const std::size_t producer = run.fibre([this, lane] { produce(lane); });
      if (plan.has_successors) {
        run.successor(producer, [this, lane] {
          attach_producer(lane);
          produce(lane);
        });
      }
      if (plan.deaths == 0) run.spare(producer);
    }
    const std::size_t consumer = run.fibre([this] { consume(); });
    if (plan.deaths != 0) {
      run.successor(consumer, [this] {
        for (std::size_t lane = 0; lane < kLanes; ++lane) attach_consumer(lane);
        consume();
      });
    }
  }

  void settle(Run& run) override {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      run.require(ledgers_[lane].finished() >= ledgers_[lane].pushed(), "a lane is forgotten");
      if (plan_.has_successors) {
        run.require(ledgers_[lane].finished() == plan_.messages, "somebody gave up");
      }
    }
  }
  [[nodiscard]] std::uint64_t ghost() const override {
    return hash_of(ledgers_[0], hash_of(ledgers_[1]));
  }
  [[nodiscard]] bool tells_all() const override { return true; }

 private:
  using Lane = SlotRing::Taker;

  void attach_producer(std::size_t lane) {
    auto end = lanes_[lane].produce();
    run_.require(end.ok(), "a producer cannot attach");
    ledgers_[lane].producer_attached(lanes_[lane].published(*end));
    producers_[lane].emplace(*end);
    bell_[lane].emplace(*bells_, static_cast<std::uint32_t>(lane));
  }
  void attach_consumer(std::size_t lane) {
    auto end = lanes_[lane].consume();
    run_.require(end.ok(), "a consumer cannot attach");
    ledgers_[lane].consumer_attached(lanes_[lane].done(*end));
    consumers_[lane].emplace(*end);
  }

  void produce(std::size_t lane) {
    Ledger& ledger = ledgers_[lane];
    SlotRing::Product& end = *producers_[lane];
    while (ledger.pushed() < plan_.messages) {
      run_.at_rest(hash_of(end, hash_of(bell_[lane])));
      std::size_t pushed = 0;
      ledger.push_begins(1);
      const Transfer answer = SlotRing::push(end, Way::kCopy, ledger.pushed(), 1, pushed);
      ledger.push_ends(answer == Transfer::kDone ? 1 : 0);
      if (answer == Transfer::kDone) {
        bell_[lane]->ring();
      } else {
        run_.wait_for_news();
      }
    }
  }

  void consume() {
    if (plan_.merges) {
      MpscMerge<Lane> merge;
      serve(merge);
    } else {
      MpscConsumer<Lane, ModelAtomics> round(*bells_, {1, plan_.scan_interval});
      serve(round);
    }
  }

  template <typename Service>
  void serve(Service& service) {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) service.join(lane, *consumers_[lane]);
    while (ledgers_[0].finished() < plan_.messages || ledgers_[1].finished() < plan_.messages) {
      run_.at_rest(hash_without_rounds(service, hash_of(consumers_)));
      typename Service::Message message;
      for (Ledger& ledger : ledgers_) ledger.take_begins(1);
      const Transfer answer = peek(service, message);
      run_.require(answer != Transfer::kCorruptPeer, "a lane looks corrupt");
      if (answer == Transfer::kBlocked) {
        for (Ledger& ledger : ledgers_) ledger.take_ends();
        run_.wait_for_news();
        continue;
      }
      take(service, message);
    }
  }
  // A consumer that goes round counts its rounds up to the next scan of all lanes.  Where that is
  // never reached the count means nothing, and every round would be another state.  It is the one
  // word that a try on no lanes at all changes.
  [[nodiscard]] static std::uint64_t hash_without_rounds(const MpscMerge<Lane>& merge,
                                                         std::uint64_t from) {
    return hash_of(merge, from);
  }
  [[nodiscard]] static std::uint64_t hash_without_rounds(
      const MpscConsumer<Lane, ModelAtomics>& round, std::uint64_t from) {
    static const std::size_t rounds = [] {
      static const BellPage kSilent{};
      MpscConsumer<Lane, ModelAtomics> idle(kSilent, {1, 256});
      const Words before = words_of(idle);
      MpscConsumer<Lane, ModelAtomics>::Message nothing;
      (void)idle.try_peek(nothing);
      const Words after = words_of(idle);
      std::size_t changed = before.size();
      for (std::size_t i = 0; i < before.size(); ++i) {
        if (before[i] == after[i]) continue;
        check(changed == before.size(), "a try on no lanes changes more than the count of rounds");
        changed = i;
      }
      return changed;
    }();
    Words words = words_of(round);
    words[rounds] = 0;
    return hash_of(words, from);
  }
  using Words = std::array<std::uint32_t, sizeof(MpscConsumer<Lane, ModelAtomics>) / 4>;
  [[nodiscard]] static Words words_of(const MpscConsumer<Lane, ModelAtomics>& round) {
    Words words;
    std::memcpy(words.data(), static_cast<const void*>(&round), sizeof words);
    return words;
  }
  static Transfer peek(MpscConsumer<Lane, ModelAtomics>& round,
                       MpscConsumer<Lane, ModelAtomics>::Message& message) {
    return round.try_peek(message);
  }
  static Transfer peek(MpscMerge<Lane>& merge, MpscMerge<Lane>::Message& message) {
    return merge.try_peek(message, [](const SlotView& view) {
      Pair value{};
      ModelAtomics::copy_out(&value, view.message.data(), sizeof value);
      return value.number;
    });
  }
  template <typename Service, typename Message>
  void take(Service& service, Message& message) {
    Pair value{};
    ModelAtomics::copy_out(&value, message.view.message.data(), sizeof value);
    const Handed handed = value.handed();
    run_.require(handed.is_whole, "a torn message");
    Ledger& ledger = ledgers_[message.lane];
    ledger.handed_out(handed.number, message.view.redelivered, message.view.aborted);
    for (Ledger& one : ledgers_) one.take_ends();
    run_.before_plain();  // it may die of the message
    ledger.finish_begins(1);
    service.release(message);
    ledger.finish_ends();
  }

  LanesPlan plan_;
  Run& run_;
  std::array<SlotRing, kLanes> lanes_;
  BellPage* bells_;
  std::array<Ledger, kLanes> ledgers_;
  std::array<std::optional<SlotRing::Product>, kLanes> producers_;
  std::array<std::optional<BasicLaneBell<ModelAtomics>>, kLanes> bell_;
  std::array<std::optional<Lane>, kLanes> consumers_;
};

}  // namespace slipring::model
