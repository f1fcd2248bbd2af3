// What a stage's process prints, on stdout and stderr alike, told line by line as it comes.
//
// A pipe: the process writes to one end, the runner reads the other and never waits.
#pragma once

#include <string>
#include <utility>

#include "core/error/result.h"
#include "pipelines/stage/run_report.h"
#include "platform/process/descriptor.h"

namespace slipring {

// One thread.
class StageOutput {
 public:
  // `report` outlives it.
  StageOutput(RunReport& report, std::string stage_name)
      : report_(&report), stage_name_(std::move(stage_name)) {}

  struct Pipe {
    Descriptor to_read;  // does not block: the stage's writes must not fail when we are slow
    Descriptor to_write;
  };
  // Errors: kSystem.
  static Result<Pipe> make_pipe();

  // Reads from here from now on.  Requires: it is closed.
  void open(Descriptor to_read) noexcept { to_read_ = std::move(to_read); }
  [[nodiscard]] int fd() const noexcept { return to_read_.get(); }
  // Tells the lines that are there, at most so many bytes at once that others get their turn; at
  // the end closes.
  void read();
  // Tells what there is without a newline, too.  A closed one has nothing.
  void close();

 private:
  void tell_lines(bool is_end);

  RunReport* report_;
  std::string stage_name_;
  Descriptor to_read_;
  std::string pending_;  // not ended yet
};

}  // namespace slipring
