#include "tests/pipelines/array/appliance/bad_disk.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "platform/process/child.h"
#include "platform/wait/clock.h"

namespace slipring::array::test {
namespace {

constexpr std::uint64_t kFolderNode = FUSE_ROOT_ID;
constexpr std::uint64_t kFileNode = 2;
constexpr std::size_t kRequestBytesMax = 512 * 1024;
constexpr std::uint32_t kWriteBytesMax = 128 * 1024;
constexpr std::uint64_t kPatienceNs = 60'000'000'000;

// What fusermount3 hands over; not open when it does not.
Descriptor receive_descriptor(int socket) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0) return Descriptor();
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  if (head == nullptr || head->cmsg_type != SCM_RIGHTS) return Descriptor();
  int received = -1;
  std::memcpy(&received, CMSG_DATA(head), sizeof received);
  return Descriptor(received);
}

bool run_fusermount(std::vector<std::string> arguments, int socket) {
  const std::string environment[] = {"_FUSE_COMMFD=" + std::to_string(socket)};
  const int kept[] = {socket};
  ChildOptions options;
  options.program = "/usr/bin/fusermount3";
  options.arguments = arguments;
  options.environment = environment;
  if (socket >= 0) options.kept_fds = kept;
  Result<Peer> started = start_child(options);
  if (!started) return false;
  Result<std::optional<ExitStatus>> ended = started->reap(deadline_after(kPatienceNs));
  return ended && ended->has_value() && ended->value().is_success();
}

fuse_attr attributes(std::uint64_t node, std::uint64_t size_bytes) {
  fuse_attr found{};
  found.ino = node;
  found.size = node == kFileNode ? size_bytes : 0;
  found.blocks = found.size / 512;
  found.mode = node == kFileNode ? S_IFREG | 0600U : S_IFDIR | 0700U;
  found.nlink = node == kFileNode ? 1 : 2;
  found.uid = getuid();
  found.gid = getgid();
  found.blksize = 4096;
  return found;
}

}  // namespace

std::unique_ptr<BadDisk> BadDisk::make(std::uint64_t size_bytes, std::string& why) {
  std::unique_ptr<BadDisk> disk(new BadDisk(size_bytes));
  const char* scratch = getenv("TEST_TMPDIR");
  disk->folder_ = std::string(scratch != nullptr ? scratch : "/tmp") + "/bad-disk-XXXXXX";
  if (mkdtemp(disk->folder_.data()) == nullptr) {
    why = "no folder to mount at";
    return nullptr;
  }
  if (!disk->mount(why)) return nullptr;
  disk->stop_ = Descriptor(eventfd(0, EFD_CLOEXEC));
  disk->server_ = std::thread([server = disk.get()] { server->serve(); });
  return disk;
}

bool BadDisk::mount(std::string& why) {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return false;
  const Descriptor ours(ends[0]);
  Descriptor theirs(ends[1]);
  const bool is_done = run_fusermount({"-o", "rw,fsname=bad-disk", "--", folder_}, theirs.get());
  theirs.reset();
  if (is_done) fuse_ = receive_descriptor(ours.get());
  if (!fuse_.is_open()) why = "fusermount3 mounts nothing here";
  return fuse_.is_open();
}

BadDisk::~BadDisk() {
  if (server_.joinable()) {
    const std::uint64_t one = 1;
    static_cast<void>(::write(stop_.get(), &one, sizeof one));
    server_.join();
  }
  // Whoever waits for an answer gets ECONNABORTED by it.
  const bool was_mounted = fuse_.is_open();
  fuse_.reset();
  if (was_mounted) static_cast<void>(run_fusermount({"-u", "-z", folder_}, -1));
  std::error_code ignored;
  std::filesystem::remove(folder_, ignored);
}

void BadDisk::spoil(std::uint64_t offset_bytes, Mending mending) {
  const std::lock_guard lock(mutex_);
  bad_sectors_[offset_bytes / kBadSectorBytes] = mending;
}

std::size_t BadDisk::bad_sector_count() const {
  const std::lock_guard lock(mutex_);
  return bad_sectors_.size();
}

