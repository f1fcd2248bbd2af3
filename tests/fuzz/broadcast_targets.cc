// The broadcast ring's ends.
#include <algorithm>
#include <array>
#include <optional>

#include "core/ring/broadcast_ring.h"
#include "tests/fuzz/pair_pages.h"
#include "tests/fuzz/scene_target.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

using Writer = BasicBroadcastWriter<FuzzAtomics>;
using Reader = BasicBroadcastReader<FuzzAtomics>;

constexpr std::uint64_t kCapacity = 8;
constexpr std::uint32_t kSlotBytes = 24;
constexpr std::uint32_t kReaderCount = 3;
constexpr std::array<BroadcastPolicy, 3> kPolicies{
    BroadcastPolicy::kOverwrite, BroadcastPolicy::kBlock, BroadcastPolicy::kEvict};
constexpr std::array<std::uint64_t, 3> kFills{0, 3, 8};

struct BroadcastBlocks {
  GuardedBlock writer{sizeof(BroadcastWriterPage)};
  std::array<GuardedBlock, kReaderCount> readers{GuardedBlock{sizeof(BroadcastReaderPage)},
                                                 GuardedBlock{sizeof(BroadcastReaderPage)},
                                                 GuardedBlock{sizeof(BroadcastReaderPage)}};
  GuardedBlock slots{kCapacity * broadcast_stride_bytes(kSlotBytes)};
  std::array<GuardedBlock*, 5> all{&writer, &readers[0], &readers[1], &readers[2], &slots};
  BroadcastGeometry geometry{kCapacity, kSlotBytes, 0, kReaderCount, BroadcastPolicy::kBlock, 6};

  [[nodiscard]] BroadcastWriterPage& writer_page() const {
    return writer.as<BroadcastWriterPage>();
  }
  [[nodiscard]] BroadcastReaderPage& reader_page(std::size_t index) const {
    return readers[index].as<BroadcastReaderPage>();
  }
  [[nodiscard]] std::atomic<std::uint64_t>& state(std::uint64_t position) const {
    return slots.as<std::atomic<std::uint64_t>>(position % kCapacity *
                                                broadcast_stride_bytes(kSlotBytes));
  }
  [[nodiscard]] Result<Writer> attach_writer() const {
    const std::array<const BroadcastReaderPage*, kReaderCount> pages{
        &reader_page(0), &reader_page(1), &reader_page(2)};
    return Writer::attach(writer_page(), slots.data(), pages, geometry);
  }
  [[nodiscard]] Result<Reader> attach_reader(std::uint32_t index) const {
    return Reader::attach(reader_page(index), writer_page(), slots.data(), index, geometry);
  }
  static constexpr std::size_t kSceneCount = kStarts.size() * kPolicies.size() * kFills.size();

  // Two members; five messages that both have read, and some that they have not.
  void build(std::size_t scene) {
    geometry.start_position = kStarts[scene % kStarts.size()];
    geometry.policy = kPolicies[scene / kStarts.size() % kPolicies.size()];
    Writer writing = attach_writer().value();
    std::array<std::optional<Reader>, 2> reading;
    for (std::uint32_t i = 0; i < 2; ++i) {
      reading[i].emplace(attach_reader(i).value());
      check(reading[i]->join(BroadcastJoin::kNewest).ok(), "a scene that does not come about");
    }
    std::array<std::byte, kSlotBytes> message{};
    BroadcastView view;
    for (int i = 0; i < 5; ++i) {
      check(writing.try_push(message) == Transfer::kDone, "a scene that does not come about");
      for (auto& end : reading) {
        check(end->try_pop(message, view) == Reception::kDone, "a scene that does not come about");
      }
    }
    for (auto& end : reading) end->publish_credit();
    for (std::uint64_t i = 0; i < kFills[scene / (kStarts.size() * kPolicies.size())]; ++i) {
      if (writing.try_push(message) != Transfer::kDone) break;
    }
  }
};

// The writer; readers 1 and 2 are hostile, reader 0 stands still.
class WriterWorld {
 public:
  static constexpr std::size_t kSceneCount = BroadcastBlocks::kSceneCount;
  static constexpr std::uint64_t kMostAccesses = kFewAccesses;
  static constexpr bool kStoresWithin = true;
  struct Ends {
    std::optional<Writer> end;
    BroadcastGeometry geometry;
    std::uint64_t honest_credit = 0;
    bool is_dropped = false;
  };
  Ends ends;

