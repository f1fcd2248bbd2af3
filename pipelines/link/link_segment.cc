#include "pipelines/link/link_segment.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "pipelines/link/named_link.h"
#include "platform/process/certificate_wait.h"

namespace slipring {
namespace {

[[nodiscard]] std::uint64_t realtime_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

[[nodiscard]] Status write_header(int fd, const SegmentHeader& header) noexcept {
  std::size_t written = 0;
  while (written < sizeof header) {
    const ssize_t count = pwrite(fd, reinterpret_cast<const char*>(&header) + written,
                                 sizeof header - written, static_cast<off_t>(written));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int os_errno = count < 0 ? errno : EIO;
      const bool is_space = os_errno == ENOSPC || os_errno == EDQUOT || os_errno == EFBIG;
      return Error{is_space ? ErrorCode::kNoSpace : ErrorCode::kSystem, os_errno,
                   "writing the segment header", written, sizeof header};
    }
    written += static_cast<std::size_t>(count);
  }
  return {};
}

}  // namespace

Status create_link(const SegmentDirectory& directory, std::string_view name, const LinkShape& shape,
                   const SegmentOptions& options) noexcept {
  if (Status valid = validate_shape(shape); !valid) return valid;
  return create_segment(directory, name, make_link_header(shape, name, page_size_bytes()), options);
}

Status create_segment(const SegmentDirectory& directory, std::string_view name,
                      SegmentHeader header, const SegmentOptions& options) noexcept {
  Result<NewSegment> segment = NewSegment::create(directory, name, header.total_bytes, options);
  if (!segment) return segment.error();
  header.lock_inode = segment->lock_inode();
  header.created_ns = realtime_ns();
  header.check = segment_check(header);
  // A fresh file is all zeros, which is what every page of a segment starts from.
  if (Status written = write_header(segment->data_fd(), header); !written) return written;
  return segment->publish();
}

