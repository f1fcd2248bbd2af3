#include "platform/process/certificate_wait.h"

#include <time.h>

#include <algorithm>

#include "platform/process/peer.h"
#include "platform/wait/clock.h"

namespace slipring {

namespace {

void nap(std::uint64_t duration_ns) noexcept {
  struct timespec rest = {};
  rest.tv_nsec = static_cast<long>(duration_ns);
  // A signal ends it early, which costs a look.
  static_cast<void>(::nanosleep(&rest, nullptr));
}

// Until the holder has ended, or until `until_ns`.
void sleep_on(const Probe& probe, std::uint64_t until_ns) noexcept {
  if (probe.holder == Holder::kAnother && probe.pid > 0) {
    Result<Peer> holder = Peer::open(probe.pid);
    // Any answer is only a reason to look again.
    if (holder.ok() && holder->wait_ended(until_ns).ok()) return;
    if (!holder.ok() && holder.error().code == ErrorCode::kNotFound) return;
  }
  const std::uint64_t now_ns = monotonic_ns();
  if (now_ns < until_ns) nap(until_ns - now_ns);
}

}  // namespace

Result<bool> wait_until_free(const LockFile& lock_file, std::uint32_t role_byte,
                             std::uint64_t deadline_ns) noexcept {
  for (;;) {
    Result<Probe> probe = lock_file.probe(role_byte);
    if (!probe.ok()) return probe.error();
    if (probe->holder == Holder::kNobody) return true;
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) return false;
    sleep_on(*probe, std::min(deadline_ns, now_ns + kRoleLookNs));
  }
}

}  // namespace slipring
