#include "pipelines/link/commander.h"

#include <unistd.h>

#include <utility>

#include "platform/wait/clock.h"
#include "platform/wait/futex.h"

namespace slipring {

Result<LinkCommander> LinkCommander::attach(const SegmentDirectory& directory,
                                            std::string_view name) noexcept {
  Result<LinkObserver> link = LinkObserver::attach(directory, name);
  if (!link) return link.error();
  return LinkCommander(directory, name, std::move(link).value());
}

Result<AbortTicket> LinkCommander::abort() noexcept {
  return link_.view() != nullptr ? command_guarded() : command_named();
}

Result<AbortTicket> LinkCommander::command_named() noexcept {
  Result<SegmentFile> file = SegmentFile::open(*directory_, name_);
  if (!file) return file.error();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return header.error();
  if (Result<LinkShape> shape = shape_of(*header); !shape) return shape.error();
  Result<Descriptor> writable = file->open_writable(*directory_);
  if (!writable) return writable.error();
  Result<Certificate> role =
      Certificate::acquire(file->lock_file(), static_cast<std::uint32_t>(Role::kCommander));
  if (!role) return role.error();
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  options.access = Access::kReadWrite;
  const Region& region = header->regions[2];
  Result<Mapping> page =
      Mapping::map(writable->get(), region.offset_bytes, region.size_bytes, options);
  if (!page) return page.error();
  auto& control = *reinterpret_cast<ControlPage*>(page->writable_bytes().data());

  AbortTicket ticket;
  ticket.dropped_before = link_.drops().dropped;
  ticket.issued_ns = monotonic_ns();
  // As the holder of the role, so that of two commands the later one names no lower position.
  ticket.boundary = link_.boundary();
  ticket.count = post_command(control, ticket.boundary, ticket.issued_ns,
                              static_cast<std::uint32_t>(::getpid()));
  futex_wake(control.count, kAllSleepers);
  return ticket;
}

Result<AbortTicket> LinkCommander::command_guarded() noexcept {
  AbortTicket ticket;
  ticket.dropped_before = link_.drops().dropped;
  ticket.issued_ns = monotonic_ns();
  Result<GuardAborted> told = GuardedView::abort(*directory_, name_);
  if (!told) return told.error();
  ticket.boundary = {told->before, told->message_number};
  ticket.count = told->count;
  return ticket;
}

bool LinkCommander::is_obeyed(const AbortTicket& ticket) const noexcept {
  // Counts wrap: within half of them, later is more.
  return static_cast<std::int32_t>(link_.drops().obeyed - ticket.count) >= 0;
}

DropCounts LinkCommander::dropped(const AbortTicket& ticket) const noexcept {
  const DropCounts now = link_.drops().dropped;
  return {now.messages - ticket.dropped_before.messages, now.bytes - ticket.dropped_before.bytes};
}

}  // namespace slipring
