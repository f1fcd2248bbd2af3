#include "tools/commands/command_table.h"

#include "tools/commands/carrying.h"
#include "tools/commands/program.h"
#include "tools/commands/segments.h"
#include "tools/commands/steering.h"
#include "tools/commands/watching.h"

namespace slipring::tools {

std::vector<Command> command_table() {
  return {
      run_command(),     create_command(), rm_command(),    ls_command(),    stat_command(),
      top_command(),     put_command(),    get_command(),   tail_command(),  pipe_command(),
      wire_command(),    abort_command(),  oob_command(),   serve_command(), verify_command(),
      reap_command(),    doctor_command(), bench_command(), man_command(),   completion_command(),
      version_command(),
  };
}

}  // namespace slipring::tools
