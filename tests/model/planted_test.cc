// Mistakes planted around the real rings: the scenes must find each.

#include <doctest/doctest.h>

#include <string>

#include "tests/model/explorer.h"
#include "tests/model/spsc_scenes.h"

namespace slipring::model {
namespace {

template <typename Ring>
std::string wrong_in(const SpscPlan& plan, std::uint32_t deaths = 0) {
  const Found found = explore(spsc_scene<Ring>("planted", plan, deaths));
  MESSAGE(to_string(found));
  return found.wrong;
}
bool has(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

// Publishes the slot, then fills it.
struct PublishesFirst : TypedRing {
  using TypedRing::TypedRing;
  static Transfer push(Product& end, Way, std::uint64_t number, std::size_t, std::size_t& pushed) {
    std::span<Pair> room;
    const Transfer answer = end.try_reserve(room);
    if (answer != Transfer::kDone) return answer;
    end.commit(1);
    ModelAtomics::write(room[0], Pair::of(number));
    pushed = 1;
    return answer;
  }
};

// Gives the slot back, then reads it.
struct ReleasesFirst : TypedRing {
  using TypedRing::TypedRing;
  static Transfer take(Taker& end, Way, std::array<Handed, kMostHanded>& handed,
                       std::size_t& count) {
    std::span<const Pair> views;
    const Transfer answer = end.try_peek(views);
    if (answer != Transfer::kDone) return answer;
    count = 1;
    end.release(views.size());
    handed[0] = ModelAtomics::read(views[0]).handed();
    return answer;
  }
  static bool takes_and_finishes(Way) { return true; }
};

// A consumer's successor goes on where its predecessor had looked.
struct SkipsTaken : SlotRing {
  using SlotRing::SlotRing;
  [[nodiscard]] Result<Taker> consume() {
    const auto taken = ModelAtomics::load(pages.consumer->taken, std::memory_order_relaxed);
    ModelAtomics::store(pages.consumer->done, taken, std::memory_order_release);
    return SlotRing::consume();
  }
};

// A consumer's successor takes what comes again for new.
struct ForgetsTaken : RecordRing {
  using RecordRing::RecordRing;
  [[nodiscard]] Result<Taker> consume() {
    const auto done = ModelAtomics::load(pages.consumer->done, std::memory_order_relaxed);
    ModelAtomics::store(pages.consumer->taken, done, std::memory_order_relaxed);
    return RecordRing::consume();
  }
};

// A producer's successor goes on one message early.
struct StepsBack : ByteStream {
  using ByteStream::ByteStream;
  [[nodiscard]] Result<Product> produce() {
    const auto tail = ModelAtomics::load(pages.producer->tail, std::memory_order_relaxed);
    if (tail > geometry.start_position) {
      ModelAtomics::store(pages.producer->tail, tail - 1, std::memory_order_relaxed);
    }
    return ByteStream::produce();
  }
};

// The producer believes in one slot more than there is.
struct WrapsLate : TypedRing {
  using TypedRing::TypedRing;
  [[nodiscard]] Result<Product> produce() {
    SpscGeometry wrong = geometry;
    ++wrong.slot_count;
    return Product::attach(*pages.producer, slots, *pages.consumer, wrong);
  }
};

TEST_CASE("model: planted mistakes are found") {
  CHECK(has(wrong_in<PublishesFirst>(moving(Way::kInPlace, 2)), "data race"));
  CHECK(has(wrong_in<ReleasesFirst>(moving(Way::kInPlace, 3)), "data race"));
  CHECK(has(wrong_in<SkipsTaken>(moving(Way::kInPlace, 2), 1), "lost"));
  CHECK(has(wrong_in<ForgetsTaken>(moving(Way::kInPlace, 2), 1), "not marked"));
  CHECK(has(wrong_in<StepsBack>(moving(Way::kCopy, 2), 1), "cannot attach"));
  CHECK(has(wrong_in<WrapsLate>(moving(Way::kCopy, 4, {3, 0})), "overwritten"));
}

}  // namespace
}  // namespace slipring::model
