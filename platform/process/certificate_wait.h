// Sleeping until a role is free: for a successor that stands by, and for whoever cleans up.
//
// Only the certificate decides (certificate.h); what is slept on merely says when to look again.
// While the holder is visible that is its pidfd, which becomes readable after the kernel has
// dropped its locks, so that a death is noticed at once.  A holder that lays the role down and
// lives on, and one in a PID namespace that hides it, are noticed within kRoleLookNs; so is a
// number that was recycled between the probe and the opening of the pidfd.
#pragma once

#include <cstdint>

#include "core/error/result.h"
#include "platform/process/certificate.h"

namespace slipring {

inline constexpr std::uint64_t kRoleLookNs = 5'000'000;

// True as soon as nobody holds the role, false when CLOCK_MONOTONIC has passed `deadline_ns` and
// somebody still does.  Errors: as LockFile::probe().
Result<bool> wait_until_free(const LockFile& lock_file, std::uint32_t role_byte,
                             std::uint64_t deadline_ns) noexcept;

}  // namespace slipring
