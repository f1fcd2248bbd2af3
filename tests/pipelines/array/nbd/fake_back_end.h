// A back end that dies with nobody: requests are written down as they come, and a reply is made
// from what is written down, so that it is the same whenever it is made.
//
// What it remembers is plain memory, which a test may share between processes, or copy.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "core/error/check.h"
#include "pipelines/array/nbd/block_port.h"
#include "pipelines/array/nbd/connection_memory.h"
#include "pipelines/link/link_layout.h"

namespace slipring::test {

inline constexpr std::uint32_t kFakeDiskBytes = 4096;
inline constexpr std::uint32_t kFakeBufferBytes = 1024;
inline constexpr std::uint32_t kFakeBufferCount = 8;
inline constexpr std::uint32_t kFakeLogCount = 64;

struct FakeBackEnd {
  struct Entry {
    array::BlockRequest request;
    std::array<std::byte, kFakeBufferBytes> data;
  };
  std::atomic<std::uint64_t> published;
  std::atomic<std::uint64_t> released;
  std::array<Entry, kFakeLogCount> log;
  std::array<std::uint32_t, kFakeBufferCount> generations;
  std::array<std::array<std::byte, kFakeBufferBytes>, kFakeBufferCount> filling;
  std::array<std::array<std::byte, kFakeBufferBytes>, kFakeLogCount> replies;
};

// Errno 5 comes back for whatever begins at this offset.
inline constexpr std::uint64_t kFakeBadOffset = 4000;

class FakeBlockPort final : public array::BlockPort {
 public:
  explicit FakeBlockPort(FakeBackEnd& back)
      : back_(&back), next_(back.released.load(std::memory_order_relaxed)) {}

  Transfer acquire(BufferHandle& buffer) override {
    const auto free = std::find(is_used_.begin(), is_used_.end(), false);
    if (free == is_used_.end()) return Transfer::kBlocked;
    const auto slot = static_cast<std::uint32_t>(free - is_used_.begin());
    is_used_[slot] = true;
    buffer = {slot, ++back_->generations[slot]};
    return Transfer::kDone;
  }
  bool acquire_again(BufferHandle& buffer) override {
    if (buffer.slot >= kFakeBufferCount || is_used_[buffer.slot]) return false;
    is_used_[buffer.slot] = true;
    return true;
  }
  std::span<std::byte> bytes_to_fill(const BufferHandle& buffer) override {
    return back_->filling.at(buffer.slot);
  }
  void withdraw(const BufferHandle& buffer) override { is_used_.at(buffer.slot) = false; }

  std::uint64_t position() const override {
    return back_->published.load(std::memory_order_relaxed);
  }
  bool has_space() const override { return position() < kFakeLogCount; }
  Transfer send(const array::BlockRequest& request) override {
    check(request.under_way >= 1 && request.under_way <= array::kPieceCountMax,
          "a request that says how many are under way, itself included");
    FakeBackEnd::Entry& entry = back_->log.at(position());
    entry.request = request;
    if (request.buffer_slot != kNoBufferSlot) {
      entry.data = back_->filling.at(request.buffer_slot);
      is_used_.at(request.buffer_slot) = false;
    }
    back_->published.store(position() + 1, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return Transfer::kDone;
  }

  Transfer next_reply(array::BlockReply& reply, array::ReplyTicket& ticket) override {
    if (next_ == position()) return Transfer::kBlocked;
    reply = make_reply(next_);
    ticket = {next_, {reply.buffer_slot, reply.buffer_generation}};
    ++next_;
    return Transfer::kDone;
  }
  std::span<const std::byte> data_of(const BufferHandle& buffer) const override {
    if (buffer.slot >= kFakeLogCount) return {};
    return back_->replies[buffer.slot];
  }
  void give_back(const BufferHandle&) override {}
  void finish(const array::ReplyTicket& ticket) override {
    is_finished_.at(ticket.position) = true;
    std::uint64_t released = back_->released.load(std::memory_order_relaxed);
    while (released < next_ && is_finished_[released]) ++released;
    back_->released.store(released, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  std::optional<std::uint64_t> crowding_position() const override { return std::nullopt; }
  std::uint32_t reply_buffer_count() const override { return kFakeLogCount; }

 private:
  // The disk as the requests before this one left it.
  [[nodiscard]] std::array<std::byte, kFakeDiskBytes> disk_before(std::uint64_t position) const {
    std::array<std::byte, kFakeDiskBytes> disk{};
    for (std::uint64_t i = 0; i < position; ++i) {
      const FakeBackEnd::Entry& entry = back_->log[i];
      const array::BlockRequest& request = entry.request;
      if (request.offset + request.length > kFakeDiskBytes) continue;
      if (request.operation == array::BlockOperation::kWrite) {
        std::memcpy(disk.data() + request.offset, entry.data.data(), request.length);
      } else if (request.operation == array::BlockOperation::kWriteZeroes) {
        std::memset(disk.data() + request.offset, 0, request.length);
      }
    }
    return disk;
  }

  [[nodiscard]] array::BlockReply make_reply(std::uint64_t position) const {
    const array::BlockRequest& request = back_->log[position].request;
    array::BlockReply reply{kNoBufferSlot, 0, request.id, 0, 0};
    if (request.offset == kFakeBadOffset) {
      reply.error = 5;
      return reply;
    }
    const auto slot = static_cast<std::uint32_t>(position);
    if (request.operation == array::BlockOperation::kRead) {
      const auto disk = disk_before(position);
      std::memcpy(back_->replies[slot].data(), disk.data() + request.offset, request.length);
      reply.length = request.length;
    } else if (request.operation == array::BlockOperation::kBlockStatus) {
      const array::BlockExtent extent{__builtin_bswap32(request.length), 0};
      std::memcpy(back_->replies[slot].data(), &extent, sizeof extent);
      reply.length = sizeof extent;
    } else {
      return reply;
    }
    reply.buffer_slot = slot;
    reply.buffer_generation = 1;
    return reply;
  }

  FakeBackEnd* back_;
  std::uint64_t next_;
  std::array<bool, kFakeBufferCount> is_used_{};
  std::array<bool, kFakeLogCount> is_finished_{};
};

}  // namespace slipring::test
