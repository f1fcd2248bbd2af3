// Runs a pipeline: makes its segments, starts its stages, watches them, restarts them, and cleans
// up.
//
// Life.  Everything is checked first (check_before_start); then the runner takes the pipeline's
// lock (the writing role of the board "<pipeline>.runner"), sweeps what a killed run left behind,
// creates all segments, and starts each stage as a process of its own.  A stage that dies is
// restarted on the same links by its policy.  A stage that ends with status 0 has finished; when
// all have, the run is over.  A stage that ends with status 2 refuses its configuration and is not
// started again, since that would not change.  SIGINT, SIGTERM and SIGHUP stop the run: the stages
// get SIGTERM, and SIGKILL after 5 s or at the second signal.  At the end no process and
// no segment of the run is left.
//
// Crash.  When the runner is killed, the kernel kills its stages (parent-death signal); the
// segments stay, and the next run of the pipeline sweeps them, once every participant is certified
// dead.
//
// Hosted code.  run() takes the calling thread, blocks the three signals in it while it runs, and
// must not be called from two threads at a time; the thread must live as long as the run.
#pragma once

#include <string>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_plan.h"

namespace slipring {

// What run() answers.
inline constexpr int kRunFinished = 0;  // every stage finished, or a stop was asked for and heeded
inline constexpr int kRunFailed = 1;    // a stage failed for good, or the pipeline runs already
inline constexpr int kRunRefused = 2;   // the plan or the machine forbids it; nothing was started
inline constexpr int kRunForeignAbi = 5;  // a segment of another layout version is in the way

struct RunOptions {
  // Where the slipring program lies; programs of stages are searched from there.  Empty: the folder
  // of /proc/self/exe.
  std::string own_folder;
  bool json = false;   // events, states and a summary on stdout, an object a line
  bool quiet = false;  // on stderr only what went wrong
};

// Finds the stages' programs (and fills in their paths), asks each to describe itself, and compares
// plan, programs and machine: ports, options, CPUs, memory-lock limit, free space.  Starts no stage
// and creates nothing but the segment directory.
[[nodiscard]] std::vector<Finding> check_before_start(PipelinePlan& plan,
                                                      const RunOptions& options);

// Requires: the plan came without findings from parse_pipeline().  Findings, events and the live
// view go to stderr, JSON to stdout.
int run(PipelinePlan plan, const RunOptions& options);

}  // namespace slipring
