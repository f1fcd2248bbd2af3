// Bytes to packets: finds sync, keeps it, loses it and finds it again.
//
// Form.  188-byte packets, or packets with a trailer up to the next sync byte: 192 bytes (a
// recorder's time code, which stands before each packet and so behind the one before) and 204 bytes
// (parity).
//
// States.
//   hunting  five sync bytes one stride apart: locked at the first of them.  What is passed over on
//            the way is counted as skipped.  Fewer bytes than that wait for more.
//   locked   a wrong sync byte with a right one a stride later is one damaged packet: counted,
//            dropped, lock kept.  Two wrong ones in a row are a loss of sync: hunting starts again
//            at the first of the two, so that no whole packet behind an insertion or a cut is lost.
//
// What comes out depends on the bytes alone, not on how they were cut into chunks.  A packet that
// lies whole in a chunk is handed on where it lies; one that is cut is put together in a buffer of
// fixed size first.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "pipelines/settop/transport/copy_bytes.h"
#include "pipelines/settop/transport/demux_counters.h"
#include "pipelines/settop/transport/ts_packet.h"

namespace slipring::settop {

// A packet as the framer found it.
struct FramedPacket {
  std::span<const std::byte, kPacketBytes> bytes;  // valid during the call
  std::uint64_t origin_ns;  // of the chunk in which it began, or of an earlier one still held back
  // So many bytes were skipped before it that a 4-bit continuity counter may have come round.
  bool after_long_gap;
};

class PacketFramer {
 public:
  // Calls visit(const FramedPacket&) for every packet with a sound sync byte.
  template <typename Visit>
  void push(std::span<const std::byte> bytes, std::uint64_t origin_ns, DemuxCounters& counters,
            Visit&& visit) {
    counters.bytes += bytes.size();
    while (held_count_ > 0 && !bytes.empty()) {
      const std::size_t before = held_count_;
      const std::size_t taken = std::min(bytes.size(), wanted_count() - before);
      copy_bytes(std::span(held_).subspan(before), bytes.first(taken));
      held_count_ += taken;
      const std::size_t used = consume(held(), held_origin_ns_, false, counters, visit);
      if (used >= before) {
        // The held bytes are done with; what is left of the copied ones is read in place below.
        held_count_ = 0;
        bytes = bytes.subspan(used - before);
      } else {
        keep(held().subspan(used));
        bytes = bytes.subspan(taken);
      }
    }
    if (bytes.empty()) return;
    const std::size_t used = consume(bytes, origin_ns, false, counters, visit);
    held_origin_ns_ = origin_ns;
    keep(bytes.subspan(used));
  }

  // The stream is over: packets that were held back for want of five sync bytes are handed on if
  // at least two agree; a piece of a packet is counted as truncated.  Starts afresh.
  template <typename Visit>
  void flush(DemuxCounters& counters, Visit&& visit) {
    const std::size_t used = consume(held(), held_origin_ns_, true, counters, visit);
    counters.truncated_bytes += held_count_ - used;
    *this = PacketFramer{};
  }

  // Drops what was held back, counted as truncated.  Starts afresh.
  void discard(DemuxCounters& counters) {
    counters.truncated_bytes += held_count_;
    *this = PacketFramer{};
  }

 private:
  static constexpr std::array<std::size_t, 3> kStrides = {188, 192, 204};
  static constexpr std::size_t kSyncCount = 5;
  static constexpr std::size_t kHuntBytes = (kSyncCount - 1) * kStrides.back() + 1;
  static constexpr std::size_t kLongGapBytes = 16 * kPacketBytes;

  enum class Lock : std::uint8_t { kYes, kNo, kUndecided };

  [[nodiscard]] std::span<const std::byte> held() const { return {held_.data(), held_count_}; }

  void keep(std::span<const std::byte> rest) {
    copy_bytes(held_, rest);
    held_count_ = rest.size();
  }

