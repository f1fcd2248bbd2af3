// Memory of many-to-many rings for tests, and a stepper that runs the rings' own code one shared
// access at a time: between any two accesses another participant may run, for ever or never again.
#pragma once

#include <ucontext.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "core/ring/exchange_ring.h"
#include "core/ring/mpmc_ring.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {

struct MpmcBlocks {
  explicit MpmcBlocks(const MpmcGeometry& shape)
      : geometry(shape), slots(mpmc_slots_bytes(shape)), records(mpmc_records_bytes(shape)) {}
  [[nodiscard]] MpmcShared shared() const {
    return {reinterpret_cast<MpmcSlot*>(slots.data()),
            reinterpret_cast<MpmcRecord*>(records.data())};
  }
  // Every slot as after the operations of all positions below `position` (a multiple of the slot
  // count) have been done by nobody in particular.
  void start_at(std::uint64_t position) {
    const MpmcShape shape(geometry);
    for (std::uint64_t i = 0; i < geometry.slot_count; ++i) {
      slots.word(8 * i).store(shape.wanted_at(position + i, MpmcRole::kProducer),
                              std::memory_order_relaxed);
    }
  }
  MpmcGeometry geometry;
  ExactBytes slots;
  ExactBytes records;
};

struct ExchangeBlocks {
  explicit ExchangeBlocks(const ExchangeGeometry& shape)
      : geometry(shape), ring(exchange_ring_of(shape)), buffers(exchange_buffers_bytes(shape)) {}
  [[nodiscard]] ExchangeShared shared() const {
    return {ring.shared().slots, ring.shared().records, buffers.data()};
  }
  ExchangeGeometry geometry;
  MpmcBlocks ring;
  ExactBytes buffers;
};

// Runs bodies as coroutines that stop before each shared access.
class Stepper {
 public:
  static constexpr std::size_t kMaxBodies = 4;
  static constexpr std::size_t kStackBytes = 64 * 1024;

  void start(std::vector<std::function<void()>> bodies) {
    bodies_ = std::move(bodies);
    for (std::size_t i = 0; i < bodies_.size(); ++i) {
      Body& body = state_[i];
      if (!body.stack) body.stack = std::make_unique<char[]>(kStackBytes);
      body.is_over = false;
      body.step_count = 0;
      body.seen = i + 1;
      getcontext(&body.context);
      body.context.uc_stack.ss_sp = body.stack.get();
      body.context.uc_stack.ss_size = kStackBytes;
      body.context.uc_link = &main_;
      makecontext(&body.context, &Stepper::run_body, 0);
      resume(i);  // to its first access
    }
  }
  // Lets body i do the access it stands before and run to the next.
  void resume(std::size_t i) {
    ++state_[i].step_count;
    running_ = i;
    current_ = this;
    swapcontext(&main_, &state_[i].context);
    running_ = kNobody;
  }
  [[nodiscard]] bool is_over(std::size_t i) const { return state_[i].is_over; }
  // What body i has seen so far, and how far it is, decide what it will do: its part of a state.
  [[nodiscard]] std::uint64_t seen(std::size_t i) const {
    return state_[i].seen + (state_[i].step_count << 48);
  }
  [[nodiscard]] std::size_t running() const { return running_; }

  static constexpr std::size_t kNobody = SIZE_MAX;
  static Stepper*& current() { return current_; }
  // Called before a shared access; outside of bodies it does nothing.
  static void step() {
    if (current_ == nullptr || current_->running_ == kNobody) return;
    swapcontext(&current_->state_[current_->running_].context, &current_->main_);
  }
  static std::uint64_t note(std::uint64_t value) {
    if (current_ != nullptr && current_->running_ != kNobody) {
      std::uint64_t& seen = current_->state_[current_->running_].seen;
      seen = (seen ^ value) * 0x9e37'79b9'7f4a'7c15 + 0x1234'5678'9abc'def1;
      seen ^= seen >> 29;
    }
    return value;
  }

