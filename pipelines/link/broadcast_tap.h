// Listens to a broadcast link without taking part: for `slipring tail`.
//
// A tap takes no place and writes nowhere but in memory of its own: neither writer nor readers
// notice it, and whatever the link's policy is, nobody waits for it.  It reads as a reader whose
// messages may be overwritten does, whose cursor nobody sees; what went by unseen is counted.
//
// Of a guarded link it shows a successor's memory as soon as it is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "core/ring/broadcast_ring.h"
#include "pipelines/link/broadcast_shape.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/link_tap.h"
#include "platform/memory/mapping.h"
#include "platform/memory/segment_directory.h"

namespace slipring {

// One thread at a time.
class BroadcastTap {
 public:
  // TapStart::kUnread: from the oldest message that is still held.  Errors: kVersion (another
  // kind), and as LinkObserver::attach().
  static Result<BroadcastTap> attach(const SegmentDirectory& directory, std::string_view name,
                                     TapStart start);

  // As LinkTap's; positions are messages.
  [[nodiscard]] TapAnswer next(TappedMessage& message);
  [[nodiscard]] std::uint64_t lost() const noexcept;
  [[nodiscard]] bool is_over() const noexcept;
  [[nodiscard]] bool has_begun() const noexcept;
  [[nodiscard]] bool has_news() const noexcept { return ring_ && ring_->has_message(); }

 private:
  explicit BroadcastTap(const BroadcastShape& shape)
      : shape_(shape), own_(std::make_unique<BroadcastReaderPage>()) {}
  static Result<BroadcastTap> attach_named(const SegmentDirectory& directory,
                                           std::string_view name);
  [[nodiscard]] const Mapping& writer() const noexcept;
  [[nodiscard]] const EndPage& writer_end() const noexcept;
  Status attach_ring() noexcept;
  Status begin(BroadcastJoin from) noexcept;
  void look_for_news() noexcept;

  BroadcastShape shape_;
  BroadcastParts parts_;
  std::unique_ptr<GuardedView> view_;  // of a guarded link
  Mapping writer_;                     // of a named one
  std::unique_ptr<BroadcastReaderPage> own_;
  std::optional<BroadcastReader> ring_;  // none while the writer's words make no sense
  const std::byte* shown_ = nullptr;     // the memory that ring_ reads
  std::uint32_t stream_ = 0;             // the generation that a guarded link's stream began with
  std::vector<std::byte> slot_;
  std::uint64_t lost_before_ = 0;  // by earlier memberships
};

}  // namespace slipring