  // With so many bytes consume() uses at least one.  Always more than it left over.
  [[nodiscard]] std::size_t wanted_count() const {
    if (!locked_) return kHuntBytes;
    return held_[0] == kSyncByte ? kPacketBytes : stride_ + 1;
  }

  // Requires: data starts with a sync byte.  A shorter stride is decided by fewer bytes, so that
  // the answer does not depend on how many there are.
  [[nodiscard]] Lock try_lock(std::span<const std::byte> data, bool final) {
    for (const std::size_t stride : kStrides) {
      std::size_t agreed_count = 1;
      while (agreed_count < kSyncCount && agreed_count * stride < data.size() &&
             data[agreed_count * stride] == kSyncByte) {
        ++agreed_count;
      }
      const bool out_of_data = agreed_count < kSyncCount && agreed_count * stride >= data.size();
      if (out_of_data && !final) return Lock::kUndecided;
      if (agreed_count == kSyncCount || (out_of_data && agreed_count >= 2)) {
        stride_ = stride;
        return Lock::kYes;
      }
    }
    return Lock::kNo;
  }

  // Moves to where packets start.  Returns the bytes passed over; locked_ says whether it
  // succeeded.
  [[nodiscard]] std::size_t hunt(std::span<const std::byte> data, bool final,
                                 DemuxCounters& counters) {
    std::size_t offset = 0;
    while (offset < data.size()) {
      const void* sync =
          std::memchr(data.data() + offset, std::to_integer<int>(kSyncByte), data.size() - offset);
      if (sync == nullptr) {
        offset = data.size();
        break;
      }
      offset = static_cast<std::size_t>(static_cast<const std::byte*>(sync) - data.data());
      const Lock lock = try_lock(data.subspan(offset), final);
      if (lock == Lock::kYes) {
        locked_ = true;
        ++counters.sync_acquisitions;
        break;
      }
      if (lock == Lock::kUndecided) break;
      ++offset;
    }
    counters.skipped_bytes += offset;
    hunted_bytes_ += offset;
    return offset;
  }

  // Returns how many bytes are done with; the rest is fewer than wanted_count().
  template <typename Visit>
  std::size_t consume(std::span<const std::byte> data, std::uint64_t origin_ns, bool final,
                      DemuxCounters& counters, Visit& visit) {
    std::size_t offset = 0;
    while (offset < data.size()) {
      if (trailer_count_ > 0) {
        const std::size_t passed = std::min(trailer_count_, data.size() - offset);
        trailer_count_ -= passed;
        counters.trailer_bytes += passed;
        offset += passed;
        continue;
      }
      const auto rest = data.subspan(offset);
      if (!locked_) {
        offset += hunt(rest, final, counters);
        if (!locked_) return offset;
        continue;
      }
      if (rest[0] == kSyncByte) {
        if (rest.size() < kPacketBytes) return offset;
        ++counters.packets;
        visit(FramedPacket{rest.template first<kPacketBytes>(), origin_ns,
                           hunted_bytes_ >= kLongGapBytes});
        hunted_bytes_ = 0;
      } else {
        if (rest.size() <= stride_ && !(final && rest.size() >= kPacketBytes)) return offset;
        if (rest.size() > stride_ && rest[stride_] != kSyncByte) {
          locked_ = false;
          ++counters.sync_losses;
          continue;
        }
        ++counters.packets;
        ++counters.sync_byte_error_packets;
      }
      offset += kPacketBytes;
      trailer_count_ = stride_ - kPacketBytes;
    }
    return offset;
  }

  bool locked_ = false;
  std::size_t stride_ = kPacketBytes;
  std::size_t trailer_count_ = 0;  // bytes still to pass over before the next sync byte
  std::size_t hunted_bytes_ = 0;   // skipped since the last packet
  std::size_t held_count_ = 0;
  std::uint64_t held_origin_ns_ = 0;
  std::array<std::byte, kHuntBytes> held_{};
};

}  // namespace slipring::settop
