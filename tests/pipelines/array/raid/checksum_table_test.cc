#include "pipelines/array/raid/checksum_table.h"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/pipelines/array/raid/array_bench.h"

namespace slipring::array::test {

TEST_CASE("checksum_table: checksums that do not fit the memory are refused, in numbers") {
  Bench bench(RaidLevel::kSingleParity, 3);
  bench.write_everything();
  const std::uint64_t wanted = ChecksumTable::memory_bytes(3, kRows);
  CHECK(wanted >= 3 * kRows * 4);
  bench.options.checksum_bytes_max = wanted - 1;
  const Result<RaidArray> refused = RaidArray::assemble(bench.disks, bench.options, bench.report);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kNoSpace);
  CHECK(refused.error().found == wanted - 1);
  CHECK(refused.error().wanted == wanted);
  bench.options.checksum_bytes_max = wanted;
  bench.assemble();
  CHECK(bench.wrong() == 0);
}

TEST_CASE("checksum_table: the checksums of blocks that nobody has written take no memory") {
  const auto resident_pages = [] {
    std::ifstream file("/proc/self/statm");
    std::uint64_t all = 0;
    std::uint64_t resident = 0;
    file >> all >> resident;
    return resident;
  };
  constexpr std::uint64_t kTebibyteRows = (std::uint64_t{1} << 40) / kBlockBytes;
  const std::uint64_t before = resident_pages();
  ChecksumTable table(1, kTebibyteRows, disk_areas(kTebibyteRows, kLogBytesMin));
  CHECK(table.may_be_zeros(0, kTebibyteRows - 1));
  table.set_zeros(0, kTebibyteRows / 8);
  CHECK(resident_pages() - before < 16 << 20 >> 12);
  CHECK(ChecksumTable::memory_bytes(1, kTebibyteRows) < (std::uint64_t{33} << 25));
  CHECK(ChecksumTable::memory_bytes(1, kTebibyteRows) >= (std::uint64_t{1} << 30));
}

}  // namespace slipring::array::test
