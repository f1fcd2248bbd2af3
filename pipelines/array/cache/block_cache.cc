#include "pipelines/array/cache/block_cache.h"

#include <algorithm>
#include <utility>

#include "core/error/check.h"
#include "pipelines/array/raid/block_checksum.h"

namespace slipring::array {
namespace {

constexpr std::uint64_t tag_of(std::uint64_t block, BlockState state) noexcept {
  return (block + 1) << 2 | static_cast<std::uint64_t>(state);
}
constexpr std::uint64_t block_of(std::uint64_t tag) noexcept {
  return (tag >> 2) - 1;
}

[[nodiscard]] bool is_dirty_state(BlockState state) noexcept {
  return state == BlockState::kDirty || state == BlockState::kWriting;
}

}  // namespace

BlockCache::BlockCache(std::span<std::byte> memory, CacheRebuild& rebuild)
    : header_(*reinterpret_cast<CacheHeader*>(memory.data())),
      entries_(reinterpret_cast<CacheEntry*>(memory.data() + kCacheHeaderBytes)),
      blocks_(memory.data() + cache_blocks_offset(header_.slot_count)),
      slots_(header_.slot_count) {
  free_.reserve(slots_.size());
  index_.reserve(slots_.size());
  std::vector<std::pair<std::uint64_t, std::uint64_t>> dirty;  // version, block
  // From behind, so that free slots are used from the front.
  for (auto slot = static_cast<std::uint32_t>(slots_.size()); slot-- > 0;) {
    // cache.B pairs with cache.A
    const std::uint64_t tag = entries_[slot].tag.load(std::memory_order_acquire);
    if (tag >> 2 == 0 || (tag & 3) == 0) {
      free_.push_back(slot);
    } else {
      adopt(slot, tag, rebuild);
    }
  }
  for (const auto& [block, slot] : index_) {
    if (!is_intact(slot)) ++rebuild.damaged_count;
    if (!is_dirty(slot)) continue;
    dirty.emplace_back(entries_[slot].version, block);
    set_tag(slot, block, BlockState::kDirty);
    slots_[slot].state = BlockState::kDirty;
  }
  std::sort(dirty.begin(), dirty.end());
  for (const auto& [version, block] : dirty) {
    slots_[index_[block]].number = next_number_;
    numbers_.insert(numbers_.end(), next_number_);
    dirty_order_.emplace_back(next_number_++, block);
  }
  rebuild.clean_count = clean_count_;
  rebuild.dirty_count = dirty_count_;
}

void BlockCache::adopt(std::uint32_t slot, std::uint64_t tag, CacheRebuild& rebuild) {
  const std::uint64_t block = block_of(tag);
  slots_[slot].state = static_cast<BlockState>(tag & 3);
  const auto [found, is_new] = index_.try_emplace(block, slot);
  if (is_new) {
    count_state(slots_[slot].state, 1);
    return;
  }
  // The predecessor died before it freed the older one.
  ++rebuild.superseded_count;
  std::uint32_t older = slot;
  if (entries_[slot].version > entries_[found->second].version) {
    older = std::exchange(found->second, slot);
    count_state(slots_[slot].state, 1);
    count_state(slots_[older].state, -1);
  }
  slots_[older].state = BlockState::kFree;
  free_slot(older);
}

void BlockCache::count_state(BlockState state, std::int64_t more) noexcept {
  std::uint64_t& count = is_dirty_state(state) ? dirty_count_ : clean_count_;
  count += static_cast<std::uint64_t>(more);
}

void BlockCache::set_tag(std::uint32_t slot, std::uint64_t block, BlockState state) noexcept {
  entries_[slot].tag.store(tag_of(block, state),
                           std::memory_order_release);  // cache.A pairs with cache.B
}

void BlockCache::free_slot(std::uint32_t slot) noexcept {
  entries_[slot].tag.store(0, std::memory_order_release);  // cache.A pairs with cache.B
  free_.push_back(slot);
}

std::uint64_t BlockCache::applied_sequence() const noexcept {
  // relaxed: our own word, or our dead predecessor's.
  return header_.applied_sequence.load(std::memory_order_relaxed);
}

void BlockCache::abort(std::uint32_t connection, std::uint64_t sequence) noexcept {
  std::atomic<std::uint64_t>& word = header_.aborted_sequences[connection];
  // relaxed: our own word, or our dead predecessor's.
  if (word.load(std::memory_order_relaxed) >= sequence) return;
  // relaxed: nothing else hangs on it.
  word.store(sequence, std::memory_order_relaxed);
}

bool BlockCache::is_aborted(const BlockRequest& request) const noexcept {
  if (request.connection >= kBlockConnectionEnd) return false;
  // relaxed: as above.
  return request.sequence <=
         header_.aborted_sequences[request.connection].load(std::memory_order_relaxed);
}

void BlockCache::set_applied(std::uint64_t sequence) noexcept {
  // After the blocks: cache.A pairs with cache.B
  header_.applied_sequence.store(sequence, std::memory_order_release);
}

std::uint32_t BlockCache::peek(std::uint64_t block) const noexcept {
  const auto found = index_.find(block);
  return found == index_.end() ? kNoSlot : found->second;
}

std::uint32_t BlockCache::find(std::uint64_t block) noexcept {
  const std::uint32_t slot = peek(block);
  if (slot != kNoSlot) slots_[slot].is_used = true;
  return slot;
}

bool BlockCache::is_intact(std::uint32_t slot) const noexcept {
  return block_checksum(bytes(slot)) == entries_[slot].checksum;
}

std::uint32_t BlockCache::evict() {
  check(clean_count_ != 0, "a clean block to evict");
  for (;;) {
    const std::uint32_t slot = hand_;
    hand_ = hand_ + 1 == slots_.size() ? 0 : hand_ + 1;
    if (slots_[slot].state != BlockState::kClean) continue;
    if (std::exchange(slots_[slot].is_used, false)) continue;
    // relaxed: our own word.
    index_.erase(block_of(entries_[slot].tag.load(std::memory_order_relaxed)));
    --clean_count_;
    ++evicted_count_;
    slots_[slot].state = BlockState::kFree;
    entries_[slot].tag.store(0, std::memory_order_release);  // cache.A pairs with cache.B
    return slot;
  }
}

std::byte* BlockCache::begin() {
  if (filling_ == kNoSlot) {
    if (free_.empty()) {
      filling_ = evict();
    } else {
      filling_ = free_.back();
      free_.pop_back();
    }
  }
  return blocks_ + std::uint64_t{filling_} * kBlockBytes;
}

void BlockCache::discard(std::uint64_t first_block, std::uint64_t count) {
  const auto drop = [this](std::uint64_t block, std::uint32_t slot) {
    Slot& dropped = slots_[slot];
    check(dropped.state != BlockState::kWriting, "a block that is not on its way");
    if (dropped.state == BlockState::kDirty) numbers_.erase(dropped.number);
    count_state(dropped.state, -1);
    dropped.state = BlockState::kFree;
    index_.erase(block);
    free_slot(slot);
  };
  if (count <= index_.size()) {
    for (std::uint64_t block = first_block; block < first_block + count; ++block) {
      if (const std::uint32_t slot = peek(block); slot != kNoSlot) drop(block, slot);
    }
    return;
  }
  std::vector<std::pair<std::uint64_t, std::uint32_t>> dropped;
  for (const auto& [block, slot] : index_) {
    if (block - first_block < count) dropped.emplace_back(block, slot);
  }
  for (const auto& [block, slot] : dropped) drop(block, slot);
}

void BlockCache::show(std::uint64_t block, std::uint64_t version, BlockState state, bool is_hole) {
  check(filling_ != kNoSlot, "a block that was begun");
  const std::uint32_t slot = std::exchange(filling_, kNoSlot);
  entries_[slot].version = version;
  entries_[slot].checksum = block_checksum(bytes(slot));
  entries_[slot].is_hole = is_hole ? 1 : 0;
  set_tag(slot, block, state);
  Slot& fresh = slots_[slot];
  fresh.state = state;
  fresh.is_used = false;
  fresh.number = 0;
  const auto [found, is_new] = index_.try_emplace(block, slot);
  if (!is_new) {
    const std::uint32_t older = std::exchange(found->second, slot);
    // What was promised of the older one is promised of this one now.
    if (slots_[older].state == BlockState::kDirty) fresh.number = slots_[older].number;
    count_state(slots_[older].state, -1);
    slots_[older].state = BlockState::kFree;
    free_slot(older);
  }
  count_state(state, 1);
  if (state != BlockState::kDirty || fresh.number != 0) return;
  fresh.number = next_number_;
  numbers_.insert(numbers_.end(), next_number_);
  dirty_order_.emplace_back(next_number_++, block);
}

std::uint64_t BlockCache::number_of(std::uint64_t block) const noexcept {
  const std::uint32_t slot = peek(block);
  return slot != kNoSlot && slots_[slot].state == BlockState::kDirty ? slots_[slot].number : 0;
}

std::optional<std::uint64_t> BlockCache::oldest_dirty() {
  while (!dirty_order_.empty()) {
    const auto [number, block] = dirty_order_.front();
    if (number_of(block) == number) return block;
    dirty_order_.pop_front();
  }
  return std::nullopt;
}

std::optional<WritingBlock> BlockCache::start_writing(std::uint64_t block) {
  const std::uint64_t number = number_of(block);
  if (number == 0 || !writing_.insert(block).second) return std::nullopt;
  const std::uint32_t slot = peek(block);
  slots_[slot].state = BlockState::kWriting;
  set_tag(slot, block, BlockState::kWriting);
  return WritingBlock{block, entries_[slot].version, number, slot};
}

void BlockCache::finish_writing(const WritingBlock& writing, bool is_written) {
  const bool is_current = peek(writing.block) == writing.slot &&
                          slots_[writing.slot].state == BlockState::kWriting &&
                          entries_[writing.slot].version == writing.version;
  writing_.erase(writing.block);
  if (is_written) {
    numbers_.erase(writing.number);
    if (!is_current) return;
    slots_[writing.slot].state = BlockState::kClean;
    set_tag(writing.slot, writing.block, BlockState::kClean);
    --dirty_count_;
    ++clean_count_;
    return;
  }
  if (is_current) {
    slots_[writing.slot].state = BlockState::kDirty;
    set_tag(writing.slot, writing.block, BlockState::kDirty);
    slots_[writing.slot].number = writing.number;
    dirty_order_.emplace_front(writing.number, writing.block);
    return;
  }
  // A newer version is dirty: it takes over what was promised of this one.
  const std::uint32_t newer = peek(writing.block);
  check(newer != kNoSlot && slots_[newer].state == BlockState::kDirty,
        "what replaced a block on its way is dirty");
  numbers_.erase(slots_[newer].number);
  slots_[newer].number = writing.number;
  dirty_order_.emplace_front(writing.number, writing.block);
}

}  // namespace slipring::array
