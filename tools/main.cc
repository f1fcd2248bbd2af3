// The `slipring` program.

#include <csignal>
#include <cstdio>

#include "core/error/check.h"
#include "tools/command_line.h"

namespace {

void say_why(const char* why, const char* file, int line) noexcept {
  std::fprintf(stderr, "slipring: a bug of this program: %s (%s:%d)\n", why, file, line);
}

}  // namespace

int main(int argc, char** argv) {
  slipring::check_failed_handler = say_why;
  // Some parents leave it ignored; `slipring ls | head -1` ends quietly.
  std::signal(SIGPIPE, SIG_DFL);
  return slipring::tools::run_command_line(argc, argv);
}
