// Any number of producers and consumers, messages as large as a buffer, in one order for all,
// written and read in place.
//
// Protocol.  Every slot always holds a buffer, and every participant owns one spare.  A push fills
// the spare and exchanges it for the slot's empty buffer with the one compare-and-swap of
// mpmc_walk.h; a pop exchanges the spare for the slot's full buffer.  There is no free list, and a
// buffer has one owner at every instant.  At first slot i holds buffer i (a word that nobody has
// written yet says so by its index), and participant n owns buffer slot_count + n - 1.
//
// Stop, invariants and ordering are those of mpmc_ring.h.  Crash: the intent names both buffers, so
// that the dead participant's is known: what it was to get if its exchange happened, its old spare
// otherwise.  The record keeps the buffer for the successor under the same number; a message that a
// consumer had popped and not finished comes again, marked `redelivered`.
//
// A participant may write into every buffer: for parties that trust each other.  Against accidents
// every buffer number is checked before it is used.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/cpu/cache_line.h"
#include "core/error/check.h"
#include "core/error/result.h"
#include "core/ring/mpmc_record.h"
#include "core/ring/mpmc_recovery.h"
#include "core/ring/mpmc_walk.h"
#include "core/ring/mpmc_word.h"
#include "core/ring/transfer.h"

namespace slipring {

struct ExchangeGeometry {
  std::uint64_t slot_count;         // a power of two, 1 to kMaxMpmcSlots: exactly what it holds
  std::uint32_t participant_count;  // 1 to kMaxMpmcParticipants; they are numbered from 1
  std::uint32_t buffer_bytes;       // a multiple of 64, at most kMaxExchangeBytes
};
inline constexpr std::uint32_t kMaxExchangeBytes = 1U << 30;

[[nodiscard]] constexpr std::uint64_t exchange_buffer_count(
    const ExchangeGeometry& geometry) noexcept {
  return geometry.slot_count + geometry.participant_count;
}
[[nodiscard]] constexpr std::uint64_t exchange_buffers_bytes(
    const ExchangeGeometry& geometry) noexcept {
  return exchange_buffer_count(geometry) * geometry.buffer_bytes;
}
// The ring of buffer numbers inside.
[[nodiscard]] constexpr MpmcGeometry exchange_ring_of(const ExchangeGeometry& geometry) noexcept {
  const std::uint64_t most = exchange_buffer_count(geometry) - 1;
  return {geometry.slot_count, geometry.participant_count,
          static_cast<std::uint32_t>(std::bit_width(most))};
}

// Errors: kInvalidArgument with the offending value.
[[nodiscard]] inline Status exchange_validate(const ExchangeGeometry& geometry) noexcept {
  if (geometry.buffer_bytes == 0 || geometry.buffer_bytes % kCacheLineBytes != 0 ||
      geometry.buffer_bytes > kMaxExchangeBytes) {
    return Error{ErrorCode::kInvalidArgument, 0, "buffer size is not a multiple of 64 up to 1 GiB",
                 geometry.buffer_bytes, kMaxExchangeBytes};
  }
  return mpmc_validate({geometry.slot_count, geometry.participant_count, 1});
}

// The memory of a ring: zero when the first participant attaches, the slots and buffers on lines of
// their own.  It must outlive the ends.
struct ExchangeShared {
  MpmcSlot* slots;      // slot_count of them
  MpmcRecord* records;  // participant_count of them; participant n writes records[n - 1]
  std::byte* buffers;   // exchange_buffers_bytes()
};

// What both ends do: exchange the spare at the next position.  One thread at a time.
template <typename Memory, MpmcRole role>
class ExchangeEnd {
 public:
  // What a predecessor left.  Errors: those of mpmc_take_over() and exchange_validate();
  // kCorruptPeer when its record names a buffer that does not exist.
  struct Start {
    std::uint32_t spare;
    bool is_unfinished;  // it holds a message
  };
  [[nodiscard]] static Result<Start> start(const ExchangeShared& shared, std::uint32_t who,
                                           const ExchangeGeometry& geometry) noexcept {
    if (Status valid = exchange_validate(geometry); !valid) return valid.error();
    const auto taken =
        mpmc_take_over<Memory>(shared.slots, shared.records, who, role, exchange_ring_of(geometry));
    if (!taken) return taken.error();
    const MpmcVerdict& left = taken.value();
    if (left.count == 0) {
      return Start{static_cast<std::uint32_t>(geometry.slot_count + who - 1), false};
    }
    const Start begin{
        left.bank[left.happened != 0 ? 1 : 0],
        left.intent.role == MpmcRole::kConsumer && left.happened != 0 && !left.is_finished};
    if (begin.spare >= exchange_buffer_count(geometry)) {
      return Error{ErrorCode::kCorruptPeer, 0, "a participant's buffer does not exist", begin.spare,
                   exchange_buffer_count(geometry)};
    }
    return begin;
  }