  [[nodiscard]] std::span<GuardedBlock* const> blocks() const { return memory_.all; }
  void build(std::size_t scene) {
    memory_.build(scene);
    ends.end.emplace(memory_.attach_writer().value());
    ends.geometry = memory_.geometry;
    ends.honest_credit = PairPages::peek(memory_.reader_page(0).credit);
    ends.is_dropped = false;
  }
  [[nodiscard]] Store choose(FuzzInput& input) {
    const std::uint8_t which = input.byte();
    BroadcastReaderPage& page = memory_.reader_page(1 + which % 2);
    const std::array<std::atomic<std::uint64_t>*, 8> words{&page.credit, &page.joined, &page.credit,
                                                           &page.joined, &page.done,   &page.taken,
                                                           &page.lost,   &page.credit};
    return PairPages::aim(*words[which / 2 % 8], input, ends.end->position(), kCapacity);
  }
  void call(FuzzInput& input, Tally& tally) {
    const std::uint64_t before = ends.end->position();
    do_call(input.byte(), tally);
    const std::uint64_t position = ends.end->position();
    tally.expect(position - before <= 1, "one call published more than one message");
    tally.expect(PairPages::peek(memory_.writer_page().tail) == position,
                 "tail is not the writer's");
    if (ends.geometry.policy == BroadcastPolicy::kBlock) {
      tally.expect(position - ends.honest_credit <= kCapacity,
                   "an honest reader's message was overwritten");
    }
  }
  void check_successor(Tally& tally) {
    memory_.geometry = ends.geometry;
    const auto next = memory_.attach_writer();
    tally.expect(next.ok() && next.value().position() == ends.end->position(),
                 "the writer's successor cannot go on");
  }

 private:
  void do_call(std::uint8_t which, Tally& tally) {
    Writer& end = *ends.end;
    const std::array<std::byte, kSlotBytes> message{};
    switch (which % 8) {
      case 4: {
        if (ends.geometry.policy != BroadcastPolicy::kBlock) return;
        std::span<std::byte> slot;
        const Transfer answer = end.try_reserve(slot);
        tally.count(answer);
        if (answer != Transfer::kDone) return;
        tally.expect(memory_.slots.contains(slot), "a slot outside the ring");
        for (std::byte& byte : slot) byte = std::byte{which};
        return end.commit();
      }
      case 5:
        static_cast<void>(end.has_space());
        return tally.count(Answer::kAsked);
      case 6:
        return which >= 128 ? end.exclude(1 + which / 8 % 2) : end.drop_reader(1 + which / 8 % 2);
      case 7:
        return end.abort_published();
      default: {
        const Transfer answer = end.try_push(std::span(message).first(which % (kSlotBytes + 1)));
        tally.count(answer);
        if (answer != Transfer::kCorruptPeer) return;
        return tally.expect(end.corrupt_reader() == 1 || end.corrupt_reader() == 2,
                            "an honest reader is called corrupt");
      }
    }
  }

  BroadcastBlocks memory_;
};

// Reader 0; the writer is hostile.
class ReaderWorld {
 public:
  static constexpr std::size_t kSceneCount = BroadcastBlocks::kSceneCount;
  static constexpr std::uint64_t kMostAccesses = kFewAccesses;
  static constexpr bool kStoresWithin = true;
  struct Ends {
    std::optional<Reader> end;
    BroadcastGeometry geometry;
    BroadcastView held;
    bool holds = false;
    bool may_join = false;
  };
  Ends ends;

