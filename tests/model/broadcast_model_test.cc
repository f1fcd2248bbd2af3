// The broadcast ring on the model of the C++ memory model, with deaths, and its mutants.

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "tests/model/broadcast_scenes.h"
#include "tests/model/checks.h"
#include "tests/model/gate.h"

namespace slipring::model {
namespace {

// Why: core/ORDERING.md, "Mutants that survive, and why".
constexpr Survivor kSurvivors[] = {
    {"broadcast_reader.h was_evicted load acquire -> relaxed",
     "ordered by broadcast.V and broadcast.B"},
    {"broadcast_writer.h put_out store release -> relaxed",
     "ordered by broadcast.V and broadcast.B"},
    {"broadcast_reader.h finish store release -> relaxed", "done only says who is put out"},
    {"broadcast_writer.h done_of load acquire -> relaxed", "done only says who is put out"},
    {"broadcast_sight.h has_published load acquire -> relaxed", "the state is only compared"},
    {"broadcast_sight.h oldest load acquire -> relaxed", "the state is only compared"},
    {"broadcast_sight.h past_missing load acquire -> relaxed", "the state is only compared"},
    {"broadcast_writer.h drop_reader load seq_cst -> acquire", "the reader is dead, or lies"},
    {"broadcast_page.h store_gap store relaxed left out",
     "counts over a death: broadcast_step_test, at every instruction"},
    {"broadcast_page.h take_over_lost store relaxed left out",
     "counts over two deaths: broadcast_step_test"},
};

TEST_CASE(
    "broadcast: no message is torn, losses are exact, members are waited for, no mutant lives") {
  check_gate(run_gate(broadcast_scenes(), kSurvivors, "core/ring/broadcast_"));
}

}  // namespace
}  // namespace slipring::model
