// A stage's board: named numbers that the stage alone writes and everybody may read.
//
// Protocol.  Entries are only added; an entry's name is written before the count that shows it, and
// never again.  A value is one 64-bit word.  A successor of a dead stage keeps the entries and goes
// on with the values, so counters grow over all incarnations.
//
// Ordering.  board.A -> board.B  count: who sees an entry counted sees its name.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "core/error/result.h"
#include "pipelines/link/board_page.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/link_segment.h"

namespace slipring {

// Errors: as create_link().
Status create_board(const SegmentDirectory& directory, std::string_view name,
                    const SegmentOptions& options = {}) noexcept;

// The stage's side.  One thread.
class Board {
 public:
  // A word of the board, or of nothing: a board that is full or not there swallows its numbers.
  class Number {
   public:
    Number() noexcept = default;
    explicit Number(std::atomic<std::uint64_t>& word) noexcept : word_(&word) {}
    // relaxed, both: observers need no order.
    void set(std::uint64_t value) noexcept {
      if (word_ != nullptr) word_->store(value, std::memory_order_relaxed);
    }
    void add(std::uint64_t more = 1) noexcept { set(get() + more); }
    [[nodiscard]] std::uint64_t get() const noexcept {
      return word_ != nullptr ? word_->load(std::memory_order_relaxed) : 0;
    }

   private:
    std::atomic<std::uint64_t>* word_ = nullptr;
  };

  // Errors: as LinkWriter::attach().
  static Result<Board> attach(const SegmentDirectory& directory, std::string_view name,
                              MemoryLock memory_lock = MemoryLock::kTry) noexcept;

  // Finds or adds an entry.  A name too long is cut.
  [[nodiscard]] Number number(std::string_view name, BoardKind kind) noexcept;

  [[nodiscard]] std::uint32_t incarnation() const noexcept;

 private:
  Board(std::optional<Certificate> certificate, std::unique_ptr<GuardedEnd> guard,
        Mapping own) noexcept;
  static Result<Board> attach_named(const SegmentDirectory& directory, std::string_view name,
                                    MemoryLock memory_lock) noexcept;
  void open() noexcept;
  [[nodiscard]] BoardPage& page() noexcept;

  std::optional<Certificate> certificate_;  // of a named board
  std::unique_ptr<GuardedEnd> guard_;       // of a guarded one
  Mapping own_;
};

// Everybody else's side.  One thread.
class BoardObserver {
 public:
  // A guarded board's, by its broker, or a named one's.  Errors: kCorruptPeer (not a board, too),
  // and as GuardedView::attach(), SegmentFile::open(), Mapping::map().
  static Result<BoardObserver> attach(const SegmentDirectory& directory,
                                      std::string_view name) noexcept;

  struct Entry {
    char name[kBoardNameBytes];  // always terminated, and printable whatever the stage wrote
    BoardKind kind;
    std::uint64_t value;
  };
  [[nodiscard]] std::uint32_t entry_count() const noexcept;
  // Requires: index < entry_count().
  [[nodiscard]] Entry entry(std::uint32_t index) const noexcept;
  // 0 when there is no such entry.
  [[nodiscard]] std::uint64_t value_of(std::string_view name) const noexcept;
  [[nodiscard]] std::uint32_t process_id() const noexcept;
  [[nodiscard]] std::uint32_t incarnation() const noexcept;
  // Whether a living stage holds the board; true also where the kernel could not be asked.
  [[nodiscard]] bool is_held() const noexcept;
  // Of the stage's memory; kNone on a named board.
  [[nodiscard]] ProtectionLevel protection() const noexcept;

  // Looks at the broker's view, which the caller keeps up to date.  Requires: of a board.
  static BoardObserver of(std::unique_ptr<GuardedView> view) noexcept;
  // Of a guarded board, to be kept up to date; nullptr on a named one.
  [[nodiscard]] GuardedView* view() noexcept { return view_.get(); }

 private:
  BoardObserver(std::optional<SegmentFile> file, Mapping page,
                std::unique_ptr<GuardedView> view) noexcept;
  [[nodiscard]] const BoardPage& page() const noexcept;

  std::optional<SegmentFile> file_;  // of a named board
  Mapping page_;
  std::unique_ptr<GuardedView> view_;  // of a guarded one
};

}  // namespace slipring
