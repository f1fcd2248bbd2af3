// The record ring's ends.
#include <array>

#include "core/ring/record_ring.h"
#include "tests/fuzz/pair_pages.h"
#include "tests/fuzz/pair_world.h"
#include "tests/fuzz/scene_target.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

struct RecordMemory {
  using Producer = BasicRecordProducer<FuzzAtomics>;
  using Consumer = BasicRecordConsumer<FuzzAtomics>;
  static constexpr std::uint64_t kCapacity = 256;
  static constexpr std::array<std::uint64_t, 4> kFills{0, 1, 4,
                                                       10};  // records of 24 bytes with header

  PairPages pages;
  GuardedBlock bytes{kCapacity};
  std::array<GuardedBlock*, 3> all{&pages.producer_block, &pages.consumer_block, &bytes};
  RecordGeometry geometry{kCapacity, 0};

  [[nodiscard]] Result<Producer> producer() const {
    return Producer::attach(pages.producer(), bytes.data(), pages.consumer(), geometry);
  }
  [[nodiscard]] Result<Consumer> consumer() const {
    return Consumer::attach(pages.consumer(), pages.producer(), bytes.data(), geometry);
  }
  [[nodiscard]] std::atomic<std::uint64_t>& header(std::uint64_t position) const {
    return bytes.as<std::atomic<std::uint64_t>>(position % kCapacity & ~std::uint64_t{7});
  }
  // Nine records have come and gone, so that the next but one is padded; `fill` are
  // there.
  void build(std::uint64_t fill) const {
    Producer producing = producer().value();
    Consumer consuming = consumer().value();
    std::array<std::byte, 16> message{};
    std::uint64_t size = 0;
    for (int i = 0; i < 9; ++i) {
      must(producing.try_push(message) == Transfer::kDone);
      must(consuming.try_pop(message, size) == Transfer::kDone);
    }
    for (std::uint64_t i = 0; i < fill; ++i) {
      if (producing.try_push(message) != Transfer::kDone) break;
    }
  }
};

class ConsumerWorld : public ConsumerPairWorld<RecordMemory> {
 public:
  [[nodiscard]] Store choose(FuzzInput& input) {
    const std::uint8_t which = input.byte();
    const std::uint64_t next = ends.end->position();
    ProducerPage& page = memory_.pages.producer();
    if (which % 8 < 2) {
      return PairPages::aim(which % 8 == 0 ? page.tail : page.abort_before, input, next + 24,
                            kCapacity);
    }
    // The next header, that at the ring's start, or any word; with a size and a kind that may do.
    std::atomic<std::uint64_t>& word = which % 8 < 5   ? memory_.header(next)
                                       : which % 8 < 6 ? memory_.header(0)
                                                       : memory_.header(which * 8U);
    const std::uint8_t way = input.byte();
    const std::uint32_t size = input.half();
    const std::uint64_t to_end = kCapacity - next % kCapacity;
    switch (way % 8) {
      case 0:
        return PairPages::aim(word, input, PairPages::peek(word), kCapacity);
      case 1:
        return {&word, record_detail::pack(to_end - 8, record_detail::kPadding)};
      case 2:
        return {&word, record_detail::pack(size % 512, record_detail::kPadding)};
      case 3:
        return {&word, record_detail::pack(0xffff'ffffU - size % 16, 1 + way / 128)};
      case 4:
        return {&word, record_detail::pack(to_end - 8 + size % 16, 1 + way / 128)};
      default:
        return {&word, record_detail::pack(size % 300, way / 8 % 4)};
    }
  }
  void call(FuzzInput& input, Tally& tally) {
    const std::uint64_t before = ends.end->position();
    do_call(input.byte(), tally);
    check_after(before, tally);
    tally.expect(ends.end->position() % 8 == 0 && ends.end->done() % 8 == 0,
                 "a position that is no multiple of 8");
  }

 private:
  void look(const RecordView& view, Tally& tally) {
    tally.expect(memory_.bytes.contains(view.message), "a record outside the ring");
    if (tally.broken == nullptr) tally.look_at(view.message);
  }

  void do_call(std::uint8_t which, Tally& tally) {
    Consumer& end = *ends.end;
    switch (which % 8) {
      case 0:
      case 1:
      case 2: {
        RecordView view;
        const Transfer answer = end.try_peek(view);
        tally.count(answer);
        if (answer != Transfer::kDone) return;
        look(view, tally);
        if (which >= 128) end.release(view);
        return;
      }
      case 3: {
        std::array<RecordView, 5> views;
        std::size_t count = 0;
        const Transfer answer = end.try_peek_many(std::span(views).first(which % 6), count);
        tally.count(answer);
        for (std::size_t i = 0; i < count; ++i) look(views[i], tally);
        if (count != 0 && which >= 128) end.release(views[count - 1]);
        return;
      }
      case 4: {
        std::array<std::byte, 32> message;
        std::uint64_t size = 0;
        return tally.count(end.try_pop(std::span(message).first(which % 33), size));
      }
      case 5: {
        RecordView last;
        last.end_position = end.position();
        if (end.position() != end.done()) end.release(last);
        tally.expect(end.skip_aborted() <= kCapacity, "more skipped than the ring holds");
        return tally.count(Answer::kAsked);
      }
      case 6:
        static_cast<void>(end.has_message() || end.has_abort());
        return tally.count(Answer::kAsked);
      default:
        return end.publish_credit();
    }
  }
};

class ProducerWorld : public ProducerPairWorld<RecordMemory> {
 public:
  void call(FuzzInput& input, Tally& tally) {
    const std::uint64_t before = ends.end->position();
    do_call(input.byte(), input.byte(), tally);
    check_after(before, tally);
  }

 private:
  void do_call(std::uint8_t which, std::uint8_t argument, Tally& tally) {
    Producer& end = *ends.end;
    static constexpr std::array<std::byte, kCapacity> kMessage{};
    const std::size_t size = argument % (record_max_payload_bytes(kCapacity) + 1);
    switch (which % 8) {
      case 0:
      case 1:
        return tally.count(end.try_push(std::span(kMessage).first(size)));
      case 2: {
        const std::array<std::span<const std::byte>, 4> messages{
            std::span(kMessage).first(size), std::span(kMessage).first(size / 2), {}, kEight};
        std::size_t count = 0;
        return tally.count(end.try_push_many(messages, count));
      }
      case 3:
      case 4: {
        std::span<std::byte> place;
        const Transfer answer = end.try_reserve(size, place);
        tally.count(answer);
        if (answer != Transfer::kDone) return;
        tally.expect(memory_.bytes.contains(place), "a record outside the ring");
        for (std::byte& byte : place) byte = std::byte{which};
        if (which >= 192) return end.abandon();
        return which >= 128 ? end.close(size / 2) : end.commit(size / 2);
      }
      case 5:
        return end.publish();
      case 6:
        static_cast<void>(end.has_space(size));
        return tally.count(Answer::kAsked);
      default:
        return end.abort_published();
    }
  }

  static constexpr std::array<std::byte, 8> kEight{};
};

constexpr std::array<TargetInfo, 2> kTargets{{
    {"record_consumer", TargetKind::kShared,
     "1-4 x (a store to tail, abort_before or a header; a peek, pop, release, skip or question); a "
     "successor",
     make_target<SceneTarget<ConsumerWorld>>},
    {"record_producer", TargetKind::kShared,
     "1-4 x (a store to credit, done or taken; a push, reserve, close, publish, abort or "
     "question); "
     "a successor",
     make_target<SceneTarget<ProducerWorld>>},
}};

}  // namespace

std::span<const TargetInfo> record_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz
