#include "pipelines/settop/render/wav_writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <span>

#include "core/error/check.h"

namespace slipring::settop {
namespace {

static_assert(std::endian::native == std::endian::little, "the samples go out as they are");

// The head of a file as it lies there.  Up to two channels it is the plain form, which every
// program reads; from three on the extensible one, which says what speaker a channel belongs to.
class WavHeader {
 public:
  WavHeader(std::uint32_t sample_rate_hz, std::uint32_t channel_count, std::uint64_t data_bytes);

  [[nodiscard]] std::span<const std::byte> bytes() const {
    return std::span(bytes_).first(size_bytes_);
  }

 private:
  void put_text(const char* four_letters);
  void put16(std::uint32_t value);
  void put32(std::uint64_t value);

  std::array<std::byte, 68> bytes_{};
  std::size_t size_bytes_ = 0;
};

constexpr std::size_t kPlainHeaderBytes = 44;
constexpr std::size_t kExtensibleHeaderBytes = 68;

constexpr std::size_t header_bytes_for(std::uint32_t channel_count) {
  return channel_count > 2 ? kExtensibleHeaderBytes : kPlainHeaderBytes;
}

// Front left and right, centre, low frequency, rear or side, as far as the count goes.
constexpr std::uint32_t kChannelMasks[kMaxPlanes + 1] = {0,    0x4,  0x3,   0x7,  0x107,
                                                         0x37, 0x3f, 0x70f, 0x63f};

WavHeader::WavHeader(std::uint32_t sample_rate_hz, std::uint32_t channel_count,
                     std::uint64_t data_bytes) {
  const bool extensible = channel_count > 2;
  const std::uint32_t block_bytes = channel_count * 2;
  put_text("RIFF");
  put32(header_bytes_for(channel_count) - 8 + data_bytes);
  put_text("WAVE");
  put_text("fmt ");
  put32(extensible ? 40 : 16);
  put16(extensible ? 0xfffe : 1);
  put16(channel_count);
  put32(sample_rate_hz);
  put32(std::uint64_t{sample_rate_hz} * block_bytes);
  put16(block_bytes);
  put16(16);  // bits a sample
  if (extensible) {
    put16(22);  // bytes that follow
    put16(16);  // bits of them that count
    put32(kChannelMasks[channel_count]);
    // The identifier of integer samples.
    for (const std::uint32_t word : {0x00000001U, 0x00100000U, 0xaa000080U, 0x719b3800U}) {
      put32(word);
    }
  }
  put_text("data");
  put32(data_bytes);
}

void WavHeader::put_text(const char* four_letters) {
  for (std::size_t at = 0; at < 4; ++at) {
    bytes_[size_bytes_++] = static_cast<std::byte>(four_letters[at]);
  }
}

void WavHeader::put16(std::uint32_t value) {
  bytes_[size_bytes_++] = static_cast<std::byte>(value);
  bytes_[size_bytes_++] = static_cast<std::byte>(value >> 8);
}

// A size beyond 32 bits becomes the largest one.
void WavHeader::put32(std::uint64_t value) {
  const auto word = static_cast<std::uint32_t>(std::min<std::uint64_t>(value, UINT32_MAX));
  put16(word & 0xffff);
  put16(word >> 16);
}

std::uint32_t word_at(std::span<const std::byte> bytes, std::size_t at, std::size_t size_bytes) {
  std::uint32_t word = 0;
  for (std::size_t byte = size_bytes; byte > 0; --byte) {
    word = word << 8 | std::to_integer<std::uint32_t>(bytes[at + byte - 1]);
  }
  return word;
}

}  // namespace

Result<WavWriter> WavWriter::open(std::string path, OpenMode mode) {
  Result<AppendFile> file = AppendFile::open(std::move(path), mode);
  if (!file) return file.error();
  WavWriter writer(std::move(file).value());
  if (writer.file_.size_bytes() > 0) {
    if (Status read = writer.read_header(); !read) return read.error();
  }
  return writer;
}

Status WavWriter::append(const PcmBlock& block, std::uint64_t tag) {
  check(block.channel_count > 0 && block.channel_count <= kMaxPlanes && block.sample_rate_hz > 0 &&
            block.samples.size() % block.channel_count == 0,
        "a block of sound is whole");
  const WavHeader header(block.sample_rate_hz, block.channel_count, block.samples.size_bytes());
  iovec pieces[2] = {};
  std::size_t piece_count = 0;
  if (sample_rate_hz_ == 0) {
    pieces[piece_count++] = {const_cast<std::byte*>(header.bytes().data()), header.bytes().size()};
  } else if (block.sample_rate_hz != sample_rate_hz_ || block.channel_count != channel_count_) {
    return Error{.code = ErrorCode::kInvalidArgument,
                 .doing = "writing sound into a WAV file of another rate or channel count",
                 .found = block.sample_rate_hz,
                 .wanted = sample_rate_hz_};
  }
  pieces[piece_count++] = {const_cast<std::int16_t*>(block.samples.data()),
                           block.samples.size_bytes()};
  if (Status written = file_.append(tag, std::span(pieces, piece_count)); !written) return written;
  sample_rate_hz_ = block.sample_rate_hz;
  channel_count_ = block.channel_count;
  samples_since_update_ += block.samples.size() / channel_count_;
  return samples_since_update_ >= sample_rate_hz_ ? update_sizes() : Status{};
}

Status WavWriter::close() {
  Status updated = update_sizes();
  Status closed = file_.close();
  return updated.ok() ? closed : updated;
}

std::uint64_t WavWriter::sample_count() const noexcept {
  const std::size_t header_bytes = header_bytes_for(channel_count_);
  if (channel_count_ == 0 || file_.size_bytes() < header_bytes) return 0;
  return (file_.size_bytes() - header_bytes) / (channel_count_ * sizeof(std::int16_t));
}

Status WavWriter::update_sizes() {
  if (sample_rate_hz_ == 0 || !file_.is_regular()) return {};
  samples_since_update_ = 0;
  const WavHeader header(sample_rate_hz_, channel_count_,
                         file_.size_bytes() - header_bytes_for(channel_count_));
  return file_.patch(0, header.bytes());
}

Status WavWriter::read_header() {
  std::array<std::byte, kExtensibleHeaderBytes> head{};
  Result<std::size_t> got = file_.read_at(0, head);
  if (!got) return got.error();
  if (got.value() < kPlainHeaderBytes) return file_.truncate(0);  // the first append tore
  const std::uint32_t channel_count = word_at(head, 22, 2);
  const std::uint32_t sample_rate_hz = word_at(head, 24, 4);
  constexpr Error kForeign{.code = ErrorCode::kVersion,
                           .doing = "continuing a file that is no WAV file of ours"};
  if (channel_count == 0 || channel_count > kMaxPlanes || sample_rate_hz == 0 ||
      sample_rate_hz > kMaxSampleRateHz) {
    return kForeign;
  }
  const std::size_t header_bytes = header_bytes_for(channel_count);
  if (got.value() < header_bytes) return file_.truncate(0);
  // All but the sizes, which may be old.
  const WavHeader expected(sample_rate_hz, channel_count, 0);
  for (std::size_t at = 0; at < header_bytes; ++at) {
    const bool is_size = (at >= 4 && at < 8) || at >= header_bytes - 4;
    if (!is_size && head[at] != expected.bytes()[at]) return kForeign;
  }
  sample_rate_hz_ = sample_rate_hz;
  channel_count_ = channel_count;
  const std::uint64_t torn_bytes = (file_.size_bytes() - header_bytes) % (channel_count * 2);
  if (Status cut = file_.truncate(file_.size_bytes() - torn_bytes); !cut) return cut;
  return update_sizes();
}

}  // namespace slipring::settop
