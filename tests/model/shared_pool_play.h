// The shared pool as scenes: participants go through scripts, and at the end every buffer is where
// its word says, once.
//
// Names travel in boxes, words that are stored and loaded relaxed: what a name carries must come
// from the pool's own words.  A box is filled once and never emptied, a ring that delivers again;
// so who finds a name in it claims in vain when another has had it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/pool/pool_recovery.h"
#include "core/pool/shared_pool.h"
#include "tests/model/explorer.h"
#include "tests/model/model_atomics.h"

namespace slipring::model {

enum class PoolStep : std::uint8_t {
  kSend,         // takes a buffer, fills it, and sends it by the box
  kTakeBack,     // the same, but the ring refuses it
  kClaim,        // takes what the box names, reads it, fills it, gives it back
  kReuse,        // takes a buffer, fills it, gives it back
  kKeep,         // takes a buffer, fills it, and has it still in the end
  kReturnCache,  // gives what it has back to the others
  kShare,        // takes a buffer, fills it, and shares it by the box
  kHold,         // holds what the box names, reads it, lets it go
  kRetire,       // ends the sharing of what the box names, and looks for what is free again
};
struct PoolTask {
  PoolStep step;
  std::uint32_t box;
};

struct PoolBounds {
  std::uint32_t buffer_count = 1;
  std::vector<std::vector<PoolTask>> scripts;  // one a participant
  std::uint64_t generation = 0;                // that all buffers begin with
  std::uint32_t heir_count = 0;                // of each, one after the other
  bool keeps_shared = true;                    // what a dead owner shared stays so, if in a box
};

class SharedPoolPlay : public Play {
 public:
  using Pool = BasicSharedPool<ModelAtomics>;

  SharedPoolPlay(Run& run, const PoolBounds& bounds)
      : run_(run), bounds_(bounds), geometry_{bounds.buffer_count, participant_count(), 64} {
    memory_ = {run.place<SharedPoolWord>(bounds.buffer_count),
               run.place<std::byte>(pool_pages_bytes(geometry_)),
               run.place<std::byte>(pool_buffers_bytes(geometry_))};
    boxes_ = run.place<std::atomic<std::uint64_t>>(kBoxes);
    for (std::uint32_t i = 0; i < bounds.buffer_count; ++i) {
      ModelAtomics::store(memory_.words[i], bounds.generation << kPoolSlotBits,
                          std::memory_order_relaxed);
    }
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      Person& one = people_[i];
      one.pool.emplace(Pool::attach(memory_, geometry_, i).value());
      one.fibre = run.fibre([this, i] { work(people_[i], i); });
      one.last = one.fibre;
      for (std::uint32_t k = 0; k < bounds.heir_count; ++k) {
        one.last = run.successor(one.last, [this, i] { inherit(i); });
      }
    }
  }

