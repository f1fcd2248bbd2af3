#include "pipelines/settop/render/frame_view.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "tests/pipelines/settop/render/picture_fixture.h"

namespace slipring::settop {
namespace {

FrameRecord sound_record() {
  FrameRecord record{};
  record.event = FrameEvent::kFrame;
  record.kind = StreamKind::kAudio;
  record.format = static_cast<std::uint32_t>(SampleFormat::kFloatPlanar);
  record.sample_rate_hz = 48'000;
  record.channel_count = 2;
  record.sample_count = 1024;
  record.plane_count = 2;
  record.plane_offset_bytes[1] = 4096;
  return record;
}

TEST_CASE("frame_view: an intact picture's planes lie where the record says") {
  const TestPicture picture = noise_picture(PixelFormat::kYuv420p, 321, 181, 7);
  const PictureView view = picture.view();
  CHECK(view.plane_count == 3);
  CHECK(view.planes[0].row_bytes == 321);
  CHECK(view.planes[0].stride_bytes == 328);
  CHECK(view.planes[0].row_count == 181);
  CHECK(view.planes[1].row_bytes == 161);
  CHECK(view.planes[1].row_count == 91);
  CHECK(view.planes[2].data == picture.buffer.data() + picture.record.plane_offset_bytes[2]);
}

TEST_CASE("frame_view: the last row needs no padding behind it") {
  TestPicture picture = noise_picture(PixelFormat::kGray8, 100, 10, 28);
  picture.buffer.resize(9 * 128 + 100);
  CHECK(view_picture(picture.record, picture.buffer).ok());
  picture.buffer.pop_back();
  CHECK(view_picture(picture.record, picture.buffer).error().code == ErrorCode::kCorruptPeer);
}

TEST_CASE("frame_view: a picture's impossible numbers are a corrupt peer") {
  const TestPicture good = noise_picture(PixelFormat::kYuv422p10, 64, 48);
  const auto refused = [&](auto&& breaking) {
    FrameRecord record = good.record;
    breaking(record);
    const Result<PictureView> viewed = view_picture(record, good.buffer);
    return !viewed.ok() && viewed.error().code == ErrorCode::kCorruptPeer;
  };
  CHECK(!refused([](FrameRecord&) {}));
  CHECK(refused([](FrameRecord& record) { record.format = 0; }));
  CHECK(refused([](FrameRecord& record) { record.format = 1000; }));
  CHECK(refused([](FrameRecord& record) { record.width_px = 0; }));
  CHECK(refused([](FrameRecord& record) { record.width_px = 0x8000'0001; }));
  CHECK(refused([](FrameRecord& record) { record.height_px = UINT32_MAX; }));
  CHECK(refused([](FrameRecord& record) { record.height_px += 200; }));
  CHECK(refused([](FrameRecord& record) { record.plane_count = 1; }));
  CHECK(refused([](FrameRecord& record) { record.plane_count = UINT32_MAX; }));
  CHECK(refused([](FrameRecord& record) { record.plane_stride_bytes[1] = -64; }));
  CHECK(refused([](FrameRecord& record) { record.plane_stride_bytes[0] = 127; }));
  CHECK(refused([](FrameRecord& record) { record.plane_stride_bytes[2] = INT32_MAX; }));
  CHECK(refused([](FrameRecord& record) { record.plane_offset_bytes[2] = UINT32_MAX; }));
}

TEST_CASE("frame_view: sound's impossible numbers are a corrupt peer") {
  const std::vector<std::byte> buffer(8192);
  const auto refused = [&](auto&& breaking) {
    FrameRecord record = sound_record();
    breaking(record);
    const Result<SoundView> viewed = view_sound(record, buffer);
    return !viewed.ok() && viewed.error().code == ErrorCode::kCorruptPeer;
  };
  CHECK(!refused([](FrameRecord&) {}));
  CHECK(refused([](FrameRecord& record) { record.format = 99; }));
  CHECK(refused([](FrameRecord& record) { record.sample_rate_hz = 0; }));
  CHECK(refused([](FrameRecord& record) { record.sample_rate_hz = UINT32_MAX; }));
  CHECK(refused([](FrameRecord& record) { record.channel_count = 0; }));
  CHECK(refused([](FrameRecord& record) { record.channel_count = 9; }));
  CHECK(refused([](FrameRecord& record) { record.plane_count = 3; }));
  CHECK(refused([](FrameRecord& record) { record.sample_count = 0; }));
  CHECK(refused([](FrameRecord& record) { record.sample_count = 1025; }));
  CHECK(refused([](FrameRecord& record) { record.sample_count = UINT32_MAX; }));
  CHECK(refused([](FrameRecord& record) { record.plane_offset_bytes[1] = 4097; }));
}

TEST_CASE("frame_view: of any record, what is accepted lies within the buffer") {
  const TestPicture good = noise_picture(PixelFormat::kYuv420p, 64, 48);
  std::mt19937 random(99);
  std::uint32_t accepted_count = 0;
  for (int trial = 0; trial < 20'000; ++trial) {
    FrameRecord record = good.record;
    auto* words = reinterpret_cast<std::uint32_t*>(&record);
    for (std::size_t hits = random() % 3 + 1; hits > 0; --hits) {
      const std::size_t at = random() % (sizeof record / sizeof *words);
      words[at] = static_cast<std::uint32_t>(random() >> (random() % 32));
    }
    Result<PictureView> viewed = view_picture(record, good.buffer);
    if (!viewed) continue;
    ++accepted_count;
    for (std::size_t plane = 0; plane < viewed->plane_count; ++plane) {
      const PlaneView& rows = viewed->planes[plane];
      REQUIRE(rows.data >= good.buffer.data());
      REQUIRE(rows.stride_bytes * (rows.row_count - 1) + rows.row_bytes <=
              good.buffer.size() - static_cast<std::size_t>(rows.data - good.buffer.data()));
    }
  }
  CHECK(accepted_count > 100);
}

}  // namespace
}  // namespace slipring::settop
