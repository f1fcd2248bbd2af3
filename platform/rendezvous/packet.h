// What travels over a rendezvous: one packet of the socket is one message.
//
// The image, little-endian, is specified in platform/rendezvous/README.md; change both or neither.
// Everything in a packet is input to its receiver: the kernel says how long it is and how many
// descriptors came with it, and a header that says otherwise is refused.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "platform/process/descriptor.h"

namespace slipring {

inline constexpr std::uint32_t kPacketMagic = 0x4456'5a52;  // "RZVD" in memory
inline constexpr std::uint16_t kPacketVersion = 1;
inline constexpr std::size_t kMaxBodyBytes = 240;
inline constexpr std::size_t kMaxPacketDescriptors = 4;

struct PacketHeader {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t kind;  // of the protocol above
  std::uint32_t body_bytes;
  std::uint32_t descriptor_count;
};
static_assert(sizeof(PacketHeader) == 16);
static_assert(offsetof(PacketHeader, kind) == 6);
static_assert(offsetof(PacketHeader, descriptor_count) == 12);

// A message as it came.  The descriptors are close-on-exec, and closed with the packet.
struct Packet {
  std::uint16_t kind = 0;
  std::size_t body_bytes = 0;
  std::size_t descriptor_count = 0;
  alignas(8) std::array<std::byte, kMaxBodyBytes> body;
  std::array<Descriptor, kMaxPacketDescriptors> descriptors;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return {body.data(), body_bytes};
  }
};

}  // namespace slipring
