// Whether the conformance suite sees what it is for: a ring with one bug at a time, planted, must
// turn it red.

#include <doctest/doctest.h>

#include <array>
#include <string>

#include "tests/core/ring/conformance/guarded_bytes.h"
#include "tests/core/ring/conformance/suite_parts.h"

namespace slipring {
namespace {

enum class Fault {
  kNone,
  kHoldsOneLess,
  kHoldsOneMore,
  kShowsBeforeWritten,
  kLastByteLostAtWrap,
  kSwapsAtWrap,
  kCreditBeyondFinished,
  kKeepsCreditBack,
  kForgetsRedelivery,
  kSuccessorSkipsHeld,
  kSuccessorRepeatsFinished,
  kSuccessorLosesLast,
  kSuccessorForgetsRoom,
  kEightBitCounter,
  kThirtyTwoBitCounter,
  kBatchWaitsForAll,
  kBatchClaimsAll,
  kBatchReordersItself,
  kLosesEmptyMessages,
  kRoundsSizesUp,
  kWritesBeside,
  kIsMisaligned,
  kStaysFull,
  kHidesMessages,
  kHidesSpace,
};
constexpr int kFaultCount = static_cast<int>(Fault::kHidesSpace) + 1;

constexpr std::array<const char*, kFaultCount> kNames{
    "none",
    "holds one less than asked",
    "holds one more, over the oldest",
    "shows a message before it is written",
    "loses the last byte of what wraps",
    "swaps two messages at the wrap",
    "gives credit for what is held",
    "keeps credit back when told to give it",
    "does not mark redelivery",
    "a consumer's successor skips what was held",
    "a consumer's successor repeats what was finished",
    "a producer's successor loses the last message",
    "a producer's successor finds less room",
    "8-bit counter",
    "32-bit counter",
    "a batch waits until all of it fits",
    "a batch claims more than was there",
    "a batch comes in reverse",
    "loses empty messages",
    "rounds sizes up to 8",
    "writes one byte behind its memory",
    "places messages at odd addresses",
    "stays full after a lap",
    "has_message() is always false",
    "has_space() is always false",
};

// A ring as simple as can be, and whole as long as `fault` is kNone.
class FaultyRing {
 public:
  static inline Fault fault = Fault::kNone;
  static constexpr bool kIsVariable = true;
  static constexpr std::size_t kAlignment = 8;

  static std::vector<RingShape> shapes() {
    std::vector<RingShape> all;
    for (const std::uint64_t start : near_wraps()) all.push_back({4, 24, start});
    return all;
  }
  static std::uint64_t footprint(std::uint64_t) { return 1; }

  explicit FaultyRing(const RingShape& shape)
      : shape_(shape),
        stride_(shape.message_bytes + (is(Fault::kIsMisaligned) ? 1 : 0)),
        memory_(shape.capacity * stride_),
        sizes_(static_cast<std::size_t>(shape.capacity)) {
    tail_ = next_ = done_ = credit_ = taken_ = shape.start_position;
  }

  Transfer push(std::span<const std::byte> message) {
    if (message.empty() && is(Fault::kLosesEmptyMessages)) return Transfer::kDone;
    std::span<std::byte> room;
    const Transfer answer = reserve(message.size(), room);
    if (answer != Transfer::kDone) return answer;
    std::copy(message.begin(), message.end(), room.begin());
    commit(message.size());
    return answer;
  }
  Transfer pop(Message& message) {
    std::span<const std::byte> seen;
    bool redelivered = false;
    const Transfer answer = peek(seen, redelivered);
    if (answer != Transfer::kDone) return answer;
    message.assign(seen.begin(), seen.end());
    release();
    return answer;
  }
  void flush() {
    if (!is(Fault::kKeepsCreditBack)) credit_ = is(Fault::kCreditBeyondFinished) ? next_ : done_;
  }
  bool is_intact() { return memory_.is_intact(); }
  bool has_space(std::uint64_t) { return !is(Fault::kHidesSpace) && !is_full(); }
  bool has_message() { return !is(Fault::kHidesMessages) && !is_empty(); }

  std::size_t push_batch(std::span<const Message> messages) {
    const std::uint64_t room = shape_.capacity - (tail_ - credit_);
    if (is(Fault::kBatchWaitsForAll) && messages.size() > room) return 0;
    std::size_t count = 0;
    for (const Message& message : messages) {
      if (push(message) != Transfer::kDone) break;
      ++count;
    }
    return count;
  }
  std::size_t pop_batch(std::span<Message> messages) {
    std::size_t count = 0;
    while (count < messages.size() && pop(messages[count]) == Transfer::kDone) ++count;
    if (is(Fault::kBatchReordersItself))
      std::reverse(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(count));
    return is(Fault::kBatchClaimsAll) ? messages.size() : count;
  }

