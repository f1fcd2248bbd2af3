#include "platform/machine/processor.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "platform/process/proc_file.h"

namespace slipring {

namespace {

// The kernel's list of the first processor: "flags" on x86, "Features" on ARM.
std::string processor_flags() {
  Result<std::string> text = read_proc_file("/proc/cpuinfo");
  if (!text.ok()) return {};
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    if (line.starts_with("flags") || line.starts_with("Features")) {
      const std::size_t colon = line.find(':');
      // Spaces around every word make it findable as a word.
      if (colon != std::string_view::npos) return std::string(line.substr(colon + 1)) + " ";
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

bool has_flag(const std::string& flags, std::string_view flag) {
  return flags.find(" " + std::string(flag) + " ") != std::string::npos;
}

}  // namespace

bool runs_under_hypervisor() {
  return has_flag(processor_flags(), "hypervisor");
}

}  // namespace slipring
