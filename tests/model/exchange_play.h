// The exchange ring as a scene: messages in buffers, and who owns which at the end.
//
// Which buffer may be touched by whom is what the model's data races are about: each message is
// copied in and out.  The order of messages is MpmcGhost's.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "core/ring/exchange_ring.h"
#include "tests/model/explorer.h"
#include "tests/model/model_atomics.h"
#include "tests/model/mpmc_ghost.h"
#include "tests/model/mpmc_play.h"

namespace slipring::model {

class ExchangePlay : public Play, private MpmcWitness {
 public:
  using Producer = BasicExchangeProducer<WitnessedMemory>;
  using Consumer = BasicExchangeConsumer<WitnessedMemory>;

  // Of the bounds, batches mean nothing here, and nobody tells.
  ExchangePlay(Run& run, const MpmcBounds& bounds)
      : run_(run),
        bounds_(bounds),
        geometry_{bounds.slot_count, participant_count(), 64},
        ghost_(bounds.slot_count) {
    const MpmcShape shape(exchange_ring_of(geometry_));
    shared_ = {run.place<MpmcSlot>(bounds.slot_count), run.place<MpmcRecord>(participant_count()),
               run.place<std::byte>(exchange_buffers_bytes(geometry_))};
    mpmc_start_before_wrap(shared_.slots, shape, bounds.before_wrap);
    MpmcWitness::present = nullptr;
    std::uint32_t first = 1;
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      People& one = people_[i];
      if (is_producer(i)) {
        one.producer.emplace(Producer::attach(shared_, i + 1, geometry_).value());
        one.next = first;
        one.end = first += bounds.pushes[i];
        one.fibre = run.fibre([this, i] { produce(people_[i]); });
      } else {
        one.consumer.emplace(Consumer::attach(shared_, i + 1, geometry_).value());
        one.left = bounds.pops[i - bounds.pushes.size()];
        one.fibre = run.fibre([this, i] { consume(people_[i]); });
      }
      const bool is_mortal = (bounds.mortals >> i & 1) != 0;
      if (!is_mortal) run.spare(one.fibre);
      one.has_heir = is_mortal && bounds.has_successors;
      if (one.has_heir) one.heir = run.successor(one.fibre, [this, i] { inherit(i); });
    }
    MpmcWitness::present = this;
  }
  ~ExchangePlay() override { MpmcWitness::present = nullptr; }

