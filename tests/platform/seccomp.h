// Kernels that lack a system call, as a test can have them: a filter in the process that answers
// for the kernel.  It cannot be taken off again, so it belongs into a forked child.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <vector>

namespace slipring {

// A call to forbid, or only the calls whose argument `argument_index` has the value (low half).
struct ForbiddenCall {
  long number;
  int os_errno;  // what the caller gets
  std::optional<std::uint32_t> argument_value = {};
  std::uint32_t argument_index = 2;
};

// From here on the calling thread and its children get errors for these calls.  False where filters
// are not allowed.
inline bool forbid_calls(const std::vector<ForbiddenCall>& calls) {
  std::vector<sock_filter> program;
  const auto load = [&](std::size_t offset) {
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  };
  for (const ForbiddenCall& call : calls) {
    load(offsetof(seccomp_data, nr));
    const auto number = static_cast<std::uint32_t>(call.number);
    if (call.argument_value) {
      program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3));
      load(offsetof(seccomp_data, args) + 8 * std::size_t{call.argument_index});
      program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, *call.argument_value, 0, 1));
    } else {
      program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    }
    program.push_back(
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(call.os_errno)));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace slipring
