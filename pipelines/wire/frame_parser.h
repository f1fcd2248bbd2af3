// Takes a byte stream apart into frames, wherever it is cut.
//
// Bounded: a header and a control frame's payload are kept here; the payload of a kData frame is
// handed on as it comes and never kept.  Nothing is allocated.  What a frame says is held against
// the format's limits before any of its payload is looked at.
//
//   while (true) switch (parser.next(input)) {
//     kMore      everything was taken; give what comes next
//     kPreamble  the other side speaks our version
//     kData      a kData frame begins, header() has it; it may be left there, and gone on later
//     kPiece     piece() is the next part of its payload, within the input
//     kFrame     a whole frame whose check matches: header(), and control() unless it is kData
//     kFault     fault() says what; the stream is lost from here on, and every call says so again
//   }
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/wire/frame.h"

namespace slipring::wire {

class FrameParser {
 public:
  enum class Event : std::uint8_t { kMore, kPreamble, kData, kPiece, kFrame, kFault };

  // Moves the front of `input` past what was taken.
  [[nodiscard]] Event next(std::span<const std::byte>& input) noexcept;

  // Whether kData frames carry a check that is to be compared; the others always do.
  void check_data(bool checks) noexcept { checks_data_ = checks; }

  [[nodiscard]] const FrameHeader& header() const noexcept { return header_; }
  [[nodiscard]] std::span<const std::byte> piece() const noexcept { return piece_; }
  [[nodiscard]] std::span<const std::byte> control() const noexcept {
    return {control_.data(), header_.payload_bytes};
  }
  [[nodiscard]] Fault fault() const noexcept { return fault_; }

 private:
  enum class State : std::uint8_t { kPreamble, kHeader, kPayload, kFault };

  bool gather(std::span<const std::byte>& input, std::size_t wanted) noexcept;
  Event fail(Fault fault) noexcept;
  Event take_preamble(std::span<const std::byte>& input) noexcept;
  Event take_header(std::span<const std::byte>& input) noexcept;
  Event take_payload(std::span<const std::byte>& input) noexcept;
  Event finish() noexcept;

  State state_ = State::kPreamble;
  Fault fault_ = Fault::kNone;
  bool checks_data_ = false;
  std::size_t gathered_ = 0;  // bytes of the preamble, header or payload in hand
  std::uint32_t check_ = 0;   // over what has been taken of this frame
  FrameHeader header_;
  std::span<const std::byte> piece_;
  std::array<std::byte, kHeaderBytes> raw_header_{};
  std::array<std::byte, kControlBytesMax> control_{};
};

}  // namespace slipring::wire
