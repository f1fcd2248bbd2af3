// Blocks in memory that outlives the process: which are there, in which state, and who goes next.
//
// What must survive is in cache_memory.h; the index, the order of dirty blocks and the clock are
// this process's own, and made again from the entries by whoever comes next.
//
// Dirty numbers.  Each block that becomes dirty gets the next number, and keeps it when it is
// written to again before it is on its way.  Everything numbered below n is on the array when the
// lowest number that is dirty or on its way is n or more: that is what a flush waits for.
//
// Eviction is CLOCK (F. J. Corbató, A paging experiment with the Multics system, 1968), of clean
// blocks only.
//
// One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "pipelines/array/cache/cache_memory.h"

namespace slipring::array {

inline constexpr std::uint32_t kNoSlot = UINT32_MAX;

// A block that is on its way to the array.
struct WritingBlock {
  std::uint64_t block;
  std::uint64_t version;
  std::uint64_t number;
  std::uint32_t slot;
};

struct CacheRebuild {
  std::uint64_t clean_count = 0;
  std::uint64_t dirty_count = 0;
  std::uint64_t superseded_count = 0;  // two slots of one block, the older freed
  std::uint64_t damaged_count = 0;     // blocks that are not what their checksum says
};

class BlockCache {
 public:
  // Makes the index from the entries.  Blocks that were on their way are dirty again.
  // Requires: validate_cache(memory) is ok; the memory outlives the object.
  BlockCache(std::span<std::byte> memory, CacheRebuild& rebuild);

  [[nodiscard]] std::uint64_t slot_count() const noexcept { return slots_.size(); }
  [[nodiscard]] std::uint64_t dirty_count() const noexcept { return dirty_count_; }
  [[nodiscard]] std::uint64_t clean_count() const noexcept { return clean_count_; }
  [[nodiscard]] std::uint64_t free_count() const noexcept { return free_.size(); }
  [[nodiscard]] std::uint64_t evicted_count() const noexcept { return evicted_count_; }

  [[nodiscard]] std::uint64_t applied_sequence() const noexcept;
  // What was aborted stays so, also for a successor.  Requires: connection < kBlockConnectionEnd.
  void abort(std::uint32_t connection, std::uint64_t sequence) noexcept;
  [[nodiscard]] bool is_aborted(const BlockRequest& request) const noexcept;
  // All writes up to here are in the cache as a whole.
  void set_applied(std::uint64_t sequence) noexcept;

  // The block's slot; kNoSlot when it is not there.  Counts as a use.
  [[nodiscard]] std::uint32_t find(std::uint64_t block) noexcept;
  // Without counting as a use.
  [[nodiscard]] std::uint32_t peek(std::uint64_t block) const noexcept;
  [[nodiscard]] const std::byte* bytes(std::uint32_t slot) const noexcept {
    return blocks_ + std::uint64_t{slot} * kBlockBytes;
  }
  [[nodiscard]] std::uint64_t version_of(std::uint32_t slot) const noexcept {
    return entries_[slot].version;
  }
  // Or on its way.
  [[nodiscard]] bool is_dirty(std::uint32_t slot) const noexcept {
    return slots_[slot].state == BlockState::kDirty || slots_[slot].state == BlockState::kWriting;
  }
  [[nodiscard]] bool is_intact(std::uint32_t slot) const noexcept;

  // Whether so many blocks can be put now.
  [[nodiscard]] bool has_room(std::uint64_t count) const noexcept {
    return free_.size() + clean_count_ >= count;
  }
  // A place to fill; nobody sees it until show().  Requires: has_room(1); one at a time.
  [[nodiscard]] std::byte* begin();
  // As what `block` is from now on; its older slot is freed.  A hole is of zeros.
  void show(std::uint64_t block, std::uint64_t version, BlockState state, bool is_hole = false);
  [[nodiscard]] bool is_hole(std::uint32_t slot) const noexcept {
    return entries_[slot].is_hole == 1;
  }
  // The array has zeros there now: whatever the cache has of these blocks counts no more.
  // Requires: none of them is on its way.
  void discard(std::uint64_t first_block, std::uint64_t count);

  // The oldest dirty block that is not on its way; nothing when there is none.
  [[nodiscard]] std::optional<std::uint64_t> oldest_dirty();
  // Puts the block on its way; nothing when it is not dirty, or an older version of it still is on
  // its way.
  [[nodiscard]] std::optional<WritingBlock> start_writing(std::uint64_t block);
  // The array has it, or could not take it.
  void finish_writing(const WritingBlock& writing, bool is_written);

  // The next number to be given.
  [[nodiscard]] std::uint64_t next_number() const noexcept { return next_number_; }
  // The lowest that is dirty or on its way; next_number() when there is none.
  [[nodiscard]] std::uint64_t lowest_number() const noexcept {
    return numbers_.empty() ? next_number_ : *numbers_.begin();
  }
  // Of a block that is dirty; 0 when it is not, or on its way.
  [[nodiscard]] std::uint64_t number_of(std::uint64_t block) const noexcept;

 private:
  struct Slot {
    std::uint64_t number = 0;  // while dirty
    BlockState state = BlockState::kFree;
    bool is_used = false;  // since the clock's hand came by
  };

  void set_tag(std::uint32_t slot, std::uint64_t block, BlockState state) noexcept;
  void free_slot(std::uint32_t slot) noexcept;
  void count_state(BlockState state, std::int64_t more) noexcept;
  void adopt(std::uint32_t slot, std::uint64_t tag, CacheRebuild& rebuild);
  [[nodiscard]] std::uint32_t evict();

  CacheHeader& header_;
  CacheEntry* entries_;
  std::byte* blocks_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<std::uint64_t, std::uint32_t> index_;
  std::deque<std::pair<std::uint64_t, std::uint64_t>> dirty_order_;  // number, block; some outdated
  std::set<std::uint64_t> numbers_;                                  // dirty or on their way
  std::unordered_set<std::uint64_t> writing_;
  std::uint64_t next_number_ = 1;
  std::uint64_t dirty_count_ = 0;  // on their way included
  std::uint64_t clean_count_ = 0;
  std::uint64_t evicted_count_ = 0;
  std::uint32_t hand_ = 0;
  std::uint32_t filling_ = kNoSlot;
};

}  // namespace slipring::array
