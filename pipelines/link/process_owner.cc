#include "pipelines/link/process_owner.h"

#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "platform/process/proc_file.h"

namespace slipring {

Owner owner_of(pid_t process) noexcept {
  const Owner ours{geteuid(), getegid()};
  const std::string path = "/proc/" + std::to_string(process) + "/status";
  const Result<std::string> status = read_proc_file(path.c_str());
  if (!status.ok()) return ours;
  // "Uid:" real, effective, saved, file system.
  const auto effective = [&](std::string_view name, std::uint32_t otherwise) {
    std::string_view numbers = proc_field(status.value(), name).value_or("");
    const std::size_t gap = numbers.find_first_of(" \t");
    if (gap != std::string_view::npos) numbers.remove_prefix(gap);
    return static_cast<std::uint32_t>(leading_number(numbers).value_or(otherwise));
  };
  return {effective("Uid", ours.user), effective("Gid", ours.group)};
}

}  // namespace slipring
