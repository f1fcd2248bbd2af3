// Rings with one producer and one consumer on the memory model: every execution of small scenes,
// and every mutant of their code.

#include <doctest/doctest.h>

#include <vector>

#include "tests/model/checks.h"
#include "tests/model/gate.h"
#include "tests/model/spsc_scenes.h"

namespace slipring::model {
namespace {

// core/ORDERING.md, "Mutants that survive, and why".
constexpr Survivor kCredit{"consumer_cursor.h give_credit store release left out",
                           "a hint: a producer that finds the ring full asks done too"};
constexpr Survivor kSlotTail{"slot_ring.h attach store relaxed left out",
                             "for observers: one behind until the next commit, as after the death"};

TEST_CASE("model: typed ring") {
  check_gate(run_gate(spsc_scenes<TypedRing>(), std::vector<Survivor>{kCredit}));
}
TEST_CASE("model: slot ring") {
  check_gate(run_gate(spsc_scenes<SlotRing>(), std::vector<Survivor>{kCredit, kSlotTail}));
}
TEST_CASE("model: record ring") {
  check_gate(run_gate(spsc_scenes<RecordRing>(), std::vector<Survivor>{kCredit}));
}
TEST_CASE("model: byte stream") {
  check_gate(run_gate(spsc_scenes<ByteStream>(), std::vector<Survivor>{kCredit}));
}

// Their orders are in no gate: the try that follows has its own.
TEST_CASE("model: has_space() and has_message() keep their word") {
  check_scene(spsc_scene<TypedRing>("typed ring, asked first", asking(), 1));
  check_scene(spsc_scene<SlotRing>("slot ring, asked first", asking()));
  check_scene(spsc_scene<RecordRing>("record ring, asked first", asking()));
  check_scene(spsc_scene<ByteStream>("byte stream, asked first", asking()));
}

}  // namespace
}  // namespace slipring::model
