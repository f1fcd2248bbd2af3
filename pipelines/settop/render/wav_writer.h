// Sound into a RIFF WAVE file of 16-bit samples.
//
// The sizes in the header are brought up to date once for each second of sound and on close(), so
// that the file of a killed process plays up to its last second; whoever continues the file makes
// them whole.  Past 4 GiB the sizes stay at their largest value, which players take as "to the
// end".
#pragma once

#include <cstdint>
#include <string>

#include "core/error/result.h"
#include "pipelines/settop/render/append_file.h"
#include "pipelines/settop/render/pcm_converter.h"

namespace slipring::settop {

// One thread at a time.
class WavWriter {
 public:
  // With kContinue, a torn sample at the end is cut off.
  // Errors: those of AppendFile; kVersion for a file that is not one of these.
  static Result<WavWriter> open(std::string path, OpenMode mode);

  // Writes one block.  `tag` names it for a successor, as in AppendFile.
  // Errors: those of AppendFile::append(); kInvalidArgument for another rate or channel count than
  // the file's.
  [[nodiscard]] Status append(const PcmBlock& block, std::uint64_t tag);

  [[nodiscard]] Status close();

  // The file's own; 0 before the first block.
  [[nodiscard]] std::uint32_t sample_rate_hz() const noexcept { return sample_rate_hz_; }
  [[nodiscard]] std::uint32_t channel_count() const noexcept { return channel_count_; }
  // Samples a channel, a predecessor's included.
  [[nodiscard]] std::uint64_t sample_count() const noexcept;
  [[nodiscard]] const std::string& path() const noexcept { return file_.path(); }
  [[nodiscard]] std::optional<std::uint64_t> last_tag() const noexcept { return file_.last_tag(); }

 private:
  explicit WavWriter(AppendFile file) : file_(std::move(file)) {}

  [[nodiscard]] Status read_header();
  [[nodiscard]] Status update_sizes();

  AppendFile file_;
  std::uint32_t sample_rate_hz_ = 0;
  std::uint32_t channel_count_ = 0;
  std::uint64_t samples_since_update_ = 0;
};

}  // namespace slipring::settop
