#include "pipelines/settop/render/y4m_writer.h"

#include <array>
#include <cstdio>
#include <string_view>

namespace slipring::settop {
namespace {

constexpr std::string_view kMagic = "YUV4MPEG2 ";
constexpr std::string_view kFrameLine = "FRAME\n";

struct ChromaName {
  PixelFormat format;
  const char* name;
};
// The first name of a format is the one written.  MPEG-2 and H.264 site their chroma samples at the
// left; full range has its own word, XCOLORRANGE.
constexpr ChromaName kChromaNames[] = {
    {PixelFormat::kYuv420p, "C420mpeg2"}, {PixelFormat::kYuvj420p, "C420jpeg"},
    {PixelFormat::kYuv422p, "C422"},      {PixelFormat::kYuvj422p, "C422"},
    {PixelFormat::kYuv444p, "C444"},      {PixelFormat::kYuvj444p, "C444"},
    {PixelFormat::kYuv420p10, "C420p10"}, {PixelFormat::kYuv422p10, "C422p10"},
    {PixelFormat::kGray8, "Cmono"},
};

const char* chroma_name(PixelFormat format) {
  for (const ChromaName& row : kChromaNames) {
    if (row.format == format) return row.name;
  }
  return "C420mpeg2";
}

// The words of a header that decide how large a picture is.
std::string shape_words(std::uint32_t width_px, std::uint32_t height_px, std::string_view chroma) {
  std::string words = "W" + std::to_string(width_px) + " H" + std::to_string(height_px) + " ";
  return words.append(chroma);
}

std::string header_of(const PictureView& picture) {
  const char interlace = !picture.interlaced ? 'p' : picture.top_field_first ? 't' : 'b';
  // An unknown rate is written as 25: the format has no word for unknown.
  const bool rate_known = picture.frame_rate_num != 0;
  char line[160];
  std::snprintf(line, sizeof line, "YUV4MPEG2 W%u H%u F%u:%u I%c A%u:%u %s%s\n", picture.width_px,
                picture.height_px, rate_known ? picture.frame_rate_num : 25,
                rate_known ? picture.frame_rate_den : 1, interlace, picture.sample_aspect_num,
                picture.sample_aspect_den, chroma_name(picture.format),
                shape_of(picture.format).full_range ? " XCOLORRANGE=FULL" : "");
  return line;
}

std::uint64_t picture_bytes(std::uint32_t width_px, std::uint32_t height_px, PixelFormat format) {
  const PixelShape shape = shape_of(format);
  const std::uint64_t chroma_width =
      (width_px + (1U << shape.chroma_width_shift) - 1) >> shape.chroma_width_shift;
  const std::uint64_t chroma_height =
      (height_px + (1U << shape.chroma_height_shift) - 1) >> shape.chroma_height_shift;
  return (std::uint64_t{width_px} * height_px +
          (shape.plane_count - 1) * chroma_width * chroma_height) *
         shape.sample_bytes;
}

iovec piece_of(const void* data, std::size_t size_bytes) {
  return {const_cast<void*>(data), size_bytes};  // writev() only reads
}

void add_plane(std::vector<iovec>& pieces, const PlaneView& plane) {
  if (plane.stride_bytes == plane.row_bytes) {
    pieces.push_back(piece_of(plane.data, plane.row_bytes * plane.row_count));
    return;
  }
  for (std::size_t row = 0; row < plane.row_count; ++row) {
    pieces.push_back(piece_of(plane.data + row * plane.stride_bytes, plane.row_bytes));
  }
}

}  // namespace

Result<Y4mWriter> Y4mWriter::open(std::string path, OpenMode mode) {
  Result<AppendFile> file = AppendFile::open(std::move(path), mode);
  if (!file) return file.error();
  Y4mWriter writer(std::move(file).value());
  if (writer.file_.size_bytes() > 0) {
    if (Status read = writer.read_header(); !read) return read.error();
  }
  return writer;
}

Status Y4mWriter::append(const PictureView& picture, std::uint64_t tag) {
  const std::string shape =
      shape_words(picture.width_px, picture.height_px, chroma_name(picture.format));
  std::string header;
  pieces_.clear();
  if (shape_.empty()) {
    header = header_of(picture);
    pieces_.push_back(piece_of(header.data(), header.size()));
  } else if (shape != shape_) {
    return Error{.code = ErrorCode::kInvalidArgument,
                 .doing = "writing a picture into a Y4M file of another size or format",
                 .found = picture.width_px,
                 .wanted = 0};
  }
  pieces_.push_back(piece_of(kFrameLine.data(), kFrameLine.size()));
  for (std::size_t plane = 0; plane < picture.plane_count; ++plane) {
    add_plane(pieces_, picture.planes[plane]);
  }
  if (Status written = file_.append(tag, pieces_); !written) return written;
  shape_ = shape;
  ++picture_count_;
  return {};
}

// What a predecessor wrote: its header, and how many whole pictures follow.
Status Y4mWriter::read_header() {
  constexpr Error kForeign{.code = ErrorCode::kVersion,
                           .doing = "continuing a file that is no Y4M file of ours"};
  std::array<std::byte, 160> head{};
  Result<std::size_t> got = file_.read_at(0, head);
  if (!got) return got.error();
  const std::string_view text(reinterpret_cast<const char*>(head.data()), got.value());
  const std::size_t line_end = text.find('\n');
  if (!text.starts_with(kMagic.substr(0, text.size()))) return kForeign;
  // The first append tore in its header.
  if (line_end == std::string_view::npos) {
    return got.value() < head.size() ? file_.truncate(0) : Status{kForeign};
  }
  unsigned width_px = 0;
  unsigned height_px = 0;
  if (std::sscanf(text.data(), "YUV4MPEG2 W%5u H%5u ", &width_px, &height_px) != 2 ||
      width_px == 0 || height_px == 0 || width_px > kMaxPictureSidePx ||
      height_px > kMaxPictureSidePx) {
    return kForeign;
  }
  const std::size_t chroma_at = text.substr(0, line_end).find(" C");
  if (chroma_at == std::string_view::npos) return kForeign;
  std::string_view chroma = text.substr(chroma_at + 1, line_end - chroma_at - 1);
  chroma = chroma.substr(0, chroma.find(' '));
  for (const ChromaName& row : kChromaNames) {
    if (chroma != row.name) continue;
    const std::uint64_t header_bytes = line_end + 1;
    const std::uint64_t frame_bytes =
        kFrameLine.size() + picture_bytes(width_px, height_px, row.format);
    picture_count_ = (file_.size_bytes() - header_bytes) / frame_bytes;
    // A header without a picture is written again, with what the next picture knows.
    if (picture_count_ == 0) return file_.truncate(0);
    shape_ = shape_words(width_px, height_px, chroma);
    return file_.truncate(header_bytes + picture_count_ * frame_bytes);
  }
  return kForeign;
}

}  // namespace slipring::settop
