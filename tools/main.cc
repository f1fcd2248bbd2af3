// The `slipring` program.

#include <fcntl.h>

#include <csignal>
#include <cstdio>

#include "core/error/check.h"
#include "tools/command_line.h"

namespace {

void say_why(const char* why, const char* file, int line) noexcept {
  std::fprintf(stderr, "slipring: a bug of this program: %s (%s:%d)\n", why, file, line);
}

// Where standard input, output or errors are closed, the next file to be opened would take their
// place, a link's memory perhaps, and be read or written as them.  What is put there instead cannot
// be: reading or writing fails, as of what is closed.
void keep_standard_descriptors() noexcept {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    static_cast<void>(open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY));  // the lowest one free
  }
}

}  // namespace

int main(int argc, char** argv) {
  keep_standard_descriptors();
  slipring::check_failed_handler = say_why;
  // Some parents leave it ignored; `slipring ls | head -1` ends quietly.
  std::signal(SIGPIPE, SIG_DFL);
  return slipring::tools::run_command_line(argc, argv);
}