  ExchangeEnd(const ExchangeShared& shared, std::uint32_t who, const ExchangeGeometry& geometry,
              std::uint32_t spare) noexcept
      : walk_(shared.slots, shared.records[who - 1], who, MpmcShape(exchange_ring_of(geometry))),
        buffers_(shared.buffers),
        buffer_count_(exchange_buffer_count(geometry)),
        buffer_bytes_(geometry.buffer_bytes),
        spare_(spare) {}

  // Calls `fill` once, as soon as it is likely that the exchange will succeed.
  template <typename Fill>
  [[nodiscard]] Transfer swap_spare(Fill fill) noexcept {
    bool is_filled = false;
    MpmcSpot spot;
    for (Transfer answer = walk_.find(spot);; answer = walk_.find_after_loss(spot)) {
      if (answer != Transfer::kDone) return answer;
      const std::uint64_t theirs =
          walk_.shape().who_of(spot.word) == 0 ? spot.index : walk_.shape().payload_of(spot.word);
      if (theirs >= buffer_count_) return Transfer::kCorruptPeer;
      if (!is_filled) fill(spare());
      is_filled = true;
      walk_.put(0, spare_);
      walk_.put(1, static_cast<std::uint32_t>(theirs));
      walk_.announce(spot, 1);
      if (!walk_.swap(spot, spare_)) continue;
      spare_ = static_cast<std::uint32_t>(theirs);
      return Transfer::kDone;
    }
  }
  // Whether swap_spare() would have answered kDone just now.
  [[nodiscard]] bool is_possible() noexcept {
    MpmcSpot spot;
    return walk_.find(spot) == Transfer::kDone;
  }
  [[nodiscard]] std::span<std::byte> spare() const noexcept {
    return {buffers_ + std::uint64_t{spare_} * buffer_bytes_, buffer_bytes_};
  }
  [[nodiscard]] std::uint32_t spare_number() const noexcept { return spare_; }
  void finish() noexcept { walk_.finish(); }
  void set_pauses(std::uint32_t pause_count) noexcept { walk_.set_pauses(pause_count); }

 private:
  MpmcWalk<Memory, role> walk_;
  std::byte* buffers_;
  std::uint64_t buffer_count_;
  std::uint32_t buffer_bytes_;
  std::uint32_t spare_;  // private: a scribbled record cannot change it
};

// A producing end.  One thread at a time.
template <typename Memory>
class BasicExchangeProducer {
 public:
  // Attaches as participant `who`, whose predecessor, if any, is certified dead.
  // Errors: those of ExchangeEnd::start().
  [[nodiscard]] static Result<BasicExchangeProducer> attach(
      const ExchangeShared& shared, std::uint32_t who, const ExchangeGeometry& geometry) noexcept {
    const auto begin = End::start(shared, who, geometry);
    if (!begin) return begin.error();
    return BasicExchangeProducer(End(shared, who, geometry, begin.value().spare));
  }

