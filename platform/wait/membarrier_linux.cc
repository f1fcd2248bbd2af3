#include "platform/wait/membarrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace slipring {

namespace {

long call(int command) noexcept {
  return ::syscall(SYS_membarrier, command, 0, 0);
}

}  // namespace

bool membarrier_is_available() noexcept {
  static const bool available = [] {
    constexpr long kNeeded =
        MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED;
    const long commands = call(MEMBARRIER_CMD_QUERY);
    return commands > 0 && (commands & kNeeded) == kNeeded;
  }();
  return available;
}

bool membarrier_register() noexcept {
  return membarrier_is_available() && call(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0;
}

bool membarrier_all_registered() noexcept {
  return membarrier_is_available() && call(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
}

}  // namespace slipring