  void settle(Run&) override {
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      if (is_dead(i)) {
        run_.require(recover(i), "recovery is refused");
      } else {
        static_cast<void>(people_[i].pool->reclaim());
        people_[i].pool->return_cache();
        run_.require(people_[i].keeps || Pool::attach(memory_, geometry_, i).ok(),
                     "a page is not as one who ended");
      }
    }
    for (std::uint32_t slot = 0; slot < bounds_.buffer_count; ++slot) {
      const BufferWord word{ModelAtomics::load(memory_.words[slot], std::memory_order_relaxed)};
      switch (word.state()) {
        case BufferState::kFree:
          break;
        case BufferState::kCached:
          run_.require(!is_dead(word.owner() - 1), "a dead participant's cache is not emptied");
          break;
        case BufferState::kShared:
          run_.require(word.handle(slot) != retired_, "what was retired is still shared");
          [[fallthrough]];
        case BufferState::kInFlight:
          run_.require(is_in_box(word.handle(slot)), "a buffer is lost: no box has its name");
          break;
        case BufferState::kOwned:
          run_.require(people_[word.owner() - 1].keeps, "a buffer is lost: nobody has it");
          break;
        default:
          run_.fail("a buffer is lost: nobody has it");
      }
    }
    const PoolCensus census = take_census<ModelAtomics>(memory_, geometry_);
    run_.require(census.impossible == 0, "a word that nobody writes");
  }

  [[nodiscard]] std::uint64_t ghost() const override {
    std::uint64_t hash = retired_.bits;
    for (std::uint32_t i = 0; i < participant_count(); ++i) {
      const Person& one = people_[i];
      hash = mix(hash_of(*one.pool, hash), one.next);
      hash = mix(hash, (one.is_heir ? 2U : 0U) + (one.keeps ? 1U : 0U));
    }
    return hash;
  }
  [[nodiscard]] bool tells_all() const override { return true; }

 private:
  static constexpr std::size_t kBoxes = 2;

  struct Person {
    std::optional<Pool> pool;
    std::size_t fibre = 0;
    std::size_t last = 0;  // of its heirs
    std::size_t next = 0;  // task
    bool is_heir = false;
    bool keeps = false;
  };

  [[nodiscard]] std::uint32_t participant_count() const {
    return static_cast<std::uint32_t>(bounds_.scripts.size());
  }
  [[nodiscard]] bool is_dead(std::uint32_t i) const { return run_.has_died(people_[i].last); }
  [[nodiscard]] PoolHandle in_box(std::uint32_t box) const {
    return {ModelAtomics::load(boxes_[box], std::memory_order_relaxed)};
  }
  [[nodiscard]] bool is_in_box(const PoolHandle& handle) const {
    for (std::uint32_t box = 0; box < kBoxes; ++box) {
      if (in_box(box) == handle) return true;
    }
    return false;
  }

  // What is in a buffer says under which name it was sent or shared.
  void fill(const Pool& pool, const PoolHandle& handle, std::uint64_t value) {
    ModelAtomics::copy_in(pool.bytes(handle).data(), &value, sizeof(value));
  }
  [[nodiscard]] std::uint64_t look(const Pool& pool, const PoolHandle& handle) {
    std::uint64_t value = 0;
    ModelAtomics::copy_out(&value, pool.view(handle).data(), sizeof(value));
    return value;
  }
  static std::uint64_t next_name(const PoolHandle& handle) {
    return BufferWord{handle.bits}.renamed(BufferState::kFree, 0).bits >> kPoolSlotBits;
  }

  void work(Person& one, std::uint32_t i) {
    for (; one.next < bounds_.scripts[i].size(); ++one.next) {
      run_.at_rest(0);  // the pool and the task are in ghost()
      const PoolTask& task = bounds_.scripts[i][one.next];
      do_task(one, task);
      one.is_heir = false;
    }
  }
  void do_task(Person& one, const PoolTask& task) {
    Pool& pool = *one.pool;
    switch (task.step) {
      case PoolStep::kSend:
      case PoolStep::kTakeBack:
      case PoolStep::kReuse:
      case PoolStep::kKeep:
      case PoolStep::kShare:
        return use(one, pool, task);
      case PoolStep::kReturnCache:
        return pool.return_cache();
      case PoolStep::kClaim: {
        const PoolHandle handle = in_box(task.box);
        if (handle.is_null() || !pool.claim(handle)) return;
        run_.require(look(pool, handle) == handle.generation(), "another's bytes were claimed");
        fill(pool, handle, handle.generation());  // the same, should it be delivered again
        return run_.require(pool.give_back(handle), "what was claimed cannot be given back");
      }
      case PoolStep::kHold: {
        const PoolHandle handle = in_box(task.box);
        if (handle.is_null() || !pool.hold(handle)) return;
        run_.require(look(pool, handle) == handle.generation(), "another's bytes are held");
        return run_.require(pool.let_go(handle), "what is held cannot be let go");
      }
      case PoolStep::kRetire: {
        const PoolHandle handle = in_box(task.box);
        const bool is_retired = !handle.is_null() && pool.retire(handle);
        if (is_retired) retired_ = handle;
        run_.require(is_retired || handle.is_null() || one.is_heir, "retiring is refused");
        static_cast<void>(pool.reclaim());
        return;
      }
    }
  }
  void use(Person& one, Pool& pool, const PoolTask& task) {
    const bool is_for_box = task.step == PoolStep::kSend || task.step == PoolStep::kShare;
    if (one.is_heir && is_for_box && !in_box(task.box).is_null()) return;  // it was done
    PoolHandle handle;
    if (pool.try_acquire(handle) != Transfer::kDone) return;
    fill(pool, handle, next_name(handle));
    if (task.step == PoolStep::kReuse) {
      return run_.require(pool.give_back(handle), "what was taken cannot be given back");
    }
    if (task.step == PoolStep::kKeep) {
      one.keeps = true;
      return;
    }
    if (task.step == PoolStep::kShare) {
      const PoolHandle shared = pool.share(handle);
      run_.require(!shared.is_null(), "what was taken cannot be shared");
      ModelAtomics::store(boxes_[task.box], shared.bits, std::memory_order_relaxed);
      return;
    }
    const Transfer wanted = task.step == PoolStep::kSend ? Transfer::kDone : Transfer::kBlocked;
    const Transfer answer = pool.send(handle, task.box + 1, [&](const PoolHandle& sent) {
      if (task.step == PoolStep::kSend) {
        ModelAtomics::store(boxes_[task.box], sent.bits, std::memory_order_relaxed);
      }
      return wanted;
    });
    run_.require(answer == wanted, "sending answers otherwise than the ring");
    if (answer != Transfer::kDone) {
      run_.require(pool.give_back(handle), "what the ring refused is not ours");
    }
  }

  [[nodiscard]] bool recover(std::uint32_t dead) {
    // The ticket says which box, where the pool knows it.
    const auto carried = [this](const PoolDoubt& doubt) {
      if (doubt.state == BufferState::kShared && !bounds_.keeps_shared) return false;
      if (doubt.state != BufferState::kInFlight) return is_in_box(doubt.handle);
      run_.require(doubt.ticket != 0, "a ticket is lost");
      return in_box(static_cast<std::uint32_t>(doubt.ticket) - 1) == doubt.handle;
    };
    return recover_participant<ModelAtomics>(memory_, geometry_, dead, carried).ok();
  }
  void inherit(std::uint32_t i) {
    Person& one = people_[i];
    one.is_heir = true;
    run_.at_rest(0);  // of what the dead one read nothing is left
    run_.require(recover(i), "recovery is refused");
    auto pool = Pool::attach(memory_, geometry_, i);
    run_.require(pool.ok(), "an heir is refused after recovery");
    one.pool.emplace(pool.value());
    work(one, i);
  }

  Run& run_;
  PoolBounds bounds_;
  SharedPoolGeometry geometry_;
  PoolMemory memory_{};
  std::atomic<std::uint64_t>* boxes_ = nullptr;
  std::array<Person, 3> people_{};
  PoolHandle retired_;
};

}  // namespace slipring::model
