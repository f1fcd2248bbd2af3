#include "pipelines/array/nbd/connection.h"

#include <algorithm>
#include <cstring>

#include "core/error/check.h"
#include "pipelines/array/nbd/socket_transfer.h"
#include "pipelines/array/nbd/surviving_word.h"

namespace slipring::array {
namespace {

// The one or two runs of bytes that [begin, begin + size) of a circular text of `capacity` is.
template <typename Byte>
std::size_t runs_of(Byte* bytes, std::uint64_t capacity, std::uint64_t begin, std::uint64_t size,
                    iovec* runs) noexcept {
  const std::uint64_t index = begin & (capacity - 1);
  const std::uint64_t first = std::min(size, capacity - index);
  auto* base = const_cast<std::byte*>(bytes);
  std::size_t count = 0;
  if (first != 0) runs[count++] = {base + index, static_cast<std::size_t>(first)};
  if (size != first) runs[count++] = {base, static_cast<std::size_t>(size - first)};
  return count;
}

}  // namespace

bool FrontContext::are_exports_known() const {
  return std::all_of(exports.begin(), exports.end(),
                     [](const NbdExport& one) { return one.block.has_value(); });
}

Connection::Connection(ConnectionMemory& memory, std::uint32_t index, FrontContext& context)
    : memory_(&memory), index_(index), context_(&context), selected_(settled(memory.selected) & 1) {
  free_requests_.reserve(kRequestCountMax);
}

void Connection::commit(const ConnectionState& next) noexcept {
  const std::uint32_t other = selected_ ^ 1;
  memory_->states[other] = next;
  settle(memory_->selected, other);
  selected_ = other;
}

void Connection::open(std::string_view name) {
  check(phase() == Phase::kFree && name.size() < memory_->name.size(), "opening a free connection");
  memory_->name = {};
  std::copy(name.begin(), name.end(), memory_->name.begin());
  settle(memory_->receive.number, std::uint64_t{0});
  settle(memory_->send.number, std::uint64_t{0});
  free_requests_.clear();
  for (std::uint32_t i = kRequestCountMax; i-- > 0;) {
    settle(memory_->requests[i].accept_number, kNoPosition);
    free_requests_.push_back(i);
  }
  pending_ = {};
  unissued_.clear();
  live_request_count_ = 0;
  is_broken_ = false;
  ConnectionState next{};
  next.phase = Phase::kClientFlags;
  next.payload_request = kNoIndex;
  put(next, greeting());
  commit(next);
}

void Connection::copy_input(std::span<std::byte> to) const noexcept {
  std::array<iovec, 2> runs;
  const std::size_t count =
      runs_of(memory_->input.data(), kInputBytes, state().input_head, to.size(), runs.data());
  std::byte* at = to.data();
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(at, runs[i].iov_base, runs[i].iov_len);
    at += runs[i].iov_len;
  }
}

// Room is certain: may_answer() was asked before anything was taken on.
void Connection::put(ConnectionState& next, std::span<const std::byte> text, std::uint32_t piece,
                     std::uint32_t payload_bytes) noexcept {
  check(next.text_tail - next.text_head + text.size() <= kTextBytes &&
            next.item_tail - next.item_head < kItemCount,
        "room for what was taken on");
  std::array<iovec, 2> runs;
  const std::size_t count =
      runs_of(memory_->text.data(), kTextBytes, next.text_tail, text.size(), runs.data());
  const std::byte* at = text.data();
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(runs[i].iov_base, at, runs[i].iov_len);
    at += runs[i].iov_len;
  }
  memory_->items[next.item_tail & (kItemCount - 1)] = {
      next.text_tail, static_cast<std::uint32_t>(text.size()), payload_bytes, piece, 0};
  next.text_tail += text.size();
  ++next.item_tail;
}

bool Connection::may_answer() const noexcept {
  return state().item_tail - state().item_head < kUnsentItemsMax &&
         state().text_tail - state().text_head < kUnsentTextMax;
}

void Connection::finish_handshake() noexcept {
  ConnectionState next = state();
  next.phase = Phase::kOptions;
  next.is_encrypted = 1;
  commit(next);
}

