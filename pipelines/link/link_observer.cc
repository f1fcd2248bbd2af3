#include "pipelines/link/link_observer.h"

#include <utility>

#include "pipelines/link/lane_attachments.h"
#include "pipelines/link/lane_words.h"

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

void add_end(const EndReport& lane, EndReport& all) noexcept {
  const bool is_first = all.incarnation == 0 && all.holder == Holder::kNobody;
  const bool is_held = lane.holder != Holder::kNobody;
  if (is_first || (is_held && all.holder == Holder::kNobody)) {
    all.holder = lane.holder;
    all.process_id = lane.process_id;
    all.protection = lane.protection;
  }
  if (lane.state == EndState::kOpen || all.state == EndState::kNever) all.state = lane.state;
  if (is_held) all.is_locked = all.is_locked && lane.is_locked;
  all.is_asleep = all.is_asleep || lane.is_asleep;
  all.incarnation += lane.incarnation;
  all.message_count += lane.message_count;
  all.payload_bytes += lane.payload_bytes;
  all.blocked_count += lane.blocked_count;
  all.sleep_count += lane.sleep_count;
  all.abort_count += lane.abort_count;
  all.redelivered_count += lane.redelivered_count;
  all.recovered_count += lane.recovered_count;
  if (all.corrupt_count == 0) {
    all.offender_process_id = lane.offender_process_id;
    all.offender_user = lane.offender_user;
  }
  all.corrupt_count += lane.corrupt_count;
  if (lane.protection > all.protection && is_held) all.protection = lane.protection;
}

const Mapping& LinkObserver::Lane::region(Role role) const noexcept {
  if (view) return view->region(role);
  return role == Role::kWriter ? writer : reader;
}

LinkObserver LinkObserver::of(std::vector<std::unique_ptr<GuardedView>> views) noexcept {
  const GuardedView& first = *views.front();
  check(!first.is_board() && !first.is_broadcast(), "a view of a link of one reader");
  const std::uint64_t lane_bytes = first.parts().writer_bytes + first.parts().reader_bytes;
  LinkObserver observer(first.shape(), views.size() * lane_bytes, first.created_ns());
  for (std::unique_ptr<GuardedView>& view : views) {
    observer.lanes_.push_back({std::move(view), {}, {}});
  }
  return observer;
}

LinkObserver LinkObserver::of(std::unique_ptr<GuardedView> view) noexcept {
  std::vector<std::unique_ptr<GuardedView>> views;
  views.push_back(std::move(view));
  return of(std::move(views));
}

Result<LinkObserver> LinkObserver::attach(const SegmentDirectory& directory,
                                          std::string_view name) noexcept {
  Result<std::vector<std::unique_ptr<GuardedView>>> views =
      GuardedView::attach_lanes(directory, name);
  if (!views && is_no_rendezvous(views.error())) return attach_named(directory, name);
  if (!views) return views.error();
  const GuardedView& first = *views->front();
  if (!first.is_board() && !first.is_broadcast()) return of(std::move(views).value());
  return Error{ErrorCode::kCorruptPeer, 0, "segment is not a link of one reader",
               static_cast<std::uint64_t>(first.shape().kind), 0};
}

Result<LinkObserver> LinkObserver::attach_named(const SegmentDirectory& directory,
                                                std::string_view name) noexcept {
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) return file.error();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return header.error();
  Result<LinkShape> shape = shape_of(*header);
  if (!shape) return shape.error();
  LinkObserver observer(*shape, header->total_bytes, header->created_ns);
  observer.file_.emplace(std::move(file).value());
  const LinkParts parts = parts_of(*shape, header->page_bytes);
  const std::uint32_t lane_count = is_lane_set(*shape) ? shape->lane_count : 1;
  for (std::uint32_t lane = 0; lane < lane_count; ++lane) {
    if (Status added = observer.add_lane(*header, parts, lane); !added) return added.error();
  }
  return observer;
}

Status LinkObserver::add_lane(const SegmentHeader& header, const LinkParts& parts,
                              std::uint32_t lane) noexcept {
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  const int fd = file_->read_only_fd();
  Result<Mapping> writer = Mapping::map(
      fd, header.regions[0].offset_bytes + lane * parts.writer_bytes, parts.ring_offset, options);
  if (!writer) return writer.error();
  Result<Mapping> reader = Mapping::map(
      fd, header.regions[1].offset_bytes + lane * parts.reader_bytes, parts.reader_bytes, options);
  if (!reader) return reader.error();
  lanes_.push_back({nullptr, std::move(writer).value(), std::move(reader).value()});
  return {};
}

