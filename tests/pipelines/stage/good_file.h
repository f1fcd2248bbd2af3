// A pipeline file with nothing wrong, which tests then spoil.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/pipelines/stage/edited_text.h"

namespace slipring {

// Line numbers in the tables below count from the line after R"(.
inline const std::string kGood = R"([pipeline]
name = "box"
memlock = "require"
wait = "sleep"

[[stage]]
name = "source"
program = "ingest"
restart = "always"
restart_limit = 3
restart_window = "500ms"
cpu = [1, 0, 1]
[stage.options]
url = "udp://127.0.0.1:5000"
loops = 2
gain = 0.5
fast = true

[[stage]]
name = "sink"
program = "./render"
wait = "poll"

[[link]]
name = "ts"
from = "source.ts"
to = "sink.ts"
kind = "records"
capacity = "4MiB"

[[link]]
name = "frames"
from = "source.frames"
to = "sink.frames"
kind = "slots"
slots = 64
slot_bytes = 192
pool = { buffers = 40, buffer_bytes = "4MiB" }

[[link]]
name = "back"
from = "sink.back"
to = "source.back"
capacity = 65536
credit = 16

[[oob]]
name = "channel"
to = "source.channel"
)";

struct Case {
  std::string from;
  std::string to;
  std::vector<std::string> findings;
};

inline void check_cases(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    CAPTURE(one.to);
    const auto found = findings_of(replaced(kGood, one.from, one.to), "bad.toml");
    REQUIRE(found.size() == one.findings.size());
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == one.findings[i]);
  }
}

}  // namespace slipring
