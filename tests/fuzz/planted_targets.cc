// Ends and a parser, each broken in one way, so that each oracle is seen to find what it is for.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/pool/buffer_pool.h"
#include "core/ring/record_format.h"
#include "tests/fuzz/access_script.h"
#include "tests/fuzz/pair_pages.h"
#include "tests/fuzz/scene_target.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

constexpr std::uint64_t kCapacity = 256;

// A consumer of records in 256 bytes, of which eight have been published, and a peer that stores to
// tail, to the fence, or to a header.  Derived classes are the consumers.
class PlantedWorld {
 public:
  static constexpr std::size_t kSceneCount = 1;
  static constexpr std::uint64_t kMostAccesses = kFewAccesses;
  static constexpr bool kStoresWithin = true;
  struct Ends {
    std::uint64_t next = 0;
  };
  Ends ends;

  [[nodiscard]] std::span<GuardedBlock* const> blocks() const { return all_; }
  void build(std::size_t /*scene*/) {
    ends.next = 0;
    for (std::uint64_t at = 0; at < 8 * 24; at += 24) {
      header(at).store(record_detail::pack(16, record_detail::kData), std::memory_order_relaxed);
    }
    pages_.producer().tail.store(8 * 24, std::memory_order_relaxed);
  }
  [[nodiscard]] Store choose(FuzzInput& input) {
    const std::uint8_t which = input.byte();
    ProducerPage& page = pages_.producer();
    if (which % 4 == 0) return PairPages::aim(page.tail, input, ends.next + 24, kCapacity);
    if (which % 4 == 1) {
      return PairPages::aim(page.abort_before, input, ends.next + 24, kCapacity);
    }
    return {&header(which % kCapacity), changed(input)};
  }
  void check_successor(Tally& tally) const {
    const std::uint64_t done = PairPages::peek(pages_.consumer().done);
    const std::uint64_t taken = PairPages::peek(pages_.consumer().taken);
    tally.expect(taken <= done || taken - done <= kCapacity, "the successor cannot go on");
  }

 protected:
  [[nodiscard]] std::atomic<std::uint64_t>& header(std::uint64_t position) const {
    return bytes_.as<std::atomic<std::uint64_t>>(position % kCapacity & ~std::uint64_t{7});
  }
  [[nodiscard]] static std::uint64_t changed(FuzzInput& input) {
    const std::uint32_t size = input.half();
    return record_detail::pack(size % 1024, size / 1024 % 4);
  }
  void look(std::uint64_t position, std::uint64_t size, Tally& tally) {
    const std::span<const std::byte> message{bytes_.data() + position % kCapacity + 8,
                                             static_cast<std::size_t>(size)};
    tally.expect(bytes_.contains(message), "a record outside the ring");
    tally.count(Answer::kDone);
  }
  // What an honest consumer asks before it goes on.
  [[nodiscard]] bool is_sound(std::uint64_t word) const {
    const std::uint64_t tail = PairPages::peek(pages_.producer().tail);
    const std::uint64_t whole = record_detail::whole_bytes(record_detail::payload_bytes(word));
    return record_detail::kind(word) == record_detail::kData && tail - ends.next <= kCapacity &&
           whole <= tail - ends.next && whole <= kCapacity - ends.next % kCapacity;
  }

  PairPages pages_;
  GuardedBlock bytes_{kCapacity};
  std::array<GuardedBlock*, 3> all_{&pages_.producer_block, &pages_.consumer_block, &bytes_};
};

// Takes the index from the peer's word and looks there.
class UncheckedIndex : public PlantedWorld {
 public:
  void call(FuzzInput& /*input*/, Tally& tally) {
    const std::uint64_t tail = PairPages::peek(pages_.producer().tail);
    const auto* place = reinterpret_cast<const volatile std::byte*>(bytes_.data() + tail - 1);
    tally.sight = std::to_integer<std::uint64_t>(*place);
    tally.count(Answer::kDone);
  }
};

// Checks a header, and reads it again for its size.
class DoubleFetch : public PlantedWorld {
 public:
  void call(FuzzInput& input, Tally& tally) {
    access_script.store = {&header(ends.next), changed(input)};
    access_script.store_at = input.byte() % 4;
    if (!is_sound(read())) return tally.count(Answer::kCorruptPeer);
    const std::uint64_t size = record_detail::payload_bytes(read());
    look(ends.next, size, tally);
    ends.next += 24;
  }

 private:
  [[nodiscard]] std::uint64_t read() const {
    access_script.access();
    return PairPages::peek(header(ends.next));
  }
};

