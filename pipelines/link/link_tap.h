// Listens to a link without taking part: for `slipring tail`.
//
// A tap holds no role and writes nowhere: the ends do not notice it, and it cannot hold up a
// writer.  It reads what is published from a place on, and whoever is overtaken by the writer is
// told so: what it cannot be sure of it does not hand out.
//
// How it can be sure.  A writer fills places beyond tail before it publishes them: in a record ring
// at most half of the ring, in a slot ring one slot.  So the place p is whole as long as tail is
// less than half a ring beyond it; tail is read again after the copy.  That margin of half a ring
// is why it does not matter when exactly the processor reads it again.
//
// The writer of a stream, or of values, may fill all that is free before it publishes.  There only
// what the reader has not finished is sure to be whole: its cursor is read again after the copy,
// and what it went past meanwhile is lost to us.  A message of a stream is what there is at once.
//
// A lane set has a tap a lane.  A guarded link's ring is mapped read-only, from the descriptor that
// its broker gives to observers; a successor's memory is looked at as soon as it is there.
// Broadcast links: broadcast_tap.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error/result.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/link_segment.h"

namespace slipring {

enum class TapStart : bool {
  kNew,     // what is published from now on
  kUnread,  // and before it what the reader has not finished
};

struct TappedMessage {
  std::vector<std::byte> bytes;
  std::uint64_t position = 0;
};

enum class TapAnswer : std::uint8_t {
  kMessage,
  kNothing,    // not yet
  kOvertaken,  // the writer went past: goes on at what is published next
};

// One thread at a time.
class LinkTap {
 public:
  // One, or of a lane set one a lane.  Errors: kUnsupported (the kind is `found`), as
  // LinkObserver::attach().
  static Result<std::vector<LinkTap>> attach(const SegmentDirectory& directory,
                                             std::string_view name, TapStart start);

  // The next message, copied.
  [[nodiscard]] TapAnswer next(TappedMessage& message);
  // Positions that went by unseen so far: bytes of a record link, or slots.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }
  // The writer has closed, and all was seen.
  [[nodiscard]] bool is_over() const noexcept;
  // There has been a writer.
  [[nodiscard]] bool has_begun() const noexcept;
  // Whether next() might not answer kNothing.
  [[nodiscard]] bool has_news() const noexcept { return tail() != position_; }

 private:
  LinkTap(const LinkShape& shape, const LinkParts& parts, Mapping writer, Mapping reader) noexcept
      : shape_(shape), parts_(parts), writer_(std::move(writer)), reader_(std::move(reader)) {}
  explicit LinkTap(std::unique_ptr<GuardedView> view) noexcept
      : shape_(view->shape()), parts_(view->parts()), view_(std::move(view)) {}
  static Result<std::vector<LinkTap>> attach_named(const SegmentDirectory& directory,
                                                   std::string_view name);
  [[nodiscard]] const Mapping& region(Role role) const noexcept;
  [[nodiscard]] std::uint64_t done() const noexcept;
  void begin(TapStart start) noexcept;
  [[nodiscard]] TapAnswer next_unfinished(std::uint64_t tail, TappedMessage& message);
  [[nodiscard]] std::uint64_t tail() const noexcept;
  [[nodiscard]] std::uint64_t margin() const noexcept;
  [[nodiscard]] TapAnswer overtaken(std::uint64_t tail) noexcept;
  [[nodiscard]] TapAnswer next_slot(TappedMessage& message);
  [[nodiscard]] TapAnswer next_record(std::uint64_t tail, TappedMessage& message);

  LinkShape shape_;
  LinkParts parts_;
  std::unique_ptr<GuardedView> view_;  // of a guarded link
  Mapping writer_;                     // of a named one
  Mapping reader_;
  std::uint64_t position_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace slipring
