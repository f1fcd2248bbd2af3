#include "pipelines/link/link_tap.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "pipelines/link/guarded_end.h"
#include "platform/memory/segment_file.h"

namespace slipring {
namespace {

// Bytes of a stream, or values, that are shown at once.
constexpr std::uint64_t kMostAtOnce = 64 * 1024;

[[nodiscard]] Error no_tap(SegmentKind kind) noexcept {
  return {ErrorCode::kUnsupported, 0, "listen to what is no link of one reader",
          static_cast<std::uint64_t>(kind), 0};
}

const ProducerPage& producer_page(const Mapping& region) noexcept {
  return *reinterpret_cast<const ProducerPage*>(region.bytes().data());
}
const ConsumerPage& consumer_page(const Mapping& region) noexcept {
  return *reinterpret_cast<const ConsumerPage*>(region.bytes().data());
}

}  // namespace

Result<std::vector<LinkTap>> LinkTap::attach(const SegmentDirectory& directory,
                                             std::string_view name, TapStart start) {
  Result<std::vector<std::unique_ptr<GuardedView>>> views =
      GuardedView::attach_lanes(directory, name, ViewDepth::kRing);
  std::vector<LinkTap> taps;
  if (views) {
    for (std::unique_ptr<GuardedView>& view : *views) {
      if (view->is_board() || view->is_broadcast()) return no_tap(view->shape().kind);
      taps.push_back(LinkTap(std::move(view)));
    }
  } else if (is_no_rendezvous(views.error())) {
    Result<std::vector<LinkTap>> named = attach_named(directory, name);
    if (!named) return named;
    taps = std::move(named).value();
  } else {
    return views.error();
  }
  for (LinkTap& tap : taps) tap.begin(start);
  return taps;
}

Result<std::vector<LinkTap>> LinkTap::attach_named(const SegmentDirectory& directory,
                                                   std::string_view name) {
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) return file.error();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return header.error();
  if (header->kind == SegmentKind::kBoard || header->kind == SegmentKind::kBroadcastLink) {
    return no_tap(header->kind);
  }
  Result<LinkShape> shape = shape_of(*header);
  if (!shape) return shape.error();
  const LinkParts parts = parts_of(*shape, header->page_bytes);
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  std::vector<LinkTap> taps;
  const std::uint64_t lane_count = is_lane_set(*shape) ? shape->lane_count : 1;
  for (std::uint64_t lane = 0; lane < lane_count; ++lane) {
    Result<Mapping> writer = Mapping::map(
        file->read_only_fd(), header->regions[0].offset_bytes + lane * parts.writer_bytes,
        parts.writer_bytes, options);
    if (!writer) return writer.error();
    Result<Mapping> reader = Mapping::map(
        file->read_only_fd(), header->regions[1].offset_bytes + lane * parts.reader_bytes,
        parts.reader_bytes, options);
    if (!reader) return reader.error();
    taps.push_back(LinkTap(*shape, parts, std::move(writer).value(), std::move(reader).value()));
  }
  return taps;
}

void LinkTap::begin(TapStart start) noexcept {
  position_ = tail();
  // Where to begin; what has been overwritten since is found out.
  if (start == TapStart::kUnread && done() <= position_) position_ = done();
}

const Mapping& LinkTap::region(Role role) const noexcept {
  if (view_) return view_->region(role);
  return role == Role::kWriter ? writer_ : reader_;
}

std::uint64_t LinkTap::tail() const noexcept {
  return producer_page(region(Role::kWriter))
      .tail.load(std::memory_order_acquire);  // record.B pairs with record.A
}

std::uint64_t LinkTap::done() const noexcept {
  return consumer_page(region(Role::kReader))
      .done.load(std::memory_order_acquire);  // cursor.D pairs with cursor.C
}

// How far tail may be beyond a place that is still whole.
std::uint64_t LinkTap::margin() const noexcept {
  return shape_.kind == SegmentKind::kSlotLink ? shape_.slot_count - 2 : shape_.capacity_bytes / 2;
}

TapAnswer LinkTap::overtaken(std::uint64_t tail) noexcept {
  lost_ += tail - position_;
  position_ = tail;
  return TapAnswer::kOvertaken;
}

bool LinkTap::has_begun() const noexcept {
  // relaxed: what is shown only becomes true.
  return end_page(region(Role::kWriter)).state.load(std::memory_order_relaxed) !=
         static_cast<std::uint32_t>(EndState::kNever);
}

