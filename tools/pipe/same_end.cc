#include "tools/pipe/same_end.h"

#include <sys/stat.h>
#include <unistd.h>

namespace slipring::tools {
namespace {

using Kind = Endpoint::Kind;

bool is_link(const Endpoint& endpoint) noexcept {
  return endpoint.kind == Kind::kRing || endpoint.kind == Kind::kTopic ||
         endpoint.kind == Kind::kMailbox;
}

// A file or FIFO, by name or as standard input or output.
bool look_at(const Endpoint& endpoint, int standard_fd, struct stat& found) noexcept {
  const bool is_there = endpoint.kind == Kind::kFile ? stat(endpoint.path.c_str(), &found) == 0
                        : endpoint.kind == Kind::kStandard ? fstat(standard_fd, &found) == 0
                                                           : false;
  return is_there && (S_ISREG(found.st_mode) || S_ISFIFO(found.st_mode));
}

}  // namespace

bool is_same_end(const Endpoint& from, const Endpoint& to) noexcept {
  if (is_link(from) && is_link(to)) return from.path == to.path;
  struct stat source {};
  struct stat sink {};
  return look_at(from, STDIN_FILENO, source) && look_at(to, STDOUT_FILENO, sink) &&
         source.st_dev == sink.st_dev && source.st_ino == sink.st_ino;
}

}  // namespace slipring::tools
