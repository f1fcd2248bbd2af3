#include "pipelines/settop/render/wav_writer.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

#include "core/error/check.h"

namespace slipring::settop {
namespace {

static_assert(std::endian::native == std::endian::little,
              "RIFF is little endian, as is the header");

// The extensible form, for it says which speaker a channel belongs to; no implicit padding.
struct WavHeader {
  char riff[4] = {'R', 'I', 'F', 'F'};
  std::uint32_t riff_bytes = 0;
  char wave[4] = {'W', 'A', 'V', 'E'};
  char fmt[4] = {'f', 'm', 't', ' '};
  std::uint32_t fmt_bytes = 40;
  std::uint16_t format_tag = 0xfffe;
  std::uint16_t channel_count = 0;
  std::uint32_t sample_rate_hz = 0;
  std::uint32_t bytes_per_second = 0;
  std::uint16_t block_bytes = 0;
  std::uint16_t bits_per_sample = 16;
  std::uint16_t extension_bytes = 22;
  std::uint16_t valid_bits_per_sample = 16;
  std::uint32_t channel_mask = 0;
  std::uint8_t sub_format[16] = {1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};
  char data[4] = {'d', 'a', 't', 'a'};
  std::uint32_t data_bytes = 0;
};
static_assert(sizeof(WavHeader) == 68);

// Front left and right, centre, low frequency, rear or side, as far as the count goes.
constexpr std::uint32_t kChannelMasks[kMaxPlanes + 1] = {0,    0x4,  0x3,   0x7,  0x107,
                                                         0x37, 0x3f, 0x70f, 0x63f};

std::uint32_t saturated(std::uint64_t bytes) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, UINT32_MAX));
}

WavHeader header_of(std::uint32_t sample_rate_hz, std::uint32_t channel_count,
                    std::uint64_t data_bytes) {
  WavHeader header;
  header.riff_bytes = saturated(sizeof header - offsetof(WavHeader, wave) + data_bytes);
  header.channel_count = static_cast<std::uint16_t>(channel_count);
  header.sample_rate_hz = sample_rate_hz;
  header.block_bytes = static_cast<std::uint16_t>(channel_count * sizeof(std::int16_t));
  header.bytes_per_second = sample_rate_hz * header.block_bytes;
  header.channel_mask = kChannelMasks[channel_count];
  header.data_bytes = saturated(data_bytes);
  return header;
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
  WavHeader header;
  iovec pieces[2] = {};
  std::size_t piece_count = 0;
  if (sample_rate_hz_ == 0) {
    header = header_of(block.sample_rate_hz, block.channel_count, block.samples.size_bytes());
    pieces[piece_count++] = {&header, sizeof header};
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
  if (channel_count_ == 0 || file_.size_bytes() < sizeof(WavHeader)) return 0;
  return (file_.size_bytes() - sizeof(WavHeader)) / (channel_count_ * sizeof(std::int16_t));
}

Status WavWriter::update_sizes() {
  if (sample_rate_hz_ == 0 || !file_.is_regular()) return {};
  samples_since_update_ = 0;
  const WavHeader header =
      header_of(sample_rate_hz_, channel_count_, file_.size_bytes() - sizeof(WavHeader));
  return file_.patch(0, std::as_bytes(std::span(&header, 1)));
}

Status WavWriter::read_header() {
  WavHeader header;
  Result<std::size_t> got = file_.read_at(0, std::as_writable_bytes(std::span(&header, 1)));
  if (!got) return got.error();
  if (got.value() < sizeof header) return file_.truncate(0);  // the first append tore
  const bool plausible = header.channel_count > 0 && header.channel_count <= kMaxPlanes &&
                         header.sample_rate_hz > 0 && header.sample_rate_hz <= kMaxSampleRateHz;
  WavHeader expected = header_of(header.sample_rate_hz, plausible ? header.channel_count : 1, 0);
  expected.riff_bytes = header.riff_bytes;
  expected.data_bytes = header.data_bytes;
  if (!plausible || std::memcmp(&header, &expected, sizeof header) != 0) {
    return Error{.code = ErrorCode::kVersion,
                 .doing = "continuing a file that is no WAV file of ours"};
  }
  sample_rate_hz_ = header.sample_rate_hz;
  channel_count_ = header.channel_count;
  const std::uint64_t data_bytes = file_.size_bytes() - sizeof header;
  const std::uint64_t torn_bytes = data_bytes % header.block_bytes;
  if (Status cut = file_.truncate(file_.size_bytes() - torn_bytes); !cut) return cut;
  return update_sizes();
}

}  // namespace slipring::settop
