// What a sandboxed stage says of a file that it may not have.

#include <errno.h>

#include <filesystem>
#include <system_error>

#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "platform/memory/segment_directory.h"

namespace slipring {
namespace {

// Whether `folder` is `other`, or above it.
bool is_above(const std::filesystem::path& folder, const std::filesystem::path& other) {
  auto at = other.begin();
  for (const auto& part : folder) {
    if (at == other.end() || *at != part) return false;
    ++at;
  }
  return true;
}

}  // namespace

std::string Stage::explain(const Error& error, const std::string& path) const {
  std::string text = describe_error(error);
  const bool is_refused = error.os_errno == EACCES || error.os_errno == EPERM;
  if (!is_sandboxed_ || !is_refused) return text;
  std::error_code fault;
  Result<SegmentDirectory> directory = SegmentDirectory::open();
  if (!directory) return text;
  const std::filesystem::path segments =
      std::filesystem::weakly_canonical(directory->path(), fault);
  const std::filesystem::path folder =
      std::filesystem::weakly_canonical(std::filesystem::absolute(path, fault), fault)
          .parent_path();
  if (fault || (!is_above(folder, segments) && !is_above(segments, folder))) return text;
  return text + ": the sandbox lets a stage neither make nor change files in " + folder.string() +
         ", because the segment directory " + segments.string() +
         (is_above(folder, segments) ? " lies in or below it" : " is it or above it") +
         "; choose another folder, or set sandbox = \"off\" in [pipeline]";
}

}  // namespace slipring
