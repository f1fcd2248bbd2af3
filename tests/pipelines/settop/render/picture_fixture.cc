#include "tests/pipelines/settop/render/picture_fixture.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

namespace slipring::settop {

PictureView TestPicture::view() const {
  Result<PictureView> viewed = view_picture(record, buffer);
  REQUIRE(viewed.ok());
  return viewed.value();
}

std::vector<std::byte> TestPicture::visible() const {
  std::vector<std::byte> bytes;
  const PictureView picture = view();
  for (std::size_t plane = 0; plane < picture.plane_count; ++plane) {
    const PlaneView& rows = picture.planes[plane];
    for (std::size_t row = 0; row < rows.row_count; ++row) {
      const std::byte* start = rows.data + row * rows.stride_bytes;
      bytes.insert(bytes.end(), start, start + rows.row_bytes);
    }
  }
  return bytes;
}

TestPicture noise_picture(PixelFormat format, std::uint32_t width_px, std::uint32_t height_px,
                          std::size_t padding_bytes, std::uint32_t seed) {
  TestPicture picture;
  picture.record.event = FrameEvent::kFrame;
  picture.record.kind = StreamKind::kVideo;
  picture.record.format = static_cast<std::uint32_t>(format);
  picture.record.width_px = width_px;
  picture.record.height_px = height_px;
  picture.record.pts = 3600 * std::int64_t{seed};
  const bool mono = format == PixelFormat::kGray8;
  const bool wide = format == PixelFormat::kYuv420p10 || format == PixelFormat::kYuv422p10;
  const bool full_width = format == PixelFormat::kYuv444p || format == PixelFormat::kYuvj444p;
  const bool half_height = format == PixelFormat::kYuv420p || format == PixelFormat::kYuvj420p ||
                           format == PixelFormat::kYuv420p10;
  picture.record.plane_count = mono ? 1 : 3;
  std::size_t size_bytes = 0;
  for (std::size_t plane = 0; plane < picture.record.plane_count; ++plane) {
    const std::uint32_t width = plane == 0 || full_width ? width_px : (width_px + 1) / 2;
    const std::uint32_t height = plane == 0 || !half_height ? height_px : (height_px + 1) / 2;
    const std::size_t stride_bytes = width * (wide ? 2U : 1U) + padding_bytes;
    picture.record.plane_offset_bytes[plane] = static_cast<std::uint32_t>(size_bytes);
    picture.record.plane_stride_bytes[plane] = static_cast<std::int32_t>(stride_bytes);
    size_bytes += stride_bytes * height;
  }
  picture.buffer.resize(size_bytes + 64);
  std::mt19937 random(seed);
  for (std::byte& byte : picture.buffer) byte = static_cast<std::byte>(random());
  if (wide) {  // ten bits of sixteen
    for (std::size_t at = 1; at < picture.buffer.size(); at += 2) {
      picture.buffer[at] &= std::byte{3};
    }
  }
  return picture;
}

TestPicture plain_picture(std::uint32_t width_px, std::uint32_t height_px, std::uint8_t luma,
                          std::uint8_t blue, std::uint8_t red) {
  TestPicture picture = noise_picture(PixelFormat::kYuv420p, width_px, height_px, 16);
  const std::uint8_t values[3] = {luma, blue, red};
  const PictureView view = picture.view();
  for (std::size_t plane = 0; plane < 3; ++plane) {
    const auto first = static_cast<std::ptrdiff_t>(picture.record.plane_offset_bytes[plane]);
    const std::size_t size_bytes = view.planes[plane].stride_bytes * view.planes[plane].row_count;
    std::fill_n(picture.buffer.begin() + first, size_bytes, std::byte{values[plane]});
  }
  return picture;
}

}  // namespace slipring::settop