  // Every buffer has one owner: a slot or a participant.
  void settle(Run&) override {
    std::array<bool, 16> is_owned{};
    const auto own = [&](std::uint64_t buffer) {
      run_.require(buffer < exchange_buffer_count(geometry_) && !is_owned[buffer],
                   "a buffer has two owners");
      is_owned[buffer] = true;
    };
    const MpmcShape shape(exchange_ring_of(geometry_));
    for (std::uint64_t i = 0; i < geometry_.slot_count; ++i) {
      const std::uint64_t word = ModelAtomics::load(shared_.slots[i], std::memory_order_relaxed);
      own(shape.who_of(word) == 0 ? i : shape.payload_of(word));
    }
    std::uint64_t held_count = 0;
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      const People& one = people_[i];
      held_count += one.held != 0 ? 1 : 0;
      const bool is_dead = run_.has_died(one.fibre) && (!one.has_heir || run_.has_died(one.heir));
      if (!is_dead) {
        own(is_producer(i) ? one.producer->spare_number() : one.consumer->spare_number());
      } else if (is_producer(i)) {
        const auto heir = Producer::attach(shared_, i + 1, geometry_);
        run_.require(heir.ok(), "a dead producer cannot be followed");
        own(heir.value().spare_number());
      } else {
        auto heir = Consumer::attach(shared_, i + 1, geometry_);
        run_.require(heir.ok(), "a dead consumer cannot be followed");
        own(heir.value().spare_number());
        if (one.held == 0) continue;
        std::span<const std::byte> message;
        run_.require(heir.value().try_take(message) == Transfer::kDone &&
                         heir.value().redelivered() && number_in(message) == one.held,
                     "what a dead consumer held does not come again");
      }
    }
    run_.require(finished_count_ + held_count == ghost_.popped_count(), "a popped message is lost");
  }

  [[nodiscard]] std::uint64_t ghost() const override {
    std::uint64_t hash = mix(ghost_.hash(), finished_count_);
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      const People& one = people_[i];
      if (one.producer) hash = hash_of(*one.producer, hash);
      if (one.consumer) hash = hash_of(*one.consumer, hash);
      hash = mix(mix(mix(hash, one.next), one.left), one.held);
      hash = mix(hash, hash_of_knowledge(run_, ghost_, one.fibre, one.before));
      if (one.has_heir) hash = mix(hash, hash_of_knowledge(run_, ghost_, one.heir, one.before));
    }
    return hash;
  }
  [[nodiscard]] bool tells_all() const override { return true; }

 private:
  struct People {
    std::size_t fibre = 0;
    std::size_t heir = 0;
    bool has_heir = false;
    std::optional<Producer> producer;
    std::optional<Consumer> consumer;
    MpmcGhost::Clock before{};  // what was known when the call began
    std::uint32_t next = 0;     // producers: the first message not yet tried, and the end of them
    std::uint32_t end = 0;
    std::uint32_t left = 0;  // consumers: calls left
    std::uint32_t held = 0;  // popped and not finished
  };

  [[nodiscard]] std::uint32_t participant_count() const {
    return static_cast<std::uint32_t>(bounds_.pushes.size() + bounds_.pops.size());
  }
  [[nodiscard]] bool is_producer(std::uint32_t i) const { return i < bounds_.pushes.size(); }
  [[nodiscard]] const MpmcGhost::Clock& clock() const {
    return run_.memory().view(run_.running()).clock;
  }
  static std::uint64_t number_in(std::span<const std::byte> message) {
    std::uint64_t number = 0;
    std::memcpy(&number, message.data(), sizeof(number));
    return number;
  }

  void swapped(std::uint64_t word) override {
    const MpmcShape shape(exchange_ring_of(geometry_));
    People& one = people_[shape.who_of(word) - 1];
    if ((word & shape.one()) != 0) {
      if (const char* wrong = ghost_.push(one.next, run_.running(), clock())) run_.fail(wrong);
      ++one.next;
    } else {
      one.held = ghost_.next_to_pop();
      if (const char* wrong = ghost_.pop(one.held, run_.running(), clock())) run_.fail(wrong);
    }
  }
  // Between two calls.
  void rest(People& one) {
    one.before = {};
    run_.at_rest(0);  // the ends are in ghost()
  }
  void produce(People& one) {
    Producer& end = *one.producer;
    while (one.next < one.end) {
      rest(one);
      const std::uint64_t number = one.next;
      one.before = clock();
      if (end.try_push(std::as_bytes(std::span(&number, 1))) == Transfer::kDone) continue;
      run_.require(ghost_.may_be_full(one.before), "full, and it was not");
      ++one.next;
    }
  }
  void consume(People& one) {
    Consumer& end = *one.consumer;
    while (one.left > 0) {
      rest(one);
      --one.left;
      std::span<const std::byte> message;
      one.before = clock();
      const std::uint32_t again = one.held;
      if (end.try_take(message) != Transfer::kDone) {
        run_.require(one.held == 0 && ghost_.may_be_empty(one.before), "empty, and it was not");
        continue;
      }
      run_.require(end.redelivered() == (again != 0), "marked wrongly as delivered before");
      std::uint64_t number = 0;
      ModelAtomics::copy_out(&number, message.data(), sizeof(number));
      run_.require(number == one.held, "another message than was pushed");
      end.finish();
      one.held = 0;
      ++finished_count_;
    }
  }
  void inherit(std::uint32_t i) {
    People& one = people_[i];
    run_.at_rest(0);  // of what the dead one read nothing is left
    if (is_producer(i)) {
      auto end = Producer::attach(shared_, i + 1, geometry_);
      run_.require(end.ok(), "a producer's successor is refused");
      one.producer.emplace(end.value());
      return produce(one);
    }
    if (one.held != 0) ++one.left;
    auto end = Consumer::attach(shared_, i + 1, geometry_);
    run_.require(end.ok(), "a consumer's successor is refused");
    one.consumer.emplace(end.value());
    consume(one);
  }

  Run& run_;
  MpmcBounds bounds_;
  ExchangeGeometry geometry_;
  MpmcGhost ghost_;
  ExchangeShared shared_{};
  std::array<People, 4> people_{};
  std::uint64_t finished_count_ = 0;
};

}  // namespace slipring::model
