// What the array's arithmetic could do at most on this machine: memory larger than any cache, once
// through.  Parity of three data blocks and the checksum of every block by ISA-L, as the raid stage
// calls them; and memcpy(), which is what memory itself allows.  MiB of data a second, one thread.
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "pipelines/array/raid/block_checksum.h"
#include "pipelines/array/raid/block_memory.h"
#include "pipelines/array/raid/parity.h"

namespace slipring::array {
namespace {

constexpr std::uint32_t kDataCount = 3;
constexpr std::size_t kRowCount = 16384;  // 192 MiB of data
constexpr int kPasses = 3;

// The best of a few passes over all rows.
template <typename Work>
double mib_per_second(Work&& work) {
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t row = 0; row < kRowCount; ++row) work(row);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const double rate = kRowCount * kDataCount * double{kBlockBytes} / 1048576 / took.count();
    if (rate > best) best = rate;
  }
  return best;
}

int run() {
  const BlockMemory data(kRowCount * kDataCount * kBlockBytes);
  const BlockMemory other(kRowCount * kDataCount * kBlockBytes);
  const ParityCode code(kDataCount, 1);
  for (std::size_t i = 0; i < kRowCount * kDataCount; ++i) {
    std::memset(data.block(i), static_cast<int>(i % 251), kBlockBytes);
  }
  const double parity = mib_per_second([&](std::size_t row) {
    CodeWord word{};
    for (std::uint32_t i = 0; i < kDataCount; ++i) word[i] = data.block(row * kDataCount + i);
    word[kDataCount] = other.block(row);
    code.encode(word);
  });
  std::uint32_t sum = 0;
  const double checksum = mib_per_second([&](std::size_t row) {
    for (std::uint32_t i = 0; i < kDataCount; ++i) {
      sum ^= block_checksum(data.block(row * kDataCount + i));
    }
  });
  const double copy = mib_per_second([&](std::size_t row) {
    std::memcpy(other.block(row * kDataCount), data.block(row * kDataCount),
                kDataCount * kBlockBytes);
  });
  std::printf(
      "bound by memory, one thread, MiB of data a second: parity of 3 + 1 %.0f, checksums %.0f, "
      "both %.0f; memcpy %.0f (check %08x)\n",
      parity, checksum, 1 / (1 / parity + 1 / checksum), copy, sum);
  return 0;
}

}  // namespace
}  // namespace slipring::array

int main() {
  return slipring::array::run();
}