EndReport report_of(const EndPage& page) noexcept {
  EndReport report;
  const std::uint32_t state = read(page.state);
  report.state = state <= static_cast<std::uint32_t>(EndState::kClosed)
                     ? static_cast<EndState>(state)
                     : EndState::kNever;
  report.process_id = static_cast<pid_t>(read(page.process_id));
  // Without an answer nothing is certified: whoever had the role may live.
  report.holder = Holder::kAnother;
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

EndReport LinkObserver::report_end(std::uint32_t lane, Role role) const noexcept {
  EndReport report = report_of(end_page(lanes_[lane].region(role)));
  if (const GuardedView* view = lanes_[lane].view.get()) {
    const GuardSeat& seat = view->seat(role);
    report.holder = read(seat.is_held) != 0 ? Holder::kAnother : Holder::kNobody;
    report.process_id = static_cast<pid_t>(read(seat.process_id));
    report.protection = shown_protection(seat);
    return report;
  }
  const std::uint32_t byte =
      role == Role::kWriter ? writer_byte(shape_, lane) : static_cast<std::uint32_t>(role);
  if (Result<Probe> probe = file_->lock_file().probe(byte); probe) {
    report.holder = probe->holder;
    if (probe->pid != 0) report.process_id = probe->pid;
  }
  return report;
}

std::optional<std::uint64_t> LinkObserver::end_of_writer(std::uint32_t lane,
                                                         std::uint32_t attachment) const noexcept {
  const std::byte* const region = lanes_[lane].region(Role::kWriter).bytes().data();
  const GuardedView* const view = lanes_[lane].view.get();
  if (view != nullptr && view->generation(Role::kWriter) != attachment) {
    return attachment_of(view->seat(Role::kWriter).attachments, attachment + 1);
  }
  const auto& producer = *reinterpret_cast<const ProducerPage*>(region);
  const EndPage& end = end_page(lanes_[lane].region(Role::kWriter));
  const std::uint64_t tail =
      producer.tail.load(std::memory_order_acquire);  // record.B pairs with record.A
  // relaxed: a successor's tail shows its incarnation.
  if (view != nullptr || end.incarnation.load(std::memory_order_relaxed) == attachment) return tail;
  return attachment_of(lane_words_of(region).attachments, attachment + 1);
}

std::uint64_t LinkObserver::done(std::uint32_t lane) const noexcept {
  return reinterpret_cast<const ConsumerPage*>(lanes_[lane].region(Role::kReader).bytes().data())
      ->done.load(std::memory_order_acquire);  // cursor.D pairs with cursor.C
}

DropReport LinkObserver::drops(std::uint32_t lane) const noexcept {
  if (GuardedView* view = lanes_[lane].view.get()) view->refresh();
  const Mapping& reader = lanes_[lane].region(Role::kReader);
  return read_drops(end_page(reader).drops,
                    reinterpret_cast<const ConsumerPage*>(reader.bytes().data())->done);
}

LinkReport LinkObserver::report() const noexcept {
  LinkReport all = report_lane(0);
  if (!is_lane_set(shape_)) return all;
  all.lanes.push_back({all.writer, all.fill});
  for (std::uint32_t lane = 1; lane < lanes_.size(); ++lane) {
    const LinkReport report = report_lane(lane);
    all.tail += report.tail;
    all.done += report.done;
    all.fill += report.fill;
    all.capacity += report.capacity;
    all.drops.dropped.messages += report.drops.dropped.messages;
    all.drops.dropped.bytes += report.drops.dropped.bytes;
    const std::uint32_t incarnation = all.reader.incarnation;
    add_end(report.writer, all.writer);
    add_end(report.reader, all.reader);
    all.reader.incarnation = incarnation;  // one reader has them all
    all.lanes.push_back({report.writer, report.fill});
  }
  return all;
}

LinkReport LinkObserver::report_lane(std::uint32_t lane) const noexcept {
  LinkReport report;
  report.shape = shape_;
  GuardedView* view = lanes_[lane].view.get();
  if (view != nullptr) view->refresh();
  report.is_guarded = view != nullptr;
  report.total_bytes = total_bytes_;
  report.created_ns = created_ns_;
  const std::byte* writer = lanes_[lane].region(Role::kWriter).bytes().data();
  const std::byte* reader = lanes_[lane].region(Role::kReader).bytes().data();
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
  report.drops = read_drops(end_page(lanes_[lane].region(Role::kReader)).drops, consumer.done);
  report.writer = report_end(lane, Role::kWriter);
  report.reader = report_end(lane, Role::kReader);
  if (shape_.kind == SegmentKind::kValueLink) {
    // Such ends count nothing by the message; the positions say it all.
    report.writer.message_count = report.tail;
    report.writer.payload_bytes = report.tail * shape_.slot_bytes;
    report.reader.message_count = report.done;
    report.reader.payload_bytes = report.done * shape_.slot_bytes;
  } else if (shape_.kind == SegmentKind::kStreamLink) {
    report.writer.payload_bytes = report.tail;
    report.reader.payload_bytes = report.done;
  }
  return report;
}

}  // namespace slipring
