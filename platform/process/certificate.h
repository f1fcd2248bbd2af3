// Certificates of death from the kernel: while a participant lives it holds a lock, and a lock
// found free certifies that no later store by that participant can come.
//
// Protocol.  A segment has a lock inode beside its data.  Role r of the segment is byte r of that
// inode, and whoever takes the role holds a POSIX (fcntl) write lock on the byte.  Nobody waits for
// a lock: acquire answers kBusy, and a peer that has become suspicious probes.
//
// Why it is sound.  A dying process gives up its memory (exit_mm) before its descriptors
// (exit_files), and its POSIX locks go with the last user of its descriptor table; execve replaces
// the memory before it closes the lock descriptor.  Therefore: lock free => the memory that could
// store into the segment is gone.  The kernel's lock list also orders the dead process's stores
// before whatever the prober reads next.  Time-outs would kill the living, PIDs are recycled, and
// OFD locks are shared by fork: none of these certifies anything.
//
// Traps, and what is done about them.
//  - Closing *any* descriptor of the lock inode drops all locks that the process holds there.  One
//    process-wide table keeps exactly one entry per inode, whose descriptors are closed only when
//    the last LockFile and the last Certificate of that inode are gone.  Never open the file
//    elsewhere.  Certificate::is_intact() tells whether foreign code closed it nevertheless.
//  - POSIX locks of one process do not conflict.  The table knows the bytes that this process
//    holds, so two roles, or two claims to one role, may meet in one process.
//  - A forked child inherits the descriptors but not the locks.  The child's table is emptied by a
//    fork handler (and by a check of the process id where fork was bypassed); certificates copied
//    into it know that they hold nothing.  Closing the inherited descriptors is harmless, since
//    locks belong to the parent.
//
// What a held lock does not cover: a thread that is cancelled or stuck inside an operation while
// its process lives.  Threads of participants must not be cancelled.  A lock released by a living
// process means that the role was laid down; whoever releases must have stopped storing.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "core/error/result.h"

namespace slipring {

inline constexpr std::uint32_t kRoleByteCount = 1u << 20;

enum class Holder : std::uint8_t {
  kNobody,   // certified: no store by the former holder can come any more
  kUs,       // this process
  kAnother,  // a living process, possibly in another PID namespace
};

struct Probe {
  Holder holder = Holder::kNobody;
  pid_t pid = 0;  // of the holder; 0 if it is not visible in our PID namespace
};

// A counted handle on a lock inode.  Thread-safe: all of it is serialised by the table's mutex,
// and none of it belongs on a hot path.
class LockFile {
 public:
  // Opens `file_name` in the directory `directory_fd`; read-write, never through a symlink.
  // Errors: kNotFound, kPermission (also: not a regular file), kSystem.
  static Result<LockFile> open(int directory_fd, const char* file_name) noexcept;

  // Takes over `fd`, an inode that no other code has opened (a fresh O_TMPFILE, for example); it
  // is closed when that fails.  Errors: kSystem.
  static Result<LockFile> adopt(int fd) noexcept;

  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;
  ~LockFile();

  [[nodiscard]] std::uint64_t inode() const noexcept { return inode_; }

  // For linkat and fstat only.  Never closed, duplicated, or sent by the caller.
  [[nodiscard]] int borrowed_fd() const noexcept;

  // Who holds `role_byte`?  One system call.  Errors: kInvalidArgument, kSystem.
  Result<Probe> probe(std::uint32_t role_byte) const noexcept;

 private:
  friend class Certificate;
  LockFile(std::uint64_t device, std::uint64_t inode, std::uint64_t generation) noexcept
      : device_(device), inode_(inode), generation_(generation) {}
  void drop() noexcept;

  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
  std::uint64_t generation_ = 0;  // of the process that opened it; 0 when moved from
};

// The holder's side: alive as long as this object, or until the process dies.  Move-only.
class Certificate {
 public:
  // Errors: kBusy with the holder's pid in Error::found (0: not visible here) while a living
  // participant, of this process or another, holds the byte; kInvalidArgument; kSystem.
  static Result<Certificate> acquire(const LockFile& lock_file, std::uint32_t role_byte) noexcept;

  Certificate(Certificate&& other) noexcept;
  Certificate& operator=(Certificate&& other) noexcept;
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;
  ~Certificate();

  [[nodiscard]] std::uint32_t role_byte() const noexcept { return role_byte_; }

  // False in a forked child, after release(), or if foreign code closed the lock's descriptor.
  [[nodiscard]] bool is_intact() const noexcept;

  // As LockFile::probe(), of the lock inode that the certificate is about.
  Result<Probe> probe(std::uint32_t role_byte) const noexcept;

  // Lays the role down early.  The caller stores nothing into the segment afterwards.
  void release() noexcept;

 private:
  Certificate(std::uint64_t device, std::uint64_t inode, std::uint64_t generation,
              std::uint32_t role_byte) noexcept
      : device_(device), inode_(inode), generation_(generation), role_byte_(role_byte) {}

  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
  std::uint64_t generation_ = 0;  // 0 when nothing is held
  std::uint32_t role_byte_ = 0;
};

}  // namespace slipring
