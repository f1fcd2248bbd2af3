// Zeroes and trims, and where nothing is: few become dirty blocks as any others, many go to the
// array past the cache.
#include <errno.h>

#include <algorithm>
#include <cstring>

#include "pipelines/array/cache/block_part.h"
#include "pipelines/array/cache/cache_stage.h"

namespace slipring::array {
namespace {

constexpr std::uint64_t kZeroBlocksAtOnce = 256;
// From so many on the cache would only be in the way.
constexpr std::uint64_t kDirectBlocks = 1024;
// At once, so that reads come between.
constexpr std::uint64_t kDirectBlocksAtOnce = 16 * 1024;
// Looked at for one answer; clients ask again for what lies behind.
constexpr std::uint64_t kStatusBlocks = 16 * 1024;
constexpr std::size_t kExtentsAtOnce = 1024;
// Of Fill::extent_flags: the array knows.
constexpr std::uint8_t kAskArray = 0xff;
constexpr std::uint8_t kHole = kExtentIsHole | kExtentIsZero;
constexpr std::byte kZeroBlock[kBlockBytes] = {};

}  // namespace

// Whole stripes become holes; what is left of less is written as any other bytes.
bool CacheStage::is_fast(const BlockRequest& request) const {
  if (fast_zero_bytes_ == 0 || (request.flags & kNoHole) != 0) return false;
  const std::uint64_t first = (request.offset + fast_zero_bytes_ - 1) / fast_zero_bytes_;
  return first < (request.offset + request.length) / fast_zero_bytes_;
}

bool CacheStage::start_zeroes(Pending& pending) {
  const BlockRequest& request = pending.request;
  pending.error = pending.fault;
  if (pending.error == 0 && (request.flags & kFastZero) != 0 && !is_fast(request)) {
    pending.error = ENOTSUP;
  }
  const bool is_durable = (request.flags & kForceUnitAccess) != 0;
  const bool is_applied = was_applied(request);
  if (is_edge_lost_ && pending.error == 0) pending.error = EIO;
  is_edge_lost_ = false;
  if (pending.error != 0 || request.length == 0 || (is_applied && !is_durable)) {
    reply(pending);
    return true;
  }
  if (is_applied) return begin_durable(pending);
  const std::uint64_t whole_first = (request.offset + kBlockBytes - 1) / kBlockBytes;
  const std::uint64_t whole_end = (request.offset + request.length) / kBlockBytes;
  const bool is_trim = request.operation == BlockOperation::kTrim;
  // Of a block that is trimmed in part the rest would have to be read: not worth it.
  const std::uint64_t first = is_trim ? whole_first : block_at(request.offset);
  const std::uint64_t end = is_trim ? whole_end : block_at(request.offset + request.length - 1) + 1;
  const bool keeps_room = (request.flags & kNoHole) != 0;
  for (std::uint64_t budget = kZeroBlocksAtOnce; first + pending.done_blocks < end; --budget) {
    const std::uint64_t block = first + pending.done_blocks;
    const bool is_direct = !keeps_room && block >= whole_first && block < whole_end &&
                           (direct_ || whole_end - block >= kDirectBlocks);
    if (budget == 0) return false;
    if (!(is_direct ? zero_directly(pending, block, whole_end - block)
                    : zero_block(pending, block))) {
      return false;
    }
    if (pending.error == 0) continue;
    reply(pending);
    return true;
  }
  report_.others.add();
  cache_.set_applied(std::max(request.sequence, cache_.applied_sequence()));
  if (is_durable) return begin_durable(pending);
  reply(pending);
  return true;
}

bool CacheStage::zero_block(Pending& pending, std::uint64_t block) {
  const BlockRequest& request = pending.request;
  const bool is_trim = request.operation == BlockOperation::kTrim;
  const std::uint64_t most = cache_.slot_count() * options_.dirty_max_percent / 100;
  if (cache_.dirty_count() >= most || !cache_.has_room(2) ||
      (!is_trim && !has_edges(request.offset, request.length))) {
    return false;
  }
  const BlockPart part = part_of(block, request.offset, request.length);
  const bool is_hole = (request.flags & kNoHole) == 0;
  if (!put(block, request.sequence, part.from, part.to, kZeroBlock, is_hole)) return false;
  ++pending.done_blocks;
  return true;
}

// What the cache has of these blocks stays until the array has answered: a request that fails has
// changed nothing that was promised.
bool CacheStage::zero_directly(Pending& pending, std::uint64_t block, std::uint64_t count) {
  if (!direct_) {
    const std::uint64_t now = std::min(count, kDirectBlocksAtOnce);
    if (send_zeroes(block, now, {0, {}, 0, true})) direct_ = DirectZeroes{block, now, false, 0};
    return false;
  }
  if (!direct_->is_answered) return false;
  const DirectZeroes done = *direct_;
  direct_.reset();
  pending.error = done.error;
  if (done.error != 0) return true;
  cache_.discard(done.first_block, done.count);
  for (Fill& fill : fills_) {
    for (std::uint32_t i = 0; i < fill.count; ++i) {
      if (fill.first_block + i - done.first_block < done.count) fill.is_outdated[i] = true;
    }
  }
  pending.done_blocks += done.count;
  return true;
}

bool CacheStage::is_dirty_hole(std::uint64_t block) const {
  const std::uint32_t slot = cache_.peek(block);
  return slot != kNoSlot && cache_.is_hole(slot);
}

bool CacheStage::send_zeroes(std::uint64_t first_block, std::uint64_t count, WriteBack write) {
  std::span<std::byte> place;
  if (array_writes_.try_reserve(sizeof(BlockRequest), place) != Transfer::kDone) return false;
  write.position = array_writes_.position();
  for (std::uint64_t block = first_block; !write.is_direct && block < first_block + count;
       ++block) {
    const std::optional<WritingBlock> started = cache_.start_writing(block);
    if (!started) break;
    write.blocks.push_back(*started);
  }
  if (!write.is_direct) count = write.blocks.size();
  if (count == 0) {
    array_writes_.abandon();
    return false;
  }
  BlockRequest request{};
  request.buffer_slot = kNoBufferSlot;
  request.offset = first_block * kBlockBytes;
  request.length = static_cast<std::uint32_t>(count * kBlockBytes);
  request.operation = BlockOperation::kWriteZeroes;
  std::memcpy(place.data(), &request, sizeof request);
  writes_.push_back(std::move(write));
  array_writes_.commit(sizeof request);
  return true;
}

// Requires: pending.slot.  The array is asked; what is dirty at this moment the cache knows better.
bool CacheStage::start_status(Pending& pending) {
  const BlockRequest& request = pending.request;
  std::span<std::byte> place;
  if (array_reads_.try_reserve(sizeof(BlockRequest), place) != Transfer::kDone) return false;
  const std::uint64_t first = block_at(request.offset);
  const std::uint64_t end = block_at(request.offset + request.length - 1) + 1;
  const auto count = static_cast<std::uint32_t>(std::min(end - first, kStatusBlocks));
  Fill fill{array_reads_.position(),
            first,
            count,
            &pending,
            std::vector<bool>(count, false),
            std::vector<std::uint8_t>(count, kAskArray)};
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t slot = cache_.peek(first + i);
    if (slot == kNoSlot || !cache_.is_dirty(slot)) continue;
    fill.extent_flags[i] = cache_.is_hole(slot) ? kHole : 0;
  }
  BlockRequest asked{};
  asked.buffer_slot = kNoBufferSlot;
  asked.offset = first * kBlockBytes;
  asked.length = count * kBlockBytes;
  asked.operation = BlockOperation::kBlockStatus;
  std::memcpy(place.data(), &asked, sizeof asked);
  fills_.push_back(std::move(fill));
  array_reads_.commit(sizeof asked);
  ++pending.fills;
  return true;
}

