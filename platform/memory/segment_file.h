// A named segment: a data file NAME and a lock file beside it, made together and seen together.
//
// Protocol.  The lock file's name is ".NAME.<inode of the data file>.lock": it begins with a dot,
// so it is never a segment name, and it belongs to one data file only, so two creators never meet
// in it.
//  create   both files are made without a name (O_TMPFILE); the data file gets its size and all of
//           its memory (fallocate), so that a full file system is an error now and never a SIGBUS
//           later; the creator initialises the segment through its mapping.
//  publish  the lock file is linked, then the data file.  The second link is the one instant at
//           which the segment appears; of several creators exactly one succeeds there, the others
//           get kExists and take their lock file's name away again.
//  open     data file by name, then the lock file that its inode number names.
//  remove   the data file's name, then the lock file's.  Who is attached stays attached.
//
// Crash.  Before the first link nothing is visible, and the kernel frees the files.  Between the
// links an orphan lock file is left, of some hundred bytes and harmless: the next create, publish
// or remove of that name sweeps it away.  A sweep never takes a living creator's file: the creator
// holds a certificate on kCreatorByte from before the first link until after the second.
//
// The file's owner can still truncate it, and whoever maps it then gets SIGBUS: named segments are
// for processes of one owner or one trusted group.  Sealed memory for hostile peers is another
// kind.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "platform/memory/numa.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/certificate.h"
#include "platform/process/descriptor.h"

namespace slipring {

// The role byte that a creator holds while it publishes; links number their roles from 0.
inline constexpr std::uint32_t kCreatorByte = kRoleByteCount - 1;

struct SegmentOptions {
  mode_t mode = 0600;               // at most 0660
  std::optional<gid_t> group = {};  // the files' group; ours if empty
  NumaRequest numa = {};            // where its memory is taken; see numa()
};

// A segment that nobody can see yet.  Destroying it unpublished leaves no trace.
class NewSegment {
 public:
  // Requires: `directory` outlives the object.  size_bytes > 0, any multiple of a byte (rounded up
  // to whole huge pages on hugetlbfs); the memory reads as zeros.
  // Errors: kInvalidArgument (name, size, mode), kExists (the name is taken already), kNoSpace
  // (wanted = size_bytes), kUnsupported (no O_TMPFILE on this file system), kPermission, kSystem.
  static Result<NewSegment> create(const SegmentDirectory& directory, std::string_view name,
                                   std::uint64_t size_bytes,
                                   const SegmentOptions& options = {}) noexcept;

  // Read-write; map the regions through it to initialise them.
  [[nodiscard]] int data_fd() const noexcept { return data_.get(); }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  // Goes into the segment's header, so that a lock file of another segment is noticed.
  [[nodiscard]] std::uint64_t lock_inode() const noexcept { return lock_.inode(); }
  [[nodiscard]] const LockFile& lock_file() const noexcept { return lock_; }
  // What became of the wish for certain nodes.
  [[nodiscard]] const NumaReport& numa() const noexcept { return numa_; }

  // Makes the finished segment visible.  At most once.  Memory ordering: whoever opens the segment
  // sees what was stored before publish (the kernel's directory lock orders it).
  // Errors: kExists, kNoSpace, kPermission, kSystem; after an error nothing is visible.
  Status publish() noexcept;

 private:
  NewSegment(const SegmentDirectory& directory, std::string name, Descriptor data, LockFile lock,
             std::uint64_t size_bytes, std::string lock_name) noexcept
      : directory_(&directory),
        name_(std::move(name)),
        lock_name_(std::move(lock_name)),
        data_(std::move(data)),
        lock_(std::move(lock)),
        size_bytes_(size_bytes) {}

  const SegmentDirectory* directory_;
  std::string name_;
  std::string lock_name_;
  Descriptor data_;
  LockFile lock_;
  std::uint64_t size_bytes_;
  NumaReport numa_;
  bool published_ = false;
};

// A published segment, opened.
class SegmentFile {
 public:
  // Errors: kInvalidArgument (name), kNotFound, kPermission (not a regular file, or of a foreign
  // owner: neither ours nor root's with a group of ours), kSystem.
  static Result<SegmentFile> open(const SegmentDirectory& directory,
                                  std::string_view name) noexcept;

  // O_RDONLY: a mapping made through it can never be raised to writable.
  [[nodiscard]] int read_only_fd() const noexcept { return data_.get(); }

  // As fstat had it at open.  Believe this one, never a size that a peer wrote.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] std::uint64_t inode() const noexcept { return inode_; }
  [[nodiscard]] std::uint64_t lock_inode() const noexcept { return lock_.inode(); }
  [[nodiscard]] const LockFile& lock_file() const noexcept { return lock_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] mode_t mode() const noexcept { return mode_; }

  // A separate read-write descriptor of the same inode, to map the own regions with.
  // Errors: kNotFound (removed or replaced meanwhile), kPermission, kSystem.
  Result<Descriptor> open_writable(const SegmentDirectory& directory) const noexcept;

 private:
  SegmentFile(std::string name, Descriptor data, LockFile lock) noexcept
      : name_(std::move(name)), data_(std::move(data)), lock_(std::move(lock)) {}

  std::string name_;
  Descriptor data_;
  LockFile lock_;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
  mode_t mode_ = 0;
};

// Takes the segment's name away and sweeps lock files that belong to nobody.  Safe against
// concurrent create and open.
// Errors: kInvalidArgument (name), kNotFound (no such segment; the sweep was done), kPermission,
// kSystem.
Status remove_segment(const SegmentDirectory& directory, std::string_view name) noexcept;

// Names with lock files that belong to no segment and to no living creator: a creator died between
// its two links, or a remover between its two removals.  Sorted.  Errors: kSystem.
Result<std::vector<std::string>> list_orphaned_locks(const SegmentDirectory& directory) noexcept;

// Takes such lock files of one name away, and nothing else.  Errors: kInvalidArgument (name).
Status sweep_orphaned_locks(const SegmentDirectory& directory, std::string_view name) noexcept;

}  // namespace slipring
