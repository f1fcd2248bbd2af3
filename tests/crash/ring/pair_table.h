// The rows of one ring with one producer and one consumer: what a test runs of them, and all.
#pragma once

#include <vector>

#include "tests/crash/ring/pair_experiments.h"

namespace slipring::crash {

// kShort is a test of rings whose operations are long.
enum class Extent { kShort, kTest, kCampaign };

// Whether the operations of a ring take many instructions.
template <typename Kit>
[[nodiscard]] constexpr bool is_long() {
  return requires {
    Kit::kIsLong;
  };
}

template <typename Kit>
std::vector<Tally> pair_table(Extent extent) {
  const bool is_campaign = extent == Extent::kCampaign;
  PairExperiments<Kit> experiments;
  std::vector<Tally> rows;
  constexpr std::array kProducerWays{ProducerWay::kPush,    ProducerWay::kBatch,
                                     ProducerWay::kReserve, ProducerWay::kAbandon,
                                     ProducerWay::kAbort,   ProducerWay::kAttach};
  constexpr std::array kConsumerWays{
      ConsumerWay::kPop,  ConsumerWay::kBatch,  ConsumerWay::kPeek,  ConsumerWay::kRelease,
      ConsumerWay::kSkip, ConsumerWay::kCredit, ConsumerWay::kAttach};
  for (const ProducerWay way : kProducerWays) {
    if (Kit::has(way)) rows.push_back(experiments.producer(way, is_campaign));
  }
  for (const ConsumerWay way : kConsumerWays) {
    if (Kit::has(way)) rows.push_back(experiments.consumer(way, is_campaign));
  }
  if (extent != Extent::kShort) rows.push_back(experiments.successors(is_campaign));
  std::vector<PairStart> starts = pair_starts<Kit>(is_campaign && !is_long<Kit>());
  if (!is_campaign) starts = {starts[5], starts[7]};  // before 2^32: one message, and full
  for (const ProducerWay producer : kProducerWays) {
    for (const ConsumerWay consumer : kConsumerWays) {
      if (!Kit::has(producer) || !Kit::has(consumer)) continue;
      if (consumer == ConsumerWay::kRelease || consumer == ConsumerWay::kSkip) continue;
      const bool is_first = producer == ProducerWay::kPush && consumer == ConsumerWay::kPeek;
      const bool is_main = (producer == ProducerWay::kPush || producer == ProducerWay::kAttach) &&
                           (consumer == ConsumerWay::kPeek || consumer == ConsumerWay::kAttach);
      if (is_campaign || is_first || (is_main && extent == Extent::kTest))
        rows.push_back(experiments.pairs(producer, consumer, starts));
    }
  }
  return rows;
}

}  // namespace slipring::crash
