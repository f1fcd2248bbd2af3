#include "platform/process/descriptor.h"

#include <unistd.h>

namespace slipring {

void Descriptor::reset() noexcept {
  if (fd_ < 0) return;
  // Linux frees the descriptor before close can be interrupted or fail: a retry could close
  // somebody else's, and no error of close concerns what we do with memory files and pidfds.
  ::close(std::exchange(fd_, -1));
}

}  // namespace slipring
