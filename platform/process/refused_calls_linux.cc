#include "platform/process/refused_calls.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace slipring {
namespace {

// Numbers from 403 on are the same on every architecture.
constexpr std::array kNewCalls{
    404,                 // clock_settime64
    405,                 // clock_adjtime64
    428, 429,            // open_tree, move_mount
    430, 431, 432, 433,  // fsopen, fsconfig, fsmount, fspick
    438,                 // pidfd_getfd
    440,                 // process_madvise
    442, 443,            // mount_setattr, quotactl_fd
};

// Not every architecture has these; one that is refused anyway stands for what is not there.
#if defined(SYS_kexec_file_load)
constexpr auto kKexecFile = SYS_kexec_file_load;
#else
constexpr auto kKexecFile = SYS_kexec_load;
#endif
#if defined(SYS_ioperm)
constexpr auto kPorts = SYS_ioperm;
constexpr auto kPortLevel = SYS_iopl;
#else
constexpr auto kPorts = SYS_reboot;
constexpr auto kPortLevel = SYS_reboot;
#endif

constexpr std::array kOwnCalls{
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    kKexecFile,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_open_by_handle_at,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    kPorts,
    kPortLevel,
    SYS_lookup_dcookie,
};

// The same as i386 numbers them, for x86-64: any program there can call by them.
constexpr std::array kI386Calls{
    26,  347, 348, 349,            // ptrace, process_vm_readv, process_vm_writev, kcmp
    21,  22,  52,  217, 61,        // mount, umount, umount2, pivot_root, chroot
    310, 346,                      // unshare, setns
    357, 336, 374,                 // bpf, perf_event_open, userfaultfd
    288, 286, 287,                 // keyctl, add_key, request_key
    128, 350, 129,                 // init_module, finit_module, delete_module
    283, 88,  87,  115, 51,  131,  // kexec_load, reboot, swapon, swapoff, acct, quotactl
    342, 74,  121,                 // open_by_handle_at, sethostname, setdomainname
    79,  25,  264, 124, 343,       // settimeofday, stime, clock_settime, adjtimex, clock_adjtime
    253, 101, 110,                 // lookup_dcookie, ioperm, iopl
};

#if defined(__x86_64__)
constexpr std::uint32_t kOwnNumbering = AUDIT_ARCH_X86_64;
constexpr bool kHasI386 = true;
#elif defined(__i386__)
constexpr std::uint32_t kOwnNumbering = AUDIT_ARCH_I386;
constexpr bool kHasI386 = false;
#elif defined(__aarch64__)
constexpr std::uint32_t kOwnNumbering = AUDIT_ARCH_AARCH64;
constexpr bool kHasI386 = false;
#elif defined(__arm__)
constexpr std::uint32_t kOwnNumbering = AUDIT_ARCH_ARM;
constexpr bool kHasI386 = false;
#else
constexpr std::uint32_t kOwnNumbering = 0;  // unknown: kUnsupported
constexpr bool kHasI386 = false;
#endif
// What x32 adds to a number of x86-64; no other numbering reaches there.
constexpr std::uint32_t kX32 = 0x4000'0000;

constexpr std::uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;

// A filter under construction.
class Filter {
 public:
  void take_word(std::size_t offset) noexcept {
    add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset), 0, 0);
  }
  void answer(std::uint32_t what) noexcept { add(BPF_RET | BPF_K, what, 0, 0); }
  // Goes on behind the next `count` lines if the word is `value`; unless it is; unless it is that
  // or more.
  void if_equal_skip(std::uint32_t value, std::size_t count) noexcept {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, static_cast<std::uint8_t>(count), 0);
  }
  void unless_equal_skip(std::uint32_t value, std::size_t count) noexcept {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, static_cast<std::uint8_t>(count));
  }
  void unless_from_skip(std::uint32_t value, std::size_t count) noexcept {
    add(BPF_JMP | BPF_JGE | BPF_K, value, 0, static_cast<std::uint8_t>(count));
  }
  template <typename Calls>
  void refuse(const Calls& calls) noexcept {
    for (const auto number : calls) {
      unless_equal_skip(static_cast<std::uint32_t>(number), 1);
      answer(kRefuse);
    }
  }
  [[nodiscard]] sock_fprog program() noexcept {
    return {static_cast<unsigned short>(size_), lines_.data()};
  }

 private:
  void add(int code, std::uint32_t k, std::uint8_t if_true, std::uint8_t if_false) noexcept {
    lines_[size_++] = {static_cast<std::uint16_t>(code), if_true, if_false, k};
  }
  std::array<sock_filter, 2 * (kOwnCalls.size() + kI386Calls.size() + 2 * kNewCalls.size()) + 16>
      lines_{};
  std::size_t size_ = 0;
};

constexpr auto kCalls = [] {
  std::array<int, kOwnCalls.size() + kNewCalls.size()> all{};
  std::size_t count = 0;
  for (const auto number : kOwnCalls) all[count++] = static_cast<int>(number);
  for (const auto number : kNewCalls) all[count++] = number;
  return all;
}();

}  // namespace

std::span<const int> refused_calls() noexcept {
  return kCalls;
}

Status refuse_calls() noexcept {
  if (kOwnNumbering == 0) {
    return Error{ErrorCode::kUnsupported, 0, "refuse system calls on this architecture"};
  }
  Filter filter;
  if (kHasI386) {
    constexpr std::size_t kSize = 2 * (kI386Calls.size() + kNewCalls.size()) + 2;
    static_assert(kSize <= UINT8_MAX, "too far for a jump");
    filter.take_word(offsetof(seccomp_data, arch));
    filter.unless_equal_skip(AUDIT_ARCH_I386, kSize);
    filter.take_word(offsetof(seccomp_data, nr));
    filter.refuse(kI386Calls);
    filter.refuse(kNewCalls);
    filter.answer(SECCOMP_RET_ALLOW);
  }
  filter.take_word(offsetof(seccomp_data, arch));
  filter.if_equal_skip(kOwnNumbering, 1);
  filter.answer(kRefuse);
  filter.take_word(offsetof(seccomp_data, nr));
  filter.unless_from_skip(kX32, 1);
  filter.answer(kRefuse);
  filter.refuse(kOwnCalls);
  filter.refuse(kNewCalls);
  filter.answer(SECCOMP_RET_ALLOW);
  const sock_fprog program = filter.program();
  const long answer =
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (answer == 0) return {};
  // Positive: the thread that has a filter of its own.
  if (answer > 0) return Error{ErrorCode::kUnsupported, 0, "refuse system calls in every thread"};
  const bool is_missing = errno == ENOSYS || errno == EINVAL;
  return Error{is_missing ? ErrorCode::kUnsupported : ErrorCode::kSystem, errno,
               "refuse system calls"};
}

}  // namespace slipring
