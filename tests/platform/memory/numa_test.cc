#include "platform/memory/numa.h"

#include <doctest/doctest.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

#include "tests/platform/other_process.h"
#include "tests/platform/seccomp.h"

namespace slipring {
namespace {

constexpr std::size_t kSize = 64 * 4096;
constexpr int kNoFilters = 77;

struct Pages {
  Pages() {
    data = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE,
                  -1, 0);
    if (data == MAP_FAILED) std::abort();
  }
  ~Pages() { ::munmap(data, kSize); }
  void* data;
};

std::uint64_t first_node() {
  return std::uint64_t{1} << std::countr_zero(numa_nodes());
}

int task_mode() {
  int mode = -1;
  std::uint64_t mask[16] = {};
  return ::syscall(SYS_get_mempolicy, &mode, mask, 1024ul, nullptr, 0) == 0 ? mode : -1;
}

TEST_CASE("numa: there is a node, and requests for others are refused by name") {
  CHECK(numa_nodes() != 0);
  CHECK(validate_numa({}).ok());
  CHECK(validate_numa({NumaPolicy::kLocal, 0}).ok());
  CHECK(validate_numa({NumaPolicy::kBind, first_node()}).ok());
  CHECK(validate_numa({NumaPolicy::kBind, 0}).error().code == ErrorCode::kInvalidArgument);
  const std::uint64_t absent = std::uint64_t{1} << 63;
  if ((numa_nodes() & absent) == 0) {
    const Error error = validate_numa({NumaPolicy::kInterleave, absent | first_node()}).error();
    CHECK(error.code == ErrorCode::kInvalidArgument);
    CHECK(error.found == absent);
  }
}

TEST_CASE("numa: a range lies where it was asked to, or the report says why not") {
  for (const NumaPolicy policy : {NumaPolicy::kBind, NumaPolicy::kInterleave, NumaPolicy::kLocal}) {
    Pages pages;
    const NumaReport report = place_on_nodes(pages.data, kSize, {policy, first_node()});
    if (report.outcome == NumaOutcome::kUnavailable) {
      CHECK(report.os_errno != 0);
      MESSAGE("not run: mbind fails with errno ", report.os_errno);
      return;
    }
    CHECK(report.outcome ==
          (std::has_single_bit(numa_nodes()) ? NumaOutcome::kSingleNode : NumaOutcome::kPlaced));
    if (policy != NumaPolicy::kLocal && report.node_mask != 0) {
      CHECK(report.node_mask == first_node());
    }
  }
}

TEST_CASE("numa: nobody asked, nothing done") {
  Pages pages;
  CHECK(place_on_nodes(pages.data, kSize, {}).outcome == NumaOutcome::kNotAsked);
  CHECK(NumaScope({}).report().outcome == NumaOutcome::kNotAsked);
}

TEST_CASE("numa: a node that is not there is a reported downgrade") {
  const std::uint64_t absent = std::uint64_t{1} << 63;
  if ((numa_nodes() & absent) != 0) return;
  Pages pages;
  const NumaReport report = place_on_nodes(pages.data, kSize, {NumaPolicy::kBind, absent});
  CHECK(report.outcome == NumaOutcome::kUnavailable);
  CHECK(report.os_errno != 0);
}

TEST_CASE("numa: a scope's policy ends with it") {
  const int before = task_mode();
  {
    const NumaScope scope({NumaPolicy::kInterleave, first_node()});
    if (scope.report().outcome == NumaOutcome::kUnavailable) {
      MESSAGE("not run: set_mempolicy fails with errno ", scope.report().os_errno);
      return;
    }
    CHECK(task_mode() == MPOL_INTERLEAVE);
    {
      const NumaScope inner({NumaPolicy::kBind, first_node()});
      CHECK(task_mode() == MPOL_BIND);
    }
    CHECK(task_mode() == MPOL_INTERLEAVE);
  }
  CHECK(task_mode() == before);
}

TEST_CASE("numa: a kernel without the calls, or a filter, is a reported downgrade") {
  for (const int os_errno : {ENOSYS, EPERM}) {
    OtherProcess child([&](Line) {
      if (!forbid_calls({{SYS_mbind, os_errno}, {SYS_get_mempolicy, os_errno}})) return kNoFilters;
      Pages pages;
      const NumaReport report = place_on_nodes(pages.data, kSize, {NumaPolicy::kBind, 1});
      if (report.outcome != NumaOutcome::kUnavailable || report.os_errno != os_errno) return 1;
      const NumaScope scope({NumaPolicy::kBind, 1});
      if (scope.report().outcome != NumaOutcome::kUnavailable) return 2;
      return scope.report().os_errno == os_errno ? 0 : 3;
    });
    const int code = child.wait();
    if (code != kNoFilters) CHECK(code == 0);
  }
}

}  // namespace
}  // namespace slipring
