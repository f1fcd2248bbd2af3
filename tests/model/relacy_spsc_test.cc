// The typed ring under Relacy: random executions of its own model of the memory.

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <string>

#include "core/ring/cursor_page.h"
#include "core/ring/spsc_ring.h"
#include "tests/model/relacy_atomics.h"

namespace slipring::model {
namespace {

constexpr std::uint64_t kMessages = 5;
constexpr SpscGeometry kGeometry{2, (std::uint64_t{1} << 32) - 2};

struct PushPop : rl::test_suite<PushPop, 2> {
  using Producer = SpscProducer<std::uint64_t, RelacyAtomics>;
  using Consumer = SpscConsumer<std::uint64_t, RelacyAtomics>;

  void before() {
    for (const auto* word : {&producer_page.tail, &producer_page.abort_before,
                             &consumer_page.credit, &consumer_page.done, &consumer_page.taken}) {
      memory.know_word(word);
    }
    for (const std::uint64_t& slot : slots) memory.know_place(&slot);
  }
  void thread(unsigned number) {
    if (number == 0) {
      auto producer = Producer::attach(producer_page, slots.data(), consumer_page, kGeometry);
      for (std::uint64_t sent = 0; sent < kMessages;) {
        const Transfer answer = producer.value().try_push(sent * 3 + 1);
        RL_ASSERT(answer != Transfer::kCorruptPeer);
        if (answer == Transfer::kDone) {
          ++sent;
        } else {
          rl::yield(1, $);
        }
      }
      return;
    }
    auto consumer = Consumer::attach(consumer_page, producer_page, slots.data(), kGeometry);
    for (std::uint64_t got = 0; got < kMessages;) {
      std::uint64_t value = 0;
      const Transfer answer = consumer.value().try_pop(value);
      RL_ASSERT(answer != Transfer::kCorruptPeer);
      if (answer == Transfer::kDone) {
        RL_ASSERT(value == got * 3 + 1);
        ++got;
      } else {
        rl::yield(1, $);
      }
    }
  }

  RelacyMemory memory;
  ProducerPage producer_page{};
  ConsumerPage consumer_page{};
  std::array<std::uint64_t, 2> slots{};
};

bool is_clean(rl::iteration_t iterations) {
  rl::test_params params;
  params.iteration_count = iterations;
  // A stream of our own would be given memory within Relacy's iterations and free it outside.
  const bool is_good = rl::simulate<PushPop>(params);
  MESSAGE("iterations ", params.stop_iteration, " of ", iterations, ", ",
          std::string(rl::test_result_str(params.test_result)));
  return is_good;
}

TEST_CASE("relacy: typed ring, and a release too few is found") {
  CHECK(is_clean(20'000));
  RelacyAtomics::is_planted = true;
  CHECK_FALSE(is_clean(20'000));
  RelacyAtomics::is_planted = false;
}

}  // namespace
}  // namespace slipring::model
