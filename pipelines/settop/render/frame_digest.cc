#include "pipelines/settop/render/frame_digest.h"

#include <array>
#include <cinttypes>
#include <cstdio>
#include <utility>

extern "C" {
#include <libavutil/md5.h>
#include <libavutil/mem.h>
}

namespace slipring::settop {
namespace {

constexpr std::string_view kHeading = "# stream, pts, size, md5\n";

// The tail of a line is a digest and an end; without a journal, a line that lacks them is torn.
// Answers the size up to the last line end within `tail`, which begins at offset_bytes.
std::uint64_t whole_lines_bytes(std::string_view tail, std::uint64_t offset_bytes) {
  const std::size_t end = tail.rfind('\n');
  return end == std::string_view::npos ? offset_bytes : offset_bytes + end + 1;
}

}  // namespace

Result<FrameDigest> FrameDigest::open(std::string path, OpenMode mode) {
  Result<AppendFile> opened = AppendFile::open(std::move(path), mode);
  if (!opened) return opened.error();
  AppendFile file = std::move(opened).value();
  if (file.size_bytes() > 0) {
    constexpr std::uint64_t kTailBytes = 256;  // more than a line
    const std::uint64_t start =
        file.size_bytes() > kTailBytes ? file.size_bytes() - kTailBytes : std::uint64_t{0};
    std::array<std::byte, kTailBytes> tail{};
    Result<std::size_t> got = file.read_at(start, tail);
    if (!got) return got.error();
    const std::string_view text(reinterpret_cast<const char*>(tail.data()), got.value());
    if (Status cut = file.truncate(whole_lines_bytes(text, start)); !cut) return cut.error();
  }
  AVMD5* md5 = av_md5_alloc();
  if (md5 == nullptr) return Error{.code = ErrorCode::kNoSpace, .doing = "allocating a digest"};
  return FrameDigest(std::move(file), md5);
}

FrameDigest::FrameDigest(FrameDigest&& other) noexcept
    : file_(std::move(other.file_)), md5_(std::exchange(other.md5_, nullptr)) {}

FrameDigest::~FrameDigest() {
  av_free(md5_);
}

Status FrameDigest::append(const PictureView& picture, std::uint64_t tag) {
  av_md5_init(md5_);
  std::uint64_t size_bytes = 0;
  for (std::size_t plane = 0; plane < picture.plane_count; ++plane) {
    const PlaneView& view = picture.planes[plane];
    for (std::size_t row = 0; row < view.row_count; ++row) {
      const std::byte* start = view.data + row * view.stride_bytes;
      av_md5_update(md5_, reinterpret_cast<const std::uint8_t*>(start), view.row_bytes);
      size_bytes += view.row_bytes;
    }
  }
  return write_line(0, picture.pts, size_bytes, tag);
}

Status FrameDigest::append(const PcmBlock& block, std::int64_t pts, std::uint64_t tag) {
  av_md5_init(md5_);
  av_md5_update(md5_, reinterpret_cast<const std::uint8_t*>(block.samples.data()),
                block.samples.size_bytes());
  return write_line(1, pts, block.samples.size_bytes(), tag);
}

Status FrameDigest::write_line(int stream, std::int64_t pts, std::uint64_t size_bytes,
                               std::uint64_t tag) {
  std::uint8_t digest[16];
  av_md5_final(md5_, digest);
  char hex[33];
  for (std::size_t at = 0; at < sizeof digest; ++at) {
    std::snprintf(hex + 2 * at, 3, "%02x", static_cast<unsigned>(digest[at]));
  }
  char pts_text[24] = "none";
  if (pts != kNoTimestamp) std::snprintf(pts_text, sizeof pts_text, "%" PRId64, pts);
  char line[128];
  const int length = std::snprintf(line, sizeof line, "%d, %s, %" PRIu64 ", %s\n", stream, pts_text,
                                   size_bytes, hex);
  std::string heading(file_.size_bytes() == 0 ? kHeading : std::string_view{});
  iovec pieces[2] = {{heading.data(), heading.size()}, {line, static_cast<std::size_t>(length)}};
  return file_.append(tag, pieces);
}

}  // namespace slipring::settop
