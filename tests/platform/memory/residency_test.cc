#include "platform/memory/residency.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace slipring {
namespace {

constexpr std::size_t kPage = 4096;

TEST_CASE("residency: what was touched is resident, what was locked is locked, by range") {
  void* address =
      ::mmap(nullptr, 8 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(address != MAP_FAILED);
  // A mapping of its own, so that no neighbour is merged with it.
  REQUIRE(::mprotect(address, kPage, PROT_NONE) == 0);
  REQUIRE(::mprotect(static_cast<char*>(address) + 7 * kPage, kPage, PROT_NONE) == 0);
  auto* bytes = static_cast<char*>(address) + kPage;
  CHECK(residency_of(bytes, 6 * kPage)->resident_bytes == 0);
  bytes[0] = 1;
  bytes[3 * kPage] = 1;
  Result<Residency> touched = residency_of(bytes, 6 * kPage);
  REQUIRE(touched.ok());
  CHECK(touched->resident_bytes == 2 * kPage);
  CHECK(touched->huge_bytes == 0);
  CHECK(touched->locked_bytes == 0);
  CHECK(residency_of(bytes, kPage)->resident_bytes <= kPage);
  CHECK(residency_of(bytes - kPage, kPage)->resident_bytes == 0);
  if (::syscall(SYS_mlock, bytes, 6 * kPage) == 0) {
    CHECK(residency_of(bytes, 6 * kPage)->locked_bytes == 6 * kPage);
  } else {
    MESSAGE("partly not run: RLIMIT_MEMLOCK is below 24 KiB");
  }
  REQUIRE(::munmap(address, 8 * kPage) == 0);
}

}  // namespace
}  // namespace slipring
