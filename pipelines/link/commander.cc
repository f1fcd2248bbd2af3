#include "pipelines/link/commander.h"

#include <unistd.h>

#include <utility>

#include "platform/wait/clock.h"
#include "platform/wait/futex.h"

namespace slipring {

namespace {

[[nodiscard]] DropCounts drops_of(const LinkObserver& link) noexcept {
  DropCounts all;
  for (std::uint32_t lane = 0; lane < link.lane_count(); ++lane) {
    const DropCounts one = link.drops(lane).dropped;
    all.messages += one.messages;
    all.bytes += one.bytes;
  }
  return all;
}

}  // namespace

Result<LinkCommander> LinkCommander::attach(const SegmentDirectory& directory,
                                            std::string_view name) noexcept {
  Result<LinkObserver> link = LinkObserver::attach(directory, name);
  if (!link) return link.error();
  return LinkCommander(directory, name, std::move(link).value());
}

Result<AbortTicket> LinkCommander::abort() noexcept {
  AbortTicket ticket;
  ticket.dropped_before = drops_of(link_);
  ticket.issued_ns = monotonic_ns();
  const bool is_guarded = link_.view() != nullptr;
  const Status told = is_guarded ? GuardedView::abort(*directory_, name_) : command_named();
  if (!told) return told.error();
  for (std::uint32_t lane = 0; lane < link_.lane_count(); ++lane) {
    // Another's that came meanwhile covers ours.
    std::optional<AbortCommand> command;
    while (!command) command = read_command(control_page(lane));
    ticket.lanes.push_back(*command);
  }
  return ticket;
}

const ControlPage& LinkCommander::control_page(std::uint32_t lane) const noexcept {
  if (const GuardedView* view = link_.view(lane)) return view->control_page();
  return reinterpret_cast<const ControlPage*>(control_.bytes().data())[lane];
}

Status LinkCommander::command_named() noexcept {
  Result<SegmentFile> file = SegmentFile::open(*directory_, name_);
  if (!file) return file.error();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return header.error();
  Result<LinkShape> shape = shape_of(*header);
  if (!shape) return shape.error();
  const bool is_same =
      is_lane_set(*shape) ? shape->lane_count == link_.lane_count() : link_.lane_count() == 1;
  if (!is_same) return Error{ErrorCode::kNotFound, 0, "command a link that was replaced"};
  Result<Descriptor> writable = file->open_writable(*directory_);
  if (!writable) return writable.error();
  Result<Certificate> role =
      Certificate::acquire(file->lock_file(), static_cast<std::uint32_t>(Role::kCommander));
  if (!role) return role.error();
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  options.access = Access::kReadWrite;
  const Region& region = header->regions[2];
  Result<Mapping> control =
      Mapping::map(writable->get(), region.offset_bytes, region.size_bytes, options);
  if (!control) return control.error();
  control_ = std::move(control).value();
  auto* pages = reinterpret_cast<ControlPage*>(control_.writable_bytes().data());
  const auto process_id = static_cast<std::uint32_t>(::getpid());
  for (std::uint32_t lane = 0; lane < link_.lane_count(); ++lane) {
    // As the holder of the role, so that of two commands the later one names no lower position.
    post_command(pages[lane], link_.boundary(lane), monotonic_ns(), process_id);
    futex_wake(pages[lane].count, kAllSleepers);
  }
  return {};
}

bool LinkCommander::is_obeyed(const AbortTicket& ticket) const noexcept {
  for (std::uint32_t lane = 0; lane < ticket.lanes.size(); ++lane) {
    // Counts wrap: within half of them, later is more.
    const std::uint32_t behind = link_.drops(lane).obeyed - ticket.lanes[lane].count;
    if (static_cast<std::int32_t>(behind) < 0) return false;
  }
  return true;
}

DropCounts LinkCommander::dropped(const AbortTicket& ticket) const noexcept {
  const DropCounts now = drops_of(link_);
  return {now.messages - ticket.dropped_before.messages, now.bytes - ticket.dropped_before.bytes};
}

}  // namespace slipring