void BadDisk::serve() {
  std::vector<std::byte> request(kRequestBytesMax);
  for (;;) {
    pollfd watched[] = {{fuse_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (poll(watched, 2, -1) < 0 && errno != EINTR) return;
    if (watched[1].revents != 0) return;
    const ssize_t got = ::read(fuse_.get(), request.data(), request.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) continue;
    if (got < static_cast<ssize_t>(sizeof(fuse_in_header))) return;
    answer(request.data(), static_cast<std::size_t>(got));
  }
}

void BadDisk::reply(std::uint64_t unique, int error, const void* bytes,
                    std::size_t size_bytes) const {
  fuse_out_header head{};
  head.unique = unique;
  head.error = -error;
  head.len = static_cast<std::uint32_t>(sizeof head + size_bytes);
  iovec parts[] = {{&head, sizeof head}, {const_cast<void*>(bytes), size_bytes}};
  // Whoever asked may be gone: then nobody is told.
  static_cast<void>(writev(fuse_.get(), parts, size_bytes != 0 ? 2 : 1));
}

void BadDisk::read(std::uint64_t unique, std::uint64_t offset, std::uint32_t length) {
  if (read_error != 0) return reply(unique, read_error);
  const std::lock_guard lock(mutex_);
  if (offset >= bytes_.size()) return reply(unique, 0);
  const std::uint64_t end = std::min<std::uint64_t>(offset + length, bytes_.size());
  const auto bad = bad_sectors_.lower_bound(offset / kBadSectorBytes);
  const bool is_bad = bad != bad_sectors_.end() && bad->first * kBadSectorBytes < end;
  if (is_bad) return reply(unique, EIO);
  reply(unique, 0, bytes_.data() + offset, end - offset);
}

void BadDisk::write(std::uint64_t unique, std::uint64_t offset, const std::byte* from,
                    std::uint32_t length) {
  if (write_error != 0) return reply(unique, write_error);
  const std::lock_guard lock(mutex_);
  if (offset >= bytes_.size()) return reply(unique, ENOSPC);
  fuse_write_out done{};
  done.size = static_cast<std::uint32_t>(std::min<std::uint64_t>(length, bytes_.size() - offset));
  if (writes_short && done.size > kBadSectorBytes) {
    done.size = done.size / 2 + 1;
    ++short_writes;
  }
  std::memcpy(bytes_.data() + offset, from, done.size);
  for (std::uint64_t at = offset; at + kBadSectorBytes <= offset + done.size;
       at += kBadSectorBytes) {
    const auto bad = bad_sectors_.find(at / kBadSectorBytes);
    if (bad != bad_sectors_.end() && bad->second == Mending::kWhenWritten) bad_sectors_.erase(bad);
  }
  reply(unique, 0, &done, sizeof done);
}

void BadDisk::answer(const std::byte* request, std::size_t size_bytes) {
  fuse_in_header head{};
  std::memcpy(&head, request, sizeof head);
  const std::byte* body = request + sizeof head;
  switch (head.opcode) {
    case FUSE_INIT: {
      fuse_init_out begun{};
      begun.major = FUSE_KERNEL_VERSION;
      begun.minor = 31;
      begun.max_readahead = kWriteBytesMax;
      begun.max_write = kWriteBytesMax;
      begun.max_background = 64;
      begun.time_gran = 1;
      return reply(head.unique, 0, &begun, sizeof begun);
    }
    case FUSE_LOOKUP: {
      fuse_entry_out found{};
      found.nodeid = kFileNode;
      found.attr = attributes(kFileNode, bytes_.size());
      const bool is_it = std::string_view(reinterpret_cast<const char*>(body),
                                          size_bytes - sizeof head) == std::string_view("disk", 5);
      return is_it ? reply(head.unique, 0, &found, sizeof found) : reply(head.unique, ENOENT);
    }
    case FUSE_GETATTR: {
      fuse_attr_out found{};
      found.attr = attributes(head.nodeid, bytes_.size());
      return reply(head.unique, 0, &found, sizeof found);
    }
    case FUSE_OPEN: {
      fuse_open_out opened{};
      opened.open_flags = FOPEN_DIRECT_IO;
      return reply(head.unique, 0, &opened, sizeof opened);
    }
    case FUSE_READ: {
      fuse_read_in asked{};
      std::memcpy(&asked, body, sizeof asked);
      return read(head.unique, asked.offset, asked.size);
    }
    case FUSE_WRITE: {
      fuse_write_in asked{};
      std::memcpy(&asked, body, sizeof asked);
      return write(head.unique, asked.offset, body + sizeof asked, asked.size);
    }
    case FUSE_FSYNC:
      return reply(head.unique, write_error);
    case FUSE_STATFS: {
      const fuse_statfs_out found{};
      return reply(head.unique, 0, &found, sizeof found);
    }
    case FUSE_FLUSH:
    case FUSE_RELEASE:
      return reply(head.unique, 0);
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      return;
    default:
      return reply(head.unique, ENOSYS);
  }
}

}  // namespace slipring::array::test