  // The buffer to fill, at any time and for as long as wanted; nobody waits for it.  Valid until
  // commit() answers kDone.
  [[nodiscard]] std::span<std::byte> reserve() const noexcept { return end_.spare(); }
  // Pushes the buffer.  kBlocked: the ring is full; the buffer stays as it is, for another try.
  // Memory ordering: what was written before is visible to the consumer that pops it.
  [[nodiscard]] Transfer commit() noexcept {
    return end_.swap_spare([](std::span<std::byte>) {});
  }
  // Copies a message of at most the buffer's size in and pushes it.
  [[nodiscard]] Transfer try_push(std::span<const std::byte> message) noexcept {
    check(message.size() <= reserve().size(), "a message larger than the buffer");
    return end_.swap_spare([message](std::span<std::byte> buffer) {
      if (!message.empty()) Memory::copy_in(buffer.data(), message.data(), message.size());
    });
  }
  [[nodiscard]] bool has_space() noexcept { return end_.is_possible(); }
  [[nodiscard]] std::uint32_t spare_number() const noexcept { return end_.spare_number(); }
  void set_pauses(std::uint32_t pause_count) noexcept { end_.set_pauses(pause_count); }

 private:
  using End = ExchangeEnd<Memory, MpmcRole::kProducer>;
  explicit BasicExchangeProducer(const End& end) noexcept : end_(end) {}

  End end_;
};

// A consuming end.  One thread at a time.
template <typename Memory>
class BasicExchangeConsumer {
 public:
  // Attaches as participant `who`, whose predecessor, if any, is certified dead; a message that it
  // had not finished comes first.  Errors: those of ExchangeEnd::start().
  [[nodiscard]] static Result<BasicExchangeConsumer> attach(
      const ExchangeShared& shared, std::uint32_t who, const ExchangeGeometry& geometry) noexcept {
    const auto begin = End::start(shared, who, geometry);
    if (!begin) return begin.error();
    return BasicExchangeConsumer(End(shared, who, geometry, begin.value().spare),
                                 begin.value().is_unfinished);
  }

  // The next message, in place and this end's own until its next call or finish(); a consumer that
  // dies before has it delivered again.  kBlocked: empty, and nothing is held any more.
  // Memory ordering: what the producer wrote is visible.
  [[nodiscard]] Transfer try_take(std::span<const std::byte>& message) noexcept {
    redelivered_ = comes_again_;
    if (comes_again_) [[unlikely]] {
      comes_again_ = false;
      message = end_.spare();
      return Transfer::kDone;
    }
    const Transfer answer = end_.swap_spare([](std::span<std::byte>) {});
    if (answer != Transfer::kDone) {
      if (answer == Transfer::kBlocked) finish();
      return answer;
    }
    holds_ = true;
    message = end_.spare();
    return Transfer::kDone;
  }
  // The message taken last needs no redelivery.
  void finish() noexcept {
    if (!holds_ || comes_again_) return;
    end_.finish();
    holds_ = false;
  }
  // Takes a message, copies as much as fits out, and finishes it.
  [[nodiscard]] Transfer try_pop(std::span<std::byte> message) noexcept {
    std::span<const std::byte> taken;
    const Transfer answer = try_take(taken);
    if (answer != Transfer::kDone) return answer;
    const std::size_t size = message.size() < taken.size() ? message.size() : taken.size();
    if (size != 0) Memory::copy_out(message.data(), taken.data(), size);
    finish();
    return Transfer::kDone;
  }
  // Whether the message taken last had been given to a predecessor before.
  [[nodiscard]] bool redelivered() const noexcept { return redelivered_; }
  [[nodiscard]] bool has_message() noexcept { return comes_again_ || end_.is_possible(); }
  [[nodiscard]] std::uint32_t spare_number() const noexcept { return end_.spare_number(); }
  void set_pauses(std::uint32_t pause_count) noexcept { end_.set_pauses(pause_count); }

 private:
  using End = ExchangeEnd<Memory, MpmcRole::kConsumer>;
  BasicExchangeConsumer(const End& end, bool comes_again) noexcept
      : end_(end), comes_again_(comes_again), holds_(comes_again) {}

  End end_;
  bool comes_again_;
  bool holds_;
  bool redelivered_ = false;
};

using ExchangeProducer = BasicExchangeProducer<MpmcMemory>;
using ExchangeConsumer = BasicExchangeConsumer<MpmcMemory>;

}  // namespace slipring
