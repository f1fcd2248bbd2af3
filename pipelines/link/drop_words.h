// What a reader has dropped because it was told to, for its writer and whoever else looks.
//
// Protocol.  The words lie in the reader's page, and only the reader writes them.  The counts are
// over all drops and all incarnations.  Before a drop ending at `drop_end` the reader stores what
// the counts were, then drop_end, then the new counts; the drop happens when `done` of the ring
// gets to drop_end.  While done < drop_end the counts are those before.
//
// Crash.  A reader killed before `done` has dropped nothing, and its successor, which finds the
// same command, counts it once; killed afterwards, it is counted.
//
// Ordering.  drop.A -> drop.B  drop_end: who sees it sees what the counts were before.
//            drop.C -> drop.D  obeyed: who sees a command obeyed sees what it dropped.
//            cursor.C -> cursor.D  done: who sees the drop sees its counts.
#pragma once

#include <atomic>
#include <cstdint>

namespace slipring {

struct DropWords {
  std::atomic<std::uint64_t> drop_end;  // first position behind the last drop
  std::atomic<std::uint64_t> messages;  // 0 on a stream
  std::atomic<std::uint64_t> messages_before;
  std::atomic<std::uint64_t> bytes;  // of the ring: headers and padding are among them
  std::atomic<std::uint64_t> bytes_before;
  std::atomic<std::uint32_t> obeyed;    // commands of the control lane, up to this one
  std::atomic<std::uint32_t> refused;   // of these, impossible ones
  std::atomic<std::uint64_t> marks[2];  // record links only; the writer's is in the first
};
static_assert(sizeof(DropWords) == 64);

struct DropCounts {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
};

struct DropReport {
  DropCounts dropped;         // in all
  std::uint64_t before = 0;   // all below this position was dropped, or read before
  std::uint32_t obeyed = 0;   // commands looked at
  std::uint32_t refused = 0;  // of these, such as named what was never published
};

// The counts as they are while the ring's cursor stands at `done`.
[[nodiscard]] inline DropCounts drop_counts(const DropWords& words, std::uint64_t done) noexcept {
  const std::uint64_t end =
      words.drop_end.load(std::memory_order_acquire);  // drop.B pairs with drop.A
  // relaxed, all of them: ordered by drop_end and by the caller's look at `done`.
  if (done < end) {
    return {words.messages_before.load(std::memory_order_relaxed),
            words.bytes_before.load(std::memory_order_relaxed)};  // relaxed: as above
  }
  return {words.messages.load(std::memory_order_relaxed),
          words.bytes.load(std::memory_order_relaxed)};  // relaxed: as above
}

// The reader, before a drop of so much that ends at `end`.
inline void begin_drop(DropWords& words, std::uint64_t done, std::uint64_t end,
                       const DropCounts& more) noexcept {
  const DropCounts before = drop_counts(words, done);
  // relaxed: nobody reads them while done >= drop_end, and drop.A shows them.
  words.messages_before.store(before.messages, std::memory_order_relaxed);
  words.bytes_before.store(before.bytes, std::memory_order_relaxed);  // relaxed: as above
  words.drop_end.store(end, std::memory_order_release);               // drop.A pairs with drop.B
  // relaxed: read once `done` is at drop_end, and cursor.C shows them with it.
  words.messages.store(before.messages + more.messages, std::memory_order_relaxed);
  words.bytes.store(before.bytes + more.bytes, std::memory_order_relaxed);  // relaxed: as above
}

// For everybody else.  `done` of the reader's ConsumerPage is loaded here, with acquire, so that a
// count is never older than the cursor.
[[nodiscard]] inline DropReport read_drops(const DropWords& words,
                                           const std::atomic<std::uint64_t>& done) noexcept {
  DropReport report;
  // A drop that begins meanwhile would mix old and new; there are few of them.
  for (int attempt = 0; attempt < 8; ++attempt) {
    report.obeyed = words.obeyed.load(std::memory_order_acquire);    // drop.D pairs with drop.C
    report.refused = words.refused.load(std::memory_order_relaxed);  // relaxed: shown to people
    const std::uint64_t at = done.load(std::memory_order_acquire);   // cursor.D pairs with cursor.C
    const std::uint64_t end =
        words.drop_end.load(std::memory_order_acquire);  // drop.B pairs with drop.A
    report.dropped = drop_counts(words, at);
    report.before = at < end ? at : end;
    if (words.drop_end.load(std::memory_order_acquire) == end) break;  // drop.B pairs with drop.A
  }
  return report;
}

}  // namespace slipring
