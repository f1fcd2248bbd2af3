#include "pipelines/link/link_segment.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <utility>

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

Result<LinkHold> take_named_role(const SegmentDirectory& directory, std::string_view name,
                                 Role role, MemoryLock memory_lock) noexcept {
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) return file.error();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return header.error();
  Result<LinkShape> shape = shape_of(*header);
  if (!shape) return shape.error();
  Result<Certificate> certificate =
      Certificate::acquire(file->lock_file(), static_cast<std::uint32_t>(role));
  if (!certificate) return certificate.error();
  Result<Descriptor> writable = file->open_writable(directory);
  if (!writable) return writable.error();

  const Region& own_region = header->regions[role == Role::kWriter ? 0 : 1];
  const Region& peer_region = header->regions[role == Role::kWriter ? 1 : 0];
  MappingOptions options;
  options.memory_lock = memory_lock;
  options.access = Access::kReadWrite;
  Result<Mapping> own =
      Mapping::map(writable->get(), own_region.offset_bytes, own_region.size_bytes, options);
  if (!own) return own.error();
  options.access = Access::kReadOnly;
  Result<Mapping> peer =
      Mapping::map(file->read_only_fd(), peer_region.offset_bytes, peer_region.size_bytes, options);
  if (!peer) return peer.error();
  const Region& control_region = header->regions[2];
  Result<Mapping> control = Mapping::map(file->read_only_fd(), control_region.offset_bytes,
                                         control_region.size_bytes, options);
  if (!control) return control.error();
  return LinkHold{*shape,
                  parts_of(*shape, header->page_bytes),
                  std::move(certificate).value(),
                  nullptr,
                  std::move(own).value(),
                  std::move(peer).value(),
                  std::move(control).value()};
}

}  // namespace

Result<LinkHold> take_role(const SegmentDirectory& directory, std::string_view name, Role role,
                           MemoryLock memory_lock) noexcept {
  // The guarded one first: who may write to the directory must not be able to put a named link in
  // its place.
  Result<GuardedHold> guarded = GuardedEnd::take_role(directory, name, role, memory_lock);
  if (guarded) {
    if (guarded->shape.kind == SegmentKind::kBoard) {
      return Error{ErrorCode::kVersion, 0, "not a link but a board"};
    }
    return LinkHold{
        guarded->shape,          guarded->parts,           std::nullopt, std::move(guarded->end),
        std::move(guarded->own), std::move(guarded->peer), Mapping()};
  }
  if (!is_no_rendezvous(guarded.error())) return guarded.error();
  Result<LinkHold> named = take_named_role(directory, name, role, memory_lock);
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
  own.is_locked.store(is_locked ? 1 : 0, std::memory_order_relaxed);
  own.state.store(static_cast<std::uint32_t>(EndState::kOpen), std::memory_order_relaxed);
  disarm(own.arm.armed);
}

}  // namespace slipring
