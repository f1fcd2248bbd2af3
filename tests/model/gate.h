// The mutation gate: every weakening of every access that the scenes reach must make one of them
// fail, or stand on a list with the reason why it cannot.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tests/model/explorer.h"

namespace slipring::model {

// A mutant that no scene can tell from the original; core/ORDERING.md gives the reasons.
struct Survivor {
  // "consumer_cursor.h give_credit store release left out": file, function, access, change, as the
  // gate prints them.  It stands for all such places in the function.
  const char* mutant;
  const char* why;
};

struct GateResult {
  std::size_t mutants = 0;
  std::size_t killed = 0;
  std::vector<std::string> lines;     // a mutant each, with its fate
  std::vector<std::string> offences;  // survivors that are not listed, listed ones that are killed
};

// A scene that fails by itself is an offence.  Only accesses in files whose path has `part` in it
// are changed.
[[nodiscard]] GateResult run_gate(std::span<const Scene> scenes,
                                  std::span<const Survivor> survivors, const char* part = "");

}  // namespace slipring::model
