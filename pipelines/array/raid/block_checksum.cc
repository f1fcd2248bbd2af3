#include "pipelines/array/raid/block_checksum.h"

#include <isa-l/crc.h>

#include "pipelines/array/raid/raid_layout.h"

namespace slipring::array {
namespace {

alignas(64) constexpr std::byte kZeroBlock[kBlockBytes] = {};

[[nodiscard]] std::uint32_t raw_crc(const std::byte* bytes, std::size_t size) noexcept {
  // ISA-L does not write, but its interface does not say so.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes));
  return crc32_iscsi(data, static_cast<int>(size), UINT32_MAX);
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept {
  return ~raw_crc(bytes.data(), bytes.size());
}

std::uint32_t block_checksum(const std::byte* block) noexcept {
  static const std::uint32_t of_zeros = raw_crc(kZeroBlock, kBlockBytes);
  return raw_crc(block, kBlockBytes) ^ of_zeros;
}

}  // namespace slipring::array
