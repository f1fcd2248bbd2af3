#include "pipelines/settop/render/window.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <vector>

#include "tests/pipelines/settop/render/picture_fixture.h"

namespace slipring::settop {
namespace {

TEST_CASE("window: auto wants one where the environment names a display") {
  ::unsetenv("DISPLAY");
  ::unsetenv("WAYLAND_DISPLAY");
  CHECK(!wants_window(WindowMode::kAuto));
  CHECK(wants_window(WindowMode::kOn));
  ::setenv("DISPLAY", ":7", 1);
  CHECK(wants_window(WindowMode::kAuto));
  CHECK(!wants_window(WindowMode::kOff));
  ::setenv("DISPLAY", "", 1);
  CHECK(!wants_window(WindowMode::kAuto));
  ::unsetenv("DISPLAY");
}

TEST_CASE("window: without a display, opening says so and leaves nothing") {
  ::setenv("SDL_VIDEODRIVER", "no-such-driver", 1);
  Result<std::unique_ptr<Window>> window = Window::open("nowhere");
  REQUIRE(!window.ok());
  CHECK(window.error().code == ErrorCode::kUnsupported);
  CHECK(!Window::why().empty());
}

TEST_CASE("window: pictures of every format and of changing size are shown") {
  ::setenv("SDL_VIDEODRIVER", "dummy", 1);
  Result<std::unique_ptr<Window>> opened = Window::open("test");
  REQUIRE(opened.ok());
  Window& window = **opened;
  for (std::uint32_t format = 1; format <= 9; ++format) {
    CAPTURE(format);
    for (const std::uint32_t width_px : {66U, 131U}) {
      TestPicture picture = noise_picture(static_cast<PixelFormat>(format), width_px, 50, 13);
      picture.record.sample_aspect_num = 16;
      picture.record.sample_aspect_den = 11;
      CHECK(window.show(picture.view()).ok());
      CHECK(window.handle_events());
    }
  }
  CHECK(window.shown_count() == 18);
}

TEST_CASE("window: sound beyond a second is dropped, and again accepted after a channel change") {
  ::setenv("SDL_VIDEODRIVER", "dummy", 1);
  // Plays to the end of the world, as far as this test's length goes: nothing drains the queue.
  ::setenv("SDL_AUDIODRIVER", "dummy", 1);
  Result<std::unique_ptr<Window>> opened = Window::open("test");
  REQUIRE(opened.ok());
  Window& window = **opened;
  const std::vector<std::int16_t> minute(60 * 8000);
  const PcmBlock block{.samples = minute, .sample_rate_hz = 8000, .channel_count = 1};
  REQUIRE(window.play(block).ok());
  CHECK(window.sound_dropped_count() == 0);
  REQUIRE(window.play(block).ok());
  CHECK(window.sound_dropped_count() == 1);
  window.drop_sound();
  REQUIRE(window.play(block).ok());
  CHECK(window.sound_dropped_count() == 1);
}

TEST_CASE("window: without a sound device, it says so once and stays silent") {
  ::setenv("SDL_VIDEODRIVER", "dummy", 1);
  ::setenv("SDL_AUDIODRIVER", "no-such-driver", 1);
  Result<std::unique_ptr<Window>> opened = Window::open("test");
  REQUIRE(opened.ok());
  const std::vector<std::int16_t> samples(100);
  const PcmBlock block{.samples = samples, .sample_rate_hz = 8000, .channel_count = 1};
  CHECK((*opened)->play(block).error().code == ErrorCode::kUnsupported);
  CHECK((*opened)->play(block).ok());
}

}  // namespace
}  // namespace slipring::settop
