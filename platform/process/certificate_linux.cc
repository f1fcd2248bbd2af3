#include "platform/process/certificate.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>
#include <vector>

#include "core/error/check.h"

namespace slipring {

namespace {

// One lock inode, as this process knows it.
struct Entry {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  // Usually one.  A second one appears when the name changed its inode between looking and opening;
  // it must stay open for as long as the first.
  std::vector<int> fds;
  std::uint32_t user_count = 0;  // LockFiles and Certificates
  std::vector<std::uint32_t> held_bytes;
  std::vector<std::uint32_t> stuck_bytes;  // laid down, but the kernel had no memory to unlock them
};

struct Table {
  std::mutex mutex;
  std::vector<Entry> entries;
  std::uint64_t generation = 1;  // one more in every forked child
  pid_t pid = ::getpid();
};

// Never destroyed: certificates in static storage may outlive any static of ours.
Table& table();

// The child's view after fork: the descriptors are copies, the locks are the parent's.
void forget_everything(Table& of) noexcept {
  for (const Entry& entry : of.entries) {
    for (const int fd : entry.fds) ::close(fd);
  }
  of.entries.clear();
  ++of.generation;
  of.pid = ::getpid();
}

Table* make_table() noexcept {
  auto* made = new Table;
  // The handlers keep the mutex free in the child whatever other threads were doing.
  const int failed = ::pthread_atfork([] { table().mutex.lock(); }, [] { table().mutex.unlock(); },
                                      [] {
                                        forget_everything(table());
                                        table().mutex.unlock();
                                      });
  check(failed == 0, "no memory for a fork handler");
  return made;
}

Table& table() {
  static Table* const the_table = make_table();
  return *the_table;
}

struct flock one_byte(short type, std::uint32_t role_byte) noexcept {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(role_byte);
  lock.l_len = 1;
  return lock;
}

int fcntl_lock(int fd, int command, struct flock& lock) noexcept {
  int answer = 0;
  do {
    answer = ::fcntl(fd, command, &lock);
  } while (answer < 0 && errno == EINTR);
  return answer;
}

// False if the kernel has no memory for it: cutting one byte out of locked ones takes some.  If
// foreign code closed the descriptor, the lock is gone already.
bool unlock(int fd, std::uint32_t role_byte) noexcept {
  struct flock lock = one_byte(F_UNLCK, role_byte);
  return fcntl_lock(fd, F_SETLK, lock) == 0 || errno == EBADF;
}

// A role that was laid down must not look held for as long as we live.
void unlock_stuck(Entry& entry) noexcept {
  std::erase_if(entry.stuck_bytes,
                [&](std::uint32_t role_byte) { return unlock(entry.fds.front(), role_byte); });
}

void lay_down(Entry& entry, std::uint32_t role_byte) noexcept {
  std::erase(entry.held_bytes, role_byte);
  if (unlock(entry.fds.front(), role_byte)) return;
  if (entry.held_bytes.empty()) {
    // Closing any descriptor of the inode drops all our locks there, without memory.
    const int copy = ::fcntl(entry.fds.front(), F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) {
      ::close(copy);
      entry.stuck_bytes.clear();
      return;
    }
  }
  entry.stuck_bytes.push_back(role_byte);
}

// Holds the table, and notices a fork that bypassed the handlers.
class Guard {
 public:
  Guard() noexcept : table_(table()), lock_(table_.mutex) {
    if (table_.pid != ::getpid()) forget_everything(table_);
    for (Entry& entry : table_.entries) unlock_stuck(entry);
  }
  Table* operator->() noexcept { return &table_; }

  Entry* find(std::uint64_t device, std::uint64_t inode) noexcept {
    for (Entry& entry : table_.entries) {
      if (entry.device == device && entry.inode == inode) return &entry;
    }
    return nullptr;
  }

  // The entry of a handle that was made in this very process, or nullptr.
  Entry* find(std::uint64_t device, std::uint64_t inode, std::uint64_t generation) noexcept {
    return generation == table_.generation ? find(device, inode) : nullptr;
  }

  Entry& add(std::uint64_t device, std::uint64_t inode, int fd) noexcept {
    return table_.entries.emplace_back(Entry{device, inode, {fd}, 0, {}, {}});
  }

  void drop_user(Entry& entry) noexcept {
    check(entry.user_count > 0, "a lock entry outlives its users");
    if (--entry.user_count != 0) return;
    for (const int fd : entry.fds) ::close(fd);
    table_.entries.erase(table_.entries.begin() + (&entry - table_.entries.data()));
  }

