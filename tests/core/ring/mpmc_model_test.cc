// Every interleaving of a few operations of the real code, one shared access at a time, with deaths
// between any two of them.  Memory is sequentially consistent here.  States that were seen before
// (same memory, same past of every participant) are not entered again.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <unordered_set>

#include "tests/core/ring/mpmc_memory.h"

namespace slipring {
namespace {

using Producer = BasicMpmcProducer<SteppedMemory>;
using Consumer = BasicMpmcConsumer<SteppedMemory>;

struct Bounds {
  std::uint64_t slot_count;
  std::vector<std::uint32_t> pushes;  // a producer each; how many it tries
  std::vector<std::uint32_t> pops;    // a consumer each
  std::uint32_t death_count = 0;
  std::uint32_t batch = 1;  // messages of a call
  std::uint64_t start_position = 0;
  std::uint64_t max_states = 3'000'000;
};

struct Found {
  std::uint64_t states = 0;
  std::uint64_t ends = 0;
  std::uint64_t unfinished = 0;  // messages that a dead consumer held
  std::uint64_t decided_pushed = 0;
  std::uint64_t wrong = 0;
  std::string first_wrong;
};

// One execution: memory, participants, and the ghost that knows the truth.
class Scene {
 public:
  Scene(const Bounds& bounds, Found& found)
      : bounds_(bounds),
        found_(found),
        blocks_({bounds.slot_count, participant_count() + 1, 16}),
        pushed_(participant_count()) {
    blocks_.start_at(bounds.start_position);
    std::vector<std::function<void()>> bodies;
    Stepper::current() = nullptr;  // attach unstepped
    const std::size_t producers = bounds.pushes.size();
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      if (i < producers) {
        producers_.push_back(Producer::attach(shared(), i + 1, blocks_.geometry).value());
      } else {
        consumers_.push_back(Consumer::attach(shared(), i + 1, blocks_.geometry).value());
      }
    }
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      bodies.push_back(i < producers ? std::function<void()>([this, i] { produce(i); })
                                     : std::function<void()>([this, i] { consume(i); }));
    }
    SteppedMemory::late = {};
    SteppedMemory::swapped = [this](const MpmcSlot&, std::uint64_t word) { witness(word); };
    is_dead_.resize(participant_count());
    saw_full_.resize(participant_count());
    saw_empty_.resize(participant_count());
    stepper_.start(std::move(bodies));
  }