Result<SegmentHeader> read_header(const SegmentFile& file) noexcept {
  SegmentHeader header{};
  std::size_t got = 0;
  while (got < sizeof header) {
    const ssize_t count = pread(file.read_only_fd(), reinterpret_cast<char*>(&header) + got,
                                sizeof header - got, static_cast<off_t>(got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error{ErrorCode::kSystem, errno, "reading the segment header", 0, 0};
    if (count == 0) break;  // the file ends here
    got += static_cast<std::size_t>(count);
  }
  if (Status valid = validate_segment(header, got < sizeof header ? got : file.size_bytes());
      !valid) {
    return valid.error();
  }
  if (header.lock_inode != file.lock_inode()) {
    return Error{ErrorCode::kCorruptPeer, 0, "the lock file belongs to another segment",
                 file.lock_inode(), header.lock_inode};
  }
  return header;
}

namespace {

constexpr Error kNoLaneSet{ErrorCode::kVersion, 0, "not a set of lanes", 0,
                           static_cast<std::uint64_t>(SegmentKind::kLaneSet)};

constexpr Error kNoLink{ErrorCode::kVersion, 0, "not a link but a set of lanes",
                        static_cast<std::uint64_t>(SegmentKind::kLaneSet),
                        static_cast<std::uint64_t>(SegmentKind::kRecordLink)};

// Maps what the role has of a link, or of a lane of a set.  `writable` is a descriptor of the file.
Result<LinkHold> hold_role(const OpenLink& link, int writable, Role role, std::uint32_t lane,
                           std::shared_ptr<Certificate> certificate,
                           MemoryLock memory_lock) noexcept {
  MappingOptions options;
  options.memory_lock = memory_lock;
  options.access = Access::kReadWrite;
  Result<Mapping> own =
      Mapping::map(writable, offset_of(link, role, lane), bytes_of(link, role), options);
  if (!own) return own.error();
  options.access = Access::kReadOnly;
  const Role other = other_role(role);
  Result<Mapping> peer = Mapping::map(link.file.read_only_fd(), offset_of(link, other, lane),
                                      bytes_of(link, other), options);
  if (!peer) return peer.error();
  const Region& control_region = link.header.regions[2];
  Result<Mapping> control = Mapping::map(link.file.read_only_fd(), control_region.offset_bytes,
                                         control_region.size_bytes, options);
  if (!control) return control.error();
  return LinkHold{link.shape,
                  link.parts,
                  lane,
                  std::move(certificate),
                  nullptr,
                  std::move(own).value(),
                  std::move(peer).value(),
                  std::move(control).value()};
}

// A lane that nobody living holds, and whose mail is read: until then its messages are those of its
// last writer, and nobody else's.
Result<LinkHold> take_free_lane(const SegmentDirectory& directory, const OpenLink& link,
                                MemoryLock memory_lock) noexcept {
  Result<Descriptor> writable = link.file.open_writable(directory);
  if (!writable) return writable.error();
  std::uint64_t unread_count = 0;
  for (std::uint32_t lane = 0; lane < link.shape.lane_count; ++lane) {
    Result<Certificate> certificate =
        Certificate::acquire(link.file.lock_file(), writer_byte(link.shape, lane));
    if (!certificate) {
      if (certificate.error().code == ErrorCode::kBusy) continue;
      return certificate.error();
    }
    if (Status named = check_named(link); !named) return named.error();
    Result<bool> read = is_read(link, lane);
    if (!read) return read.error();
    if (*read) {
      return hold_role(link, writable->get(), Role::kWriter, lane,
                       std::make_shared<Certificate>(std::move(certificate).value()), memory_lock);
    }
    ++unread_count;
  }
  if (unread_count != 0) {
    return Error{ErrorCode::kNoSpace, 0, "take a lane while the free ones hold unread messages",
                 unread_count, link.shape.lane_count};
  }
  return Error{ErrorCode::kBusy, 0, "take a lane while living writers hold them all", 0,
               link.shape.lane_count};
}

Result<LinkHold> take_named_role(const SegmentDirectory& directory, std::string_view name,
                                 Role role, MemoryLock memory_lock) noexcept {
  Result<OpenLink> link = open_link(directory, name);
  if (!link) return link.error();
  if (is_lane_set(link->shape)) {
    if (role == Role::kWriter) return take_free_lane(directory, *link, memory_lock);
    return kNoLink;
  }
  Result<Certificate> certificate =
      Certificate::acquire(link->file.lock_file(), static_cast<std::uint32_t>(role));
  if (!certificate) return certificate.error();
  if (Status named = check_named(*link); !named) return named.error();
  Result<Descriptor> writable = link->file.open_writable(directory);
  if (!writable) return writable.error();
  return hold_role(*link, writable->get(), role, 0,
                   std::make_shared<Certificate>(std::move(certificate).value()), memory_lock);
}

Result<std::vector<LinkHold>> take_named_lanes(const SegmentDirectory& directory,
                                               std::string_view name,
                                               MemoryLock memory_lock) noexcept {
  Result<OpenLink> link = open_link(directory, name);
  if (!link) return link.error();
  if (!is_lane_set(link->shape)) return kNoLaneSet;
  Result<Certificate> taken =
      Certificate::acquire(link->file.lock_file(), static_cast<std::uint32_t>(Role::kReader));
  if (!taken) return taken.error();
  const auto certificate = std::make_shared<Certificate>(std::move(taken).value());
  if (Status named = check_named(*link); !named) return named.error();
  Result<Descriptor> writable = link->file.open_writable(directory);
  if (!writable) return writable.error();
  std::vector<LinkHold> lanes;
  for (std::uint32_t lane = 0; lane < link->shape.lane_count; ++lane) {
    Result<LinkHold> hold =
        hold_role(*link, writable->get(), Role::kReader, lane, certificate, memory_lock);
    if (!hold) return hold.error();
    lanes.push_back(std::move(hold).value());
  }
  return lanes;
}

}  // namespace

Result<Probe> probe_peer(const LinkHold& hold) noexcept {
  check(hold.certificate != nullptr, "the certificates of a guarded link");
  const bool is_reader = hold.certificate->role_byte() == static_cast<std::uint32_t>(Role::kReader);
  return hold.certificate->probe(is_reader ? writer_byte(hold.shape, hold.lane)
                                           : static_cast<std::uint32_t>(Role::kReader));
}

namespace {

LinkHold hold_of(GuardedHold& guarded) noexcept {
  return LinkHold{guarded.shape,
                  guarded.parts,
                  guarded.lane,
                  nullptr,
                  std::move(guarded.end),
                  std::move(guarded.own),
                  std::move(guarded.peer),
                  Mapping()};
}

// Lane 0 first: a set's broker keeps other readers out of the rest as long as somebody holds it.
Result<std::vector<LinkHold>> take_guarded_lanes(const SegmentDirectory& directory,
                                                 std::string_view name,
                                                 MemoryLock memory_lock) noexcept {
  std::vector<LinkHold> lanes;
  do {
    const auto lane = static_cast<std::uint32_t>(lanes.size());
    Result<GuardedHold> hold =
        GuardedEnd::take_role(directory, name, Role::kReader, memory_lock, lane);
    if (!hold) return hold.error();
    if (!is_lane_set(hold->shape)) return kNoLaneSet;
    lanes.push_back(hold_of(*hold));
  } while (lanes.size() < lanes.front().shape.lane_count);
  return lanes;
}

}  // namespace

Result<LinkHold> take_role(const SegmentDirectory& directory, std::string_view name, Role role,
                           MemoryLock memory_lock) noexcept {
  // The guarded one first: who may write to the directory must not be able to put a named link in
  // its place.
  Result<GuardedHold> guarded = GuardedEnd::take_role(directory, name, role, memory_lock,
                                                      role == Role::kWriter ? kAnyLane : 0);
  if (guarded) {
    if (guarded->shape.kind == SegmentKind::kBoard) {
      return Error{ErrorCode::kVersion, 0, "not a link but a board"};
    }
    if (is_lane_set(guarded->shape) && role == Role::kReader) return kNoLink;
    return hold_of(*guarded);
  }
  if (!is_no_rendezvous(guarded.error())) return guarded.error();
  Result<LinkHold> named = take_named_role(directory, name, role, memory_lock);
  if (!named && named.error().code == ErrorCode::kNotFound && guarded.error().os_errno != ENOENT) {
    return guarded.error();
  }
  return named;
}

Result<std::vector<LinkHold>> take_lanes(const SegmentDirectory& directory, std::string_view name,
                                         MemoryLock memory_lock) noexcept {
  Result<std::vector<LinkHold>> guarded = take_guarded_lanes(directory, name, memory_lock);
  if (guarded || !is_no_rendezvous(guarded.error())) return guarded;
  Result<std::vector<LinkHold>> named = take_named_lanes(directory, name, memory_lock);
  if (!named && named.error().code == ErrorCode::kNotFound && guarded.error().os_errno != ENOENT) {
    return guarded.error();
  }
  return named;
}

Status wait_for_role(const SegmentDirectory& directory, std::string_view name, Role role,
                     std::uint64_t deadline_ns) noexcept {
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) return file.error();
  const auto role_byte = static_cast<std::uint32_t>(role);
  Result<bool> is_free = wait_until_free(file->lock_file(), role_byte, deadline_ns);
  if (!is_free) return is_free.error();
  if (*is_free) return {};
  Result<Probe> holder = file->lock_file().probe(role_byte);
  const pid_t pid = holder ? holder->pid : 0;
  return Error{ErrorCode::kBusy, 0, "wait for a role that a living process holds",
               static_cast<std::uint64_t>(pid)};
}

void open_end(EndPage& own, bool is_locked) noexcept {
  // relaxed, all of them: only this end writes them, and peers and observers merely show them; a
  // peer that waits for kClosed reads the state with acquire (link.A).
  own.incarnation.store(own.incarnation.load(std::memory_order_relaxed) + 1,
                        std::memory_order_relaxed);
  own.process_id.store(static_cast<std::uint32_t>(getpid()), std::memory_order_relaxed);
  own.user.store(geteuid(), std::memory_order_relaxed);   // relaxed: as above
  own.group.store(getegid(), std::memory_order_relaxed);  // relaxed: as above
  // relaxed, both: as above
  own.is_locked.store(is_locked ? 1 : 0, std::memory_order_relaxed);
  own.state.store(static_cast<std::uint32_t>(EndState::kOpen), std::memory_order_relaxed);
  disarm(own.arm.armed);
}

}  // namespace slipring