bool LinkTap::is_over() const noexcept {
  // In this order: what was published before closing is seen now.
  const bool is_closed = end_page(region(Role::kWriter))
                             .state.load(std::memory_order_acquire) ==  // link.B pairs with link.A
                         static_cast<std::uint32_t>(EndState::kClosed);
  return is_closed && !has_news();
}

TapAnswer LinkTap::next(TappedMessage& message) {
  if (view_) view_->refresh();
  const std::uint64_t tail_before = tail();
  if (tail_before == position_) return TapAnswer::kNothing;
  if (shape_.kind == SegmentKind::kStreamLink || shape_.kind == SegmentKind::kValueLink) {
    return next_unfinished(tail_before, message);
  }
  // Behind us it can be only in a damaged segment.
  if (tail_before - position_ > margin()) return overtaken(tail_before);
  return shape_.kind == SegmentKind::kSlotLink ? next_slot(message)
                                               : next_record(tail_before, message);
}

TapAnswer LinkTap::next_unfinished(std::uint64_t tail, TappedMessage& message) {
  const bool is_stream = shape_.kind == SegmentKind::kStreamLink;
  const std::uint64_t unit_bytes = is_stream ? 1 : shape_.slot_bytes;
  const std::uint64_t places =
      is_stream ? shape_.capacity_bytes : spsc_place_count(value_geometry(shape_));
  const std::uint64_t capacity = is_stream ? shape_.capacity_bytes : shape_.slot_count;
  const auto pass_to = [&](std::uint64_t finished) {
    lost_ += finished - position_;
    position_ = finished;
    return TapAnswer::kOvertaken;
  };
  if (tail - position_ > capacity) return pass_to(tail);  // far behind, or in a damaged segment
  const std::uint64_t finished = done();
  if (finished - position_ - 1 < tail - position_) return pass_to(finished);
  const std::uint64_t index = position_ & (places - 1);
  const std::uint64_t count =
      is_stream ? std::min({tail - position_, places - index, kMostAtOnce}) : 1;
  const std::byte* from = region(Role::kWriter).bytes().data() + parts_.ring_offset +
                          static_cast<std::size_t>(index * unit_bytes);
  message.bytes.assign(from, from + static_cast<std::size_t>(count * unit_bytes));
  message.position = position_;
  // What it has finished meanwhile may have been overwritten under our hands.
  if (const std::uint64_t gone = done() - position_; gone - 1 < capacity) {
    if (gone >= count) return pass_to(position_ + gone);
    message.bytes.erase(message.bytes.begin(),
                        message.bytes.begin() + static_cast<std::ptrdiff_t>(gone * unit_bytes));
    message.position += gone;
    lost_ += gone;
  }
  position_ += count;
  return TapAnswer::kMessage;
}

TapAnswer LinkTap::next_slot(TappedMessage& message) {
  const std::uint64_t stride = slot_stride_bytes(shape_.slot_bytes);
  const std::byte* slot = region(Role::kWriter).bytes().data() + parts_.ring_offset +
                          (position_ & (shape_.slot_count - 1)) * stride + 8;
  message.bytes.assign(slot, slot + shape_.slot_bytes);
  message.position = position_;
  if (const std::uint64_t now = tail(); now - position_ > margin()) return overtaken(now);
  ++position_;
  return TapAnswer::kMessage;
}

TapAnswer LinkTap::next_record(std::uint64_t tail_before, TappedMessage& message) {
  const std::uint64_t capacity = shape_.capacity_bytes;
  const std::byte* ring = region(Role::kWriter).bytes().data() + parts_.ring_offset;
  while (position_ != tail_before) {
    const std::uint64_t index = position_ & (capacity - 1);
    // relaxed: published below tail; what is not a header any more is found out below.
    const std::uint64_t header = reinterpret_cast<const std::atomic<std::uint64_t>*>(ring + index)
                                     ->load(std::memory_order_relaxed);
    const std::uint64_t size_bytes = record_detail::payload_bytes(header);
    const std::uint64_t whole = record_detail::whole_bytes(size_bytes);
    const bool is_data = record_detail::kind(header) == record_detail::kData;
    const bool fits = position_ % 8 == 0 && whole <= capacity - index &&
                      whole <= tail_before - position_ &&
                      (is_data || record_detail::kind(header) == record_detail::kPadding);
    if (!fits) return overtaken(tail());
    if (is_data) {
      const std::byte* payload = ring + index + kRecordHeaderBytes;
      message.bytes.assign(payload, payload + size_bytes);
      message.position = position_;
    }
    if (const std::uint64_t now = tail(); now - position_ > margin()) return overtaken(now);
    position_ += whole;
    if (is_data) return TapAnswer::kMessage;
  }
  return TapAnswer::kNothing;
}

}  // namespace slipring