 private:
  Table& table_;
  std::lock_guard<std::mutex> lock_;
};

// Asks the kernel.  An open-file-description query conflicts with POSIX locks of every process,
// ours included; kernels before 3.15 answer for the others alone.
Result<Probe> ask_kernel(int fd, std::uint32_t role_byte) noexcept {
  struct flock lock = one_byte(F_WRLCK, role_byte);
  if (fcntl_lock(fd, F_OFD_GETLK, lock) != 0) {
    if (errno != EINVAL) return Error{ErrorCode::kSystem, errno, "probe a certificate"};
    lock = one_byte(F_WRLCK, role_byte);
    if (fcntl_lock(fd, F_GETLK, lock) != 0) {
      return Error{ErrorCode::kSystem, errno, "probe a certificate"};
    }
  }
  if (lock.l_type == F_UNLCK) return Probe{Holder::kNobody, 0};
  if (lock.l_pid == ::getpid()) return Probe{Holder::kUs, lock.l_pid};
  return Probe{Holder::kAnother, std::max<pid_t>(lock.l_pid, 0)};
}

bool holds(const Entry& entry, std::uint32_t role_byte) noexcept {
  return std::find(entry.held_bytes.begin(), entry.held_bytes.end(), role_byte) !=
         entry.held_bytes.end();
}

Error from_open_errno(int os_errno) noexcept {
  switch (os_errno) {
    case ENOENT:
      return {ErrorCode::kNotFound, os_errno, "open a segment's lock file"};
    case EACCES:
    case EPERM:
    case ELOOP:
    case EISDIR:
      return {ErrorCode::kPermission, os_errno, "open a segment's lock file"};
    default:
      return {ErrorCode::kSystem, os_errno, "open a segment's lock file"};
  }
}

constexpr Error kByteOutOfRange{ErrorCode::kInvalidArgument, 0,
                                "use a role byte within kRoleByteCount"};
constexpr Error kHandleOfAnotherProcess{ErrorCode::kInvalidArgument, 0,
                                        "use a lock file that was opened before fork"};

}  // namespace

Result<LockFile> LockFile::open(int directory_fd, const char* file_name) noexcept {
  Guard guard;
  struct stat seen = {};
  if (::fstatat(directory_fd, file_name, &seen, AT_SYMLINK_NOFOLLOW) != 0) {
    return from_open_errno(errno);
  }
  if (!S_ISREG(seen.st_mode)) {
    return Error{ErrorCode::kPermission, 0, "use a lock file that is not a regular file"};
  }
  // An inode that is in the table already is not opened a second time, since the second descriptor
  // could not be closed.
  if (Entry* entry = guard.find(seen.st_dev, seen.st_ino)) {
    ++entry->user_count;
    return LockFile(seen.st_dev, seen.st_ino, guard->generation);
  }
  int fd = -1;
  do {
    fd = ::openat(directory_fd, file_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return from_open_errno(errno);

  struct stat opened = {};
  if (::fstat(fd, &opened) != 0) {
    const int os_errno = errno;
    ::close(fd);
    return Error{ErrorCode::kSystem, os_errno, "look at a segment's lock file"};
  }
  if (!S_ISREG(opened.st_mode)) {
    ::close(fd);
    return Error{ErrorCode::kPermission, 0, "use a lock file that is not a regular file"};
  }
  Entry* entry = guard.find(opened.st_dev, opened.st_ino);
  if (entry != nullptr) {
    entry->fds.push_back(fd);
  } else {
    entry = &guard.add(opened.st_dev, opened.st_ino, fd);
  }
  ++entry->user_count;
  return LockFile(opened.st_dev, opened.st_ino, guard->generation);
}

Result<LockFile> LockFile::adopt(int fd) noexcept {
  Guard guard;
  struct stat opened = {};
  if (::fstat(fd, &opened) != 0) {
    const int os_errno = errno;
    ::close(fd);
    return Error{ErrorCode::kSystem, os_errno, "adopt a lock file"};
  }
  check(guard.find(opened.st_dev, opened.st_ino) == nullptr, "the lock file is known already");
  ++guard.add(opened.st_dev, opened.st_ino, fd).user_count;
  return LockFile(opened.st_dev, opened.st_ino, guard->generation);
}

LockFile::LockFile(LockFile&& other) noexcept
    : device_(other.device_),
      inode_(other.inode_),
      generation_(std::exchange(other.generation_, 0)) {}

LockFile& LockFile::operator=(LockFile&& other) noexcept {
  if (this != &other) {
    drop();
    device_ = other.device_;
    inode_ = other.inode_;
    generation_ = std::exchange(other.generation_, 0);
  }
  return *this;
}

LockFile::~LockFile() {
  drop();
}

void LockFile::drop() noexcept {
  if (generation_ == 0) return;
  Guard guard;
  if (Entry* entry = guard.find(device_, inode_, generation_)) guard.drop_user(*entry);
  generation_ = 0;
}

int LockFile::borrowed_fd() const noexcept {
  Guard guard;
  const Entry* entry = guard.find(device_, inode_, generation_);
  return entry != nullptr ? entry->fds.front() : -1;
}

namespace {

Result<Probe> probe_inode(std::uint64_t device, std::uint64_t inode, std::uint64_t generation,
                          std::uint32_t role_byte) noexcept {
  if (role_byte >= kRoleByteCount) return kByteOutOfRange;
  Guard guard;
  const Entry* entry = guard.find(device, inode, generation);
  if (entry == nullptr) return kHandleOfAnotherProcess;
  if (holds(*entry, role_byte)) return Probe{Holder::kUs, guard->pid};
  return ask_kernel(entry->fds.front(), role_byte);
}

}  // namespace

Result<Probe> LockFile::probe(std::uint32_t role_byte) const noexcept {
  return probe_inode(device_, inode_, generation_, role_byte);
}

Result<Probe> Certificate::probe(std::uint32_t role_byte) const noexcept {
  return probe_inode(device_, inode_, generation_, role_byte);
}

Result<Certificate> Certificate::acquire(const LockFile& lock_file,
                                         std::uint32_t role_byte) noexcept {
  if (role_byte >= kRoleByteCount) return kByteOutOfRange;
  Guard guard;
  Entry* entry = guard.find(lock_file.device_, lock_file.inode_, lock_file.generation_);
  if (entry == nullptr) return kHandleOfAnotherProcess;
  if (holds(*entry, role_byte)) {
    return Error{ErrorCode::kBusy, 0, "take a role that this process holds already",
                 static_cast<std::uint64_t>(guard->pid)};
  }
  const int fd = entry->fds.front();
  struct flock lock = one_byte(F_WRLCK, role_byte);
  if (fcntl_lock(fd, F_SETLK, lock) != 0) {
    if (errno != EAGAIN && errno != EACCES) {
      return Error{ErrorCode::kSystem, errno, "take a role's certificate"};
    }
    // The holder may have died since: then nobody is named, and the caller may try again.
    Result<Probe> holder = ask_kernel(fd, role_byte);
    const pid_t pid = holder.ok() ? holder->pid : 0;
    return Error{ErrorCode::kBusy, EAGAIN, "take a role that a living process holds",
                 static_cast<std::uint64_t>(pid)};
  }
  entry->held_bytes.push_back(role_byte);
  std::erase(entry->stuck_bytes, role_byte);
  ++entry->user_count;
  return Certificate(lock_file.device_, lock_file.inode_, lock_file.generation_, role_byte);
}

Certificate::Certificate(Certificate&& other) noexcept
    : device_(other.device_),
      inode_(other.inode_),
      generation_(std::exchange(other.generation_, 0)),
      role_byte_(other.role_byte_) {}

Certificate& Certificate::operator=(Certificate&& other) noexcept {
  if (this != &other) {
    release();
    device_ = other.device_;
    inode_ = other.inode_;
    generation_ = std::exchange(other.generation_, 0);
    role_byte_ = other.role_byte_;
  }
  return *this;
}

Certificate::~Certificate() {
  release();
}

bool Certificate::is_intact() const noexcept {
  if (generation_ == 0) return false;
  Guard guard;
  const Entry* entry = guard.find(device_, inode_, generation_);
  if (entry == nullptr || !holds(*entry, role_byte_)) return false;
  // The table only knows what this library did; foreign code may have closed the descriptor.
  struct stat opened = {};
  const int fd = entry->fds.front();
  if (::fstat(fd, &opened) != 0 || opened.st_dev != device_ || opened.st_ino != inode_)
    return false;
  struct flock lock = one_byte(F_WRLCK, role_byte_);
  if (fcntl_lock(fd, F_OFD_GETLK, lock) != 0) return errno == EINVAL;
  return lock.l_type != F_UNLCK && lock.l_pid == guard->pid;
}

void Certificate::release() noexcept {
  if (generation_ == 0) return;
  Guard guard;
  if (Entry* entry = guard.find(device_, inode_, generation_)) {
    lay_down(*entry, role_byte_);
    guard.drop_user(*entry);
  }
  generation_ = 0;
}

}  // namespace slipring
