// A file that grows by whole pieces, and that a restarted process continues without a gap, a tear
// or a repetition.
//
// Protocol.  Before a piece is written, PATH.journal says which piece it is, where it begins and
// how long it will be.  A successor that finds the file shorter than that cuts the torn piece off;
// one that finds it whole knows the piece by its tag, and need not write it again when the ring
// delivers it again.  close() removes the journal.  The page cache outlives the process, so that
// this holds for a killed process; it does not for a machine that loses power.
//
// A path that names no regular file (a FIFO, a terminal, /dev/null) is written to and nothing more:
// no journal, no continuing.  Symbolic links are not followed.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "core/error/result.h"

namespace slipring::settop {

enum class OpenMode : std::uint8_t {
  kStartAfresh,  // what the file held is gone
  kContinue,     // a predecessor may have died while writing it
};

// One thread at a time.
class AppendFile {
 public:
  // Creates the file with mode 0644 where it is not there.
  // Errors: kNoSpace, kPermission, kNotFound, kSystem, with errno.
  static Result<AppendFile> open(std::string path, OpenMode mode);

  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&&) = delete;
  // Leaves the journal, as a death would; close() is the orderly end.
  ~AppendFile();

  // Writes the pieces one behind the other, from where they lie, as one piece named `tag`.  The
  // entries of `pieces` are used up.  Errors: kNoSpace when the disk, the quota or the file's size
  // limit is reached, otherwise kSystem; the file then ends where it ended before.
  [[nodiscard]] Status append(std::uint64_t tag, std::span<iovec> pieces);

  // Overwrites part of what is there.  Without effect on what is no regular file.
  // Requires: offset and size lie within the file.
  [[nodiscard]] Status patch(std::uint64_t offset_bytes, std::span<const std::byte> bytes);

  // The bytes from offset_bytes on, at most bytes.size(); answers how many there are.
  [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset_bytes,
                                            std::span<std::byte> bytes) const;

  // Cuts the file off.  Requires: size_bytes <= this->size_bytes().
  [[nodiscard]] Status truncate(std::uint64_t size_bytes);

  // Removes the journal and closes.  Errors: kSystem, kNoSpace when the system held a failed write
  // back until now.
  [[nodiscard]] Status close();

  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] bool is_regular() const noexcept { return is_regular_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  // The piece written last, by this process or, on kContinue, by its predecessor.
  [[nodiscard]] std::optional<std::uint64_t> last_tag() const noexcept { return last_tag_; }

 private:
  AppendFile(std::string path, int fd) noexcept : path_(std::move(path)), fd_(fd) {}

  [[nodiscard]] Status open_journal(OpenMode mode);
  [[nodiscard]] Status recover();
  [[nodiscard]] Status note(std::uint64_t tag, std::uint64_t length_bytes);
  [[nodiscard]] std::string journal_path() const { return path_ + ".journal"; }

  std::string path_;
  int fd_ = -1;
  int journal_fd_ = -1;
  bool is_regular_ = false;
  std::uint64_t size_bytes_ = 0;
  std::optional<std::uint64_t> last_tag_;
};

}  // namespace slipring::settop
