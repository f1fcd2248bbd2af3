// As cut_test.cc, of typed values and of slots with a pool.
#include <doctest/doctest.h>

#include "tests/pipelines/wire/cut_exchange.h"

namespace slipring::wire {
namespace {

void cut_from_both_sides(const CutScene& scene) {
  cut_everywhere(scene, LinkSide::kSender, false);
  cut_everywhere(scene, LinkSide::kReceiver, true);
}

TEST_CASE("cut: values, after every byte") {
  cut_from_both_sides({"values", text_values(20), text_values(11)});
}

TEST_CASE("cut: a pool, after every byte, and every buffer comes back") {
  cut_from_both_sides({"pooled", pooled_slots(16, 12), pooled_slots(32, 9)});
}

}  // namespace
}  // namespace slipring::wire
