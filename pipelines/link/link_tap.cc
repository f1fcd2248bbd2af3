#include "pipelines/link/link_tap.h"

#include <atomic>
#include <memory>

#include "pipelines/link/guarded_end.h"
#include "platform/memory/segment_file.h"

namespace slipring {
namespace {

constexpr Error kNoTap{ErrorCode::kUnsupported, 0,
                       "listen to a link other than a named one of records or slots"};

const ProducerPage& producer_page(const Mapping& region) noexcept {
  return *reinterpret_cast<const ProducerPage*>(region.bytes().data());
}
const ConsumerPage& consumer_page(const Mapping& region) noexcept {
  return *reinterpret_cast<const ConsumerPage*>(region.bytes().data());
}

}  // namespace

Result<LinkTap> LinkTap::attach(const SegmentDirectory& directory, std::string_view name,
                                TapStart start) {
  if (Result<std::unique_ptr<GuardedView>> view = GuardedView::attach(directory, name); view) {
    return kNoTap;
  }
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) return file.error();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return header.error();
  const bool is_tappable =
      header->kind == SegmentKind::kRecordLink || header->kind == SegmentKind::kSlotLink;
  if (!is_tappable) return kNoTap;
  Result<LinkShape> shape = shape_of(*header);
  if (!shape) return shape.error();
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  const auto map = [&](const Region& region) {
    return Mapping::map(file->read_only_fd(), region.offset_bytes, region.size_bytes, options);
  };
  Result<Mapping> writer = map(header->regions[0]);
  if (!writer) return writer.error();
  Result<Mapping> reader = map(header->regions[1]);
  if (!reader) return reader.error();
  LinkTap tap(*shape, parts_of(*shape, header->page_bytes), std::move(writer).value(),
              std::move(reader).value());
  tap.position_ = tap.tail();
  if (start == TapStart::kUnread) {
    // relaxed: where to begin; what has been overwritten since is found by the margin.
    const std::uint64_t done = consumer_page(tap.reader_).done.load(std::memory_order_relaxed);
    if (done <= tap.position_) tap.position_ = done;
  }
  return tap;
}

std::uint64_t LinkTap::tail() const noexcept {
  return producer_page(writer_).tail.load(
      std::memory_order_acquire);  // record.B pairs with record.A
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

bool LinkTap::is_over() const noexcept {
  // In this order: what was published before closing is seen now.
  const bool is_closed =
      end_page(writer_).state.load(std::memory_order_acquire) ==  // link.B pairs with link.A
      static_cast<std::uint32_t>(EndState::kClosed);
  return is_closed && !has_news();
}

TapAnswer LinkTap::next(TappedMessage& message) {
  const std::uint64_t tail_before = tail();
  if (tail_before == position_) return TapAnswer::kNothing;
  // Behind us it can be only in a damaged segment.
  if (tail_before - position_ > margin()) return overtaken(tail_before);
  return shape_.kind == SegmentKind::kSlotLink ? next_slot(message)
                                               : next_record(tail_before, message);
}

TapAnswer LinkTap::next_slot(TappedMessage& message) {
  const std::uint64_t stride = slot_stride_bytes(shape_.slot_bytes);
  const std::byte* slot = writer_.bytes().data() + parts_.ring_offset +
                          (position_ & (shape_.slot_count - 1)) * stride + 8;
  message.bytes.assign(slot, slot + shape_.slot_bytes);
  message.position = position_;
  if (const std::uint64_t now = tail(); now - position_ > margin()) return overtaken(now);
  ++position_;
  return TapAnswer::kMessage;
}

TapAnswer LinkTap::next_record(std::uint64_t tail_before, TappedMessage& message) {
  const std::uint64_t capacity = shape_.capacity_bytes;
  const std::byte* ring = writer_.bytes().data() + parts_.ring_offset;
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