// Steps over padding as long as there is any.
template <bool kIsCounted>
class EndlessPadding : public PlantedWorld {
 public:
  void call(FuzzInput& /*input*/, Tally& tally) {
    std::uint64_t at = ends.next;
    std::uint64_t word = PairPages::peek(header(at));
    while (record_detail::kind(word) == record_detail::kPadding) {
      if (kIsCounted) access_script.access();
      at += record_detail::payload_bytes(word) / 8 * 8;
      word = PairPages::peek(header(at));
    }
    tally.count(Answer::kDone);
  }
};

// Follows the fence wherever it is.
class TrustedFence : public PlantedWorld {
 public:
  void call(FuzzInput& /*input*/, Tally& tally) {
    const std::uint64_t fence = PairPages::peek(pages_.producer().abort_before);
    if (fence <= ends.next) return tally.count(Answer::kBlocked);
    tally.expect(fence - ends.next <= kCapacity, "one call took more than the ring holds");
    ends.next = fence;
    tally.count(Answer::kDone);
  }
};

// Shows the peer's tail as what has been taken.
class StrandedSuccessor : public PlantedWorld {
 public:
  void call(FuzzInput& /*input*/, Tally& tally) {
    PairPages::poke(pages_.consumer().taken, PairPages::peek(pages_.producer().tail));
    tally.count(Answer::kDone);
  }
};

// A pool's owner that frees what a handle names, of whatever generation.
class NoGeneration final : public FuzzTarget {
 public:
  void run(std::span<const std::uint8_t> bytes, Tally& tally) override {
    FuzzInput input(bytes);
    std::array<bool, 4> is_used{};
    std::array<std::uint32_t, 4> generations{};
    std::array<BufferHandle, 4> old{};
    for (int i = 0; i < 12 && tally.broken == nullptr; ++i) {
      const std::uint8_t which = input.byte();
      const std::uint32_t slot = which % 4;
      if (which % 8 < 4) {  // handed out unless it is lent
        if (is_lent_[slot]) continue;
        tally.expect(!is_used[slot], "a buffer in use was handed out");
        is_used[slot] = true;
        is_lent_[slot] = true;
        old[slot] = {slot, ++generations[slot]};
      } else {  // a handle comes back: the one of now, or an old one again
        const bool is_of_now = old[slot].generation == generations[slot] && is_used[slot];
        is_lent_[slot] = false;
        if (is_of_now && which < 128) is_used[slot] = false;
      }
      tally.count(Answer::kDone);
    }
    is_lent_ = {};
  }
  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    random.fill(place.first(16));
    return 16;
  }

 private:
  std::array<bool, 4> is_lent_{};
};

// A parser that believes a length.
class BelievedLength final : public FuzzTarget {
 public:
  void run(std::span<const std::uint8_t> bytes, Tally& tally) override {
    std::memcpy(block_.data(), bytes.data(), std::min<std::size_t>(bytes.size(), 64));
    const std::size_t length = std::to_integer<std::size_t>(*block_.data());
    tally.look_at({block_.data() + 1, length});
    tally.count(Answer::kDone);
  }
  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    random.fill(place.first(64));
    if (random.below(16) != 0) place[0] %= 64;
    return 64;
  }

 private:
  GuardedBlock block_{64};
};

constexpr std::array<TargetInfo, 8> kShared{{
    {"planted_index", TargetKind::kShared, "an index taken from the peer without a check",
     make_target<SceneTarget<UncheckedIndex>>},
    {"planted_double_fetch", TargetKind::kShared, "a header read for the check and again for use",
     make_target<SceneTarget<DoubleFetch>>},
    {"planted_long_walk", TargetKind::kShared, "padding stepped over without end, counted",
     make_target<SceneTarget<EndlessPadding<true>>>},
    {"planted_hang", TargetKind::kShared, "padding stepped over without end",
     make_target<SceneTarget<EndlessPadding<false>>>},
    {"planted_fence", TargetKind::kShared, "a fence that is followed wherever it is",
     make_target<SceneTarget<TrustedFence>>},
    {"planted_page", TargetKind::kShared, "an own page that shows what the peer says",
     make_target<SceneTarget<StrandedSuccessor>>},
    {"planted_generation", TargetKind::kShared, "a handle believed without its generation",
     make_target<NoGeneration>},
    {"planted_length", TargetKind::kParser, "a length that is believed",
     make_target<BelievedLength>},
}};

}  // namespace

std::span<const TargetInfo> planted_targets() {
  static const std::vector<TargetInfo> kAll = [] {
    std::vector<TargetInfo> all(kShared.begin(), kShared.end());
    all.push_back(planted_framer());
    const std::span<const TargetInfo> headers = planted_message_headers();
    all.insert(all.end(), headers.begin(), headers.end());
    return all;
  }();
  return kAll;
}

}  // namespace slipring::fuzz
