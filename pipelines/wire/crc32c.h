// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), as iSCSI has it (RFC 3720, B.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace slipring::wire {

// Of `bytes` behind those that `crc` is of; of nothing it is 0.
[[nodiscard]] std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes) noexcept;

}  // namespace slipring::wire
