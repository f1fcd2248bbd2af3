#include "pipelines/link/broadcast_tap.h"

#include <cstring>
#include <span>
#include <utility>

#include "pipelines/link/broadcast_layout.h"

namespace slipring {

Result<BroadcastTap> BroadcastTap::attach(const SegmentDirectory& directory, std::string_view name,
                                          TapStart start) {
  Result<std::vector<std::unique_ptr<GuardedView>>> views =
      GuardedView::attach_lanes(directory, name, ViewDepth::kRing);
  if (!views && !is_no_rendezvous(views.error())) return views.error();
  const auto made = [&]() -> Result<BroadcastTap> {
    if (!views) return attach_named(directory, name);
    GuardedView& view = *views->front();
    if (!view.is_broadcast()) {
      return Error{ErrorCode::kVersion, 0, "not a broadcast link",
                   static_cast<std::uint64_t>(view.shape().kind),
                   static_cast<std::uint64_t>(SegmentKind::kBroadcastLink)};
    }
    BroadcastTap tap(guarded_broadcast(view.shape()));
    tap.parts_ = {view.parts().ring_offset, view.parts().writer_bytes, 0};
    tap.view_ = std::move(views->front());
    return tap;
  };
  Result<BroadcastTap> tap = made();
  if (!tap) return tap;
  // Whatever is done to readers that do not keep up: to us it is to be overwritten.
  tap->shape_.policy = BroadcastPolicy::kOverwrite;
  tap->shape_.lag_limit = 0;
  tap->slot_.resize(tap->shape_.message_bytes + kBroadcastHeaderBytes);
  const BroadcastJoin from =
      start == TapStart::kUnread ? BroadcastJoin::kOldest : BroadcastJoin::kNewest;
  if (Status begun = tap->begin(from); !begun) return begun.error();
  return tap;
}

Result<BroadcastTap> BroadcastTap::attach_named(const SegmentDirectory& directory,
                                                std::string_view name) {
  Result<OpenBroadcast> link = OpenBroadcast::open(directory, name);
  if (!link) return link.error();
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  Result<Mapping> writer = Mapping::map(link->file.read_only_fd(), link->writer_offset(),
                                        link->parts.writer_bytes, options);
  if (!writer) return writer.error();
  BroadcastTap tap(link->shape);
  tap.parts_ = link->parts;
  tap.writer_ = std::move(writer).value();
  return tap;
}

const Mapping& BroadcastTap::writer() const noexcept {
  return view_ ? view_->region(Role::kWriter) : writer_;
}
const EndPage& BroadcastTap::writer_end() const noexcept {
  return *reinterpret_cast<const EndPage*>(writer().bytes().data() + kBroadcastEndOffset);
}

// Goes on where our own page stands.
Status BroadcastTap::attach_ring() noexcept {
  ring_.reset();
  shown_ = writer().bytes().data();
  // relaxed: stored before the memory was handed over.
  stream_ = writer_end().peer_generation.load(std::memory_order_relaxed);
  Result<BroadcastReader> ring =
      BroadcastReader::attach(*own_, *reinterpret_cast<const BroadcastWriterPage*>(shown_),
                              shown_ + parts_.slots_offset, 0, geometry_of(shape_));
  if (!ring) return ring.error();
  ring_.emplace(*ring);
  return {};
}

Status BroadcastTap::begin(BroadcastJoin from) noexcept {
  if (ring_) lost_before_ += ring_->lost_count();
  ring_.reset();
  std::memset(static_cast<void*>(own_.get()), 0, sizeof *own_);
  if (Status attached = attach_ring(); !attached) return attached;
  Status joined = ring_->join(from);
  if (!joined) ring_.reset();
  return joined;
}

// A writer's successor: where its stream is its predecessor's, behind what we have seen.
void BroadcastTap::look_for_news() noexcept {
  if (!view_) return;
  view_->refresh();
  if (writer().bytes().data() == shown_) return;
  const std::uint32_t before = stream_;
  const std::uint64_t lost = this->lost();
  const bool had_ring = ring_.has_value();
  const bool goes_on = attach_ring().ok() && had_ring && (before == 0 || before == stream_);
  if (goes_on) return;
  ring_.reset();
  lost_before_ = lost;
  // Where it makes no sense either, the next one is waited for.
  static_cast<void>(begin(BroadcastJoin::kOldest));
}

TapAnswer BroadcastTap::next(TappedMessage& message) {
  look_for_news();
  if (!ring_) return TapAnswer::kNothing;
  BroadcastView view;
  const Reception answer = ring_->try_pop(slot_, view);
  if (answer == Reception::kBlocked) return TapAnswer::kNothing;
  const std::optional<std::span<const std::byte>> bytes =
      answer == Reception::kDone ? broadcast_message_in(slot_) : std::nullopt;
  if (!bytes) {
    // What no correct writer writes: nothing of it is believed any more.
    lost_before_ = lost() + 1;
    ring_.reset();
    return TapAnswer::kOvertaken;
  }
  message.bytes.assign(bytes->begin(), bytes->end());
  message.position = view.position;
  return TapAnswer::kMessage;
}

std::uint64_t BroadcastTap::lost() const noexcept {
  return lost_before_ + (ring_ ? ring_->lost_count() : 0);
}

bool BroadcastTap::has_begun() const noexcept {
  // relaxed: what is shown only becomes true.
  return writer_end().state.load(std::memory_order_relaxed) !=
         static_cast<std::uint32_t>(EndState::kNever);
}

bool BroadcastTap::is_over() const noexcept {
  // In this order: what was published before closing is seen now.
  const bool is_closed =
      writer_end().state.load(std::memory_order_acquire) ==  // link.B pairs with link.A
      static_cast<std::uint32_t>(EndState::kClosed);
  return is_closed && !has_news();
}

}  // namespace slipring