  [[nodiscard]] std::uint32_t participant_count() const {
    return static_cast<std::uint32_t>(bounds_.pushes.size() + bounds_.pops.size());
  }
  // Choices: 0 … n-1 lets one go on, n … 2n-1 kills one.
  [[nodiscard]] bool is_possible(std::uint32_t choice) const {
    const std::uint32_t n = participant_count();
    const std::uint32_t i = choice % n;
    if (stepper_.is_over(i) || is_dead_[i]) return false;
    return choice < n || death_count_ < bounds_.death_count;
  }
  void choose(std::uint32_t choice) {
    const std::uint32_t n = participant_count();
    if (choice < n) return stepper_.resume(choice);
    is_dead_[choice - n] = true;
    ++death_count_;
  }
  [[nodiscard]] std::uint64_t state() const {
    std::uint64_t hash = 0x1234'5678;
    const auto mix = [&](std::uint64_t value) {
      hash = (hash ^ value) * 0x9e37'79b9'7f4a'7c15;
      hash ^= hash >> 32;
    };
    for (std::uint64_t at = 0; at < blocks_.slots.size_bytes(); at += 8) {
      mix(blocks_.slots.word(at).load(std::memory_order_relaxed));
    }
    for (std::uint64_t at = 0; at < blocks_.records.size_bytes(); at += 8) {
      mix(blocks_.records.word(at).load(std::memory_order_relaxed));
    }
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      mix(stepper_.seen(i));
      mix((is_dead_[i] ? 8U : 0U) + (stepper_.is_over(i) ? 4U : 0U) + (saw_full_[i] ? 2U : 0U) +
          (saw_empty_[i] ? 1U : 0U));
    }
    return hash;
  }
  // Everybody is through or dead: who has what?
  void settle() {
    ++found_.ends;
    std::vector<std::uint32_t> accounted = finished_;
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      if (!is_dead_[i]) continue;
      const auto estate = mpmc_recover<SteppedMemory>(shared(), i + 1, blocks_.geometry);
      if (!estate) return wrong("an estate is corrupt");
      check_estate(i, estate.value(), accounted);
    }
    auto drain = Consumer::attach(shared(), participant_count() + 1, blocks_.geometry).value();
    SteppedMemory::swapped = nullptr;
    std::uint32_t payload = 0;
    while (drain.try_pop(payload) == Transfer::kDone) accounted.push_back(payload);
    std::sort(accounted.begin(), accounted.end());
    std::sort(all_pushed_.begin(), all_pushed_.end());
    if (accounted != all_pushed_) wrong("a message is lost or there twice");
  }

 private:
  [[nodiscard]] MpmcShared shared() const { return blocks_.shared(); }
  void wrong(const char* why) {
    if (found_.wrong++ == 0) found_.first_wrong = why;
  }
  void check_estate(std::uint32_t i, const MpmcEstate& estate,
                    std::vector<std::uint32_t>& accounted) {
    if (i < bounds_.pushes.size()) {
      for (std::uint32_t k = 0; k < estate.count; ++k) {
        const bool is_pushed =
            std::count(pushed_[i].begin(), pushed_[i].end(), estate.payloads[k]) == 1;
        if (is_pushed != (k < estate.happened)) return wrong("a push is judged wrongly");
        found_.decided_pushed += is_pushed ? 1U : 0U;
      }
      return;
    }
    for (std::uint32_t k = 0; k < estate.happened; ++k) {
      accounted.push_back(estate.payloads[k]);
      ++found_.unfinished;
    }
  }
  // A successful swap, in the order of the memory.
  void witness(std::uint64_t word) {
    const MpmcShape shape(blocks_.geometry);
    const std::uint32_t payload = shape.payload_of(word);
    if ((word & shape.one()) != 0) {
      inside_.push_back(payload);
      all_pushed_.push_back(payload);
      pushed_[shape.who_of(word) - 1].push_back(payload);
      if (inside_.size() > bounds_.slot_count) wrong("more messages than slots");
    } else if (inside_.empty() || inside_.front() != payload) {
      wrong("a message has overtaken another");
    } else {
      inside_.pop_front();
    }
    for (std::uint32_t i = 0; i < participant_count(); ++i) note_size(i);
  }
  void note_size(std::uint32_t i) {
    if (inside_.size() == bounds_.slot_count) saw_full_[i] = true;
    if (inside_.empty()) saw_empty_[i] = true;
  }
  void begin_call(std::uint32_t i) {
    saw_full_[i] = false;
    saw_empty_[i] = false;
    note_size(i);
  }
  void produce(std::uint32_t i) {
    std::uint32_t number = 0;
    for (std::uint32_t call = 0; call < bounds_.pushes[i]; ++call) {
      begin_call(i);
      std::vector<std::uint32_t> payloads;
      for (std::uint32_t k = 0; k < bounds_.batch; ++k) payloads.push_back((i + 1) * 64 + ++number);
      const std::size_t done =
          bounds_.batch > 1 ? producers_[i].try_push_batch(payloads)
                            : (producers_[i].try_push(payloads[0]) == Transfer::kDone ? 1U : 0U);
      if (done == payloads.size()) continue;
      if (!saw_full_[i]) wrong("full, and it was not");
    }
  }
  void consume(std::uint32_t i) {
    Consumer& consumer = consumers_[i - bounds_.pushes.size()];
    for (std::uint32_t call = 0; call < bounds_.pops[i - bounds_.pushes.size()]; ++call) {
      begin_call(i);
      std::array<std::uint32_t, kMpmcBatch> payloads{};
      const std::size_t done =
          bounds_.batch > 1 ? consumer.try_pop_batch(std::span(payloads).first(bounds_.batch))
                            : (consumer.try_pop(payloads[0]) == Transfer::kDone ? 1U : 0U);
      if (done == 0) {
        if (!saw_empty_[i]) wrong("empty, and it was not");
        continue;
      }
      consumer.finish();  // its store is the last access: what follows is one with it
      for (std::size_t k = 0; k < done; ++k) finished_.push_back(payloads[k]);
    }
  }

  Bounds bounds_;
  Found& found_;
  MpmcBlocks blocks_;
  Stepper stepper_;
  std::vector<Producer> producers_;
  std::vector<Consumer> consumers_;
  std::deque<std::uint32_t> inside_;
  std::vector<std::uint32_t> all_pushed_;
  std::vector<std::vector<std::uint32_t>> pushed_;
  std::vector<std::uint32_t> finished_;
  std::vector<char> is_dead_;
  std::vector<char> saw_full_;
  std::vector<char> saw_empty_;
  std::uint32_t death_count_ = 0;
};

// Depth first; a branch is entered by running its choices from the start.
Found explore(const Bounds& bounds) {
  Found found;
  std::unordered_set<std::uint64_t> seen;
  std::vector<std::vector<std::uint32_t>> open{{}};
  while (!open.empty() && found.wrong == 0 && seen.size() < bounds.max_states) {
    std::vector<std::uint32_t> path = std::move(open.back());
    open.pop_back();
    Scene scene(bounds, found);
    for (const std::uint32_t choice : path) scene.choose(choice);
    // Straight on with the first possible choice; the others wait.
    for (;;) {
      if (!seen.insert(scene.state()).second) break;
      std::uint32_t first = UINT32_MAX;
      for (std::uint32_t choice = 0; choice < 2 * scene.participant_count(); ++choice) {
        if (!scene.is_possible(choice)) continue;
        if (first == UINT32_MAX) {
          first = choice;
        } else {
          open.push_back(path);
          open.back().push_back(choice);
        }
      }
      if (first == UINT32_MAX) {
        scene.settle();
        break;
      }
      scene.choose(first);
      path.push_back(first);
    }
  }
  Stepper::current() = nullptr;
  found.states = seen.size();
  return found;
}

void check_all(const char* name, const Bounds& bounds) {
  const Found found = explore(bounds);
  MESSAGE(std::string(name), ": states ", found.states, ", ends ", found.ends, ", unfinished ",
          found.unfinished, ", pushed before death ", found.decided_pushed);
  CHECK_MESSAGE(found.wrong == 0, std::string(name), ": ", found.first_wrong);
  CHECK(found.states < bounds.max_states);
  CHECK(found.ends > 0);
}

TEST_CASE("mpmc model: order, full and empty hold in every interleaving") {
  check_all("1P x 1C, 1 slot", {1, {2}, {2}});
  check_all("2P x 1C, 1 slot", {1, {1, 1}, {2}});
  check_all("1P x 2C, 1 slot", {1, {2}, {1, 1}});
  check_all("2P x 1C, 2 slots", {2, {2, 1}, {2}});
  check_all("1P x 2C, 2 slots", {2, {2}, {1, 1}});
  check_all("1P x 1C, 2 slots, round the wrap of the state",
            {2, {3}, {3}, 0, 1, (std::uint64_t{1} << 45) - 4});
}

TEST_CASE("mpmc model: a death at any access loses nothing and doubles nothing") {
  check_all("1P x 1C, 1 slot, 2 deaths", {1, {2}, {2}, 2});
  check_all("1P x 1C, 2 slots, 2 deaths", {2, {2}, {2}, 2});
  check_all("2P x 1C, 2 slots, 1 death", {2, {2, 1}, {2}, 1});
  check_all("1P x 2C, 1 slot, 1 death", {1, {2}, {1, 1}, 1});
  check_all("1P x 1C, 2 slots, batches of 2, 2 deaths", {2, {2}, {2}, 2, 2});
}

TEST_CASE("mpmc model: planted mistakes in what is written for recovery are found") {
  const auto is_found = [](Planted planted, const Bounds& bounds) {
    SteppedMemory::planted = planted;
    const Found found = explore(bounds);
    SteppedMemory::planted = Planted::kNothing;
    MESSAGE("found: ", found.first_wrong, " after states ", found.states);
    return found.wrong != 0;
  };
  CHECK(is_found(Planted::kLateIntent, {1, {2}, {2}, 1}));
  CHECK(is_found(Planted::kNoFinish, {1, {2}, {2}, 1}));
  CHECK(is_found(Planted::kNoEvidence, {1, {2, 1}, {2}, 1}));
}

}  // namespace
}  // namespace slipring
