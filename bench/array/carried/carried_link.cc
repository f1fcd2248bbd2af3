#include "bench/array/carried/carried_link.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "core/error/check.h"

namespace slipring::bench {
namespace {

constexpr std::size_t kItemsMax = 64;

}  // namespace

void CarrierOut::collect() {
  while (items_.size() < kItemsMax) {
    Message message;
    if (ring_.try_peek(message) != Transfer::kDone) break;
    Item& item = items_.emplace_back();
    item.message = message;
    item.data_bytes = data_bytes_(message.bytes.data());
    item.data = nullptr;
    std::memcpy(&item.buffer, message.bytes.data(), sizeof item.buffer);
    if (item.data_bytes != 0) {
      check(ring_.pool() != nullptr && ring_.pool()->holds(item.buffer), "data that are lent");
      item.data = ring_.pool()->bytes(item.buffer).data();
    }
    const CarriedHead head{item.data_bytes, 0};
    const std::size_t slot_bytes = ring_.shape().slot_bytes;
    std::memcpy(item.head.data(), &head, sizeof head);
    std::memcpy(item.head.data() + sizeof head, message.bytes.data(), slot_bytes);
    item.head_bytes = static_cast<std::uint32_t>(sizeof head + slot_bytes);
  }
  if (items_.empty() && !is_ended_ && ring_.is_finished()) {
    is_ended_ = true;
    Item& item = items_.emplace_back();
    const CarriedHead head{0, 1};
    std::memcpy(item.head.data(), &head, sizeof head);
    item.head_bytes = sizeof head;
    item.data_bytes = 0;
    item.buffer = kNullHandle;
  }
}

bool CarrierOut::pump() {
  bool has_moved = false;
  for (;;) {
    collect();
    std::array<iovec, 2 * kItemsMax> parts;
    std::size_t count = 0;
    std::size_t skipped = written_bytes_;
    const auto add = [&](const std::byte* bytes, std::size_t size) {
      const std::size_t skip = std::min(skipped, size);
      skipped -= skip;
      if (size > skip) parts[count++] = {const_cast<std::byte*>(bytes) + skip, size - skip};
    };
    for (const Item& item : items_) {
      add(item.head.data(), item.head_bytes);
      add(item.data, item.data_bytes);
    }
    is_blocked_ = false;
    if (count == 0) return has_moved;
    const ssize_t written = ::writev(to_.get(), parts.data(), static_cast<int>(count));
    is_blocked_ = written < 0 && errno == EAGAIN;
    // An end that has gone takes nothing more; the run is over then.
    if (written <= 0) return has_moved;
    has_moved = true;
    finish_written(static_cast<std::size_t>(written));
  }
}

void CarrierOut::finish_written(std::size_t bytes) {
  written_bytes_ += bytes;
  while (!items_.empty()) {
    const Item& item = items_.front();
    const std::size_t size = item.head_bytes + item.data_bytes;
    if (written_bytes_ < size) return;
    written_bytes_ -= size;
    if (item.data_bytes != 0) ring_.give_back(item.buffer);
    if (item.head_bytes > sizeof(CarriedHead)) ring_.release(item.message);
    items_.pop_front();
  }
}

// The next message's head and slot, and a buffer for its data.  False: more must come, or the
// stage has no place.
bool CarrierIn::begin_message() {
  CarriedHead head;
  if (end_ - begin_ < sizeof head) return false;
  std::memcpy(&head, bytes_.data() + begin_, sizeof head);
  if (head.is_end != 0) {
    begin_ += sizeof head;
    ring_.close();
    return false;
  }
  const std::size_t slot_bytes = ring_.shape().slot_bytes;
  if (end_ - begin_ < sizeof head + slot_bytes) return false;
  std::uint32_t buffer = 0;
  is_stalled_ = !ring_.has_space(slot_bytes) ||
                (head.data_bytes != 0 && ring_.pool()->try_acquire(buffer) != Transfer::kDone);
  if (is_stalled_) return false;
  std::memcpy(slot_.data(), bytes_.data() + begin_ + sizeof head, slot_bytes);
  begin_ += sizeof head + slot_bytes;
  buffer_.reset();
  if (head.data_bytes != 0) buffer_ = buffer;
  data_bytes_ = head.data_bytes;
  received_bytes_ = 0;
  has_message_ = true;
  return true;
}

void CarrierIn::publish() {
  if (buffer_) {
    const BufferHandle lent = ring_.pool()->lend(*buffer_);
    std::memcpy(slot_.data(), &lent, sizeof lent);
  }
  std::span<std::byte> place;
  check(ring_.try_reserve(ring_.shape().slot_bytes, place) == Transfer::kDone, "a place, as seen");
  std::memcpy(place.data(), slot_.data(), ring_.shape().slot_bytes);
  if (note_) static_cast<void>(note_(slot_.data()));
  ring_.commit(ring_.shape().slot_bytes);
  if (buffer_) ring_.pool()->drop(*buffer_);
  has_message_ = false;
}

// Whether a message was published.
bool CarrierIn::parse() {
  if (!has_message_ && !begin_message()) return false;
  const std::size_t missing = data_bytes_ - received_bytes_;
  const auto part = static_cast<std::uint32_t>(std::min(missing, end_ - begin_));
  if (part != 0) {
    std::memcpy(ring_.pool()->bytes(*buffer_).data() + received_bytes_, bytes_.data() + begin_,
                part);
    begin_ += part;
    received_bytes_ += part;
  }
  if (received_bytes_ < data_bytes_) return false;
  publish();
  return true;
}

bool CarrierIn::read_more() {
  if (begin_ != 0) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  std::array<iovec, 2> parts;
  int count = 0;
  const std::size_t missing = has_message_ ? data_bytes_ - received_bytes_ : 0;
  if (missing != 0) {
    parts[0] = {ring_.pool()->bytes(*buffer_).data() + received_bytes_, missing};
    count = 1;
  }
  parts[static_cast<std::size_t>(count++)] = {bytes_.data() + end_, bytes_.size() - end_};
  const ssize_t got = ::readv(from_.get(), parts.data(), count);
  if (got <= 0) return false;
  const std::size_t direct = std::min(static_cast<std::size_t>(got), missing);
  received_bytes_ += static_cast<std::uint32_t>(direct);
  end_ += static_cast<std::size_t>(got) - direct;
  return true;
}

bool CarrierIn::pump() {
  bool has_moved = false;
  is_stalled_ = false;
  for (;;) {
    while (parse()) has_moved = true;
    if (is_stalled_ || !read_more()) return has_moved;
    has_moved = true;
  }
}

}  // namespace slipring::bench
