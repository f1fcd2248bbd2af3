#include "platform/process/usage.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>

#include "platform/process/proc_file.h"

namespace slipring {

namespace {

// Fields of /proc/PID/stat after the program's name, which is in parentheses and may contain
// anything; numbered as in proc(5), where the state is field 3.
constexpr std::size_t kFirstField = 3;
constexpr std::size_t kUserTimeField = 14;
constexpr std::size_t kSystemTimeField = 15;
constexpr std::size_t kThreadCountField = 20;
constexpr std::size_t kStartTimeField = 22;

std::uint64_t number_at(std::string_view fields, std::size_t field) noexcept {
  for (std::size_t i = kFirstField; i < field; ++i) {
    const std::size_t space = fields.find(' ');
    if (space == std::string_view::npos) return 0;
    fields.remove_prefix(space + 1);
  }
  return leading_number(fields).value_or(0);
}

std::uint64_t kibibytes(std::string_view status, std::string_view key) noexcept {
  const auto text = proc_field(status, key);
  return text ? leading_number(*text).value_or(0) * 1024 : 0;
}

}  // namespace

Result<ProcessUsage> read_usage(pid_t pid) noexcept {
  std::array<char, 64> path = {};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", static_cast<int>(pid));
  Result<std::string> stat = read_proc_file(path.data());
  if (!stat.ok()) return stat.error();
  std::snprintf(path.data(), path.size(), "/proc/%d/status", static_cast<int>(pid));
  Result<std::string> status = read_proc_file(path.data());
  if (!status.ok()) return status.error();

  const std::string_view text = *stat;
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 >= text.size()) {
    return Error{ErrorCode::kSystem, 0, "understand /proc/PID/stat"};
  }
  const std::string_view fields = text.substr(name_end + 2);
  const auto ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  ProcessUsage usage;
  usage.state = fields[0];
  const std::uint64_t ticks =
      number_at(fields, kUserTimeField) + number_at(fields, kSystemTimeField);
  usage.cpu_time_ns = ticks * (1'000'000'000u / ticks_per_second);
  usage.thread_count = static_cast<std::uint32_t>(number_at(fields, kThreadCountField));
  usage.start_ticks = number_at(fields, kStartTimeField);
  usage.resident_bytes = kibibytes(*status, "VmRSS");
  usage.locked_bytes = kibibytes(*status, "VmLck");
  return usage;
}

}  // namespace slipring
