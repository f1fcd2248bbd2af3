#include "pipelines/settop/render/window.h"

#include <SDL2/SDL.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>

#include "pipelines/settop/decode/av_format.h"

extern "C" {
#include <libswscale/swscale.h>
}

namespace slipring::settop {

struct SdlLibrary {
  decltype(&SDL_SetHint) set_hint;
  decltype(&SDL_InitSubSystem) init_subsystem;
  decltype(&SDL_QuitSubSystem) quit_subsystem;
  decltype(&SDL_GetError) get_error;
  decltype(&SDL_CreateWindow) create_window;
  decltype(&SDL_SetWindowSize) set_window_size;
  decltype(&SDL_DestroyWindow) destroy_window;
  decltype(&SDL_CreateRenderer) create_renderer;
  decltype(&SDL_DestroyRenderer) destroy_renderer;
  decltype(&SDL_RenderSetLogicalSize) render_set_logical_size;
  decltype(&SDL_SetYUVConversionMode) set_yuv_conversion_mode;
  decltype(&SDL_CreateTexture) create_texture;
  decltype(&SDL_DestroyTexture) destroy_texture;
  decltype(&SDL_UpdateYUVTexture) update_yuv_texture;
  decltype(&SDL_RenderClear) render_clear;
  decltype(&SDL_RenderCopy) render_copy;
  decltype(&SDL_RenderPresent) render_present;
  decltype(&SDL_PollEvent) poll_event;
  decltype(&SDL_OpenAudioDevice) open_audio_device;
  decltype(&SDL_CloseAudioDevice) close_audio_device;
  decltype(&SDL_PauseAudioDevice) pause_audio_device;
  decltype(&SDL_QueueAudio) queue_audio;
  decltype(&SDL_GetQueuedAudioSize) get_queued_audio_size;
  decltype(&SDL_ClearQueuedAudio) clear_queued_audio;
};

namespace {

// Sets `function` to the symbol of that name; false when the library lacks it.
template <typename Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

bool find_all(void* library, SdlLibrary& sdl) {
  return find(library, "SDL_SetHint", sdl.set_hint) &&
         find(library, "SDL_InitSubSystem", sdl.init_subsystem) &&
         find(library, "SDL_QuitSubSystem", sdl.quit_subsystem) &&
         find(library, "SDL_GetError", sdl.get_error) &&
         find(library, "SDL_CreateWindow", sdl.create_window) &&
         find(library, "SDL_SetWindowSize", sdl.set_window_size) &&
         find(library, "SDL_DestroyWindow", sdl.destroy_window) &&
         find(library, "SDL_CreateRenderer", sdl.create_renderer) &&
         find(library, "SDL_DestroyRenderer", sdl.destroy_renderer) &&
         find(library, "SDL_RenderSetLogicalSize", sdl.render_set_logical_size) &&
         find(library, "SDL_SetYUVConversionMode", sdl.set_yuv_conversion_mode) &&
         find(library, "SDL_CreateTexture", sdl.create_texture) &&
         find(library, "SDL_DestroyTexture", sdl.destroy_texture) &&
         find(library, "SDL_UpdateYUVTexture", sdl.update_yuv_texture) &&
         find(library, "SDL_RenderClear", sdl.render_clear) &&
         find(library, "SDL_RenderCopy", sdl.render_copy) &&
         find(library, "SDL_RenderPresent", sdl.render_present) &&
         find(library, "SDL_PollEvent", sdl.poll_event) &&
         find(library, "SDL_OpenAudioDevice", sdl.open_audio_device) &&
         find(library, "SDL_CloseAudioDevice", sdl.close_audio_device) &&
         find(library, "SDL_PauseAudioDevice", sdl.pause_audio_device) &&
         find(library, "SDL_QueueAudio", sdl.queue_audio) &&
         find(library, "SDL_GetQueuedAudioSize", sdl.get_queued_audio_size) &&
         find(library, "SDL_ClearQueuedAudio", sdl.clear_queued_audio);
}

// Null when SDL 2 cannot be loaded.  Never unloaded: its drivers leave threads and handlers behind.
const SdlLibrary* load_sdl() {
  static const SdlLibrary* const loaded = []() -> const SdlLibrary* {
    void* library = ::dlopen("libSDL2-2.0.so.0", RTLD_NOW | RTLD_LOCAL);
    static SdlLibrary sdl{};
    return library != nullptr && find_all(library, sdl) ? &sdl : nullptr;
  }();
  return loaded;
}

bool is_plain_420(PixelFormat format) {
  return format == PixelFormat::kYuv420p || format == PixelFormat::kYuvj420p;
}

Error refusal(const char* doing) {
  return {.code = ErrorCode::kUnsupported, .doing = doing};
}

SDL_Window* as_window(void* window) {
  return static_cast<SDL_Window*>(window);
}
SDL_Renderer* as_renderer(void* renderer) {
  return static_cast<SDL_Renderer*>(renderer);
}
SDL_Texture* as_texture(void* texture) {
  return static_cast<SDL_Texture*>(texture);
}

}  // namespace

bool wants_window(WindowMode mode) noexcept {
  switch (mode) {
    case WindowMode::kOff:
      return false;
    case WindowMode::kOn:
      return true;
    case WindowMode::kAuto:
      break;
  }
  for (const char* name : {"DISPLAY", "WAYLAND_DISPLAY"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return true;
  }
  return false;
}

std::string Window::why() {
  const SdlLibrary* sdl = load_sdl();
  return sdl == nullptr ? "" : sdl->get_error();
}

Result<std::unique_ptr<Window>> Window::open(const std::string& title) {
  const SdlLibrary* sdl = load_sdl();
  if (sdl == nullptr) {
    return Error{.code = ErrorCode::kNotFound, .doing = "loading libSDL2-2.0.so.0"};
  }
  // The stage has signal handlers of its own.
  sdl->set_hint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
  sdl->set_hint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
  if (sdl->init_subsystem(SDL_INIT_VIDEO) != 0) return refusal("finding a display");
  std::unique_ptr<Window> window(new Window(*sdl));
  window->window_ = sdl->create_window(title.c_str(), SDL_WINDOWPOS_UNDEFINED,
                                       SDL_WINDOWPOS_UNDEFINED, 640, 360, SDL_WINDOW_RESIZABLE);
  if (window->window_ == nullptr) return refusal("opening a window");
  // Without waiting for the display: the presentation clock says when.
  window->renderer_ = sdl->create_renderer(as_window(window->window_), -1, 0);
  if (window->renderer_ == nullptr) return refusal("preparing a window to draw in");
  return window;
}

Window::~Window() {
  sws_freeContext(scaler_);
  if (sound_device_ != 0) {
    sdl_.close_audio_device(sound_device_);
    sdl_.quit_subsystem(SDL_INIT_AUDIO);
  }
  if (texture_ != nullptr) sdl_.destroy_texture(as_texture(texture_));
  if (renderer_ != nullptr) sdl_.destroy_renderer(as_renderer(renderer_));
  if (window_ != nullptr) sdl_.destroy_window(as_window(window_));
  sdl_.quit_subsystem(SDL_INIT_VIDEO);
}

// A texture of the picture's size, and a window of its shape.
Status Window::prepare(const PictureView& picture) {
  const bool full_range = shape_of(picture.format).full_range;
  if (texture_ != nullptr && picture.width_px == width_px_ && picture.height_px == height_px_ &&
      full_range == full_range_) {
    return {};
  }
  if (texture_ != nullptr) sdl_.destroy_texture(as_texture(texture_));
  const auto width = static_cast<int>(picture.width_px);
  const auto height = static_cast<int>(picture.height_px);
  sdl_.set_yuv_conversion_mode(full_range ? SDL_YUV_CONVERSION_JPEG : SDL_YUV_CONVERSION_AUTOMATIC);
  texture_ = sdl_.create_texture(as_renderer(renderer_), SDL_PIXELFORMAT_IYUV,
                                 SDL_TEXTUREACCESS_STREAMING, width, height);
  if (texture_ == nullptr) return refusal("preparing a texture of the picture's size");
  int shown_width = width;
  if (picture.sample_aspect_num != 0) {
    const std::uint64_t stretched =
        std::uint64_t{picture.width_px} * picture.sample_aspect_num / picture.sample_aspect_den;
    shown_width = static_cast<int>(std::clamp<std::uint64_t>(stretched, 1, kMaxPictureSidePx));
  }
  sdl_.set_window_size(as_window(window_), shown_width, height);
  sdl_.render_set_logical_size(as_renderer(renderer_), shown_width, height);
  width_px_ = picture.width_px;
  height_px_ = picture.height_px;
  full_range_ = full_range;
  return {};
}

Status Window::update(const PictureView& picture) {
  if (!is_plain_420(picture.format)) return convert(picture);
  const auto plane = [&](std::size_t index) {
    return reinterpret_cast<const Uint8*>(picture.planes[index].data);
  };
  const auto stride = [&](std::size_t index) {
    return static_cast<int>(picture.planes[index].stride_bytes);
  };
  if (sdl_.update_yuv_texture(as_texture(texture_), nullptr, plane(0), stride(0), plane(1),
                              stride(1), plane(2), stride(2)) != 0) {
    return refusal("drawing a picture");
  }
  return {};
}

Status Window::convert(const PictureView& picture) {
  const auto width = static_cast<int>(picture.width_px);
  const auto height = static_cast<int>(picture.height_px);
  scaler_ = sws_getCachedContext(scaler_, width, height,
                                 static_cast<AVPixelFormat>(to_av(picture.format)), width, height,
                                 AV_PIX_FMT_YUV420P, SWS_BILINEAR, nullptr, nullptr, nullptr);
  if (scaler_ == nullptr) return refusal("converting a picture for the window");
  const std::uint8_t* from[4] = {};
  int from_stride[4] = {};
  for (std::size_t plane = 0; plane < picture.plane_count; ++plane) {
    from[plane] = reinterpret_cast<const std::uint8_t*>(picture.planes[plane].data);
    from_stride[plane] = static_cast<int>(picture.planes[plane].stride_bytes);
  }
  const int luma_stride = (width + 63) / 64 * 64;
  const int chroma_stride = luma_stride / 2;
  const auto luma_bytes = static_cast<std::size_t>(luma_stride) * picture.height_px;
  const auto chroma_bytes = static_cast<std::size_t>(chroma_stride) * ((picture.height_px + 1) / 2);
  converted_.resize(luma_bytes + 2 * chroma_bytes);
  std::uint8_t* const to[4] = {converted_.data(), converted_.data() + luma_bytes,
                               converted_.data() + luma_bytes + chroma_bytes, nullptr};
  const int to_stride[4] = {luma_stride, chroma_stride, chroma_stride, 0};
  if (sws_scale(scaler_, from, from_stride, 0, height, to, to_stride) != height) {
    return refusal("converting a picture for the window");
  }
  if (sdl_.update_yuv_texture(as_texture(texture_), nullptr, to[0], luma_stride, to[1],
                              chroma_stride, to[2], chroma_stride) != 0) {
    return refusal("drawing a picture");
  }
  return {};
}

Status Window::show(const PictureView& picture) {
  if (Status prepared = prepare(picture); !prepared) return prepared;
  if (Status updated = update(picture); !updated) return updated;
  if (sdl_.render_clear(as_renderer(renderer_)) != 0 ||
      sdl_.render_copy(as_renderer(renderer_), as_texture(texture_), nullptr, nullptr) != 0) {
    return refusal("drawing a picture");
  }
  sdl_.render_present(as_renderer(renderer_));
  ++shown_count_;
  return {};
}

Status Window::play(const PcmBlock& block) {
  if (sound_failed_ || block.samples.empty()) return {};
  if (sound_device_ == 0 || block.sample_rate_hz != sound_rate_hz_ ||
      block.channel_count != sound_channel_count_) {
    if (sound_device_ != 0) {
      sdl_.close_audio_device(sound_device_);
      sdl_.quit_subsystem(SDL_INIT_AUDIO);
      sound_device_ = 0;
    }
    if (sdl_.init_subsystem(SDL_INIT_AUDIO) != 0) {
      sound_failed_ = true;
      return refusal("finding a sound device");
    }
    SDL_AudioSpec wanted{};
    wanted.freq = static_cast<int>(block.sample_rate_hz);
    wanted.format = AUDIO_S16SYS;
    wanted.channels = static_cast<Uint8>(block.channel_count);
    wanted.samples = 1024;
    sound_device_ = sdl_.open_audio_device(nullptr, 0, &wanted, nullptr, 0);
    if (sound_device_ == 0) {
      sdl_.quit_subsystem(SDL_INIT_AUDIO);
      sound_failed_ = true;
      return refusal("opening the sound device");
    }
    sound_rate_hz_ = block.sample_rate_hz;
    sound_channel_count_ = block.channel_count;
    sdl_.pause_audio_device(sound_device_, 0);
  }
  const std::uint64_t second_bytes =
      std::uint64_t{sound_rate_hz_} * sound_channel_count_ * sizeof(std::int16_t);
  if (sdl_.get_queued_audio_size(sound_device_) > second_bytes ||
      sdl_.queue_audio(sound_device_, block.samples.data(),
                       static_cast<Uint32>(block.samples.size_bytes())) != 0) {
    ++sound_dropped_count_;
  }
  return {};
}

void Window::drop_sound() {
  if (sound_device_ != 0) sdl_.clear_queued_audio(sound_device_);
}

bool Window::handle_events() {
  bool open = true;
  SDL_Event event;
  while (sdl_.poll_event(&event) != 0) {
    if (event.type == SDL_QUIT) open = false;
  }
  return open;
}

}  // namespace slipring::settop