Progress Connection::receive(int socket, EncryptedStream* stream) {
  const ConnectionState& now = state();
  const bool takes_input = now.phase == Phase::kClientFlags || now.phase == Phase::kOptions ||
                           now.phase == Phase::kTransmission;
  if (is_broken_) return Progress::kEnded;
  if (!takes_input) return Progress::kNone;
  SocketTransfer& transfer = memory_->receive;
  std::size_t part_count = 0;
  transfer.payload_bytes_max = 0;
  const bool fills_piece = now.payload_request != kNoIndex && !discards_payload();
  if (fills_piece) {
    // What came before is copied first, and without a buffer nothing more is taken.
    if (input_size() != 0 || !has_filling()) return Progress::kWaits;
    const PieceMemory& piece = context_->pieces.at(filling_);
    const std::uint32_t filled = now.payload_bytes - piece.request_offset;
    transfer.payload_bytes_max = piece.length - filled;
    transfer.parts[part_count++] = {context_->port.bytes_to_fill(piece.buffer).data() + filled,
                                    static_cast<std::size_t>(transfer.payload_bytes_max)};
  }
  // What comes next is a request, unless more of these data do: those go where they belong.
  const bool has_more_pieces = fills_piece && now.payload_bytes + transfer.payload_bytes_max <
                                                  memory_->requests[now.payload_request].length;
  const std::uint64_t room = has_more_pieces ? 0 : kInputBytes - input_size();
  part_count += runs_of(memory_->input.data(), kInputBytes, now.input_tail, room,
                        transfer.parts.data() + part_count);
  transfer.bytes_max = transfer.payload_bytes_max + room;
  if (transfer.bytes_max == 0) return Progress::kWaits;
  const MoveOutcome outcome =
      stream == nullptr
          ? receive_once(socket, transfer, part_count, now.receive_number)
          : stream->receive(std::span(transfer.parts).first(part_count), transfer.header.msg_len);
  switch (outcome) {
    case MoveOutcome::kNothing:
      return Progress::kNone;
    case MoveOutcome::kEnded:
      is_broken_ = true;
      return Progress::kEnded;
    case MoveOutcome::kMoved:
      break;
  }
  const bool is_empty = transfer.header.msg_len < transfer.bytes_max;
  count_received();
  return is_empty ? Progress::kLast : Progress::kSome;
}

void Connection::count_received() {
  const SocketTransfer& transfer = memory_->receive;
  const std::uint64_t moved = transfer.header.msg_len;
  if (moved > transfer.bytes_max) return hang_up();  // a predecessor's memory is input, too
  ConnectionState next = state();
  const std::uint64_t payload = std::min(moved, transfer.payload_bytes_max);
  next.payload_bytes += static_cast<std::uint32_t>(payload);
  next.input_tail += moved - payload;
  ++next.receive_number;
  commit(next);
  after_payload();
}

Progress Connection::send(int socket, EncryptedStream* stream) {
  const ConnectionState& now = state();
  if (is_broken_) return Progress::kEnded;
  if (!has_output() || now.phase == Phase::kClosed) return Progress::kNone;
  SocketTransfer& transfer = memory_->send;
  std::size_t part_count = 0;
  std::uint64_t skipped = now.item_sent_bytes;
  transfer.bytes_max = 0;
  const auto add = [&](iovec part) {
    const std::uint64_t skip = std::min<std::uint64_t>(skipped, part.iov_len);
    skipped -= skip;
    if (skip == part.iov_len) return;
    part.iov_base = static_cast<std::byte*>(part.iov_base) + skip;
    part.iov_len -= static_cast<std::size_t>(skip);
    transfer.parts[part_count++] = part;
    transfer.bytes_max += part.iov_len;
  };
  for (std::uint64_t at = now.item_head; at != now.item_tail; ++at) {
    if (part_count + 3 > kTransferPartCount) break;
    const OutItem& item = memory_->items[at & (kItemCount - 1)];
    std::array<iovec, 2> runs;
    const std::size_t count =
        runs_of(memory_->text.data(), kTextBytes, item.text_begin, item.text_bytes, runs.data());
    for (std::size_t i = 0; i < count; ++i) add(runs[i]);
    if (item.piece == kNoIndex) continue;
    const auto data = context_->pieces.data_of(item.piece);
    if (data.size() < item.payload_bytes) {
      // The back end has taken back what it had lent to us: there are no right bytes to send.
      is_broken_ = true;
      return Progress::kEnded;
    }
    add({const_cast<std::byte*>(data.data()), item.payload_bytes});
  }
  const MoveOutcome outcome =
      stream == nullptr
          ? send_once(socket, transfer, part_count, now.send_number)
          : stream->send(std::span(transfer.parts).first(part_count), transfer.header.msg_len);
  switch (outcome) {
    case MoveOutcome::kNothing:
      return Progress::kNone;
    case MoveOutcome::kEnded:
      is_broken_ = true;
      return Progress::kEnded;
    case MoveOutcome::kMoved:
      break;
  }
  for (std::uint64_t at = count_sent(); at != state().item_head; ++at) {
    const std::uint32_t piece = memory_->items[at & (kItemCount - 1)].piece;
    if (piece != kNoIndex) drop_piece(piece);
  }
  return Progress::kSome;
}

// Answers where item_head was before.
std::uint64_t Connection::count_sent() {
  const std::uint64_t moved = memory_->send.header.msg_len;
  ConnectionState next = state();
  const std::uint64_t first = next.item_head;
  if (moved > memory_->send.bytes_max) {
    hang_up();
    return first;
  }
  std::uint64_t rest = next.item_sent_bytes + moved;
  while (next.item_head != next.item_tail) {
    const OutItem& item = memory_->items[next.item_head & (kItemCount - 1)];
    const std::uint64_t size = std::uint64_t{item.text_bytes} + item.payload_bytes;
    if (rest < size) break;
    rest -= size;
    next.text_head = item.text_begin + item.text_bytes;
    ++next.item_head;
  }
  next.item_sent_bytes = static_cast<std::uint32_t>(rest);
  ++next.send_number;
  commit(next);
  return first;
}

}  // namespace slipring::array
