#include "platform/memory/mapping_report.h"

#include <doctest/doctest.h>

#include <cerrno>

namespace slipring {
namespace {

TEST_CASE("mapping report: what was not asked for is not mentioned") {
  CHECK(describe({.size_bytes = 8 << 20, .is_locked = true}) == "8 MiB: locked");
  CHECK(describe({.size_bytes = 12288}) == "12 KiB: not locked");
  CHECK(describe({.size_bytes = 100}) == "100 bytes: not locked");
}

TEST_CASE("mapping report: a downgrade is named with its reason") {
  MappingReport report{.size_bytes = 6 << 20, .lock_errno = EPERM};
  report.huge_pages = HugePages::kNone;
  report.huge_errno = EINVAL;
  report.numa = {NumaOutcome::kUnavailable, ENOSYS, 0};
  report.prefault = Prefault::kTouched;
  CHECK(describe(report) ==
        "6 MiB: not locked (Operation not permitted); no huge pages (Invalid argument); not placed "
        "on nodes (Function not implemented); pre-faulted page by page");
}

TEST_CASE("mapping report: what was got is counted") {
  MappingReport report{.size_bytes = 6 << 20, .is_locked = true};
  report.huge_pages = HugePages::kPartly;
  report.huge_bytes = 4 << 20;
  report.numa = {NumaOutcome::kPlaced, 0, 0b101};
  CHECK(describe(report) == "6 MiB: locked; 4 MiB in huge pages; on nodes 0,2");
  report.huge_pages = HugePages::kAll;
  report.numa = {NumaOutcome::kSingleNode, 0, 1};
  CHECK(describe(report) == "6 MiB: locked; all in huge pages; on the only node");
}

}  // namespace
}  // namespace slipring
