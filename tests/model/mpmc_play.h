// Many-to-many rings as scenes: the rings' own code on the model, and a ghost that knows the truth.
//
// The ghost is told of each successful swap, with nothing in between, and so knows the order of
// messages; whoever works on a position has read what was done at the one before, so that it is the
// memory's order too.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/ring/mpmc_ring.h"
#include "tests/model/explorer.h"
#include "tests/model/model_atomics.h"
#include "tests/model/mpmc_ghost.h"

namespace slipring::model {

// Who is told of swaps.
class MpmcWitness {
 public:
  virtual ~MpmcWitness() = default;
  virtual void swapped(std::uint64_t word) = 0;
  static inline MpmcWitness* present = nullptr;
};

// The ring's own memory on the model, with the witness beside it.
struct WitnessedMemory : BasicMpmcMemory<ModelAtomics> {
  [[nodiscard]] static bool swap_slot(MpmcSlot& slot, std::uint64_t& seen,
                                      std::uint64_t next) noexcept {
    if (!BasicMpmcMemory<ModelAtomics>::swap_slot(slot, seen, next)) return false;
    if (MpmcWitness::present != nullptr) MpmcWitness::present->swapped(next);
    return true;
  }
};

struct MpmcBounds {
  std::uint64_t slot_count = 1;
  std::vector<std::uint32_t> pushes;  // a producer each; how many messages it has
  std::vector<std::uint32_t> pops;    // a consumer each; how many calls it makes
  std::uint64_t before_wrap = 0;      // so many positions, a multiple of slot_count, before the
                                      // state's wrap; 0: from the beginning
  std::uint32_t batch = 1;
  std::uint32_t mortals = ~0U;  // a bit each, producers first: who may die
  bool has_successors = false;  // the mortal have; otherwise the dead are judged at the end
  bool tells = false;           // participants know of each other beside the ring
};

// Every slot as after all operations of the positions below, by nobody in particular.
inline void mpmc_start_before_wrap(MpmcSlot* slots, const MpmcShape& shape, std::uint64_t count) {
  const std::uint64_t start = count == 0 ? 0 : shape.position_mask() + 1 - count;
  for (std::uint64_t i = 0; i < shape.slot_count(); ++i) {
    ModelAtomics::store(slots[i], shape.wanted_at(start + i, MpmcRole::kProducer),
                        std::memory_order_relaxed);
  }
}

// The message is a place in a table; what stands there was written with plain stores.
template <typename Memory = WitnessedMemory>
class MpmcPlay : public Play, private MpmcWitness {
 public:
  using Producer = BasicMpmcProducer<Memory>;
  using Consumer = BasicMpmcConsumer<Memory>;

  MpmcPlay(Run& run, const MpmcBounds& bounds)
      : run_(run),
        bounds_(bounds),
        geometry_{bounds.slot_count, participant_count() + 1, 8},
        ghost_(bounds.slot_count) {
    shared_ = {run.place<MpmcSlot>(bounds.slot_count),
               run.place<MpmcRecord>(participant_count() + 1)};
    told_ = run.place<std::atomic<std::uint64_t>>();
    values_ = run.place<std::uint64_t>(MpmcGhost::kMostMessages + 1);
    mpmc_start_before_wrap(shared_.slots, MpmcShape(geometry_), bounds.before_wrap);
    MpmcWitness::present = nullptr;
    std::uint32_t first = 1;
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      People& one = people_[i];
      one = {};
      const bool is_mortal = (bounds.mortals >> i & 1) != 0;
      if (is_producer(i)) {
        one.producer.emplace(Producer::attach(shared_, i + 1, geometry_).value());
        one.first = one.next = first;
        one.end = first += bounds.pushes[i];
        one.fibre = run.fibre([this, i] { produce(people_[i]); });
      } else {
        one.consumer.emplace(Consumer::attach(shared_, i + 1, geometry_).value());
        one.left = bounds.pops[i - bounds.pushes.size()];
        one.fibre = run.fibre([this, i] { consume(people_[i]); });
      }
      if (!is_mortal) run.spare(one.fibre);
      one.has_successor = is_mortal && bounds.has_successors;
      if (!one.has_successor) continue;
      one.heir = run.successor(one.fibre,
                               [this, i] { is_producer(i) ? inherit_pushes(i) : inherit_pops(i); });
    }
    MpmcWitness::present = this;
  }
  ~MpmcPlay() override { MpmcWitness::present = nullptr; }