 private:
  struct Body {
    ucontext_t context{};
    std::unique_ptr<char[]> stack;
    std::uint64_t seen = 0;
    std::uint64_t step_count = 0;
    bool is_over = true;
  };
  static void run_body() {
    Stepper& stepper = *current_;
    const std::size_t i = stepper.running_;
    stepper.bodies_[i]();
    stepper.state_[i].is_over = true;
  }

  static inline Stepper* current_ = nullptr;
  std::vector<std::function<void()>> bodies_;
  std::array<Body, kMaxBodies> state_;
  ucontext_t main_{};
  std::size_t running_ = kNobody;
};

// Mistakes to plant in what is written for recovery.
enum class Planted { kNothing, kNoEvidence, kLateIntent, kNoFinish };

// MpmcMemory, stepped.  Successful swaps are told to a witness.
struct SteppedMemory {
  static inline Planted planted = Planted::kNothing;
  static inline std::function<void(const MpmcSlot&, std::uint64_t)> swapped;
  static inline std::array<std::pair<std::atomic<std::uint64_t>*, std::uint64_t>, 4> late{};
  static inline std::uint64_t access_count = 0;

  static void step() {
    ++access_count;
    Stepper::step();
  }
  static void pause() {}
  static std::uint64_t read_slot(const MpmcSlot& slot) {
    step();
    return Stepper::note(MpmcMemory::read_slot(slot));
  }
  static bool swap_slot(MpmcSlot& slot, std::uint64_t& seen, std::uint64_t next) {
    step();
    const bool is_done = MpmcMemory::swap_slot(slot, seen, next);
    Stepper::note(is_done ? 1 : seen);
    if (is_done && swapped) swapped(slot, next);
    if (planted == Planted::kLateIntent && Stepper::current()->running() != Stepper::kNobody) {
      auto& [word, value] = late[Stepper::current()->running()];
      step();
      if (word != nullptr) MpmcMemory::write_intent(*word, value);
      word = nullptr;
    }
    return is_done;
  }
  static void write_bank(std::atomic<std::uint32_t>& word, std::uint32_t value) {
    step();
    MpmcMemory::write_bank(word, value);
  }
  static void write_evidence(std::atomic<std::uint64_t>& word, std::uint64_t value) {
    step();
    if (planted != Planted::kNoEvidence) MpmcMemory::write_evidence(word, value);
  }
  static void write_intent(std::atomic<std::uint64_t>& word, std::uint64_t value) {
    step();
    if (planted == Planted::kLateIntent && Stepper::current()->running() != Stepper::kNobody) {
      late[Stepper::current()->running()] = {&word, value};
      return;
    }
    MpmcMemory::write_intent(word, value);
  }
  static void write_finished(std::atomic<std::uint64_t>& word, std::uint64_t value) {
    step();
    if (planted != Planted::kNoFinish) MpmcMemory::write_finished(word, value);
  }
  static std::uint64_t read_intent(const std::atomic<std::uint64_t>& word) {
    step();
    return Stepper::note(MpmcMemory::read_intent(word));
  }
  static std::uint64_t read_finished(const std::atomic<std::uint64_t>& word) {
    step();
    return Stepper::note(MpmcMemory::read_finished(word));
  }
  static std::uint32_t read_bank(const std::atomic<std::uint32_t>& word) {
    step();
    return static_cast<std::uint32_t>(Stepper::note(MpmcMemory::read_bank(word)));
  }
  static std::uint64_t read_evidence(const std::atomic<std::uint64_t>& word) {
    step();
    return Stepper::note(MpmcMemory::read_evidence(word));
  }
  // Whose bytes they are is decided by the words above: no step of their own.
  static void copy_in(void* buffer, const void* own, std::size_t size_bytes) {
    MpmcMemory::copy_in(buffer, own, size_bytes);
  }
  static void copy_out(void* own, const void* buffer, std::size_t size_bytes) {
    MpmcMemory::copy_out(own, buffer, size_bytes);
  }
};

}  // namespace slipring
