#include <array>
#include <cstring>

#include "tools/bench/alone_loop.h"
#include "tools/bench/contenders.h"
#include "tools/bench/record_loop.h"
#include "tools/bench/spsc_cells.h"

namespace slipring::bench {
namespace {

// Two half buffers, one word each way: the producer fills a half and hands it over whole.  Nothing
// that moves every message can be faster; it is no queue, because a message may wait for the rest
// of its half.
template <typename M, std::size_t kSlots>
class HandOver {
 public:
  static constexpr bool kPopBlocks = false;

  explicit HandOver(Arena& arena)
      : shared_(arena.make<Shared>()),
        slots_(reinterpret_cast<M*>(arena.take(kSlots * sizeof(M), 4096))) {}

  class Producer {
   public:
    explicit Producer(const HandOver& of) : shared_(&of.shared_), slots_(of.slots_) {}
    [[nodiscard]] bool try_push(const M& message) noexcept {
      if (position_ == free_until_) {
        const std::uint64_t taken = shared_->taken.look();
        if (taken + kSlots == position_) return false;
        free_until_ = taken + kSlots;
      }
      slots_[position_ % kSlots] = message;
      if (++position_ % kHalf == 0) shared_->filled.publish(position_);
      return true;
    }
    [[nodiscard]] std::size_t try_push_batch(const M* messages, std::size_t count) noexcept {
      std::size_t done = 0;
      while (done < count && try_push(messages[done])) ++done;
      return done;
    }
    void flush() noexcept { shared_->filled.publish(position_); }

   private:
    typename HandOver::Shared* shared_;
    M* slots_;
    std::uint64_t position_ = 0;
    std::uint64_t free_until_ = kSlots;
  };

  class Consumer {
   public:
    explicit Consumer(const HandOver& of) : shared_(&of.shared_), slots_(of.slots_) {}
    [[nodiscard]] bool try_pop(M& message) noexcept {
      if (position_ == filled_) {
        filled_ = shared_->filled.look();
        if (position_ == filled_) return false;
      }
      message = slots_[position_ % kSlots];
      if (++position_ % kHalf == 0) shared_->taken.publish(position_);
      return true;
    }
    [[nodiscard]] std::size_t try_pop_batch(M* messages, std::size_t count) noexcept {
      std::size_t done = 0;
      while (done < count && try_pop(messages[done])) ++done;
      return done;
    }

   private:
    typename HandOver::Shared* shared_;
    const M* slots_;
    std::uint64_t position_ = 0;
    std::uint64_t filled_ = 0;
  };

  [[nodiscard]] Producer producer() const { return Producer(*this); }
  [[nodiscard]] Consumer consumer() const { return Consumer(*this); }

 private:
  static constexpr std::size_t kHalf = kSlots / 2;
  struct Shared {
    SharedWord filled;
    SharedWord taken;
  };

  Shared& shared_;
  M* slots_;
};

// One line that carries the payload and its own sequence word; 64 bytes of payload need two.
template <typename M, std::size_t kSlots>
class Line {
 public:
  static constexpr bool kPopBlocks = false;

  explicit Line(Arena& arena) : shared_(arena.make<Shared>()) {}

  class Producer {
   public:
    explicit Producer(const Line& of) : shared_(&of.shared_) {}
    [[nodiscard]] bool try_push(const M& message) noexcept {
      shared_->payload = message;
      shared_->sequence.publish(++position_);
      return true;
    }

   private:
    typename Line::Shared* shared_;
    std::uint64_t position_ = 0;
  };
  class Consumer {
   public:
    explicit Consumer(const Line& of) : shared_(&of.shared_) {}
    [[nodiscard]] bool try_pop(M& message) noexcept {
      if (shared_->sequence.look() != position_ + 1) return false;
      message = shared_->payload;
      ++position_;
      return true;
    }

   private:
    typename Line::Shared* shared_;
    std::uint64_t position_ = 0;
  };
  [[nodiscard]] Producer producer() const { return Producer(*this); }
  [[nodiscard]] Consumer consumer() const { return Consumer(*this); }

 private:
  struct alignas(64) Shared {
    BareWord sequence;
    M payload;
  };
  Shared& shared_;
};

// Records written in place into halves that are handed over whole.
class RecordHandOver {
  struct Shared {
    SharedWord filled;  // halves
    SharedWord taken;
    std::array<std::size_t, 2> end;
    std::size_t size_bytes;
  };

 public:
  static constexpr std::size_t kHalfBytes = kRecordRingBytes / 2;

