#include "pipelines/wire/crc32c.h"

#include <array>

#include "pipelines/wire/byte_order.h"

namespace slipring::wire {
namespace {

// Eight bytes a step: table k holds the CRC of a byte followed by k zeros (Kounavis and Berry, "A
// systematic approach to building high performance, software-based, CRC generators", 2005).
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() noexcept {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
    tables[0][byte] = crc;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = before >> 8 ^ tables[0][before & 0xffU];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes) noexcept {
  crc = ~crc;
  while (bytes.size() >= 8) {
    const std::uint32_t low = crc ^ load_little<std::uint32_t>(bytes.data());
    const auto high = load_little<std::uint32_t>(bytes.data() + 4);
    crc = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      crc ^= kTables[7 - i][low >> 8 * i & 0xffU] ^ kTables[3 - i][high >> 8 * i & 0xffU];
    }
    bytes = bytes.subspan(8);
  }
  for (const std::byte byte : bytes) {
    crc = crc >> 8 ^ kTables[0][(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xffU];
  }
  return ~crc;
}

}  // namespace slipring::wire