  Transfer reserve(std::uint64_t size, std::span<std::byte>& room) {
    if (is_full()) return Transfer::kBlocked;
    room = {place(tail_), static_cast<std::size_t>(size)};
    if (is(Fault::kShowsBeforeWritten)) shown_ = 1;
    return Transfer::kDone;
  }
  void commit(std::uint64_t size) {
    if (is(Fault::kRoundsSizesUp)) size = (size + 7) / 8 * 8;
    const bool is_last = index(tail_) == shape_.capacity - 1;
    if (is_last && is(Fault::kLastByteLostAtWrap) && size != 0)
      place(tail_)[size - 1] ^= std::byte{1};
    if (is_last && is(Fault::kWritesBeside)) spill(place(tail_) + stride_);
    sizes_[index(tail_)] = size;
    shown_ = 0;
    ++tail_;
  }
  void abandon() { shown_ = 0; }

  Transfer peek(std::span<const std::byte>& seen, bool& redelivered) {
    if (is_empty()) {
      flush();
      return Transfer::kBlocked;
    }
    std::uint64_t at = next_;
    if (is(Fault::kSwapsAtWrap) && tail_ - at > 1 && index(at) == shape_.capacity - 1) ++at;
    seen = {place(at), static_cast<std::size_t>(sizes_[index(at)])};
    redelivered = next_ < redeliver_before_ && !is(Fault::kForgetsRedelivery);
    ++next_;
    if (taken_ < next_) taken_ = next_;
    return Transfer::kDone;
  }
  void release() {
    ++done_;
    if (!is(Fault::kKeepsCreditBack) && credit_ < done_) credit_ = done_;
  }
  std::uint64_t taken_count() { return next_ - done_; }
  bool contains(std::span<const std::byte> part) { return memory_.contains(part); }

  bool reattach_producer() {
    if (is(Fault::kSuccessorLosesLast) && tail_ != next_) --tail_;
    if (is(Fault::kSuccessorForgetsRoom) && credit_ != shape_.start_position) --credit_;
    return true;
  }
  bool reattach_consumer() {
    redeliver_before_ = taken_;
    next_ = done_;
    if (is(Fault::kSuccessorSkipsHeld)) next_ = done_ = taken_;
    if (is(Fault::kSuccessorRepeatsFinished) && done_ != shape_.start_position) next_ = --done_;
    return true;
  }

 private:
  static bool is(Fault wanted) { return fault == wanted; }
  [[nodiscard]] std::size_t index(std::uint64_t position) const {
    return static_cast<std::size_t>(position % shape_.capacity);
  }
  [[nodiscard]] std::byte* place(std::uint64_t position) const {
    return memory_.data() + index(position) * stride_;
  }
  [[nodiscard]] bool is_full() const {
    if (is(Fault::kStaysFull) && tail_ - shape_.start_position == shape_.capacity) return true;
    const std::uint64_t most =
        shape_.capacity + (is(Fault::kHoldsOneMore) ? 1 : 0) - (is(Fault::kHoldsOneLess) ? 1 : 0);
    return tail_ - credit_ >= most;
  }
  [[nodiscard]] bool is_empty() const {
    const std::uint64_t shown = tail_ + shown_;
    if (is(Fault::kEightBitCounter)) return (shown & 0xff) <= (next_ & 0xff);
    if (is(Fault::kThirtyTwoBitCounter)) return (shown & UINT32_MAX) <= (next_ & UINT32_MAX);
    return shown == next_;
  }
  // Stray on purpose.
  __attribute__((noinline, no_sanitize("address"))) static void spill(std::byte* beside) {
    *beside = std::byte{0x77};
  }

  RingShape shape_;
  std::uint64_t stride_;
  GuardedBytes memory_;
  std::vector<std::uint64_t> sizes_;
  std::uint64_t tail_;
  std::uint64_t next_;
  std::uint64_t done_;
  std::uint64_t credit_;
  std::uint64_t taken_;
  std::uint64_t redeliver_before_ = 0;
  std::uint64_t shown_ = 0;
};
static_assert(BatchAdapter<FaultyRing> && InPlaceAdapter<FaultyRing> &&
              HandOverAdapter<FaultyRing> && AskableAdapter<FaultyRing>);

TEST_CASE("suite: every planted bug turns it red, and the same ring without one does not") {
  int red_count = 0;
  for (int i = 0; i < kFaultCount; ++i) {
    FaultyRing::fault = static_cast<Fault>(i);
    Verdict verdict;
    conformance::check_all<FaultyRing>(verdict);
    const std::string first = verdict.failures().empty() ? "green" : verdict.failures().front();
    MESSAGE(std::string(kNames[static_cast<std::size_t>(i)]), ": ", first);
    CHECK((verdict.failure_count() == 0) == (i == 0));
    if (verdict.failure_count() != 0) ++red_count;
  }
  FaultyRing::fault = Fault::kNone;
  MESSAGE("planted ", kFaultCount - 1, ", red ", red_count);
  CHECK(red_count == kFaultCount - 1);
}

TEST_CASE("suite: a guard shows one stray byte on either side, and none when all is well") {
  GuardedBytes memory(12);
  CHECK(memory.is_intact());
  CHECK(memory.contains({memory.data(), 12}));
  CHECK_FALSE(memory.contains({memory.data(), 13}));
}

}  // namespace
}  // namespace slipring