  RecordHandOver(Arena& arena, std::size_t size_bytes)
      : shared_(arena.make<Shared>()), bytes_(arena.take(2 * kHalfBytes, 4096)) {
    shared_.size_bytes = size_bytes;
  }

  class Producer {
   public:
    explicit Producer(const RecordHandOver& of) : shared_(&of.shared_), bytes_(of.bytes_) {}
    template <typename Fill>
    [[nodiscard]] bool try_send(std::size_t size_bytes, Fill&& fill) noexcept {
      if (at_ + size_bytes > kHalfBytes) hand_over();
      if (at_ == 0 && halves_ >= 2 && shared_->taken.look() + 2 <= halves_) return false;
      fill(std::span(bytes_ + halves_ % 2 * kHalfBytes + at_, size_bytes));
      at_ += size_bytes;
      return true;
    }
    void flush() noexcept { hand_over(); }

   private:
    void hand_over() noexcept {
      shared_->end[halves_ % 2] = at_;
      at_ = 0;
      shared_->filled.publish(++halves_);
    }
    Shared* shared_;
    std::byte* bytes_;
    std::size_t at_ = 0;
    std::uint64_t halves_ = 0;
  };
  class Consumer {
   public:
    explicit Consumer(const RecordHandOver& of)
        : shared_(&of.shared_), bytes_(of.bytes_), size_bytes_(of.shared_.size_bytes) {}
    template <typename Look>
    [[nodiscard]] bool try_receive(Look&& look) noexcept {
      if (!open_) {
        if (shared_->filled.look() == halves_) return false;
        open_ = true;
        at_ = 0;
        end_ = shared_->end[halves_ % 2];
      }
      look(std::span<const std::byte>(bytes_ + halves_ % 2 * kHalfBytes + at_, size_bytes_));
      at_ += size_bytes_;
      if (at_ >= end_) {
        open_ = false;
        shared_->taken.publish(++halves_);
      }
      return true;
    }

   private:
    Shared* shared_;
    const std::byte* bytes_;
    std::size_t size_bytes_;
    std::size_t at_ = 0;
    std::size_t end_ = 0;
    std::uint64_t halves_ = 0;
    bool open_ = false;
  };
  [[nodiscard]] Producer producer() const { return Producer(*this); }
  [[nodiscard]] Consumer consumer() const { return Consumer(*this); }

 private:
  Shared& shared_;
  std::byte* bytes_;
};

// One slot and nothing to say so: what the measuring loop itself costs on one thread.
template <typename M, std::size_t kSlots>
class Copy {
 public:
  static constexpr bool kPopBlocks = false;

  explicit Copy(Arena& arena) : slots_(reinterpret_cast<M*>(arena.take(kSlots * sizeof(M), 64))) {}

  struct End {
    M* slots;
    std::uint64_t position = 0;
    [[nodiscard]] bool try_push(const M& message) noexcept {
      slots[position++ % kSlots] = message;
      asm volatile("" ::: "memory");
      return true;
    }
    [[nodiscard]] bool try_pop(M& message) noexcept {
      message = slots[position++ % kSlots];
      return true;
    }
  };
  [[nodiscard]] End producer() const { return {slots_}; }
  [[nodiscard]] End consumer() const { return {slots_}; }

 private:
  M* slots_;
};

constexpr Contender kCopy{"copy", "raw: copied in and out", Family::kRaw,
                          "the measuring loop itself"};
constexpr Contender kHandOver{"hand-over", "raw: two halves handed over", Family::kRaw,
                              "no queue: a message waits until its half is full"};
constexpr Contender kLine{"line", "raw: one line bounced", Family::kRaw,
                          "one message under way at a time"};

}  // namespace

void add_raw_limits(Registry& registry) {
  add_streams<HandOver>(registry, kHandOver);
  add_batches<HandOver>(registry, kHandOver);
  registry.add("process.spsc8", kHandOver,
               run_stream<ChannelOf<HandOver, 8>, Message<8>, 1, Sides::kProcesses>);
  registry.add("process.spsc64", kHandOver,
               run_stream<ChannelOf<HandOver, 64>, Message<64>, 1, Sides::kProcesses>);
  add_alone<Copy>(registry, kCopy);
  add_trips<Line>(registry, kLine);
  registry.add("process.trip8", kLine,
               run_trips<ChannelOf<Line, 8>, Message<8>, Sides::kProcesses>);
  registry.add("process.trip64", kLine,
               run_trips<ChannelOf<Line, 64>, Message<64>, Sides::kProcesses>);
  add_records<RecordHandOver>(registry, kHandOver);
}

}  // namespace slipring::bench