  void settle(Run&) override {
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      if (is_dead(i)) static_cast<void>(judge(i));
    }
    std::uint64_t held_count = 0;
    for (std::uint32_t i = 0; i < participant_count(); ++i) held_count += people_[i].held_count;
    run_.require(finished_count_ + held_count == ghost_.popped_count(), "a popped message is lost");
    auto drain =
        BasicMpmcConsumer<WitnessedMemory>::attach(shared_, participant_count() + 1, geometry_)
            .value();
    MpmcWitness::present = nullptr;
    std::uint32_t message = 0;
    for (std::uint64_t at = ghost_.popped_count(); at < ghost_.pushed_count(); ++at) {
      run_.require(drain.try_pop(message) == Transfer::kDone, "a message is lost");
      run_.require(message == ghost_.at(at), "messages are in another order");
    }
    run_.require(drain.try_pop(message) == Transfer::kBlocked, "a message is there twice");
  }

  [[nodiscard]] std::uint64_t ghost() const override {
    std::uint64_t hash = mix(ghost_.hash(), finished_count_);
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      const People& one = people_[i];
      hash = mix(mix(mix(hash, one.next), one.left), one.held_count);
      for (std::uint32_t k = 0; k < one.held_count; ++k) hash = mix(hash, one.held[k]);
      hash = mix(hash, hash_of_knowledge(run_, ghost_, one.fibre, one.before));
      if (one.has_successor) {
        hash = mix(hash, hash_of_knowledge(run_, ghost_, one.heir, one.before));
      }
    }
    return hash;
  }
  [[nodiscard]] bool tells_all() const override { return true; }

 private:
  struct People {
    std::size_t fibre = 0;
    std::size_t heir = 0;
    bool has_successor = false;
    std::optional<Producer> producer;
    std::optional<Consumer> consumer;
    MpmcGhost::Clock before{};  // what was known when the call began
    std::uint32_t first = 0;    // producers: their messages, and the first not yet tried
    std::uint32_t next = 0;
    std::uint32_t end = 0;
    std::uint32_t left = 0;                        // consumers: calls left
    std::array<std::uint32_t, kMpmcBatch> held{};  // popped and not finished
    std::uint32_t held_count = 0;
  };

  [[nodiscard]] std::uint32_t participant_count() const {
    return static_cast<std::uint32_t>(bounds_.pushes.size() + bounds_.pops.size());
  }
  [[nodiscard]] bool is_producer(std::uint32_t i) const { return i < bounds_.pushes.size(); }
  // Nobody lives who goes by this number.
  [[nodiscard]] bool is_dead(std::uint32_t i) const {
    const People& one = people_[i];
    return run_.has_died(one.fibre) && (!one.has_successor || run_.has_died(one.heir));
  }
  [[nodiscard]] const MpmcGhost::Clock& clock() const {
    return run_.memory().view(run_.running()).clock;
  }
  // Beside the ring: who listens knows what the teller did.
  void tell() {
    if (!bounds_.tells) return;
    ModelAtomics::store(*told_, ghost_.pushed_count() + ghost_.popped_count(),
                        std::memory_order_release);
  }
  void listen() {
    if (!bounds_.tells) return;
    static_cast<void>(ModelAtomics::load(*told_, std::memory_order_acquire));
  }
  static std::uint64_t value_of(std::uint32_t message) { return 0xda'7a00 + message; }

  void swapped(std::uint64_t word) override {
    const MpmcShape shape(geometry_);
    const std::uint32_t message = shape.payload_of(word);
    People& one = people_[shape.who_of(word) - 1];
    if ((word & shape.one()) != 0) {
      if (const char* wrong = ghost_.push(message, run_.running(), clock())) run_.fail(wrong);
    } else {
      if (const char* wrong = ghost_.pop(message, run_.running(), clock())) run_.fail(wrong);
      one.held[one.held_count++] = message;
    }
  }

  void produce(People& one) {
    Producer& end = *one.producer;
    while (one.next < one.end) {
      rest(one, hash_of(end));
      std::array<std::uint32_t, kMpmcBatch> batch{};
      std::uint32_t count = 0;
      for (; count < bounds_.batch && one.next < one.end; ++count) {
        batch[count] = one.next++;
        ModelAtomics::write(values_[batch[count]], value_of(batch[count]));
      }
      const std::span<const std::uint32_t> messages(batch.data(), count);
      listen();
      one.before = clock();
      const std::size_t done = bounds_.batch > 1
                                   ? end.try_push_batch(messages)
                                   : (end.try_push(batch[0]) == Transfer::kDone ? 1U : 0U);
      if (done != count) run_.require(ghost_.may_be_full(one.before), "full, and it was not");
      tell();
    }
  }
  void consume(People& one) {
    while (one.left > 0) {
      rest(one, hash_of(*one.consumer));
      --one.left;
      pop(one, *one.consumer);
    }
  }
  // Between two calls.
  void rest(People& one, std::uint64_t end) {
    one.before = {};
    run_.at_rest(end);
  }
  void pop(People& one, Consumer& end) {
    std::array<std::uint32_t, kMpmcBatch> batch{};
    const std::span<std::uint32_t> room(batch.data(), bounds_.batch);
    listen();
    one.before = clock();
    const std::size_t done = bounds_.batch > 1                          ? end.try_pop_batch(room)
                             : end.try_pop(batch[0]) == Transfer::kDone ? 1U
                                                                        : 0U;
    run_.require(done == one.held_count, "not what the ring says was popped");
    if (done == 0) return run_.require(ghost_.may_be_empty(one.before), "empty, and it was not");
    for (std::uint32_t k = 0; k < done; ++k) {
      run_.require(batch[k] == one.held[k], "another message than that of the swap");
      run_.require(ModelAtomics::read(values_[batch[k]]) == value_of(batch[k]),
                   "a message without what was written before it");
    }
    tell();
    end.finish();
    finished_count_ += one.held_count;
    one.held_count = 0;
  }

  // The truth is known; it must follow from the words alone.
  [[nodiscard]] MpmcEstate judge(std::uint32_t i) {
    const auto estate = mpmc_recover<Memory>(shared_, i + 1, geometry_);
    run_.require(estate.ok(), "an estate is corrupt");
    const MpmcEstate& left = estate.value();
    if (is_producer(i)) {
      for (std::uint32_t k = 0; k < left.count; ++k) {
        run_.require(ghost_.was_pushed(left.payloads[k]) == (k < left.happened),
                     "a push is judged wrongly");
      }
      return left;
    }
    run_.require(left.happened == people_[i].held_count, "a pop is judged wrongly");
    for (std::uint32_t k = 0; k < left.happened; ++k) {
      run_.require(left.payloads[k] == people_[i].held[k], "a dead consumer held something else");
    }
    return left;
  }
  // What did not happen is done again.
  void inherit_pushes(std::uint32_t i) {
    People& one = people_[i];
    run_.at_rest(0);  // of what the dead one read nothing is left
    const MpmcEstate left = judge(i);
    one.next = left.count != 0 ? left.payloads[0] + left.happened : one.first;
    auto end = Producer::attach(shared_, i + 1, geometry_);
    run_.require(end.ok(), "a producer's successor is refused");
    one.producer.emplace(end.value());
    produce(one);
  }
  // What was popped and not finished comes first, and again.
  void inherit_pops(std::uint32_t i) {
    People& one = people_[i];
    run_.at_rest(0);
    if (one.held_count != 0) ++one.left;
    auto end = Consumer::attach(shared_, i + 1, geometry_);
    run_.require(end.ok(), "a consumer's successor is refused");
    one.consumer.emplace(end.value());
    consume(one);
  }

  Run& run_;
  MpmcBounds bounds_;
  MpmcGeometry geometry_;
  MpmcGhost ghost_;
  MpmcShared shared_{};
  std::uint64_t* values_ = nullptr;
  std::atomic<std::uint64_t>* told_ = nullptr;
  std::array<People, 5> people_{};
  std::uint64_t finished_count_ = 0;
};

}  // namespace slipring::model
