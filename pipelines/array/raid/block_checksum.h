// The checksum of a block: CRC-32C, exclusive-or'ed with that of a block of zeros.
//
// So a block of zeros has checksum 0, and a table of checksums that was never written fits disks
// that were never written.  By ISA-L, which takes the processor's instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace slipring::array {

// CRC-32C (Castagnoli), reflected, initial value and final exclusive-or of all ones.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept;

// Requires: kBlockBytes bytes.
[[nodiscard]] std::uint32_t block_checksum(const std::byte* block) noexcept;

}  // namespace slipring::array