void CacheStage::take_status(const Fill& fill, const BlockReply& reply) {
  const BufferHandle data{reply.buffer_slot, reply.buffer_generation};
  std::vector<std::uint8_t> flags = fill.extent_flags;
  std::uint64_t known = 0;  // blocks
  if (reply.error == 0 && read_data_.pool()->holds(data)) {
    const std::span<const std::byte> bytes = read_data_.pool()->bytes(data);
    for (std::size_t at = 0;
         at + sizeof(BlockExtent) <= std::min<std::size_t>(reply.length, bytes.size());
         at += sizeof(BlockExtent)) {
      BlockExtent extent{};
      std::memcpy(&extent, bytes.data() + at, sizeof extent);
      const std::uint64_t until = std::min<std::uint64_t>(
          known + __builtin_bswap32(extent.length_be) / kBlockBytes, flags.size());
      const bool is_hole = __builtin_bswap32(extent.flags_be) == kHole;
      for (; known < until; ++known) {
        if (flags[known] == kAskArray) flags[known] = is_hole ? kHole : 0;
      }
    }
  }
  // An array that cannot say: all is data.
  if (known == 0) std::replace(flags.begin(), flags.end(), kAskArray, std::uint8_t{0});
  if (known != 0) flags.resize(known);
  Pending& pending = *fill.reader;
  const BlockRequest& request = pending.request;
  const std::span<std::byte> place = replies_.pool()->bytes(*pending.slot);
  const std::size_t most = (request.flags & kOneExtent) != 0 ? 1 : kExtentsAtOnce;
  pending.extent_bytes = 0;
  for (std::uint64_t i = 0; i < flags.size();) {
    if (pending.extent_bytes == most * sizeof(BlockExtent)) break;
    std::uint64_t next = i;
    while (next < flags.size() && flags[next] == flags[i]) ++next;
    const std::uint64_t begin = std::max((fill.first_block + i) * kBlockBytes, request.offset);
    const std::uint64_t end =
        std::min((fill.first_block + next) * kBlockBytes, request.offset + request.length);
    const BlockExtent extent{__builtin_bswap32(static_cast<std::uint32_t>(end - begin)),
                             __builtin_bswap32(flags[i])};
    std::memcpy(place.data() + pending.extent_bytes, &extent, sizeof extent);
    pending.extent_bytes += sizeof extent;
    i = next;
  }
  if (--pending.fills == 0) this->reply(pending);
}

}  // namespace slipring::array
