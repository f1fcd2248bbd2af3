#include "pipelines/settop/render/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/error/check.h"

namespace slipring::settop {
namespace {

// The journal: what is being written, or was written last.
struct JournalEntry {
  std::uint64_t magic;
  std::uint64_t tag;
  std::uint64_t offset_bytes;
  std::uint64_t length_bytes;
  std::uint64_t check;  // over the fields before it
};
static_assert(sizeof(JournalEntry) == 40);

constexpr std::uint64_t kJournalMagic = 0x316c6e6a70696c73;  // "slipjnl1"

std::uint64_t check_of(const JournalEntry& entry) {
  std::uint64_t mixed = entry.magic;
  for (const std::uint64_t word : {entry.tag, entry.offset_bytes, entry.length_bytes}) {
    mixed = (mixed ^ word) * 0x9e3779b97f4a7c15;
    mixed ^= mixed >> 29;
  }
  return mixed;
}

Error failure(const char* doing) {
  Error error{.code = ErrorCode::kSystem, .os_errno = errno, .doing = doing};
  switch (errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      error.code = ErrorCode::kNoSpace;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
      error.code = ErrorCode::kPermission;
      break;
    case ENOENT:
    case ENOTDIR:
      error.code = ErrorCode::kNotFound;
      break;
    default:
      break;
  }
  return error;
}

// Linux takes so many pieces in one call.
constexpr std::size_t kMaxPiecesPerCall = 1024;

Status write_all(int fd, std::span<iovec> pieces) {
  while (true) {
    while (!pieces.empty() && pieces.front().iov_len == 0) pieces = pieces.subspan(1);
    if (pieces.empty()) return {};
    const auto count = static_cast<int>(std::min(pieces.size(), kMaxPiecesPerCall));
    const ssize_t written = ::writev(fd, pieces.data(), count);
    if (written < 0) {
      if (errno == EINTR) continue;
      return failure("writing an output file");
    }
    auto left_bytes = static_cast<std::size_t>(written);
    while (left_bytes > 0) {
      iovec& front = pieces.front();
      const std::size_t used_bytes = std::min(left_bytes, front.iov_len);
      front.iov_base = static_cast<std::byte*>(front.iov_base) + used_bytes;
      front.iov_len -= used_bytes;
      left_bytes -= used_bytes;
      if (front.iov_len == 0) pieces = pieces.subspan(1);
    }
  }
}

Status write_at(int fd, std::uint64_t offset_bytes, const void* data, std::size_t size_bytes) {
  const auto* at = static_cast<const std::byte*>(data);
  while (size_bytes > 0) {
    const ssize_t written = ::pwrite(fd, at, size_bytes, static_cast<off_t>(offset_bytes));
    if (written < 0) {
      if (errno == EINTR) continue;
      return failure("overwriting part of an output file");
    }
    at += written;
    offset_bytes += static_cast<std::uint64_t>(written);
    size_bytes -= static_cast<std::size_t>(written);
  }
  return {};
}

}  // namespace

Result<AppendFile> AppendFile::open(std::string path, OpenMode mode) {
  const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
  int fd = ::open(path.c_str(), flags, 0644);
  // A FIFO or a pipe under /dev is no place to read from.
  if (fd < 0 && errno == EACCES) fd = ::open(path.c_str(), (flags & ~O_RDWR) | O_WRONLY, 0644);
  if (fd < 0) return failure("opening an output file");
  AppendFile file(std::move(path), fd);
  struct stat status {};
  if (::fstat(fd, &status) != 0) return failure("asking for an output file's size");
  file.is_regular_ = S_ISREG(status.st_mode);
  if (!file.is_regular_) return file;
  file.size_bytes_ = static_cast<std::uint64_t>(status.st_size);
  if (mode == OpenMode::kStartAfresh) {
    if (Status cut = file.truncate(0); !cut) return cut.error();
  }
  if (Status opened = file.open_journal(mode); !opened) return opened.error();
  if (::lseek(fd, 0, SEEK_END) < 0) return failure("going to an output file's end");
  return file;
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      journal_fd_(std::exchange(other.journal_fd_, -1)),
      is_regular_(other.is_regular_),
      size_bytes_(other.size_bytes_),
      last_tag_(other.last_tag_) {}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
  if (journal_fd_ >= 0) ::close(journal_fd_);
}

Status AppendFile::open_journal(OpenMode mode) {
  int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  if (mode == OpenMode::kStartAfresh) flags |= O_TRUNC;
  journal_fd_ = ::open(journal_path().c_str(), flags, 0644);
  if (journal_fd_ < 0) return failure("opening an output file's journal");
  return mode == OpenMode::kContinue ? recover() : Status{};
}

Status AppendFile::recover() {
  JournalEntry entry{};
  const ssize_t got = ::pread(journal_fd_, &entry, sizeof entry, 0);
  if (got < 0) return failure("reading an output file's journal");
  const bool valid =
      got == sizeof entry && entry.magic == kJournalMagic && entry.check == check_of(entry);
  // Without a journal the file was closed in order, or is someone else's; its form tells the rest.
  if (!valid || entry.offset_bytes > size_bytes_) return {};
  if (size_bytes_ - entry.offset_bytes < entry.length_bytes) return truncate(entry.offset_bytes);
  last_tag_ = entry.tag;
  return truncate(entry.offset_bytes + entry.length_bytes);
}

Status AppendFile::note(std::uint64_t tag, std::uint64_t length_bytes) {
  JournalEntry entry{.magic = kJournalMagic,
                     .tag = tag,
                     .offset_bytes = size_bytes_,
                     .length_bytes = length_bytes,
                     .check = 0};
  entry.check = check_of(entry);
  return write_at(journal_fd_, 0, &entry, sizeof entry);
}

Status AppendFile::append(std::uint64_t tag, std::span<iovec> pieces) {
  std::uint64_t length_bytes = 0;
  for (const iovec& piece : pieces) length_bytes += piece.iov_len;
  if (is_regular_) {
    if (Status noted = note(tag, length_bytes); !noted) return noted;
  }
  if (Status written = write_all(fd_, pieces); !written) {
    if (is_regular_) {
      // The first failure is the one to tell; the journal lets a successor cut what stays.
      (void)truncate(size_bytes_);
    }
    return written;
  }
  size_bytes_ += length_bytes;
  last_tag_ = tag;
  return {};
}

Status AppendFile::patch(std::uint64_t offset_bytes, std::span<const std::byte> bytes) {
  if (!is_regular_) return {};
  check(offset_bytes + bytes.size() <= size_bytes_, "a patch lies within the file");
  return write_at(fd_, offset_bytes, bytes.data(), bytes.size());
}

Result<std::size_t> AppendFile::read_at(std::uint64_t offset_bytes,
                                        std::span<std::byte> bytes) const {
  if (!is_regular_) return std::size_t{0};
  std::size_t have_bytes = 0;
  while (have_bytes < bytes.size()) {
    const ssize_t got = ::pread(fd_, bytes.data() + have_bytes, bytes.size() - have_bytes,
                                static_cast<off_t>(offset_bytes + have_bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failure("reading an output file");
    if (got == 0) break;
    have_bytes += static_cast<std::size_t>(got);
  }
  return have_bytes;
}

Status AppendFile::truncate(std::uint64_t size_bytes) {
  if (!is_regular_) return {};
  if (::ftruncate(fd_, static_cast<off_t>(size_bytes)) != 0 ||
      ::lseek(fd_, static_cast<off_t>(size_bytes), SEEK_SET) < 0) {
    return failure("cutting an output file off");
  }
  size_bytes_ = size_bytes;
  return {};
}

Status AppendFile::close() {
  Status status;
  const int fd = std::exchange(fd_, -1);
  if (fd >= 0 && ::close(fd) != 0 && errno != EINTR) status = failure("closing an output file");
  const int journal_fd = std::exchange(journal_fd_, -1);
  if (journal_fd >= 0) {
    ::close(journal_fd);
    if (status.ok() && ::unlink(journal_path().c_str()) != 0) {
      status = failure("removing an output file's journal");
    }
  }
  return status;
}

}  // namespace slipring::settop
