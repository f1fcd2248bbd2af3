// Pictures into a YUV4MPEG2 file, which most video tools read.
//
// The rows go from the planes to the kernel by writev(): no picture is copied in this process.  The
// header is that of the first picture; a picture of another size or format does not fit into the
// file and is refused.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/error/result.h"
#include "pipelines/settop/render/append_file.h"
#include "pipelines/settop/render/frame_view.h"

namespace slipring::settop {

// One thread at a time.
class Y4mWriter {
 public:
  // With kContinue, a torn picture at the end is cut off.
  // Errors: those of AppendFile; kVersion for a file that is not YUV4MPEG2.
  static Result<Y4mWriter> open(std::string path, OpenMode mode);

  // Writes one picture.  `tag` names it for a successor, as in AppendFile.
  // Errors: those of AppendFile::append(); kInvalidArgument for a picture that does not fit.
  [[nodiscard]] Status append(const PictureView& picture, std::uint64_t tag);

  [[nodiscard]] Status close() { return file_.close(); }

  // Pictures in the file, a predecessor's included.
  [[nodiscard]] std::uint64_t picture_count() const noexcept { return picture_count_; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return file_.size_bytes(); }
  [[nodiscard]] const std::string& path() const noexcept { return file_.path(); }
  [[nodiscard]] std::optional<std::uint64_t> last_tag() const noexcept { return file_.last_tag(); }

 private:
  explicit Y4mWriter(AppendFile file) : file_(std::move(file)) {}

  [[nodiscard]] Status read_header();

  AppendFile file_;
  std::string shape_;  // the header's words on size and format; empty before the first picture
  std::uint64_t picture_count_ = 0;
  std::vector<iovec> pieces_;
};

}  // namespace slipring::settop
