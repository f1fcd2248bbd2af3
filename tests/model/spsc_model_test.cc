// Rings with one producer and one consumer on the memory model: every execution of small scenes,
// and every mutant of their code.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/model/gate.h"
#include "tests/model/spsc_scenes.h"

namespace slipring::model {
namespace {

// core/ORDERING.md, "Mutants that survive, and why".
constexpr Survivor kCredit{"consumer_cursor.h give_credit store release left out",
                           "a hint: a producer that finds the ring full asks done too"};
constexpr Survivor kSlotTail{"slot_ring.h attach store relaxed left out",
                             "for observers: one behind until the next commit, as after the death"};

template <typename Ring>
void check_ring(const std::string& ring, const std::vector<Survivor>& survivors) {
  const std::vector<Scene> scenes = spsc_scenes<Ring>();
  const GateResult result = run_gate(scenes, survivors);
  std::string table = ring + '\n';
  for (const std::string& line : result.lines) table += line + '\n';
  MESSAGE(table, "mutants ", result.mutants, ", killed ", result.killed);
  for (const std::string& offence : result.offences) FAIL_CHECK(offence);
}

TEST_CASE("model: typed ring") {
  check_ring<TypedRing>("spsc_ring.h", {kCredit});
}
TEST_CASE("model: slot ring") {
  check_ring<SlotRing>("slot_ring.h", {kCredit, kSlotTail});
}
TEST_CASE("model: record ring") {
  check_ring<RecordRing>("record_ring.h", {kCredit});
}
TEST_CASE("model: byte stream") {
  check_ring<ByteStream>("byte_stream.h", {kCredit});
}

}  // namespace
}  // namespace slipring::model
