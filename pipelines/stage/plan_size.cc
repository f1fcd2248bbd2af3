#include "pipelines/stage/plan_size.h"

#include <cstdio>

#include "pipelines/link/board.h"
#include "platform/memory/mapping.h"

namespace slipring {
namespace {

std::string in_unit(double amount, const char* unit) {
  char text[48];
  std::snprintf(text, sizeof text, "%.1f %s", amount, unit);
  return text;
}

std::string about(std::uint64_t size_bytes, bool round_up) {
  const char* unit = "KiB";
  std::uint64_t scale = 1024;
  if (size_bytes >= std::uint64_t{1} << 30) {
    unit = "GiB";
    scale = std::uint64_t{1} << 30;
  } else if (size_bytes >= std::uint64_t{1} << 20) {
    unit = "MiB";
    scale = std::uint64_t{1} << 20;
  }
  const std::uint64_t whole = size_bytes / scale;
  const std::uint64_t rest = size_bytes % scale;
  const std::uint64_t tenths = whole * 10 + (rest * 10 + (round_up ? scale - 1 : 0)) / scale;
  return in_unit(static_cast<double>(tenths) / 10.0, unit);
}

}  // namespace

std::string need_text(std::uint64_t size_bytes) {
  return about(size_bytes, true);
}

std::string have_text(std::uint64_t size_bytes) {
  return about(size_bytes, false);
}

std::uint64_t segment_bytes(const LinkShape& shape) noexcept {
  return make_link_header(shape, "", page_size_bytes()).total_bytes;
}

std::uint64_t mapped_bytes(const LinkShape& shape) noexcept {
  const LinkParts parts = parts_of(shape, page_size_bytes());
  return parts.writer_bytes + parts.reader_bytes;
}

std::uint64_t board_segment_bytes() noexcept {
  const std::uint64_t page_bytes = page_size_bytes();
  // The header's page and the board's.
  return page_bytes + (sizeof(BoardPage) + page_bytes - 1) / page_bytes * page_bytes;
}

std::uint64_t total_segment_bytes(const PipelinePlan& plan) {
  std::uint64_t bytes = plan.oobs.size() * segment_bytes(oob_shape()) +
                        (plan.stages.size() + 1) * board_segment_bytes();
  for (const LinkPlan& link : plan.links) bytes += segment_bytes(shape_of(link));
  return bytes;
}

std::uint64_t stage_locked_bytes(const PipelinePlan& plan, std::size_t stage_index) {
  std::uint64_t bytes = board_segment_bytes();
  for (const LinkPlan& link : plan.links) {
    // A stage that feeds itself holds both ends, and each end maps the segment.
    if (link.from.stage_index == stage_index) bytes += mapped_bytes(shape_of(link));
    if (link.to.stage_index == stage_index) bytes += mapped_bytes(shape_of(link));
  }
  for (const OobPlan& oob : plan.oobs) {
    if (oob.to.stage_index == stage_index) bytes += mapped_bytes(oob_shape());
  }
  return bytes;
}

std::vector<Finding> check_memlock(const PipelinePlan& plan, std::uint64_t limit_bytes) {
  std::vector<Finding> findings;
  if (plan.memlock != MemlockPolicy::kRequire) return findings;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const std::uint64_t need = stage_locked_bytes(plan, i);
    if (need <= limit_bytes) continue;
    findings.push_back(
        {plan.memlock_line, "memory-lock limit too small",
         "stage \"" + plan.stages[i].name + "\" locks " + need_text(need) + ", the limit is " +
             have_text(limit_bytes),
         "raise it with `ulimit -l " + std::to_string((need + 1023) / 1024) +
             "` or LimitMEMLOCK=, make the links smaller, or write memlock = \"try\""});
  }
  return findings;
}

std::vector<Finding> check_space(const PipelinePlan& plan, std::string_view directory,
                                 std::uint64_t free_bytes) {
  const std::uint64_t need = total_segment_bytes(plan);
  if (need <= free_bytes) return {};
  return {{0, "not enough shared memory",
           "the links need " + need_text(need) + ", " + std::string(directory) + " has " +
               have_text(free_bytes) + " free",
           "enlarge that file system (mount -o remount,size=…), set SLIPRING_DIR to a larger "
           "tmpfs, or make the links smaller"}};
}

}  // namespace slipring
