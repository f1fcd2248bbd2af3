#include "tests/faults/call_table.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>

namespace slipring::faults {

namespace {

// Newer than some headers.
constexpr std::uint64_t kOfdGetlk = 36;
constexpr std::uint64_t kAdviseCollapse = 25;
constexpr std::uint64_t kAtEmptyPath = 0x1000;
constexpr long kPidfdSendSignal = 424;
constexpr long kPidfdOpen = 434;
constexpr std::uint64_t kPeerPidfd = 77;  // SO_PEERPIDFD
constexpr long kCloseRange = 436;
constexpr long kFutexWaitv = 449;

const CallRule kCannotFail{"cannot fail", {}};

const CallRule* openat_rule(const Call& call) {
  static const CallRule kUnnamed{
      "openat(O_TMPFILE)",
      {EACCES, EDQUOT, EISDIR, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, EOPNOTSUPP, EPERM, EROFS},
      true};
  static const CallRule kOpen{
      "openat", {EACCES, ELOOP, EMFILE, ENFILE, ENOENT, ENOMEM, ENOTDIR, EPERM}, true};
  // To look at: that it is not there is an answer, as of fstatat.
  static const CallRule kPath{"openat(O_PATH)", {EACCES, ELOOP, EMFILE, ENFILE, ENOMEM}, true};
  if ((call.arguments[2] & O_PATH) != 0) return &kPath;
  return (call.arguments[2] & O_TMPFILE) == O_TMPFILE ? &kUnnamed : &kOpen;
}

const CallRule* mmap_rule(const Call& call) {
  // The heap has a second way to grow; memory_limit_test is about neither being left.
  static const CallRule kHeap{"mmap(heap)", {}};
  static const CallRule kReservation{"mmap(reservation)", {ENOMEM, EAGAIN}};
  static const CallRule kFile{"mmap(file)",
                              {EACCES, EAGAIN, ENFILE, ENODEV, ENOMEM, EPERM, EOVERFLOW}};
  if ((call.arguments[3] & MAP_ANONYMOUS) == 0) return &kFile;
  return call.arguments[2] == PROT_NONE ? &kReservation : &kHeap;
}

const CallRule* madvise_rule(const Call& call) {
  static const CallRule kFork{"madvise(DONTFORK)", {EAGAIN, ENOMEM}};
  static const CallRule kDump{"madvise(DONTDUMP)", {EAGAIN, ENOMEM}};
  static const CallRule kHuge{"madvise(HUGEPAGE)", {EAGAIN, EINVAL, ENOMEM}};
  static const CallRule kPopulate{
      "madvise(POPULATE)", {EAGAIN, EFAULT, EHWPOISON, EINVAL, ENOMEM, ENOSYS, EPERM}, true};
  static const CallRule kCollapse{"madvise(COLLAPSE)", {EAGAIN, EBUSY, EINVAL, ENOMEM}, true};
  switch (call.arguments[2]) {
    case MADV_DONTFORK:
      return &kFork;
    case MADV_DONTDUMP:
      return &kDump;
    case MADV_HUGEPAGE:
      return &kHuge;
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
      return &kPopulate;
    case kAdviseCollapse:
      return &kCollapse;
    default:
      return nullptr;
  }
}

const CallRule* fcntl_rule(const Call& call) {
  static const CallRule kLock{"fcntl(F_SETLK)", {EACCES, EAGAIN, ENOLCK, ENOMEM}, true};
  static const CallRule kUnlock{"fcntl(F_SETLK, F_UNLCK)", {ENOLCK, ENOMEM}, true};
  static const CallRule kProbe{"fcntl(F_OFD_GETLK)", {EINVAL, ENOLCK, ENOMEM}, true};
  static const CallRule kOldProbe{"fcntl(F_GETLK)", {ENOLCK, ENOMEM}, true};
  static const CallRule kDuplicate{"fcntl(F_DUPFD_CLOEXEC)", {EMFILE, ENFILE}};
  static const CallRule kFlags{"fcntl(F_GETFL)", {}};
  static const CallRule kMark{"fcntl(F_SETFD)", {}};
  static const CallRule kSeal{"fcntl(F_ADD_SEALS)", {EBUSY, EPERM, EINVAL}};
  static const CallRule kSeals{"fcntl(F_GET_SEALS)", {}};  // EINVAL: no memory file
  switch (call.arguments[1]) {
    case F_SETLK:
      return call.lock_type == F_UNLCK ? &kUnlock : &kLock;
    case F_GETLK:
      return &kOldProbe;
    case kOfdGetlk:
      return &kProbe;
    case F_DUPFD_CLOEXEC:
      return &kDuplicate;
    case F_GETFL:
    case F_SETFL:
      return &kFlags;
    case F_GETFD:
    case F_SETFD:
      return &kMark;
    case F_ADD_SEALS:
      return &kSeal;
    case F_GET_SEALS:
      return &kSeals;
    default:
      return nullptr;
  }
}

const CallRule* futex_rule(const Call& call) {
  static const CallRule kWait{"futex(WAIT)", {EAGAIN, ENOMEM, ETIMEDOUT}, true};
  static const CallRule kWake{"futex(WAKE)", {ENOMEM}};
  switch (call.arguments[1] & static_cast<std::uint64_t>(FUTEX_CMD_MASK)) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
      return &kWait;
    case FUTEX_WAKE:
      return &kWake;
    default:
      return nullptr;
  }
}

const CallRule* membarrier_rule(const Call& call) {
  static const CallRule kQuery{"membarrier(QUERY)", {ENOSYS, EPERM}};
  static const CallRule kRegister{"membarrier(REGISTER)", {EINVAL, ENOMEM, ENOSYS, EPERM}};
  static const CallRule kBarrier{"membarrier(GLOBAL_EXPEDITED)", {EINVAL, ENOMEM, ENOSYS, EPERM}};
  switch (call.arguments[0]) {
    case MEMBARRIER_CMD_QUERY:
      return &kQuery;
    case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
      return &kRegister;
    case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
      return &kBarrier;
    default:
      return nullptr;
  }
}

const CallRule* transfer_rule(const Call& call) {
  static const CallRule kReadEvent{"read(eventfd)", {EAGAIN}, true};
  static const CallRule kWriteEvent{"write(eventfd)", {EAGAIN}, true};
  static const CallRule kReadText{"read(/proc)", {EIO, ENOMEM, ESRCH}, true, true};
  static const CallRule kReadPipe{"read(pipe)", {EIO, ENOMEM}, true, true};
  // EPIPE says that nobody is left to care.
  static const CallRule kWritePipe{"write(pipe)", {}, true};
  static const CallRule kRead{"read", {EIO, ENOMEM}, true, true};
  static const CallRule kWrite{"write", {EDQUOT, EFBIG, EIO, ENOSPC, ENOMEM}, true, true};
  const bool reads = call.number == SYS_read;
  switch (call.file_kind) {
    case FileKind::kEvent:
      return reads ? &kReadEvent : &kWriteEvent;
    case FileKind::kPipe:
      return reads ? &kReadPipe : &kWritePipe;
    case FileKind::kKernelText:
      return reads ? &kReadText : &kWrite;
    default:
      return reads ? &kRead : &kWrite;
  }
}

const CallRule* stat_rule(const Call& call) {
  static const CallRule kDescriptor{"fstat", {EIO, ENOMEM, EOVERFLOW}};
  // ENOENT is no fault here but an answer: there is no such name.
  static const CallRule kName{"fstatat", {EACCES, EIO, ELOOP, ENOMEM, EOVERFLOW}};
  if (call.number == SYS_fstat) return &kDescriptor;
  return (call.arguments[3] & kAtEmptyPath) != 0 ? &kDescriptor : &kName;
}

// Files, directories and their names.
const CallRule* file_rule(long number) {
  static const CallRule kLink{
      "linkat", {EACCES, EDQUOT, EEXIST, EIO, EMLINK, ENOENT, ENOMEM, ENOSPC, EPERM, EROFS}};
  static const CallRule kUnlink{"unlinkat", {EACCES, EBUSY, EIO, ENOENT, ENOMEM, EPERM, EROFS}};
  static const CallRule kSystem{"fstatfs", {EIO, ENOMEM, ENOSYS, EOVERFLOW}, true};
  static const CallRule kResize{"ftruncate", {EFBIG, EIO, ENOMEM, ENOSPC, EPERM}, true};
  static const CallRule kAllocate{
      "fallocate", {EFBIG, EIO, ENOMEM, ENOSPC, ENOSYS, EOPNOTSUPP, EPERM}, true};
  static const CallRule kMode{"fchmod", {EIO, ENOMEM, EPERM, EROFS}};
  static const CallRule kOwner{"fchown", {EDQUOT, EIO, ENOMEM, ENOSPC, EPERM, EROFS}};
  static const CallRule kMake{
      "mkdir",
      {EACCES, EDQUOT, EEXIST, ELOOP, EMLINK, ENOENT, ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS}};
  static const CallRule kDrop{"rmdir", {EACCES, EBUSY, ENOENT, ENOTEMPTY, EPERM, EROFS}};
  static const CallRule kWrite{"pwrite", {EDQUOT, EFBIG, EIO, ENOSPC, ENOMEM}, true, true};
  static const CallRule kRead{"pread", {EIO, ENOMEM}, true, true};
  // ENOENT, of a removed directory, is an empty one to the C library.
  static const CallRule kEntries{"getdents64", {EIO, ENOMEM}};
  static const CallRule kTarget{"readlink", {EACCES, EIO, ENOENT, ENOMEM}};
  static const CallRule kClose{"close", {EINTR, EIO}, false, false, true};
  switch (number) {
    case SYS_linkat:
      return &kLink;
    case SYS_unlinkat:
    case SYS_unlink:
      return &kUnlink;
    case SYS_fstatfs:
      return &kSystem;
    case SYS_ftruncate:
      return &kResize;
    case SYS_fallocate:
      return &kAllocate;
    case SYS_fchmod:
      return &kMode;
    case SYS_fchown:
      return &kOwner;
    case SYS_mkdir:
      return &kMake;
    case SYS_rmdir:
      return &kDrop;
    case SYS_pwrite64:
      return &kWrite;
    case SYS_pread64:
      return &kRead;
    case SYS_getdents64:
      return &kEntries;
    case SYS_readlink:
      return &kTarget;
    case SYS_close:
      return &kClose;
    default:
      return nullptr;
  }
}

const CallRule* memory_rule(long number) {
  static const CallRule kUnmap{"munmap", {ENOMEM}};
  static const CallRule kLock{"mlock", {EAGAIN, ENOMEM, EPERM}};
  static const CallRule kUnnamed{"memfd_create",
                                 {EACCES, EINVAL, EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM}};
  static const CallRule kPlace{"mbind", {EINVAL, EIO, ENOMEM, ENOSYS, EPERM}};
  static const CallRule kGetPolicy{"get_mempolicy", {EINVAL, ENOSYS, EPERM}};
  static const CallRule kSetPolicy{"set_mempolicy", {EINVAL, ENOMEM, ENOSYS, EPERM}};
  static const CallRule kWhere{"move_pages", {EACCES, ENODEV, ENOMEM, ENOSYS, EPERM}};
  switch (number) {
    case SYS_munmap:
      return &kUnmap;
    case SYS_mlock:
    case SYS_mlock2:
      return &kLock;
    case SYS_memfd_create:
      return &kUnnamed;
    case SYS_mbind:
      return &kPlace;
    case SYS_get_mempolicy:
      return &kGetPolicy;
    case SYS_set_mempolicy:
      return &kSetPolicy;
    case SYS_move_pages:
      return &kWhere;
    default:
      return nullptr;
  }
}

const CallRule* process_rule(long number) {
  static const CallRule kOpen{"pidfd_open", {EMFILE, ENFILE, ENODEV, ENOMEM, ENOSYS, EPERM, ESRCH}};
  static const CallRule kSignal{"pidfd_send_signal", {EAGAIN, ENOSYS, EPERM, ESRCH}};
  static const CallRule kWaitid{"waitid", {ECHILD, ENOSYS}, true};
  // ECHILD says that somebody else reaps, which the contract forbids.
  static const CallRule kWait{"wait4", {}, true};
  static const CallRule kFork{"fork", {EAGAIN, ENOMEM, ENOSYS, EPERM}};
  static const CallRule kPipe{"pipe2", {EMFILE, ENFILE, ENOMEM}};
  static const CallRule kGroup{"setpgid", {EACCES, EPERM}};
  static const CallRule kDeath{"prctl(PDEATHSIG)", {EPERM, ENOSYS}};
  static const CallRule kCloseAll{"close_range", {EMFILE, ENOMEM, ENOSYS, EPERM}};
  static const CallRule kOnto{"dup2", {EBUSY, EMFILE}, true};
  // After ENOEXEC the C library runs it as a script, as shells do: that is another program.
  static const CallRule kExecute{"execve",
                                 {E2BIG, EACCES, EIO, ELIBBAD, ELOOP, EMFILE, ENFILE, ENOENT,
                                  ENOMEM, ENOTDIR, EPERM, ETXTBSY}};
  static const CallRule kAllowed{"sched_getaffinity", {EINVAL, ENOMEM, ENOSYS}};
  static const CallRule kPin{"sched_setaffinity", {EINVAL, ENOMEM, ENOSYS, EPERM}};
  static const CallRule kLimit{"prlimit64", {EPERM, ENOSYS}};
  static const CallRule kInfo{"sysinfo", {}};
  switch (number) {
    case kPidfdOpen:
      return &kOpen;
    case kPidfdSendSignal:
      return &kSignal;
    case SYS_waitid:
      return &kWaitid;
    case SYS_wait4:
      return &kWait;
    case SYS_clone:
    case SYS_fork:
    case SYS_vfork:
      return &kFork;
    case SYS_pipe2:
      return &kPipe;
    case SYS_setpgid:
      return &kGroup;
    case SYS_prctl:
      return &kDeath;
    case kCloseRange:
      return &kCloseAll;
    case SYS_dup2:
      return &kOnto;
    case SYS_execve:
      return &kExecute;
    case SYS_sched_getaffinity:
      return &kAllowed;
    case SYS_sched_setaffinity:
      return &kPin;
    case SYS_prlimit64:
    case SYS_getrlimit:
      return &kLimit;
    case SYS_sysinfo:
      return &kInfo;
    default:
      return nullptr;
  }
}

const CallRule* wait_rule(const Call& call) {
  static const CallRule kWaitAny{"futex_waitv", {EAGAIN, ENOMEM, ENOSYS, EPERM, ETIMEDOUT}, true};
  static const CallRule kPoll{"ppoll", {EINVAL, ENOMEM}, true};
  // Takes no memory, and RLIMIT_NOFILE would have to be 0.
  static const CallRule kPollOne{"ppoll(one)", {}, true};
  static const CallRule kEvent{"eventfd2", {EMFILE, ENFILE, ENODEV, ENOMEM, ENOSYS}};
  static const CallRule kNap{"clock_nanosleep", {}, true};
  static const CallRule kEpoll{"epoll_create1", {EMFILE, ENFILE, ENOMEM}};
  static const CallRule kEpollControl{"epoll_ctl", {ENOMEM, ENOSPC}};
  static const CallRule kEpollWait{"epoll_wait", {}, true};
  switch (call.number) {
    case kFutexWaitv:
      return &kWaitAny;
    case SYS_ppoll:
      return call.arguments[1] == 1 ? &kPollOne : &kPoll;
    case SYS_eventfd2:
      return &kEvent;
    case SYS_clock_nanosleep:
      return &kNap;
    case SYS_epoll_create1:
      return &kEpoll;
    case SYS_epoll_ctl:
      return &kEpollControl;
    case SYS_epoll_wait:
      return &kEpollWait;
    default:
      return nullptr;
  }
}

// Unix sockets, and their names.
const CallRule* socket_rule(const Call& call) {
  static const CallRule kSocket{"socket", {EMFILE, ENFILE, ENOBUFS, ENOMEM}};
  static const CallRule kBind{"bind", {EACCES, EIO, ENOMEM, ENOSPC, EROFS}};
  static const CallRule kListen{"listen", {ENOBUFS}};
  // That nobody listens, or too many wait, are answers and no faults; so is an empty queue.
  static const CallRule kConnect{"connect", {EACCES, ENOMEM}, true};
  static const CallRule kAccept{"accept4", {ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM}, true};
  static const CallRule kCredentials{"getsockopt(SO_PEERCRED)", {ENOBUFS, ENOMEM}};
  static const CallRule kPidfd{"getsockopt(SO_PEERPIDFD)",
                               {EMFILE, ENFILE, ENODATA, ENOMEM, ENOPROTOOPT, ESRCH}};
  static const CallRule kSend{
      "sendmsg", {EAGAIN, ECONNRESET, EMFILE, ENOBUFS, ENOMEM, EPIPE, ETOOMANYREFS}, true};
  static const CallRule kReceive{"recvmsg", {ECONNRESET, ENOMEM}, true};
  static const CallRule kRename{"renameat", {EACCES, EIO, ENOMEM, ENOSPC, EPERM, EROFS}};
  static const CallRule kMode{"fchmodat", {EIO, ENOENT, ENOMEM, EPERM, EROFS}};
  static const CallRule kOwner{"fchownat", {EIO, ENOENT, ENOMEM, EPERM, EROFS}};
  static const CallRule kMove{"mremap", {EAGAIN, ENOMEM}};
  switch (call.number) {
    case SYS_socket:
      return &kSocket;
    case SYS_bind:
      return &kBind;
    case SYS_listen:
      return &kListen;
    case SYS_connect:
      return &kConnect;
    case SYS_accept4:
      return &kAccept;
    case SYS_getsockopt:
      return call.arguments[2] == kPeerPidfd ? &kPidfd : &kCredentials;
    case SYS_sendmsg:
      return &kSend;
    case SYS_recvmsg:
      return &kReceive;
    case SYS_renameat:
      return &kRename;
    case SYS_fchmodat:
      return &kMode;
    case SYS_fchownat:
      return &kOwner;
    case SYS_mremap:
      return &kMove;
    default:
      return nullptr;
  }
}

// What no machine refuses: questions about ourselves, and what the C library does on its own.
bool cannot_fail(long number) {
  switch (number) {
    case SYS_brk:  // the heap's first way; mmap is its second
    case SYS_exit:
    case SYS_exit_group:
    case SYS_getegid:
    case SYS_geteuid:
    case SYS_getgid:
    case SYS_getgroups:
    case SYS_getpid:
    case SYS_getppid:
    case SYS_getrandom:  // the heap's cookie
    case SYS_gettid:
    case SYS_ioctl:  // is it a terminal
    case SYS_getuid:
    case SYS_kill:
    case SYS_rseq:
    case SYS_rt_sigaction:
    case SYS_rt_sigprocmask:
    case SYS_sched_yield:
    case SYS_set_robust_list:
    case SYS_tgkill:
    case SYS_uname:
      return true;
    default:
      return false;
  }
}

}  // namespace

