// Pictures for tests: a buffer of noise with padded rows, and the record that describes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pipelines/settop/media_record.h"
#include "pipelines/settop/render/frame_view.h"

namespace slipring::settop {

struct TestPicture {
  FrameRecord record{};
  std::vector<std::byte> buffer;

  // The view of an intact record; a test that breaks the record calls view_picture() itself.
  [[nodiscard]] PictureView view() const;
  // The visible bytes, plane by plane, row by row: what raw video is.
  [[nodiscard]] std::vector<std::byte> visible() const;
};

// Rows are padding_bytes longer than they need to be.  The same seed gives the same picture.
[[nodiscard]] TestPicture noise_picture(PixelFormat format, std::uint32_t width_px,
                                        std::uint32_t height_px, std::size_t padding_bytes = 0,
                                        std::uint32_t seed = 1);

// The same colour everywhere.
[[nodiscard]] TestPicture plain_picture(std::uint32_t width_px, std::uint32_t height_px,
                                        std::uint8_t luma, std::uint8_t blue, std::uint8_t red);

}  // namespace slipring::settop
