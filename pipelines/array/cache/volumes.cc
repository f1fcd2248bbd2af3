#include "pipelines/array/cache/volumes.h"

#include <algorithm>

#include "pipelines/array/block_request.h"
#include "pipelines/array/raid/raid_layout.h"
#include "pipelines/stage/pipeline_file.h"
#include "pipelines/stage/quantity.h"

namespace slipring::array {

std::optional<std::vector<std::uint64_t>> parse_volumes(std::string_view text, std::string& fault) {
  std::vector<std::uint64_t> sizes;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::string_view word = text.substr(begin, end - begin);
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    begin = end + 1;
    const bool is_rest = word == "rest";
    const std::optional<std::uint64_t> bytes = is_rest ? 0 : parse_size_bytes(word);
    if (!bytes || (!is_rest && (*bytes == 0 || *bytes % kBlockBytes != 0))) {
      fault = "'" + std::string(word) +
              "' is no size in whole blocks of 4 KiB, as 256MiB is, nor the word rest";
      return std::nullopt;
    }
    if (is_rest && end != text.size()) {
      fault = "what follows 'rest' has no place; let it be the last";
      return std::nullopt;
    }
    sizes.push_back(*bytes);
  }
  if (sizes.size() > kExportCountMax) {
    fault = std::to_string(sizes.size()) + " volumes are more than the " +
            std::to_string(kExportCountMax) + " that can be";
    return std::nullopt;
  }
  return sizes;
}

std::optional<std::vector<Volume>> place_volumes(std::span<const std::uint64_t> sizes,
                                                 std::uint64_t array_bytes, std::string& fault) {
  std::vector<Volume> volumes;
  std::uint64_t at = 0;
  for (const std::uint64_t wanted : sizes) {
    const std::uint64_t left = array_bytes - at;
    const std::uint64_t size = wanted == 0 ? left : wanted;
    if (size == 0 || size > left) {
      fault = "volume " + std::to_string(volumes.size()) + " wants " +
              (wanted == 0 ? std::string("what is left") : std::to_string(wanted) + " bytes") +
              ", and the array of " + std::to_string(array_bytes) + " bytes has " +
              std::to_string(left) + " left; make it smaller, or the disks larger";
      return std::nullopt;
    }
    volumes.push_back({at, size});
    at += size;
  }
  return volumes;
}

}  // namespace slipring::array
