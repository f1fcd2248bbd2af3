// What a client says, taken as far as it goes.

#include "pipelines/array/nbd/connection.h"

#include <algorithm>

#include "core/error/check.h"
#include "pipelines/array/nbd/reply_text.h"
#include "pipelines/array/nbd/surviving_word.h"

namespace slipring::array {

// The protocol has no answer to what came.
void Connection::hang_up() {
  ++context_->hang_up_count;
  is_broken_ = true;
}

Progress Connection::work() {
  Progress all = Progress::kNone;
  for (;;) {
    if (is_broken_) return Progress::kEnded;
    Progress one = Progress::kNone;
    switch (phase()) {
      case Phase::kClientFlags:
        one = take_client_flags();
        break;
      case Phase::kOptions:
        one = state().skip_bytes != 0 ? skip() : take_option();
        break;
      case Phase::kTransmission:
        one = state().skip_bytes != 0               ? skip()
              : state().payload_request != kNoIndex ? take_payload()
                                                    : take_request();
        break;
      case Phase::kStartTls:
      case Phase::kFinishing:
      case Phase::kFree:
      case Phase::kClosed:
        break;
    }
    if (issue() == Progress::kSome) one = Progress::kSome;
    if (one != Progress::kSome) break;
    all = Progress::kSome;
  }
  return is_broken_ ? Progress::kEnded : all;
}

bool Connection::owes_bytes() const noexcept {
  switch (phase()) {
    case Phase::kClientFlags:
    case Phase::kOptions:
    case Phase::kStartTls:
      return true;
    case Phase::kTransmission:
      return state().skip_bytes != 0 || state().payload_request != kNoIndex ||
             (input_size() != 0 && input_size() < kRequestBytes);
    case Phase::kFinishing:
    case Phase::kFree:
    case Phase::kClosed:
      break;
  }
  return false;
}

Progress Connection::skip() {
  ConnectionState next = state();
  const std::uint64_t count = std::min(next.skip_bytes, input_size());
  if (count == 0) return Progress::kNone;
  next.input_head += count;
  next.skip_bytes -= count;
  commit(next);
  return Progress::kSome;
}

Progress Connection::take_client_flags() {
  if (input_size() < kClientFlagsBytes) return Progress::kNone;
  std::array<std::byte, kClientFlagsBytes> bytes;
  copy_input(bytes);
  const auto flags = get_big_endian<std::uint32_t>(bytes, 0);
  if ((flags & ~std::uint32_t{kFixedNewstyle | kNoZeroes}) != 0) {
    hang_up();
    return Progress::kNone;
  }
  ConnectionState next = state();
  next.has_no_zeroes = (flags & kNoZeroes) != 0 ? 1 : 0;
  next.input_head += kClientFlagsBytes;
  next.phase = Phase::kOptions;
  commit(next);
  return Progress::kSome;
}

Progress Connection::take_option() {
  if (input_size() < kOptionHeaderBytes || !may_answer() || !context_->are_exports_known()) {
    return Progress::kNone;
  }
  std::array<std::byte, kOptionHeaderBytes + kOptionBytesMax> bytes;
  copy_input(std::span(bytes).first(kOptionHeaderBytes));
  const auto magic = get_big_endian<std::uint64_t>(bytes, 0);
  const auto option = get_big_endian<std::uint32_t>(bytes, 8);
  const auto size = get_big_endian<std::uint32_t>(bytes, 12);
  if (magic != kOptionMagic || size > kSkippedOptionBytesMax) {
    hang_up();
    return Progress::kNone;
  }
  ConnectionState next = state();
  if (size > kOptionBytesMax) {
    put(next, too_big(option));
    next.input_head += kOptionHeaderBytes;
    next.skip_bytes = size;
    commit(next);
    return Progress::kSome;
  }
  if (input_size() < kOptionHeaderBytes + size) return Progress::kNone;
  copy_input(std::span(bytes).first(kOptionHeaderBytes + size));
  HagglingState agreed;
  agreed.tls = context_->tls;
  agreed.is_encrypted = next.is_encrypted != 0;
  agreed.has_no_zeroes = next.has_no_zeroes != 0;
  agreed.has_structured_replies = next.has_structured_replies != 0;
  agreed.gate = context_->gate;
  agreed.connection = index_;
  if (next.has_allocation_context != 0) {
    agreed.allocation_export = static_cast<std::uint16_t>(next.has_allocation_context - 1);
  }
  const OptionAnswer answer = answer_option(
      option, std::span(bytes).subspan(kOptionHeaderBytes, size), context_->exports, agreed);
  if (answer.outcome == HagglingOutcome::kHangUp) {
    hang_up();
    return Progress::kNone;
  }
  // What came behind it unencrypted may be anybody's, and must not count as said within.
  if (answer.outcome == HagglingOutcome::kStartTls && input_size() != kOptionHeaderBytes + size) {
    hang_up();
    return Progress::kNone;
  }
  check(answer.reply.size() <= kOptionReplyBytesMax, "an answer as long as it may be");
  put(next, answer.reply);
  next.input_head += kOptionHeaderBytes + size;
  next.has_structured_replies = agreed.has_structured_replies ? 1 : 0;
  next.has_allocation_context =
      agreed.allocation_export ? static_cast<std::uint8_t>(*agreed.allocation_export + 1) : 0;
  if (answer.outcome == HagglingOutcome::kStartTls) next.phase = Phase::kStartTls;
  if (answer.outcome == HagglingOutcome::kFinish) next.phase = Phase::kFinishing;
  if (answer.outcome == HagglingOutcome::kTransmission) {
    next.phase = Phase::kTransmission;
    next.export_number = answer.export_number;
  }
  commit(next);
  return Progress::kSome;
}

Progress Connection::take_request() {
  if (input_size() < kRequestBytes || free_requests_.empty() || !may_answer() ||
      !context_->are_exports_known()) {
    return Progress::kNone;
  }
  std::array<std::byte, kRequestBytes> bytes;
  copy_input(bytes);
  const std::optional<NbdRequest> request = parse_request(bytes);
  if (!request) {
    hang_up();
    return Progress::kNone;
  }
  if (request->is(NbdCommand::kDisconnect)) {
    ConnectionState next = state();
    next.input_head += kRequestBytes;
    next.phase = Phase::kFinishing;
    commit(next);
    return Progress::kSome;
  }
  const BlockExport& block = *context_->exports[state().export_number].block;
  const NbdError error = judge_request(*request, block, state().has_structured_replies != 0,
                                       state().has_allocation_context != 0);
  if (error == NbdError::kNone) {
    accept(*request);
  } else {
    refuse(*request, error);
  }
  return Progress::kSome;
}

void Connection::refuse(const NbdRequest& request, NbdError error) {
  ++context_->refused_count;
  ConnectionState next = state();
  put(next, error_reply(request.command, request.cookie, error, next).bytes());
  next.input_head += kRequestBytes;
  if (request.is(NbdCommand::kWrite)) {
    // Its data follow all the same.  Nobody who means well sends more than it was told.
    if (request.length > 2 * kPayloadBytesMax) return hang_up();
    next.skip_bytes = request.length;
  }
  commit(next);
}

void Connection::accept(const NbdRequest& request) {
  ++context_->request_count;
  const std::uint32_t index = free_requests_.back();
  free_requests_.pop_back();
  ConnectionState next = state();
  RequestMemory& memory = memory_->requests[index];
  settle(memory.accept_number, kNoPosition);
  memory.cookie = request.cookie;
  memory.offset = request.offset;
  memory.length = request.length;
  memory.command = request.command;
  memory.flags = request.flags;
  settle(memory.done_item, kNoPosition);
  settle(memory.issued_bytes, std::uint32_t{0});
  settle(memory.error, std::uint32_t{0});
  settle(memory.accept_number, next.accepted_count);
  ++next.accepted_count;
  next.input_head += kRequestBytes;
  if (request.is(NbdCommand::kWrite)) {
    next.payload_request = index;
    next.payload_bytes = 0;
  }
  commit(next);
  ++live_request_count_;
  pending_[index] = 0;
  if (!request.is(NbdCommand::kWrite)) unissued_.push_back(index);
}

// The piece that takes the data that come next, made if there is none.
bool Connection::has_filling() {
  if (filling_ != kNoIndex) return true;
  const std::uint32_t request = state().payload_request;
  const std::uint32_t done = state().payload_bytes;
  const std::uint32_t length =
      std::min(kBlockBufferBytes, memory_->requests[request].length - done);
  return cut(request, done, length, PieceState::kFilling, filling_);
}

bool Connection::discards_payload() const noexcept {
  const std::uint32_t request = state().payload_request;
  return request != kNoIndex && filling_ == kNoIndex &&
         settled(memory_->requests[request].error) != 0;
}

Progress Connection::discard_payload() {
  ConnectionState next = state();
  const std::uint32_t request = next.payload_request;
  const std::uint32_t rest = memory_->requests[request].length - next.payload_bytes;
  const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(input_size(), rest));
  if (count == 0) return Progress::kNone;
  next.input_head += count;
  next.payload_bytes += count;
  const bool is_last = count == rest;
  if (is_last) {
    next.payload_request = kNoIndex;
    next.payload_bytes = 0;
  }
  commit(next);
  if (is_last) settle_request(request);
  return Progress::kSome;
}

Progress Connection::take_payload() {
  if (discards_payload()) return discard_payload();
  if (input_size() == 0 || !has_filling()) return Progress::kNone;
  const PieceMemory& piece = context_->pieces.at(filling_);
  ConnectionState next = state();
  const std::uint32_t filled = next.payload_bytes - piece.request_offset;
  const auto count =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(input_size(), piece.length - filled));
  copy_input(context_->port.bytes_to_fill(piece.buffer).subspan(filled, count));
  next.payload_bytes += count;
  next.input_head += count;
  commit(next);
  after_payload();
  return Progress::kSome;
}

// The piece being filled may be full, and the request complete.
void Connection::after_payload() {
  if (filling_ == kNoIndex) return;
  const PieceMemory& piece = context_->pieces.at(filling_);
  ConnectionState next = state();
  if (next.payload_bytes < piece.request_offset + piece.length) return;
  context_->pieces.make_ready(filling_);
  filling_ = kNoIndex;
  if (next.payload_bytes < memory_->requests[next.payload_request].length) return;
  next.payload_request = kNoIndex;
  next.payload_bytes = 0;
  commit(next);
}

}  // namespace slipring::array
