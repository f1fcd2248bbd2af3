// The words of the command line: which command, with which options.
#pragma once

namespace slipring::tools {

// Runs the command that the arguments name and answers the process's exit status.
int run_command_line(int argc, char** argv);

}  // namespace slipring::tools
