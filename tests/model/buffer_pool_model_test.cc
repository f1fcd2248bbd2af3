// The buffer pool on the model of the C++ memory model, with deaths, and its mutants.

#include <doctest/doctest.h>

#include <string>

#include "tests/model/buffer_pool_scenes.h"
#include "tests/model/checks.h"
#include "tests/model/explorer.h"
#include "tests/model/gate.h"

namespace slipring::model {
namespace {

TEST_CASE("buffer pool: no buffer is lost or written while it is read, no mutant lives") {
  check_gate(run_gate(buffer_pool_scenes(), {}, "core/pool/"));
}

// The generation that recover() takes back is given out again: who has the handle from a word that
// does not order may find the first store of it, and bytes that are being written.
TEST_CASE("buffer pool: after a recovery a handle needs the order of the ring that carried it") {
  const Found found = explore(buffer_pool_scene("an heir, and a box without order", 1,
                                                {.lends = 2, .looks = 2, .has_heirs = true}));
  MESSAGE(to_string(found));
  CHECK(found.wrong.find("data race") != std::string::npos);
}

}  // namespace
}  // namespace slipring::model
