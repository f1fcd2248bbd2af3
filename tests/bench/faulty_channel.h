// A sound channel with one planted fault, to show that the judges see it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bench/peers/cached_index_queue.h"
#include "tools/bench/arena.h"
#include "tools/bench/message.h"

namespace slipring::bench {

enum class Fault : std::uint8_t {
  kNone,
  kLosesOne,
  kSwapsTwo,
  kRepeatsOne,
  kTearsWord,
  kStallsAtPush,  // answers "full" for ever
  kStallsAtPop,   // answers "empty" for ever
  kHangs,         // a pop that never returns
};

// The fault strikes once, at message kAt.
template <typename M, Fault kFault>
class FaultyChannel {
 public:
  static constexpr bool kPopBlocks = false;
  static constexpr std::uint64_t kAt = 1000;

  explicit FaultyChannel(Arena& arena) : queue_(arena.make<Queue>()) {}

  class Producer {
   public:
    explicit Producer(FaultyChannel& of) : queue_(&of.queue_) {}

    [[nodiscard]] bool try_push(const M& message) noexcept {
      if (count_ == kAt && kFault == Fault::kLosesOne) {
        ++count_;
        return true;
      }
      if (count_ >= kAt && kFault == Fault::kStallsAtPush) return false;
      if (count_ == kAt && kFault == Fault::kSwapsTwo) {
        held_ = message;
        ++count_;
        return true;
      }
      M sent = message;
      if constexpr (M::kWordCount > 1) {
        if (count_ == kAt && kFault == Fault::kTearsWord) sent.words[M::kWordCount - 1] ^= 1;
      }
      if (!queue_->try_push(sent)) return false;
      if (count_ == kAt && kFault == Fault::kRepeatsOne && !queue_->try_push(sent)) return false;
      if (count_ == kAt + 1 && kFault == Fault::kSwapsTwo && !queue_->try_push(held_)) return false;
      ++count_;
      return true;
    }

   private:
    typename FaultyChannel::Queue* queue_;
    std::uint64_t count_ = 0;
    M held_{};
  };

  class Consumer {
   public:
    explicit Consumer(FaultyChannel& of) : queue_(&of.queue_) {}
    [[nodiscard]] bool try_pop(M& message) noexcept {
      if (count_ >= kAt && kFault == Fault::kStallsAtPop) return false;
      if (count_ >= kAt && kFault == Fault::kHangs) {
        for (volatile bool for_ever = true; for_ever;) {
        }
      }
      if (!queue_->try_pop(message)) return false;
      ++count_;
      return true;
    }

   private:
    typename FaultyChannel::Queue* queue_;
    std::uint64_t count_ = 0;
  };

  [[nodiscard]] Producer producer(std::uint32_t = 0) { return Producer(*this); }
  [[nodiscard]] Consumer consumer(std::uint32_t = 0) { return Consumer(*this); }

 private:
  using Queue = peers::CachedIndexQueue<M, 1024>;
  Queue& queue_;
};

}  // namespace slipring::bench
