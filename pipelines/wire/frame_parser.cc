#include "pipelines/wire/frame_parser.h"

#include <algorithm>
#include <cstring>

#include "pipelines/wire/crc32c.h"

namespace slipring::wire {

FrameParser::Event FrameParser::next(std::span<const std::byte>& input) noexcept {
  switch (state_) {
    case State::kPreamble:
      return take_preamble(input);
    case State::kHeader:
      return take_header(input);
    case State::kPayload:
      return take_payload(input);
    case State::kFault:
      break;
  }
  return Event::kFault;
}

FrameParser::Event FrameParser::fail(Fault fault) noexcept {
  state_ = State::kFault;
  fault_ = fault;
  return Event::kFault;
}

// Into raw_header_, until `wanted` bytes are there.
bool FrameParser::gather(std::span<const std::byte>& input, std::size_t wanted) noexcept {
  const std::size_t count = std::min(wanted - gathered_, input.size());
  if (count != 0) std::memcpy(raw_header_.data() + gathered_, input.data(), count);
  gathered_ += count;
  input = input.subspan(count);
  if (gathered_ != wanted) return false;
  gathered_ = 0;
  return true;
}

FrameParser::Event FrameParser::take_preamble(std::span<const std::byte>& input) noexcept {
  if (!gather(input, kPreambleBytes)) return Event::kMore;
  const Fault fault = decode_preamble(std::span(raw_header_).first<kPreambleBytes>());
  if (fault != Fault::kNone) return fail(fault);
  state_ = State::kHeader;
  return Event::kPreamble;
}

FrameParser::Event FrameParser::take_header(std::span<const std::byte>& input) noexcept {
  if (!gather(input, kHeaderBytes)) return Event::kMore;
  const Fault fault = decode_header(raw_header_, header_);
  if (fault != Fault::kNone) return fail(fault);
  check_ = header_check(raw_header_);
  if (header_.type == FrameType::kData) {
    state_ = State::kPayload;
    return Event::kData;
  }
  if (header_.payload_bytes == 0) return finish();
  state_ = State::kPayload;
  return take_payload(input);
}

FrameParser::Event FrameParser::take_payload(std::span<const std::byte>& input) noexcept {
  const std::size_t rest = header_.payload_bytes - gathered_;
  if (rest == 0) return finish();
  const std::size_t count = std::min(rest, input.size());
  if (count == 0) return Event::kMore;
  piece_ = input.first(count);
  input = input.subspan(count);
  if (header_.type == FrameType::kData) {
    if (checks_data_) check_ = crc32c(check_, piece_);
    gathered_ += count;
    return Event::kPiece;
  }
  std::memcpy(control_.data() + gathered_, piece_.data(), count);
  gathered_ += count;
  if (gathered_ != header_.payload_bytes) return Event::kMore;
  check_ = crc32c(check_, control());
  return finish();
}

FrameParser::Event FrameParser::finish() noexcept {
  gathered_ = 0;
  state_ = State::kHeader;
  const bool is_checked = header_.type != FrameType::kData || checks_data_;
  if (header_.check != (is_checked ? check_ : 0)) return fail(Fault::kCheck);
  return Event::kFrame;
}

}  // namespace slipring::wire
