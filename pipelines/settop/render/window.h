// A window with the picture and, where there is a sound device, the sound.
//
// SDL 2 is loaded when a window is opened and not before, so that a stage without a display carries
// none of it.  Planes of 8-bit 4:2:0 go straight from the pool buffer to SDL's texture; other
// formats are converted first.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/error/result.h"
#include "pipelines/settop/render/frame_view.h"
#include "pipelines/settop/render/pcm_converter.h"

struct SwsContext;

namespace slipring::settop {

struct SdlLibrary;  // SDL's functions, as found in the loaded library

enum class WindowMode : std::uint8_t {
  kOff,
  kAuto,  // where the environment names a display
  kOn,
};

// Whether a window should be tried at all.
[[nodiscard]] bool wants_window(WindowMode mode) noexcept;

// One thread: the one that opened it, as display servers want.
class Window {
 public:
  // Errors: kNotFound when SDL 2 is not installed, kUnsupported when there is no display it can
  // use; why() of the last failure is SDL's own sentence.
  static Result<std::unique_ptr<Window>> open(const std::string& title);

  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  ~Window();

  // Draws the picture now.  The planes are not needed after that.  Errors: kUnsupported.
  [[nodiscard]] Status show(const PictureView& picture);

  // Queues sound for the device.  A device that falls behind by more than a second loses what comes
  // on top (sound_dropped_count).  Errors: kUnsupported, once: from then on the window is silent.
  [[nodiscard]] Status play(const PcmBlock& block);

  // Channel change: sound that is queued is not played.
  void drop_sound();

  // Handles what the display server has sent; false once the user has closed the window.
  [[nodiscard]] bool handle_events();

  [[nodiscard]] std::uint64_t shown_count() const noexcept { return shown_count_; }
  [[nodiscard]] std::uint64_t sound_dropped_count() const noexcept { return sound_dropped_count_; }
  // SDL's account of its last failure; empty when there was none.
  [[nodiscard]] static std::string why();

 private:
  explicit Window(const SdlLibrary& sdl) noexcept : sdl_(sdl) {}

  [[nodiscard]] Status prepare(const PictureView& picture);
  [[nodiscard]] Status update(const PictureView& picture);
  [[nodiscard]] Status convert(const PictureView& picture);

  const SdlLibrary& sdl_;
  void* window_ = nullptr;    // SDL_Window
  void* renderer_ = nullptr;  // SDL_Renderer
  void* texture_ = nullptr;   // SDL_Texture
  std::uint32_t sound_device_ = 0;
  bool sound_failed_ = false;
  std::uint32_t sound_rate_hz_ = 0;
  std::uint32_t sound_channel_count_ = 0;
  std::uint32_t width_px_ = 0;
  std::uint32_t height_px_ = 0;
  bool full_range_ = false;
  SwsContext* scaler_ = nullptr;
  std::vector<std::uint8_t> converted_;
  std::uint64_t shown_count_ = 0;
  std::uint64_t sound_dropped_count_ = 0;
};

}  // namespace slipring::settop
