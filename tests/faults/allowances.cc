#include "tests/faults/allowances.h"

#include <cerrno>
#include <vector>

namespace slipring::faults {

namespace {

constexpr std::string_view kSweep =
    "the sweep before or after is a courtesy: what it cannot judge stays for the next one";
constexpr std::string_view kOtherWay = "there are two ways to name a file, and the other was taken";
constexpr std::string_view kProcessors =
    "the C library counts the processors another way, and the count is only a hint";
constexpr std::string_view kNodes = "the number of nodes only words the report; asked for again";
constexpr std::string_view kFences = "fences instead: Doorbell::is_fence_free";
constexpr std::string_view kBlind = "the sleep is a short one instead: Arming::is_blind";
constexpr std::string_view kLooksAgain = "the waiter looks and sleeps again, until its deadline";
constexpr std::string_view kDemandsMore =
    "what this kernel can protect could not be tried: then the best is demanded";
constexpr std::string_view kSweptTooEarly =
    "another took the new name for one of the dead: begun again";
constexpr std::string_view kDying =
    "busy: asked again until an earlier run's processes have had time to die";
constexpr std::string_view kStale = "the next owner recognises and removes a stale name";
constexpr std::string_view kStaleName = "; file left: ";
constexpr std::string_view kOrphan = "; file left: .a..lock";

constexpr Allowance kAllowances[] = {
    {"", "close", 0, "Linux frees the descriptor before close can fail"},
    {"", "munmap", 0, "the range stays, unused, until the process ends", "; mapping left: "},
    {"", "fcntl(F_SETLK, F_UNLCK)", 0,
     "the lock goes with the descriptor, or at the next look into the table"},

    {"directory: ", "openat", ENOENT, "it was made meanwhile, by us or another"},
    {"segment: create on a node", "openat", 0, kNodes},
    {"segment: create on a node", "read(/proc)", 0, kNodes},
    {"segment: remove", "openat", 0, kSweep, kOrphan},
    {"segment: remove", "fstat", 0, kSweep, kOrphan},
    {"segment: remove", "getdents64", 0, kSweep, kOrphan},
    {"segment: remove", "fstatat", 0, kSweep, kOrphan},
    {"segment: remove", "fcntl(F_OFD_GETLK)", 0, kSweep, kOrphan},
    {"segment: remove", "unlinkat", 0, kSweep, kOrphan},
    {"segment: ", "openat", 0, kSweep},
    {"segment: ", "fstat", 0, kSweep},
    {"segment: ", "getdents64", 0, kSweep},
    {"segment: ", "fstatat", 0, kSweep},
    {"segment: ", "fcntl(F_OFD_GETLK)", 0, kSweep},
    {"segment: ", "unlinkat", 0, kSweep},
    {"segment: ", "linkat", EACCES, kOtherWay},
    {"segment: ", "linkat", ENOENT, kOtherWay},
    {"segment: ", "linkat", EPERM, kOtherWay},
    {"segment: ", "linkat", EEXIST,
     "a lock file left from an earlier life of the number is replaced"},
    {"segment: create on a node", "set_mempolicy", 0,
     "the thread keeps the policy that it was given for a moment"},
    {"link: create", "openat", 0, kSweep},
    {"link: create", "fstat", 0, kSweep},
    {"link: create", "getdents64", 0, kSweep},
    {"link: create", "linkat", EACCES, kOtherWay},
    {"link: create", "linkat", ENOENT, kOtherWay},
    {"link: create", "linkat", EPERM, kOtherWay},
    {"link: create", "linkat", EEXIST, "as in segment: create"},

    {"mapping: on a node", "openat", 0, kNodes},
    {"mapping: on a node", "read(/proc)", 0, kNodes},
    {"mapping: on a node", "move_pages", 0, "NumaReport::node_mask says 0: unknown"},
    {"mapping: huge pages", "openat", 0, "the report says what came of it"},
    {"mapping: huge pages", "read(/proc)", 0, "the report says what came of it"},
    {"mapping: huge pages", "madvise(HUGEPAGE)", 0,
     "merging succeeds without it, and the report tells"},
    {"mapping: huge pages", "madvise(COLLAPSE)", EAGAIN, "tried again"},
    {"", "madvise(POPULATE)", EAGAIN, "tried again"},
    {"", "madvise(POPULATE)", 0, "touched page by page instead: Prefault::kTouched"},
    {"memory file: ", "memfd_create", EINVAL, "a kernel before 6.3 knows no such seal"},

    {"child: ", "close_range", 0, "descriptors are marked one by one instead"},
    {"child: start pinned, by name", "execve", 0, "the next place of PATH has it"},
    {"child: start what is not there", "execve", 0, "not there, not to be run: the same answer"},
    {"child: start what is not there", "pidfd_open", 0, "what the child says of itself goes first"},

    {"certificate: ", "fcntl(F_OFD_GETLK)", EINVAL, "kernels before 3.15: asked the older way"},
    {"certificate: acquire", "fcntl(F_OFD_GETLK)", 0, "busy, and nobody is named"},
    {"certificate: acquire", "fcntl(F_SETLK)", 0, "that is what busy means"},
    {"certificate: is it intact", "fstat", 0, "what cannot be seen to be intact is said not to be"},
    {"certificate: is it intact", "fcntl(F_OFD_GETLK)", 0, "as above"},
    {"link: report", "fcntl(F_OFD_GETLK)", 0, "whoever cannot be asked for may live: kAnother"},
    {"board: is it held", "fcntl(F_OFD_GETLK)", 0, "whoever cannot be asked for may live"},

    {"waiter: ", "openat", 0, kProcessors},
    {"waiter: ", "read(/proc)", 0, kProcessors},
    {"link: send", "openat", 0, kProcessors},
    {"link: send", "read(/proc)", 0, kProcessors},

    {"", "membarrier(QUERY)", 0, kFences},
    {"", "membarrier(REGISTER)", 0, kFences},
    {"", "membarrier(GLOBAL_EXPEDITED)", 0, kBlind},
    {"", "futex(WAIT)", 0, kLooksAgain},
    {"", "futex_waitv", 0, kLooksAgain},
    {"", "futex(WAKE)", ENOMEM, "the sleeper's bound wakes it"},
    {"", "ppoll", 0, "looked at one by one, and napped"},
    {"", "read(eventfd)", EAGAIN, "it was drained already"},
    {"event bell: ", "write(eventfd)", EAGAIN, "a full one is readable"},

    {"stage: lock", "openat", 0, kSweep},
    {"stage: lock", "fstat", 0, kSweep},
    {"stage: lock", "fstatat", 0, kSweep},
    {"stage: lock", "getdents64", 0, kSweep},
    {"stage: lock", "unlinkat", 0, kSweep},
    {"stage: lock", "fcntl(F_OFD_GETLK)", 0, kSweep},
    {"stage: lock", "socket", ENOBUFS, kDying},
    {"stage: lock", "fcntl(F_SETLK)", EACCES, kDying},
    {"stage: lock", "fcntl(F_SETLK)", EAGAIN, kDying},
    {"stage: lock", "linkat", EACCES, kOtherWay},
    {"stage: lock", "linkat", ENOENT, kOtherWay},
    {"stage: lock", "linkat", EPERM, kOtherWay},
    {"stage: lock", "linkat", EEXIST, "as in segment: create; or another runner made it"},
    {"stage: start", "close_range", 0, "descriptors are marked one by one instead"},
    {"stage: start", "read(pipe)", 0, "what a stage says is lost then, and the stage goes on"},

    {"sealed: ", "memfd_create", EINVAL, "a kernel before 6.3 knows no such seal"},
    {"sealed: ", "fcntl(F_ADD_SEALS)", EINVAL, "a kernel before 5.1: the protection says so"},
    {"sealed: refuse", "memfd_create", 0, kDemandsMore},
    {"sealed: refuse", "fstatfs", 0, kDemandsMore},
    {"sealed: refuse", "ftruncate", 0, kDemandsMore},
    {"sealed: refuse", "fallocate", 0, kDemandsMore},
    {"sealed: refuse", "fchmod", 0, kDemandsMore},
    {"sealed: refuse", "fcntl(F_ADD_SEALS)", 0, kDemandsMore},
    {"sealed: refuse", "fstat", 0, kDemandsMore},
    {"guarded: ", "memfd_create", EINVAL, "a kernel before 6.3 knows no such seal"},
    {"guarded: ", "fcntl(F_ADD_SEALS)", EINVAL, "a kernel before 5.1: the protection says so"},
    {"guarded: ", "mlock", 0, "the broker's page and the other end's are locked if possible"},
    {"rendezvous: ", "openat", 0, "no descriptor in reserve: newcomers wait instead", kStaleName},
    {"guarded: create", "openat", 0, "as above", kStaleName},
    {"rendezvous: create", "fstat", 0, kSweep},
    {"guarded: create", "fstat", 0, kSweep},
    {"rendezvous: create", "getdents64", 0, kSweep},
    {"guarded: create", "getdents64", 0, kSweep},
    {"rendezvous: create", "fchmodat", ENOENT, kSweptTooEarly},
    {"guarded: create", "fchmodat", ENOENT, kSweptTooEarly},
    {"rendezvous: create", "fchownat", ENOENT, kSweptTooEarly},
    {"rendezvous: create", "linkat", ENOENT, kSweptTooEarly},
    {"guarded: create", "linkat", ENOENT, kSweptTooEarly},
    {"rendezvous: create", "linkat", EEXIST, "another was quicker: looked at again"},
    {"guarded: create", "linkat", EEXIST, "another was quicker: looked at again"},
    {"rendezvous: ", "fstatat", 0, kStale, kStaleName},
    {"guarded: create", "fstatat", 0, kStale, kStaleName},
    {"rendezvous: ", "unlinkat", 0, kStale, kStaleName},
    {"guarded: create", "unlinkat", 0, kStale, kStaleName},
    {"rendezvous: ", "getsockopt(SO_PEERPIDFD)", ENOPROTOOPT, "kernels before 6.5: by number"},
    {"guarded: ", "getsockopt(SO_PEERPIDFD)", ENOPROTOOPT, "kernels before 6.5: by number"},
    {"rendezvous: meet", "recvmsg", ECONNRESET, "said once, before what had been sent comes"},
    {"broker: ", "getsockopt(SO_PEERPIDFD)", ENOPROTOOPT, "kernels before 6.5: by number"},
    {"broker: ", "accept4", 0, "it waits for the next turn"},
    {"broker: ", "recvmsg", ECONNRESET, "said once, before what had been sent comes"},
    {"broker: ", "memfd_create", EINVAL, "a kernel before 6.3 knows no such seal"},
    {"broker: ", "sendmsg", 0, "news are told once the end can be written to"},
    {"rendezvous: ", "accept4", 0, "it waits for the next turn"},
    {"guarded: ", "recvmsg", ECONNRESET, "said once, before what had been sent comes"},
};

}  // namespace

std::span<const Allowance> allowances() {
  return kAllowances;
}

std::span<const Translation> translations() {
  static const std::vector<Translation> kTranslations = {
      {"openat", ENOTDIR, ErrorCode::kPermission, "a link or a file in the directory's place"},
      {"execve", ENOTDIR, ErrorCode::kNotFound, "a file in a directory's place: no such program"},
      {"socket", ENOBUFS, ErrorCode::kBusy, "no memory for it now"},
      {"sendmsg", EAGAIN, ErrorCode::kBusy, "what was sent before is not read yet"},
      {"sendmsg", ENOBUFS, ErrorCode::kBusy, "no memory for it now"},
      {"sendmsg", ETOOMANYREFS, ErrorCode::kBusy, "too many descriptors are under way"},
      {"sendmsg", ECONNRESET, ErrorCode::kClosed, "that is what it means"},
      {"sendmsg", EPIPE, ErrorCode::kClosed, "that is what it means"},
      {"recvmsg", ECONNRESET, ErrorCode::kClosed, "that is what it means"},
      {"fcntl(F_ADD_SEALS)", EINVAL, ErrorCode::kCorruptPeer, "the broker demands what it can do"},
      {"fcntl(F_ADD_SEALS)", EINVAL, ErrorCode::kSystem, "nor does it begin with less"},
      {"linkat", EEXIST, ErrorCode::kExists, "others take the name again and again"},
      {"unlinkat", ENOENT, ErrorCode::kExists, "the stale name is gone, and taken again"},
      {"mkdir", EEXIST, ErrorCode::kNotFound, "made by another, and gone again"},
      {"openat(O_TMPFILE)", EISDIR, ErrorCode::kUnsupported, "how old kernels say it"},
      {"openat(O_TMPFILE)", ENOENT, ErrorCode::kUnsupported, "how old kernels say it"},
      {"fcntl(F_SETLK)", EAGAIN, ErrorCode::kBusy, "that is what it means"},
      {"fcntl(F_SETLK)", EACCES, ErrorCode::kBusy, "that is what it means"},
      {"madvise(POPULATE)", EFAULT, ErrorCode::kNoSpace,
       "memory.h documents it: no page to be had"},
      {"mlock", EPERM, ErrorCode::kLockLimit, "a limit of 0"},
  };
  return kTranslations;
}

bool is_fitting(ErrorCode code, int os_errno) {
  switch (os_errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return code == ErrorCode::kNoSpace;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return code == ErrorCode::kNoSpace || code == ErrorCode::kSystem;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
      return code == ErrorCode::kPermission || code == ErrorCode::kSystem;
    case ENOENT:
    case ESRCH:
    case ECHILD:
      return code == ErrorCode::kNotFound || code == ErrorCode::kSystem;
    case EEXIST:
      return code == ErrorCode::kExists || code == ErrorCode::kSystem;
    case ENOSYS:
    case EOPNOTSUPP:
      return code == ErrorCode::kUnsupported || code == ErrorCode::kSystem;
    default:
      return code == ErrorCode::kSystem;
  }
}

}  // namespace slipring::faults
