// Puts whole frames, one behind the other, into a place for bytes.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

#include "core/error/check.h"
#include "pipelines/wire/crc32c.h"
#include "pipelines/wire/frame.h"

namespace slipring::wire {

class FrameWriter {
 public:
  explicit FrameWriter(std::span<std::byte> place) noexcept : place_(place) {}

  [[nodiscard]] std::size_t used() const noexcept { return used_; }
  // In bytes, header and all.
  [[nodiscard]] std::size_t room() const noexcept { return place_.size() - used_; }
  [[nodiscard]] bool has_room_for(std::size_t payload_bytes) const noexcept {
    return room() >= kHeaderBytes + payload_bytes;
  }

  // Requires: there is room.
  void put_preamble() noexcept {
    const Preamble preamble = encode_preamble();
    check(room() >= preamble.size(), "a preamble without room");
    std::memcpy(place_.data() + used_, preamble.data(), preamble.size());
    used_ += preamble.size();
  }

  // A frame whose payload is `first` and `second`; a kData frame may go without a check.
  // Requires: there is room.
  void put(FrameHeader header, std::span<const std::byte> first = {},
           std::span<const std::byte> second = {}, bool is_checked = true) noexcept {
    const std::size_t payload_bytes = first.size() + second.size();
    check(has_room_for(payload_bytes), "a frame without room");
    header.payload_bytes = static_cast<std::uint32_t>(payload_bytes);
    const auto place = place_.subspan(used_).first<kHeaderBytes>();
    encode_header(header, place);
    std::byte* const payload = place.data() + kHeaderBytes;
    if (!first.empty()) std::memcpy(payload, first.data(), first.size());
    if (!second.empty()) std::memcpy(payload + first.size(), second.data(), second.size());
    if (is_checked) {
      // Of the copy: a link's writer could change the original meanwhile.
      store_check(place, crc32c(header_check(place), {payload, payload_bytes}));
    }
    used_ += kHeaderBytes + payload_bytes;
  }

 private:
  std::span<std::byte> place_;
  std::size_t used_ = 0;
};

}  // namespace slipring::wire
