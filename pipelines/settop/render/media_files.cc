#include "pipelines/settop/render/media_files.h"

#include <algorithm>
#include <utility>

#include "pipelines/settop/render/numbered_path.h"

namespace slipring::settop {
namespace {

// The digest file holds both tracks.
constexpr std::uint64_t kSoundTag = std::uint64_t{1} << 63;

template <typename Writer>
Result<bool> open_one(std::optional<Writer>& writer, const std::string& path, OpenMode mode) {
  if (path.empty()) return false;
  Result<Writer> opened = Writer::open(path, mode);
  if (!opened) return opened.error();
  writer.emplace(std::move(opened).value());
  return true;
}

}  // namespace

MediaFiles::MediaFiles(MediaPaths paths, Board::Number y4m_number, Complain complain)
    : paths_(std::move(paths)), y4m_number_(y4m_number), complain_(std::move(complain)) {}

bool MediaFiles::open(OpenMode mode) {
  const std::string y4m_path =
      paths_.y4m.empty() ? "" : numbered_path(paths_.y4m, y4m_number_.get());
  if (Result<bool> opened = open_one(y4m_, y4m_path, mode); !opened) {
    complain_(y4m_path, opened.error());
    return false;
  }
  if (Result<bool> opened = open_one(wav_, paths_.wav, mode); !opened) {
    complain_(paths_.wav, opened.error());
    return false;
  }
  if (Result<bool> opened = open_one(digest_, paths_.digest, mode); !opened) {
    complain_(paths_.digest, opened.error());
    return false;
  }
  return true;
}

void MediaFiles::fail(const std::string& path, const Error& error) {
  ++failure_count_;
  complain_(path, error);
}

void MediaFiles::add_picture(const PictureView& picture, std::uint64_t tag) {
  if (y4m_ && y4m_->last_tag() != tag) {
    Status written = y4m_->append(picture, tag);
    if (!written && written.error().code == ErrorCode::kInvalidArgument) {
      begin_next_y4m();
      if (y4m_) written = y4m_->append(picture, tag);
    }
    if (y4m_ && !written) {
      fail(y4m_->path(), written.error());
      y4m_.reset();
    }
  }
  if (digest_ && digest_->last_tag() != tag) {
    if (Status written = digest_->append(picture, tag); !written) {
      fail(digest_->path(), written.error());
      digest_.reset();
    }
  }
}

void MediaFiles::begin_next_y4m() {
  if (Status closed = y4m_->close(); !closed) fail(y4m_->path(), closed.error());
  const std::uint64_t number = std::max<std::uint64_t>(y4m_number_.get(), 1) + 1;
  const std::string path = numbered_path(paths_.y4m, number);
  y4m_.reset();
  if (Result<bool> opened = open_one(y4m_, path, OpenMode::kStartAfresh); !opened) {
    fail(path, opened.error());
    return;
  }
  y4m_number_.set(number);
}

void MediaFiles::add_sound(const PcmBlock& block, std::int64_t pts, std::uint64_t tag) {
  tag |= kSoundTag;
  if (wav_ && wav_->last_tag() != tag) {
    if (Status written = wav_->append(block, tag); !written) {
      fail(wav_->path(), written.error());
      wav_.reset();
    }
  }
  if (digest_ && digest_->last_tag() != tag) {
    if (Status written = digest_->append(block, pts, tag); !written) {
      fail(digest_->path(), written.error());
      digest_.reset();
    }
  }
}

void MediaFiles::close() {
  const auto close_one = [this](auto& writer) {
    if (!writer) return;
    if (Status closed = writer->close(); !closed) fail(writer->path(), closed.error());
    writer.reset();
  };
  close_one(y4m_);
  close_one(wav_);
  close_one(digest_);
}

}  // namespace slipring::settop
