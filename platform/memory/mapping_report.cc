#include "platform/memory/mapping_report.h"

#include <cstring>

namespace slipring {

namespace {

std::string size_text(std::uint64_t size_bytes) {
  constexpr std::uint64_t kKibibyte = 1024;
  constexpr std::uint64_t kMebibyte = 1024 * kKibibyte;
  if (size_bytes >= kMebibyte && size_bytes % kMebibyte == 0) {
    return std::to_string(size_bytes / kMebibyte) + " MiB";
  }
  if (size_bytes % kKibibyte == 0) return std::to_string(size_bytes / kKibibyte) + " KiB";
  return std::to_string(size_bytes) + " bytes";
}

std::string reason(int os_errno) {
  return os_errno == 0 ? std::string() : std::string(" (") + std::strerror(os_errno) + ")";
}

std::string nodes_text(std::uint64_t mask) {
  std::string text;
  for (unsigned node = 0; node < 64; ++node) {
    if (((mask >> node) & 1u) == 0) continue;
    text += (text.empty() ? "" : ",") + std::to_string(node);
  }
  return text.empty() ? "unknown nodes" : (text.size() > 1 ? "nodes " : "node ") + text;
}

std::string huge_text(const MappingReport& report) {
  if (report.huge_pages == HugePages::kNone) return "no huge pages" + reason(report.huge_errno);
  if (report.huge_pages == HugePages::kAll) return "all in huge pages";
  return size_text(report.huge_bytes) + " in huge pages";
}

std::string numa_text(const NumaReport& numa) {
  switch (numa.outcome) {
    case NumaOutcome::kNotAsked:
      return {};
    case NumaOutcome::kPlaced:
      return "on " + nodes_text(numa.node_mask);
    case NumaOutcome::kSingleNode:
      return "on the only node";
    case NumaOutcome::kUnavailable:
      return "not placed on nodes" + reason(numa.os_errno);
  }
  return {};
}

}  // namespace

std::string describe(const MappingReport& report) {
  std::string text = size_text(report.size_bytes) + ": ";
  text += report.is_locked ? "locked" : "not locked" + reason(report.lock_errno);
  if (report.huge_pages != HugePages::kNotAsked) text += "; " + huge_text(report);
  if (report.numa.outcome != NumaOutcome::kNotAsked) text += "; " + numa_text(report.numa);
  if (report.prefault == Prefault::kTouched) text += "; pre-faulted page by page";
  return text;
}

}  // namespace slipring
