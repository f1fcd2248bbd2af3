// What the cache asks of the array: blocks that are missing, and dirty ones to be kept.
#include <errno.h>

#include <algorithm>
#include <cstring>

#include "pipelines/array/cache/cache_stage.h"
#include "platform/wait/clock.h"

namespace slipring::array {
namespace {

// Under way at once; the RAID stage takes that many blocks into one group.
constexpr std::uint64_t kWritingBlocksMax = 1024;
constexpr std::uint64_t kRetryNs = 1'000'000'000;

}  // namespace

bool CacheStage::fill(std::uint64_t first_block, std::uint32_t count, Pending* reader) {
  std::span<std::byte> place;
  while (array_reads_.try_reserve(sizeof(BlockRequest), place) != Transfer::kDone) {
    // The ring is as long as the front's, and every request of it asks for a few runs at most.
    if (read_data_.is_finished() || is_corrupt_) return false;
    if (!hear_fills()) {
      stage_.wait([this] { return read_data_.has_message() || read_data_.is_finished(); },
                  deadline_after(kRetryNs / 1000));
    }
  }
  BlockRequest request{};
  request.buffer_slot = kNoBufferSlot;
  request.offset = first_block * kBlockBytes;
  request.length = count * kBlockBytes;
  request.operation = BlockOperation::kRead;
  std::memcpy(place.data(), &request, sizeof request);
  fills_.push_back(
      {array_reads_.position(), first_block, count, reader, std::vector<bool>(count, false)});
  array_reads_.commit(sizeof request);
  report_.missed_blocks.add(count);
  if (reader != nullptr) ++reader->fills;
  return true;
}

bool CacheStage::hear_fills() {
  bool has_moved = false;
  for (;;) {
    Message message;
    const Transfer answer = read_data_.try_peek(message);
    if (answer == Transfer::kCorruptPeer) give_up(read_data_.offender(), "the RAID stage");
    if (answer != Transfer::kDone) return has_moved;
    has_moved = true;
    BlockReply reply{};
    std::memcpy(&reply, message.bytes.data(), sizeof reply);
    // Below the first of ours: meant for our predecessor.
    if (!fills_.empty() && message.position == fills_.front().position) {
      const Fill fill = std::move(fills_.front());
      fills_.pop_front();
      take_fill(fill, reply);
    }
    const BufferHandle data{reply.buffer_slot, reply.buffer_generation};
    if (read_data_.pool()->holds(data)) read_data_.give_back(data);
    read_data_.release(message);
  }
}

void CacheStage::take_fill(const Fill& fill, const BlockReply& reply) {
  const BufferHandle data{reply.buffer_slot, reply.buffer_generation};
  const bool has_bytes = reply.error == 0 && read_data_.pool()->holds(data);
  const std::byte* bytes = has_bytes ? read_data_.pool()->bytes(data).data() : nullptr;
  if (!fill.extent_flags.empty()) {
    take_status(fill, reply);
    return;
  }
  if (fill.count == 0) {
    BlockExport description{};
    if (has_bytes) std::memcpy(&description, bytes, sizeof description);
    size_bytes_ = description.size_bytes;
    fast_zero_bytes_ =
        (description.flags & kExportCanFastZero) != 0 ? description.fast_zero_bytes : 0;
    if (size_bytes_ == 0 || size_bytes_ >> 60 != 0) {
      stage_.log(Severity::kError, "the RAID stage says that its array has %llu bytes",
                 static_cast<unsigned long long>(size_bytes_));
      is_corrupt_ = true;
    }
    return;
  }
  if (!has_bytes) {
    if (fill.reader == nullptr) is_edge_lost_ = true;
  }
  for (std::uint32_t i = 0; i < fill.count; ++i) {
    const std::uint64_t block = fill.first_block + i;
    std::uint32_t slot = cache_.peek(block);
    if (has_bytes && slot == kNoSlot && !fill.is_outdated[i] && cache_.has_room(1)) {
      std::memcpy(cache_.begin(), bytes + std::uint64_t{i} * kBlockBytes, kBlockBytes);
      cache_.show(block, 0, BlockState::kClean);
      if (fill.reader == nullptr) static_cast<void>(cache_.find(block));
      slot = cache_.peek(block);
    }
    if (fill.reader == nullptr) continue;
    if (slot != kNoSlot) {
      copy_out(*fill.reader, block, cache_.bytes(slot));
    } else if (has_bytes) {
      copy_out(*fill.reader, block, bytes + std::uint64_t{i} * kBlockBytes);
    } else {
      fill.reader->error = EIO;
    }
  }
  if (fill.reader == nullptr) return;
  if (--fill.reader->fills == 0) this->reply(*fill.reader);
}

std::vector<std::uint64_t> CacheStage::stripe_of(std::uint64_t block) {
  std::vector<std::uint64_t> blocks;
  const std::uint64_t first = block / options_.stripe_blocks * options_.stripe_blocks;
  for (std::uint64_t at = first; at < first + options_.stripe_blocks; ++at) {
    if (cache_.number_of(at) != 0) blocks.push_back(at);
  }
  return blocks;
}

bool CacheStage::wants_writing() {
  if (retry_ns_ != 0 && monotonic_ns() < retry_ns_) return false;
  if (is_flushing_out_ && cache_.dirty_count() != 0) return true;
  is_flushing_out_ = false;
  const std::uint64_t start = cache_.slot_count() * options_.dirty_start_percent / 100;
  if (cache_.dirty_count() > start || is_last_waiting_) return true;
  const std::uint64_t lowest = cache_.lowest_number();
  for (const Pending& pending : pending_) {
    if (durable_count_ == 0) break;
    if (pending.flush_number > lowest && !pending.is_done) return true;
  }
  return cache_.dirty_count() != 0 && monotonic_ns() - last_request_ns_ > options_.idle_write_ns;
}

bool CacheStage::write_back() {
  // A block that was dirty before must not come after the zeroes.
  if (direct_ && options_.planted != CacheFault::kWritesDuringZeroes) return false;
  std::uint64_t under_way = 0;
  for (const WriteBack& write : writes_) under_way += write.blocks.size();
  bool has_moved = false;
  while (under_way < kWritingBlocksMax && wants_writing()) {
    const std::optional<std::uint64_t> oldest = cache_.oldest_dirty();
    if (!oldest) break;
    const std::vector<std::uint64_t> blocks = stripe_of(*oldest);
    const std::uint64_t most = array_writes_.pool()->buffer_bytes() / kBlockBytes;
    std::size_t first = 0;
    for (std::size_t i = 1; i <= blocks.size(); ++i) {
      const bool is_hole = is_dirty_hole(blocks[first]);
      const bool goes_on = i < blocks.size() && blocks[i] == blocks[i - 1] + 1 &&
                           is_dirty_hole(blocks[i]) == is_hole && (is_hole || i - first < most);
      if (goes_on) continue;
      const bool is_sent = is_hole ? send_zeroes(blocks[first], i - first, {})
                                   : send_run(std::span(blocks).subspan(first, i - first));
      if (!is_sent) return has_moved;
      has_moved = true;
      under_way += i - first;
      first = i;
    }
    // An older version of it is still on its way.
    if (cache_.number_of(*oldest) != 0) break;
  }
  return has_moved;
}

bool CacheStage::send_run(std::span<const std::uint64_t> blocks) {
  PoolOwner& pool = *array_writes_.pool();
  std::span<std::byte> place;
  if (array_writes_.try_reserve(sizeof(BlockRequest), place) != Transfer::kDone) return false;
  std::uint32_t buffer = 0;
  if (pool.try_acquire(buffer) != Transfer::kDone) {
    array_writes_.abandon();
    return false;
  }
  WriteBack write{array_writes_.position(), {}, 0};
  for (const std::uint64_t block : blocks) {
    const std::optional<WritingBlock> started = cache_.start_writing(block);
    if (!started) break;
    if (!cache_.is_intact(started->slot)) {
      stage_.log(Severity::kError, "block %llu has changed in the cache's memory",
                 static_cast<unsigned long long>(block));
    }
    std::memcpy(pool.bytes(buffer).data() + write.blocks.size() * kBlockBytes,
                cache_.bytes(started->slot), kBlockBytes);
    write.blocks.push_back(*started);
  }
  if (write.blocks.empty()) {
    array_writes_.abandon();
    pool.drop(buffer);
    return false;
  }
  const BufferHandle lent = pool.lend(buffer);
  BlockRequest request{};
  request.buffer_slot = lent.slot;
  request.buffer_generation = lent.generation;
  request.offset = blocks[0] * kBlockBytes;
  request.length = static_cast<std::uint32_t>(write.blocks.size()) * kBlockBytes;
  request.operation = BlockOperation::kWrite;
  std::memcpy(place.data(), &request, sizeof request);
  writes_.push_back(std::move(write));
  array_writes_.commit(sizeof request);
  pool.drop(buffer);
  return true;
}

bool CacheStage::send_flush() {
  std::span<std::byte> place;
  if (array_writes_.try_reserve(sizeof(BlockRequest), place) != Transfer::kDone) return false;
  BlockRequest request{};
  request.buffer_slot = kNoBufferSlot;
  request.operation = BlockOperation::kFlush;
  std::memcpy(place.data(), &request, sizeof request);
  writes_.push_back({array_writes_.position(), {}, next_ticket_});
  array_writes_.commit(sizeof request);
  return true;
}

bool CacheStage::hear_acks() {
  bool has_moved = false;
  for (;;) {
    Message message;
    const Transfer answer = write_acks_.try_peek(message);
    if (answer == Transfer::kCorruptPeer) give_up(write_acks_.offender(), "the RAID stage");
    if (answer != Transfer::kDone) return has_moved;
    has_moved = true;
    BlockReply reply{};
    std::memcpy(&reply, message.bytes.data(), sizeof reply);
    if (!writes_.empty() && message.position == writes_.front().position) {
      const WriteBack write = std::move(writes_.front());
      writes_.pop_front();
      for (const WritingBlock& block : write.blocks) {
        cache_.finish_writing(block, reply.error == 0);
      }
      if (reply.error == 0) report_.written_back_blocks.add(write.blocks.size());
      if (write.ticket != 0) answered_ticket_ = write.ticket;
      if (write.is_direct) {
        direct_->is_answered = true;
        direct_->error = static_cast<int>(std::min(reply.error, 4095U));
        write_acks_.release(message);
        continue;
      }
      if (reply.error != 0) {
        retry_ns_ = deadline_after(kRetryNs);
        // Who waits for a flush hears of it; the blocks stay dirty, and are tried again.
        for (Pending& pending : pending_) {
          if (pending.flush_number != 0 && !pending.is_done) {
            pending.error = static_cast<int>(std::min(reply.error, 4095U));
          }
        }
      } else {
        retry_ns_ = 0;
      }
    }
    write_acks_.release(message);
  }
}

}  // namespace slipring::array
