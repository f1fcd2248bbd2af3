#include "pipelines/settop/render/png_snapshot.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "core/error/check.h"
#include "pipelines/settop/decode/av_format.h"
#include "pipelines/settop/render/append_file.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <libswscale/swscale.h>
}

namespace slipring::settop {
namespace {

// From this height on, pictures are taken to be of ITU-R BT.709, below of BT.601: the records do
// not carry the colour matrix.
constexpr std::uint32_t kHighDefinitionHeightPx = 720;

}  // namespace

PngSnapshot::~PngSnapshot() {
  close();
}

void PngSnapshot::close() {
  sws_freeContext(scaler_);
  scaler_ = nullptr;
  avcodec_free_context(&encoder_);
  av_frame_free(&rgb_);
  av_packet_free(&packet_);
  format_ = PixelFormat::kNone;
}

Status PngSnapshot::configure(const PictureView& picture) {
  if (format_ == picture.format && width_px_ == picture.width_px &&
      height_px_ == picture.height_px) {
    return {};
  }
  close();
  constexpr Error kRefused{.code = ErrorCode::kUnsupported, .doing = "preparing a PNG picture"};
  const auto width = static_cast<int>(picture.width_px);
  const auto height = static_cast<int>(picture.height_px);
  const auto format = static_cast<AVPixelFormat>(to_av(picture.format));
  scaler_ = sws_getContext(width, height, format, width, height, AV_PIX_FMT_RGB24,
                           SWS_BICUBIC | SWS_FULL_CHR_H_INT | SWS_ACCURATE_RND, nullptr, nullptr,
                           nullptr);
  rgb_ = av_frame_alloc();
  packet_ = av_packet_alloc();
  const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_PNG);
  encoder_ = codec == nullptr ? nullptr : avcodec_alloc_context3(codec);
  if (scaler_ == nullptr || rgb_ == nullptr || packet_ == nullptr || encoder_ == nullptr) {
    return kRefused;
  }
  const int matrix = picture.height_px >= kHighDefinitionHeightPx ? SWS_CS_ITU709 : SWS_CS_ITU601;
  sws_setColorspaceDetails(scaler_, sws_getCoefficients(matrix),
                           shape_of(picture.format).full_range ? 1 : 0,
                           sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
  rgb_->format = AV_PIX_FMT_RGB24;
  rgb_->width = width;
  rgb_->height = height;
  encoder_->pix_fmt = AV_PIX_FMT_RGB24;
  encoder_->width = width;
  encoder_->height = height;
  encoder_->time_base = AVRational{1, 1};
  encoder_->compression_level = 1;  // a snapshot must not hold up the pictures behind it
  encoder_->thread_count = 1;
  if (picture.sample_aspect_num != 0 && picture.sample_aspect_num <= INT32_MAX &&
      picture.sample_aspect_den <= INT32_MAX) {
    encoder_->sample_aspect_ratio = AVRational{static_cast<int>(picture.sample_aspect_num),
                                               static_cast<int>(picture.sample_aspect_den)};
  }
  if (av_frame_get_buffer(rgb_, 0) < 0 || avcodec_open2(encoder_, codec, nullptr) < 0) {
    return kRefused;
  }
  format_ = picture.format;
  width_px_ = picture.width_px;
  height_px_ = picture.height_px;
  return {};
}

Status PngSnapshot::convert(const PictureView& picture) {
  if (Status configured = configure(picture); !configured) return configured;
  const std::uint8_t* planes[4] = {};
  int strides[4] = {};
  for (std::size_t plane = 0; plane < picture.plane_count; ++plane) {
    planes[plane] = reinterpret_cast<const std::uint8_t*>(picture.planes[plane].data);
    strides[plane] = static_cast<int>(picture.planes[plane].stride_bytes);
  }
  if (av_frame_make_writable(rgb_) < 0 ||
      sws_scale(scaler_, planes, strides, 0, static_cast<int>(picture.height_px), rgb_->data,
                rgb_->linesize) != static_cast<int>(picture.height_px)) {
    close();
    return Error{.code = ErrorCode::kUnsupported, .doing = "converting a picture for PNG"};
  }
  return {};
}

Status PngSnapshot::write_converted(const std::string& path) {
  check(encoder_ != nullptr, "a picture was converted");
  av_packet_unref(packet_);
  if (avcodec_send_frame(encoder_, rgb_) < 0 || avcodec_receive_packet(encoder_, packet_) < 0) {
    close();
    return Error{.code = ErrorCode::kUnsupported, .doing = "encoding a PNG picture"};
  }
  // One name for all attempts: what a killed process left behind is written over.
  const std::string beside = path + ".part";
  Result<AppendFile> file = AppendFile::open(beside, OpenMode::kStartAfresh);
  if (!file) return file.error();
  iovec piece{packet_->data, static_cast<std::size_t>(packet_->size)};
  Status written = file->append(0, std::span(&piece, 1));
  Status closed = file->close();
  av_packet_unref(packet_);
  if (written.ok()) written = closed;
  if (written.ok() && ::rename(beside.c_str(), path.c_str()) != 0) {
    written = Error{.code = ErrorCode::kSystem,
                    .os_errno = errno,
                    .doing = "renaming a PNG picture into place"};
  }
  if (!written) ::unlink(beside.c_str());
  return written;
}

Status PngSnapshot::write(const std::string& path, const PictureView& picture) {
  if (Status converted = convert(picture); !converted) return converted;
  return write_converted(path);
}

}  // namespace slipring::settop