const CallRule* rule_of(const Call& call) {
  switch (call.number) {
    case SYS_openat:
      return openat_rule(call);
    case SYS_mmap:
      return mmap_rule(call);
    case SYS_madvise:
      return madvise_rule(call);
    case SYS_fcntl:
      return fcntl_rule(call);
    case SYS_futex:
      return futex_rule(call);
    case SYS_membarrier:
      return membarrier_rule(call);
    case SYS_read:
    case SYS_write:
      return transfer_rule(call);
    case SYS_fstat:
    case SYS_newfstatat:
      return stat_rule(call);
    default:
      break;
  }
  if (const CallRule* rule = file_rule(call.number)) return rule;
  if (const CallRule* rule = memory_rule(call.number)) return rule;
  if (const CallRule* rule = process_rule(call.number)) return rule;
  if (const CallRule* rule = wait_rule(call)) return rule;
  if (const CallRule* rule = socket_rule(call)) return rule;
  return cannot_fail(call.number) ? &kCannotFail : nullptr;
}

std::string name_of(const Call& call) {
  const CallRule* rule = rule_of(call);
  if (rule != nullptr && rule != &kCannotFail) return rule->name;
  return "call " + std::to_string(call.number);
}

std::string name_of_errno(int os_errno) {
  const char* name = ::strerrorname_np(os_errno);
  return name != nullptr ? name : std::to_string(os_errno);
}

}  // namespace slipring::faults
