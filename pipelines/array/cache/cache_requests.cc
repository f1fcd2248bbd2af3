// What the front asks: reads, writes, and the rest; zeroes are in cache_zeroes.cc.
#include <errno.h>

#include <algorithm>
#include <cstring>

#include "pipelines/array/cache/block_part.h"
#include "pipelines/array/cache/cache_stage.h"

namespace slipring::array {
bool CacheStage::start_read(Pending& pending) {
  const BlockRequest& request = pending.request;
  if (!pending.slot) {
    std::uint32_t slot = 0;
    const Transfer found = replies_.pool()->try_acquire(slot);
    if (found == Transfer::kCorruptPeer) give_up(replies_.offender(), "the front");
    waits_for_reply_ = found != Transfer::kDone;
    if (waits_for_reply_) return false;
    pending.slot = slot;
  }
  report_.reads.add();
  pending.error = pending.fault;
  if (pending.error != 0 || request.length == 0) {
    reply(pending);
    return true;
  }
  const std::uint64_t end = block_at(request.offset + request.length - 1) + 1;
  std::uint32_t missing = 0;
  const auto fill_missing = [&](std::uint64_t before) {
    if (missing != 0 && !fill(before - missing, missing, &pending)) pending.error = EIO;
    missing = 0;
  };
  for (std::uint64_t block = block_at(request.offset); block < end; ++block) {
    const std::uint32_t slot = cache_.find(block);
    if (slot == kNoSlot) {
      if (++missing == kBlockBufferBytes / kBlockBytes) fill_missing(block + 1);
      continue;
    }
    fill_missing(block);
    report_.hit_blocks.add();
    copy_out(pending, block, cache_.bytes(slot));
  }
  fill_missing(end);
  if (pending.fills == 0) reply(pending);
  return true;
}

void CacheStage::copy_out(Pending& pending, std::uint64_t block, const std::byte* bytes) {
  const BlockRequest& request = pending.request;
  const BlockPart part = part_of(block, request.offset, request.length);
  const std::uint64_t at = block * kBlockBytes + part.from - request.offset;
  std::memcpy(replies_.pool()->bytes(*pending.slot).data() + at, bytes + part.from,
              part.to - part.from);
}

bool CacheStage::put(std::uint64_t block, std::uint64_t version, std::uint64_t from,
                     std::uint64_t to, const std::byte* bytes, bool is_hole) {
  const std::uint32_t before = cache_.find(block);
  const bool is_whole = to - from == kBlockBytes;
  if (!is_whole && before == kNoSlot) return false;  // evicted for the blocks before it
  std::byte* place = cache_.begin();
  // Making room may have evicted the block itself; then its bytes are where they are wanted.
  if (!is_whole) std::memmove(place, cache_.bytes(before), kBlockBytes);
  std::memcpy(place + from, bytes, to - from);
  cache_.show(block, version, BlockState::kDirty, is_hole && is_whole);
  for (Fill& fill : fills_) {
    if (block >= fill.first_block && block < fill.first_block + fill.count) {
      fill.is_outdated[block - fill.first_block] = true;
    }
  }
  return true;
}

bool CacheStage::has_edges(std::uint64_t offset, std::uint64_t length) {
  bool has_all = true;
  const std::uint64_t first = block_at(offset);
  const std::uint64_t last = block_at(offset + length - 1);
  for (const std::uint64_t block : {first, last}) {
    const BlockPart part = part_of(block, offset, length);
    if (part.to - part.from == kBlockBytes || cache_.find(block) != kNoSlot) continue;
    has_all = false;
    const bool is_asked = std::any_of(fills_.begin(), fills_.end(), [&](const Fill& asked) {
      return block >= asked.first_block && block < asked.first_block + asked.count &&
             asked.reader == nullptr;
    });
    if (!is_asked) static_cast<void>(fill(block, 1, nullptr));
  }
  return has_all;
}

bool CacheStage::was_applied(const BlockRequest& request) const {
  return request.sequence <= cache_.applied_sequence() &&
         options_.planted != CacheFault::kReplayIgnoresSequence;
}

bool CacheStage::start_write(Pending& pending) {
  const BlockRequest& request = pending.request;
  if (!has_data(request) && pending.message.redelivered) {
    // It was answered, and its buffer given back.
    pending.is_done = true;
    return true;
  }
  pending.error = pending.fault;
  if (pending.error == 0 && !has_data(request)) pending.error = EINVAL;
  const bool is_durable = (request.flags & kForceUnitAccess) != 0;
  const bool is_applied = was_applied(request);
  if (pending.error != 0 || request.length == 0 || (is_applied && !is_durable)) {
    reply(pending);
    return true;
  }
  if (is_applied) return begin_durable(pending);
  const std::uint64_t first = block_at(request.offset);
  const std::uint64_t end = block_at(request.offset + request.length - 1) + 1;
  if (is_edge_lost_) {
    is_edge_lost_ = false;
    pending.error = EIO;
    reply(pending);
    return true;
  }
  const std::uint64_t most = cache_.slot_count() * options_.dirty_max_percent / 100;
  if (cache_.dirty_count() + (end - first) > most || !cache_.has_room(end - first + 2) ||
      !has_edges(request.offset, request.length)) {
    return false;
  }
  report_.writes.add();
  const std::byte* bytes =
      requests_.pool()->bytes({request.buffer_slot, request.buffer_generation}).data();
  for (std::uint64_t block = first; block < end; ++block) {
    const BlockPart part = part_of(block, request.offset, request.length);
    const std::byte* from = bytes + (block * kBlockBytes + part.from - request.offset);
    if (!put(block, request.sequence, part.from, part.to, from)) return false;
  }
  cache_.set_applied(std::max(request.sequence, cache_.applied_sequence()));
  if (is_durable) return begin_durable(pending);
  reply(pending);
  return true;
}

bool CacheStage::start_other(Pending& pending) {
  const BlockRequest& request = pending.request;
  const bool brings_data = request.operation == BlockOperation::kBlockStatus ||
                           request.operation == BlockOperation::kDescribe;
  if (brings_data && !pending.slot) {
    std::uint32_t slot = 0;
    waits_for_reply_ = replies_.pool()->try_acquire(slot) != Transfer::kDone;
    if (waits_for_reply_) return false;
    pending.slot = slot;
  }
  report_.others.add();
  pending.error = pending.fault;
  if (brings_data && pending.error == 0) {
    std::byte* place = replies_.pool()->bytes(*pending.slot).data();
    if (request.operation == BlockOperation::kDescribe) {
      const std::uint32_t fast = fast_zero_bytes_ != 0 ? kExportCanFastZero : 0;
      const BlockExport description{volumes_[request.export_number].size_bytes, 1, kBlockBytes,
                                    kExportCanTrim | kExportCanWriteZeroes | fast,
                                    static_cast<std::uint32_t>(fast_zero_bytes_)};
      std::memcpy(place, &description, sizeof description);
    } else if (request.length == 0) {
      pending.error = EINVAL;
    } else {
      return start_status(pending);
    }
  } else if (request.operation != BlockOperation::kCache && !brings_data) {
    pending.error = ENOTSUP;
  }
  if (pending.error == 0 && (request.flags & kForceUnitAccess) != 0) return begin_durable(pending);
  reply(pending);
  return true;
}

}  // namespace slipring::array
