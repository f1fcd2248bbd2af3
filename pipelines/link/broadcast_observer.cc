#include "pipelines/link/broadcast_observer.h"

#include <algorithm>

#include "core/error/check.h"
#include "platform/memory/mapping.h"

namespace slipring {
namespace {

[[nodiscard]] std::uint64_t read(const std::atomic<std::uint64_t>& word) noexcept {
  return word.load(std::memory_order_relaxed);  // relaxed: shown to people
}

// Where the writer stands, what it passed over included.
[[nodiscard]] std::uint64_t position_in(const BroadcastWriterPage& page) noexcept {
  return std::max(read(page.tail), read(page.missing_before));
}

[[nodiscard]] EndReport with_holder(const OpenBroadcast& link, const EndPage& page,
                                    std::uint32_t byte) noexcept {
  EndReport report = report_of(page);
  if (Result<Probe> probe = link.file.lock_file().probe(byte); probe) {
    report.holder = probe->holder;
    if (probe->pid != 0) report.process_id = probe->pid;
  }
  return report;
}

[[nodiscard]] LinkReport::Place place_of(const OpenBroadcast& link, const std::byte* page,
                                         std::uint32_t place, std::uint64_t tail) noexcept {
  const auto& reader = *reinterpret_cast<const BroadcastReaderPage*>(page);
  LinkReport::Place report;
  report.reader = with_holder(link, *reinterpret_cast<const EndPage*>(page + kEndPageOffset),
                              kFirstPlaceByte + place);
  report.is_member = broadcast_member(read(reader.joined)) == BroadcastMember::kIn;
  const std::uint64_t done = read(reader.done);
  if (report.is_member && done < tail) report.lag = tail - done;
  report.lost = read(reader.lost);
  return report;
}

}  // namespace

LinkReport report_of_broadcast(GuardedView& view) noexcept {
  check(view.is_broadcast(), "a view of a broadcast link");
  view.refresh();
  LinkReport report;
  report.shape = view.shape();
  report.is_guarded = true;
  report.total_bytes = view.parts().writer_bytes;
  report.created_ns = view.created_ns();
  report.capacity = view.shape().slot_count;
  const std::byte* region = view.region(Role::kWriter).bytes().data();
  report.tail = position_in(*reinterpret_cast<const BroadcastWriterPage*>(region));
  report.done = report.tail;
  report.writer = report_of(*reinterpret_cast<const EndPage*>(region + kBroadcastEndOffset));
  const GuardSeat& seat = view.seat(Role::kWriter);
  // relaxed, both: shown to people.
  const bool is_held = seat.is_held.load(std::memory_order_relaxed) != 0;
  report.writer.holder = is_held ? Holder::kAnother : Holder::kNobody;
  report.writer.process_id = static_cast<pid_t>(seat.process_id.load(std::memory_order_relaxed));
  report.writer.protection = shown_protection(seat);
  report.reader.protection = report.writer.protection;  // nobody sees theirs
  return report;
}

Result<LinkReport> look_at_broadcast(const SegmentDirectory& directory,
                                     std::string_view name) noexcept {
  Result<std::unique_ptr<GuardedView>> view = GuardedView::attach(directory, name);
  if (view && (*view)->is_broadcast()) return report_of_broadcast(**view);
  if (!view && !is_no_rendezvous(view.error())) return view.error();
  Result<OpenBroadcast> link = OpenBroadcast::open(directory, name);
  if (!link) return link.error();
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  const int fd = link->file.read_only_fd();
  Result<Mapping> writer =
      Mapping::map(fd, link->writer_offset(), link->parts.slots_offset, options);
  if (!writer) return writer.error();
  Result<Mapping> readers = Mapping::map(
      fd, link->place_offset(0), link->shape.reader_count * link->parts.place_bytes, options);
  if (!readers) return readers.error();
  LinkReport report;
  report.shape.kind = SegmentKind::kBroadcastLink;
  report.shape.slot_count = link->shape.slot_count;
  report.shape.slot_bytes = link->shape.message_bytes;
  report.total_bytes = link->header.total_bytes;
  report.created_ns = link->header.created_ns;
  report.capacity = link->shape.slot_count;
  const std::byte* region = writer->bytes().data();
  report.tail = position_in(*reinterpret_cast<const BroadcastWriterPage*>(region));
  report.writer =
      with_holder(*link, *reinterpret_cast<const EndPage*>(region + kBroadcastEndOffset),
                  static_cast<std::uint32_t>(Role::kWriter));
  for (std::uint32_t place = 0; place < link->shape.reader_count; ++place) {
    report.places.push_back(place_of(
        *link, readers->bytes().data() + place * link->parts.place_bytes, place, report.tail));
    const LinkReport::Place& added = report.places.back();
    if (place == 0) {
      report.reader = added.reader;
    } else {
      add_end(added.reader, report.reader);
    }
    report.fill = std::max(report.fill, added.lag);
  }
  report.fill = std::min(report.fill, report.capacity);
  report.done = report.tail - report.fill;
  return report;
}

}  // namespace slipring
