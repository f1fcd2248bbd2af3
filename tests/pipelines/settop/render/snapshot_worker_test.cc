#include "pipelines/settop/render/snapshot_worker.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/pipelines/settop/decode/stream_fixture.h"
#include "tests/pipelines/settop/render/picture_fixture.h"

namespace slipring::settop {
namespace {

TEST_CASE("snapshot_worker: what is offered is written, one at a time") {
  const std::string path = scratch_path("worker.png");
  const TestPicture picture = noise_picture(PixelFormat::kYuv420p, 640, 360);
  SnapshotWorker worker;
  std::uint64_t accepted_count = 0;
  for (int round = 0; round < 50; ++round) {
    Result<bool> offered = worker.offer(path, picture.view());
    REQUIRE(offered.ok());
    if (*offered) ++accepted_count;
  }
  worker.wait_until_idle();
  CHECK(accepted_count >= 1);
  CHECK(worker.written_count() == accepted_count);
  CHECK(!worker.take_failure());
  run_ffmpeg("-i " + path + " -f rawvideo -pix_fmt rgb24 " + path + ".rgb");
  CHECK(read_file(path + ".rgb").size() == 640 * 360 * 3);
}

TEST_CASE("snapshot_worker: what fails is told once, and the next one is written") {
  const TestPicture picture = noise_picture(PixelFormat::kYuv420p, 64, 48);
  SnapshotWorker worker;
  REQUIRE(worker.offer(scratch_path("none/x.png"), picture.view()).ok());
  worker.wait_until_idle();
  const std::optional<Error> failure = worker.take_failure();
  REQUIRE(failure);
  CHECK(failure->code == ErrorCode::kNotFound);
  CHECK(!worker.take_failure());
  REQUIRE(worker.offer(scratch_path("after.png"), picture.view()).ok());
  worker.wait_until_idle();
  CHECK(worker.written_count() == 1);
}

TEST_CASE("snapshot_worker: what was accepted before the end is written") {
  const TestPicture picture = noise_picture(PixelFormat::kYuv420p, 64, 48);
  for (int round = 0; round < 50; ++round) {
    CAPTURE(round);
    const std::string path = scratch_path("last" + std::to_string(round) + ".png");
    {
      SnapshotWorker worker;
      REQUIRE(worker.offer(path, picture.view()).ok());
    }
    REQUIRE(read_file(path).size() > 1000);
  }
}

}  // namespace
}  // namespace slipring::settop
