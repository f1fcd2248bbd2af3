// Reads a pipeline file: TOML in, a plan and everything that is wrong with it out.
//
//   [pipeline]   name, memlock = "require" | "try" | "off", wait = "poll" | "adaptive" | "sleep"
//   [[stage]]    name, program, restart = "on-failure" | "always" | "never", restart_limit,
//                restart_window, cpu, wait, and a table [stage.options] for the program
//   [[link]]     name, from, to ("STAGE.PORT"), kind = "records" (capacity) or
//                "slots" (slots, slot_bytes, pool = { buffers, buffer_bytes }), credit
//                One of from and to may be the address of another machine, where a link of the
//                same name, or of the address's, has its other end: "tcp://HOST:PORT/NAME",
//                "tcp+tls://…", "unix://PATH#NAME" (pipelines/wire/wire_address.h).  Then also
//                wire = "connect" | "listen": one machine calls, the other waits to be called; and
//                restart_limit, of the stage that the runner adds to carry it.
//   [[oob]]      name, to
//
// A file is input: whatever it holds, reading ends with a plan and findings, each with its line.
// The plan may be used only when there are none.  The library that parses TOML stops at the first
// offence against TOML itself; all else is reported together.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_plan.h"

namespace slipring {

inline constexpr std::size_t kMaxPipelineFileBytes = 256 * 1024;
inline constexpr std::size_t kMaxStageCount = 64;
inline constexpr std::size_t kMaxLinkCount = 256;  // and as many OOB lanes

struct PipelineFile {
  PipelinePlan plan;
  std::vector<Finding> findings;  // by line; empty: the plan is sound
};

// `file` is only a name for the findings and the base of relative programs.  The findings include
// those of check_topology(); what depends on the machine is not looked at.
[[nodiscard]] PipelineFile parse_pipeline(std::string_view text, std::string file);

// Reads `path` and parses it; a file that cannot be read is a finding too.
[[nodiscard]] PipelineFile load_pipeline(const std::string& path);

}  // namespace slipring
