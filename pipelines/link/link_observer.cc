#include "pipelines/link/link_observer.h"

#include <utility>

namespace slipring {
namespace {

[[nodiscard]] std::uint64_t read(const std::atomic<std::uint64_t>& counter) noexcept {
  return counter.load(
      std::memory_order_relaxed);  // relaxed: shown to people, nothing follows from it
}
[[nodiscard]] std::uint32_t read(const std::atomic<std::uint32_t>& word) noexcept {
  return word.load(std::memory_order_relaxed);  // relaxed: as above
}

}  // namespace

LinkObserver::LinkObserver(SegmentFile file, const SegmentHeader& header, const LinkShape& shape,
                           Mapping writer, Mapping reader) noexcept
    : file_(std::move(file)),
      shape_(shape),
      total_bytes_(header.total_bytes),
      created_ns_(header.created_ns),
      writer_(std::move(writer)),
      reader_(std::move(reader)) {}

LinkObserver::LinkObserver(std::unique_ptr<GuardedView> view) noexcept
    : view_(std::move(view)),
      shape_(view_->shape()),
      total_bytes_(view_->parts().writer_bytes + view_->parts().reader_bytes),
      created_ns_(view_->created_ns()) {}

LinkObserver LinkObserver::of(std::unique_ptr<GuardedView> view) noexcept {
  check(!view->is_board(), "a view of a link");
  return LinkObserver(std::move(view));
}

const Mapping& LinkObserver::region(Role role) const noexcept {
  if (view_) return view_->region(role);
  return role == Role::kWriter ? writer_ : reader_;
}

Result<LinkObserver> LinkObserver::attach(const SegmentDirectory& directory,
                                          std::string_view name) noexcept {
  Result<std::unique_ptr<GuardedView>> view = GuardedView::attach(directory, name);
  if (view) {
    if (!(*view)->is_board()) return of(std::move(view).value());
    return Error{ErrorCode::kCorruptPeer, 0, "segment is not a link",
                 static_cast<std::uint64_t>(SegmentKind::kBoard), 0};
  }
  if (!is_no_rendezvous(view.error())) return view.error();
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) return file.error();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return header.error();
  Result<LinkShape> shape = shape_of(*header);
  if (!shape) return shape.error();
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  const LinkParts parts = parts_of(*shape, header->page_bytes);
  Result<Mapping> writer = Mapping::map(file->read_only_fd(), header->regions[0].offset_bytes,
                                        parts.ring_offset, options);
  if (!writer) return writer.error();
  Result<Mapping> reader = Mapping::map(file->read_only_fd(), header->regions[1].offset_bytes,
                                        parts.reader_bytes, options);
  if (!reader) return reader.error();
  return LinkObserver(std::move(file).value(), *header, *shape, std::move(writer).value(),
                      std::move(reader).value());
}

EndReport LinkObserver::report_end(const Mapping& region, Role role) const noexcept {
  const EndPage& page = end_page(region);
  EndReport report;
  const std::uint32_t state = read(page.state);
  report.state = state <= static_cast<std::uint32_t>(EndState::kClosed)
                     ? static_cast<EndState>(state)
                     : EndState::kNever;
  report.process_id = static_cast<pid_t>(read(page.process_id));
  // Without an answer nothing is certified: whoever had the role may live.
  report.holder = Holder::kAnother;
  if (view_) {
    const GuardSeat& seat = view_->seat(role);
    report.holder = read(seat.is_held) != 0 ? Holder::kAnother : Holder::kNobody;
    report.process_id = static_cast<pid_t>(read(seat.process_id));
    report.protection = shown_protection(seat);
  } else if (Result<Probe> probe = file_->lock_file().probe(static_cast<std::uint32_t>(role));
             probe) {
    report.holder = probe->holder;
    if (probe->pid != 0) report.process_id = probe->pid;
  }
  report.incarnation = read(page.incarnation);
  report.is_locked = read(page.is_locked) != 0;
  report.is_asleep = (read(page.arm.armed) & 1U) != 0;
  report.message_count = read(page.counters.message_count);
  report.payload_bytes = read(page.counters.payload_bytes);
  report.blocked_count = read(page.counters.blocked_count);
  report.sleep_count = read(page.counters.sleep_count);
  report.abort_count = read(page.counters.abort_count);
  report.redelivered_count = read(page.counters.redelivered_count);
  report.recovered_count = read(page.counters.recovered_count);
  report.corrupt_count = read(page.counters.corrupt_count);
  report.offender_process_id = static_cast<pid_t>(read(page.offender_process_id));
  report.offender_user = read(page.offender_user);
  return report;
}

DropReport LinkObserver::drops() const noexcept {
  if (view_) view_->refresh();
  const Mapping& reader = region(Role::kReader);
  return read_drops(end_page(reader).drops,
                    reinterpret_cast<const ConsumerPage*>(reader.bytes().data())->done);
}

LinkReport LinkObserver::report() const noexcept {
  LinkReport report;
  report.shape = shape_;
  if (view_) view_->refresh();
  report.is_guarded = view_ != nullptr;
  report.total_bytes = total_bytes_;
  report.created_ns = created_ns_;
  const std::byte* writer = region(Role::kWriter).bytes().data();
  const std::byte* reader = region(Role::kReader).bytes().data();
  const auto& producer = *reinterpret_cast<const ProducerPage*>(writer);
  const auto& consumer = *reinterpret_cast<const ConsumerPage*>(reader);
  report.done = read(consumer.done);  // before tail, so that a moving ring does not look overfull
  report.tail = read(producer.tail);
  report.capacity = is_counted_in_bytes(shape_) ? shape_.capacity_bytes : shape_.slot_count;
  report.fill = report.tail > report.done ? report.tail - report.done : 0;
  if (report.fill > report.capacity) report.fill = report.capacity;
  const auto* lent = reinterpret_cast<const PoolWord*>(writer + kTableOffset);
  const auto* returned = reinterpret_cast<const PoolWord*>(reader + kTableOffset);
  for (std::uint32_t slot = 0; slot < shape_.pool_buffer_count; ++slot) {
    if (read(lent[slot]) != read(returned[slot])) ++report.pool_lent_count;
  }
  report.drops = read_drops(end_page(region(Role::kReader)).drops, consumer.done);
  report.writer = report_end(region(Role::kWriter), Role::kWriter);
  report.reader = report_end(region(Role::kReader), Role::kReader);
  if (shape_.kind == SegmentKind::kValueLink) {
    // Its ends count nothing by the message; the positions say it all.
    report.writer.message_count = report.tail;
    report.writer.payload_bytes = report.tail * shape_.slot_bytes;
    report.reader.message_count = report.done;
    report.reader.payload_bytes = report.done * shape_.slot_bytes;
  }
  return report;
}

}  // namespace slipring
