// Continuity counters: what is missing, and what came twice, on one PID.
//
// A packet with payload advances the counter by one, modulo 16; a packet without payload does not
// count.  A packet may be sent twice in a row: the copy carries nothing new.  After an announced
// discontinuity any count is right.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/settop/transport/copy_bytes.h"
#include "pipelines/settop/transport/ts_packet.h"

namespace slipring::settop {

enum class Continuity : std::uint8_t {
  kInOrder,
  kDuplicate,      // drop it
  kRepeated,       // a third copy, against the standard: drop it, and 16 packets may be missing
  kAnnouncedJump,  // the count jumped, as the packet said it would
  kGap,            // packets are missing before this one
};

class ContinuityTracker {
 public:
  // Requires: the packet is of the tracker's PID, and neither malformed nor in error.
  [[nodiscard]] Continuity check(const PacketView& packet) {
    if (!packet.has_payload) {
      announced_ |= packet.discontinuity;
      return Continuity::kInOrder;
    }
    const bool known = known_;
    const auto expected = static_cast<std::uint8_t>((count_ + 1) & 0x0f);
    if (known && !uncertain_ && packet.continuity_count == count_ && is_copy(packet)) {
      const bool second = copies_ == 1;
      copies_ = 2;
      return second ? Continuity::kDuplicate : Continuity::kRepeated;
    }
    const bool announced = announced_ || packet.discontinuity;
    const bool in_order = !known || (!uncertain_ && packet.continuity_count == expected);
    remember(packet);
    if (in_order) return Continuity::kInOrder;
    return announced ? Continuity::kAnnouncedJump : Continuity::kGap;
  }

  // So much is missing that the counter may have come round: the next packet is behind a gap.
  void distrust() { uncertain_ = true; }

  // Nothing is known of the packets before the next one.
  void reset() { *this = ContinuityTracker{}; }

 private:
  [[nodiscard]] bool is_copy(const PacketView& packet) const {
    return packet.unit_start == unit_start_ && packet.payload.size() == payload_count_ &&
           std::equal(packet.payload.begin(), packet.payload.end(), payload_.begin());
  }

  void remember(const PacketView& packet) {
    known_ = true;
    announced_ = false;
    uncertain_ = false;
    copies_ = 1;
    count_ = packet.continuity_count;
    unit_start_ = packet.unit_start;
    payload_count_ = packet.payload.size();
    copy_bytes(payload_, packet.payload);
  }

  bool known_ = false;
  bool announced_ = false;  // by a packet without payload
  bool uncertain_ = false;
  bool unit_start_ = false;
  std::uint8_t count_ = 0;
  std::uint8_t copies_ = 0;  // of the last packet, itself included; stays at 2
  std::size_t payload_count_ = 0;
  std::array<std::byte, kPacketBytes> payload_{};  // of the last packet
};

}  // namespace slipring::settop