  [[nodiscard]] std::span<GuardedBlock* const> blocks() const { return memory_.all; }
  void build(std::size_t scene) {
    memory_.build(scene);
    ends.end.emplace(memory_.attach_reader(0).value());
    ends.geometry = memory_.geometry;
    ends.holds = false;
    ends.may_join = false;
  }
  [[nodiscard]] Store choose(FuzzInput& input) {
    const std::uint8_t which = input.byte();
    BroadcastWriterPage& page = memory_.writer_page();
    const std::uint64_t next = ends.end->position();
    const std::uint64_t state = 2 * (next - ends.geometry.start_position) + 2;
    switch (which % 8) {
      case 0:
        return PairPages::aim(page.tail, input, next + 1, kCapacity);
      case 1:
        return PairPages::aim(page.scan_at, input, next, kCapacity);
      case 2:
        return PairPages::aim(page.abort_before, input, next + 1, kCapacity);
      case 3:
        return PairPages::aim(page.put_out[0], input, 1 + which / 64, 1);
      case 4:
        return PairPages::aim(memory_.state(next + which / 8), input, state, 2 * kCapacity);
      default:
        return PairPages::aim(memory_.state(next), input, state, 2 * kCapacity);
    }
  }
  void call(FuzzInput& input, Tally& tally) {
    // Positions only grow within a membership.
    const std::uint64_t joined = PairPages::peek(memory_.reader_page(0).joined);
    const std::uint64_t before = ends.end->position();
    do_call(input.byte(), tally);
    const Reader& end = *ends.end;
    tally.expect(end.position() - before < std::uint64_t{1} << 63 ||
                     PairPages::peek(memory_.reader_page(0).joined) != joined,
                 "the position went back");
    tally.expect(end.position() - end.done() < std::uint64_t{1} << 63, "more done than seen");
    const BroadcastReaderPage& page = memory_.reader_page(0);
    if (end.is_member()) {
      tally.expect(PairPages::peek(page.done) == end.done(), "the page shows another cursor");
    }
  }
  // A writer that has published what our page speaks of, and no more.
  void check_successor(Tally& tally) {
    memory_.geometry = ends.geometry;
    const BroadcastReaderPage& page = memory_.reader_page(0);
    const std::uint64_t start = ends.geometry.start_position;
    const std::uint64_t published =
        std::max({ends.end->position() - start, PairPages::peek(page.taken) - start,
                  PairPages::peek(page.credit) - start});
    PairPages::poke(memory_.writer_page().tail, start + published);
    const auto next = memory_.attach_reader(0);
    tally.expect(next.ok() && (!ends.end->is_member() || next.value().done() == ends.end->done()),
                 "the reader's successor cannot go on");
  }

 private:
  void count(Reception answer, Tally& tally) {
    static constexpr std::array<Answer, 4> kAnswers{Answer::kDone, Answer::kBlocked,
                                                    Answer::kRefused, Answer::kCorruptPeer};
    tally.count(kAnswers[static_cast<std::size_t>(answer)]);
    if (answer == Reception::kEvicted) ends.may_join = true;
  }

  // As the answers say: who is not a member joins, and so does who was told to.
  void join(std::uint8_t which, Tally& tally) {
    ends.holds = false;
    ends.may_join = false;
    const Status joined =
        ends.end->join(which >= 128 ? BroadcastJoin::kOldest : BroadcastJoin::kNewest);
    tally.count(joined.ok() ? Answer::kDone : Answer::kCorruptPeer);
  }

  void do_call(std::uint8_t which, Tally& tally) {
    Reader& end = *ends.end;
    if (!end.is_member() || (ends.may_join && which % 2 == 0)) return join(which, tally);
    switch (which % 8) {
      case 0:
      case 1:
      case 2: {
        const Reception answer = end.try_peek(ends.held);
        count(answer, tally);
        if (answer != Reception::kDone) return;
        ends.holds = true;
        tally.expect(memory_.slots.contains(ends.held.message), "a message outside the ring");
        return tally.look_at(ends.held.message);
      }
      case 3:
      case 4: {
        std::array<std::byte, 40> message;
        BroadcastView view;
        const Reception answer = end.try_pop(std::span(message).first(which % 40), view);
        return count(answer, tally);
      }
      case 5:
        if (ends.holds) {
          std::array<std::byte, 40> message;
          static_cast<void>(end.copy_out(ends.held, message) || end.is_still_valid(ends.held));
          end.release(ends.held);
        }
        ends.holds = false;
        return tally.count(Answer::kAsked);
      case 6:
        if (end.position() == end.done()) static_cast<void>(end.skip_aborted());
        static_cast<void>(end.has_message() || end.has_abort() || end.was_evicted());
        return tally.count(Answer::kAsked);
      default:
        if (which < 64) return end.leave();
        return end.publish_credit();
    }
  }

  BroadcastBlocks memory_;
};

constexpr std::array<TargetInfo, 2> kTargets{{
    {"broadcast_writer", TargetKind::kShared,
     "1-4 x (a store to a hostile reader's page; a push, reserve, drop, exclusion, abort or "
     "question), policies overwrite, block, evict; a successor",
     make_target<SceneTarget<WriterWorld>>},
    {"broadcast_reader", TargetKind::kShared,
     "1-4 x (a store to tail, scan_at, fence, put_out or a state; a peek, pop, release, join, "
     "leave "
     "or question), policies overwrite, block, evict; a successor",
     make_target<SceneTarget<ReaderWorld>>},
}};

}  // namespace

std::span<const TargetInfo> broadcast_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz
