// The loops of calls and of many senders see what a faulty contender does.
#include <doctest/doctest.h>

#include <cstdint>
#include <span>
#include <utility>

#include "bench/adapter/call_loop.h"
#include "bench/adapter/sender_loop.h"
#include "tests/bench/faulty_channel.h"
#include "tools/bench/machine_facts.h"

namespace slipring::bench {
namespace {

using M = Message<64>;

template <Fault kFault>
class FaultySenders {
 public:
  static constexpr bool kSleeps = false;
  using Channel = FaultyChannel<M, kFault>;

  FaultySenders(Arena& arena, std::uint32_t) : channel_(arena.make<Channel>(arena)) {}
  [[nodiscard]] auto sender(std::uint32_t) const { return channel_.producer(); }
  [[nodiscard]] auto reader() const { return channel_.consumer(); }

 private:
  Channel& channel_;
};

enum class Wrong : std::uint8_t { kNothing, kTorn, kStale, kSwapped, kMissing };

// A service in the caller's own process; the fault strikes one exchange.
template <Wrong kWrong>
struct FaultyCaller {
  static constexpr std::uint64_t kAt = 100;
  CallWork& work;
  std::uint64_t count = 0;

  bool exchange(std::span<const M> requests, std::span<M> answers) {
    const bool strikes = ++count == kAt;
    if (strikes && kWrong == Wrong::kMissing) return false;
    if (strikes && kWrong == Wrong::kStale) return true;  // what the exchange before left there
    for (std::size_t i = 0; i < answers.size(); ++i) work(requests[i], answers[i]);
    if (strikes && kWrong == Wrong::kTorn) answers[0].words[7] ^= 1;
    if (strikes && kWrong == Wrong::kSwapped) std::swap(answers[0], answers[1]);
    return true;
  }
};

struct Called {
  Faults answers;
  Faults requests;
  std::uint64_t count = 0;
  bool going = true;
};

template <Wrong kWrong, std::size_t kBatch>
Called call_many() {
  CallWork work;
  FaultyCaller<kWrong> caller{work};
  CallMaker<kBatch, FaultyCaller<kWrong>> maker(caller);
  Called called;
  for (std::uint64_t i = 0; called.going && i < 2 * caller.kAt; ++i) {
    called.going = maker.make_calls();
  }
  if (called.going) maker.end();
  called.answers = maker.judge().faults(0);
  called.requests = work.judge().faults(0);
  called.count = maker.judge().received();
  CHECK(work.is_over() == called.going);
  return called;
}

CellSettings brief() {
  CellSettings settings = default_settings();
  settings.duration_ns = 20'000'000;
  return settings;
}

template <Fault kFault>
CellResult sent() {
  return run_senders<FaultySenders<kFault>, 1>(brief());
}
TEST_CASE("sender loop: whatever is lost, swapped, repeated, torn or withheld is seen") {
  const CellResult sound = sent<Fault::kNone>();
  CHECK(sound.faults.is_clean());
  CHECK_FALSE(sound.stalled);
  CHECK(sound.value > 0);
  CHECK(sound.message_count > FaultyChannel<M, Fault::kNone>::kAt);
  CHECK(sent<Fault::kLosesOne>().faults.lost == 1);
  CHECK(sent<Fault::kSwapsTwo>().faults.reordered == 1);
  CHECK(sent<Fault::kRepeatsOne>().faults.reordered >= 1);
  CHECK(sent<Fault::kTearsWord>().faults.torn == 1);
  CHECK(sent<Fault::kStallsAtPop>().stalled);
}

TEST_CASE("call loop: an answer that is another's, torn or missing is seen") {
  const Called sound = call_many<Wrong::kNothing, 16>();
  CHECK(sound.answers.is_clean());
  CHECK(sound.requests.is_clean());
  CHECK(sound.count == 16 * 2 * FaultyCaller<Wrong::kNothing>::kAt);
  CHECK(call_many<Wrong::kTorn, 1>().answers.torn == 1);
  CHECK(call_many<Wrong::kTorn, 16>().answers.torn == 1);
  CHECK(call_many<Wrong::kStale, 1>().answers.reordered == 1);
  CHECK(call_many<Wrong::kStale, 16>().answers.reordered == 16);
  CHECK(call_many<Wrong::kSwapped, 16>().answers.reordered == 1);
  CHECK_FALSE(call_many<Wrong::kMissing, 16>().going);
}

TEST_CASE("call work: a request that came twice, or torn, is seen") {
  CallWork work;
  M request;
  M answer;
  request.set(first_word(0));
  work(request, answer);
  CHECK(answer.is(~first_word(0)));
  work(request, answer);
  CHECK(work.judge().faults(0).reordered == 1);
  request.set(first_word(1));
  request.words[3] ^= 1;
  work(request, answer);
  CHECK(work.judge().faults(0).torn == 1);
  CHECK_FALSE(work.is_over());
  request.set(kEndMark);
  work(request, answer);
  CHECK(work.is_over());
}

}  // namespace
}  // namespace slipring::bench
