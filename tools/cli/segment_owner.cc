#include "tools/cli/segment_owner.h"

#include <grp.h>

#include <charconv>
#include <cstdint>
#include <optional>

#include "tools/cli/terminal.h"

namespace slipring::tools {
namespace {

template <typename Number>
std::optional<Number> whole_number(std::string_view text, int base) {
  Number number{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

bool read_owner(std::string_view command, const std::string& mode, const std::string& group,
                SegmentOptions& options) {
  const auto bits = whole_number<std::uint32_t>(mode, 8);
  if (!bits || (*bits & ~0660U) != 0 || (*bits & 0600U) != 0600) {
    complain(command, "--mode '" + mode + "' is not 0600, 0640, 0620, or 0660");
    return false;
  }
  options.mode = *bits;
  if (group.empty()) return true;
  if (const auto number = whole_number<gid_t>(group, 10)) {
    options.group = *number;
    return true;
  }
  const struct group* found = getgrnam(group.c_str());
  if (found == nullptr) {
    complain(command, "--group '" + group + "': there is no such group");
    return false;
  }
  options.group = found->gr_gid;
  return true;
}

}  // namespace slipring::tools
