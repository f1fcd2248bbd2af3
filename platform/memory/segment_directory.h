// Where named segments live: $SLIPRING_DIR, or /dev/shm/slipring-<effective uid>.
//
// The directory is the outer wall: whoever may write in it may replace a segment.  It is made 0700,
// and an existing one is refused unless it is a real directory (no symlink), owned by us or by
// root, and writable by its owner alone.  Everything inside is reached relative to its descriptor,
// by names of a fixed grammar, so that no path is ever taken from outside.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "platform/process/descriptor.h"

namespace slipring {

inline constexpr std::size_t kSegmentNameSizeMax = 80;

// [A-Za-z0-9][A-Za-z0-9._-]{0,79}
[[nodiscard]] bool is_segment_name(std::string_view name) noexcept;

class SegmentDirectory {
 public:
  // Opens the default directory, making it if it is missing.
  // Errors: kInvalidArgument ($SLIPRING_DIR is not absolute), kPermission (one of the refusals
  // above), kNotFound (its parent is missing), kSystem.
  static Result<SegmentDirectory> open() noexcept;

  // The same for a directory chosen by the caller.  Errors: as open().
  static Result<SegmentDirectory> open_at(std::string_view absolute_path) noexcept;

  // Where open() looks.
  [[nodiscard]] static std::string default_path();

  // Takes an empty default directory away, so that nothing stays in /dev/shm; one that was chosen
  // by the caller or by $SLIPRING_DIR, or is not empty, stays.  Whoever creates a segment in it at
  // that very moment gets kNotFound, and opens the directory again.
  void remove_if_unused() const noexcept;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  // The names of the published segments, sorted.  Files that are no segments are left out.
  // Errors: kPermission, kSystem.
  Result<std::vector<std::string>> list() const noexcept;

 private:
  SegmentDirectory(Descriptor fd, std::string path) noexcept
      : fd_(std::move(fd)), path_(std::move(path)) {}

  Descriptor fd_;
  std::string path_;
};

}  // namespace slipring
