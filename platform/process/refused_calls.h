// Refusing this process the system calls that a stage never needs.
//
// A list of what is refused, and not of what is allowed: decoders, windows and programs that stages
// start may call what they like of the rest.  Refused is what reaches into other processes, or into
// the kernel: debugging and foreign memory, mounts and namespaces, BPF, performance counters,
// page faults in user space, keys, modules, kexec, reboot, swap, clocks and ports.  io_uring is
// not: disks are read with it, and none of these can be done over it.
#pragma once

#include <span>

#include "core/error/result.h"

namespace slipring {

// From here on these calls answer EPERM in all threads of this process, and in its children,
// whatever they execute.  Calls by another numbering than this program's are refused altogether;
// the 32-bit one of x86-64 has the same list.  It does not end.  Requires: privileges cannot be
// gained (inspection.h).  Errors: kUnsupported (the kernel has no filters, or another thread has
// one of its own), kSystem; then nothing has changed.
Status refuse_calls() noexcept;

// Their numbers, as this program would call them.
[[nodiscard]] std::span<const int> refused_calls() noexcept;

}  // namespace slipring
