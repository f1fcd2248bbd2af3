// A stage's ends, carried (carried_link.h): what pipelines/stage/stage_ends.cc is for links in
// shared memory.  Linked before that one, it takes its place; everything else of a stage stays.
//
// $SLIPRING_BENCH_CARRIER says what carries: "pipe" (a FIFO a link) or "socket" (a unix stream).
// Wants a pipeline with protection = "named": shapes are read from the segments, which are used for
// nothing else.  Boards and command ports stay as they are.
//
// Waiting.  A look writes what is to be written and reads what is there; from the second look of a
// wait on it sleeps in ppoll() on all descriptors, so that there is no spinning: on pipes each look
// is a system call.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/array/carried/carried_link.h"
#include "core/error/check.h"
#include "pipelines/array/block_request.h"
#include "pipelines/array/disk/disk_request.h"
#include "pipelines/link/link_layout.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/stage/stage.h"
#include "platform/memory/segment_directory.h"

namespace slipring {
namespace {

using bench::CarrierIn;
using bench::CarrierOut;

constexpr int kPipeBytes = 1 << 20;
constexpr int kSocketBytes = 2 << 20;
constexpr int kLookMs = 4;
constexpr int kConnectTries = 1000;
// Beyond all that the front knows: it looks at its rings, and at nothing else.
constexpr std::uint64_t kCarrierTag = 1U << 21;

// Of the process, which is one stage.
struct Carriers {
  std::deque<CarrierOut> outs;
  std::deque<CarrierIn> ins;
  std::deque<std::uint32_t> read_lengths;  // a disk's: of the requests that it has not answered
  int epoll_fd = -1;
  bool is_first_look = true;
  bool sleeps_in_epoll = false;

  bool flush() {
    bool has_moved = false;
    for (CarrierOut& out : outs) {
      if (out.pump()) has_moved = true;
    }
    return has_moved;
  }
  bool exchange(int timeout_ms) {
    bool has_moved = flush();
    std::vector<pollfd> polled;
    for (CarrierIn& in : ins) {
      polled.push_back({in.is_stalled() ? -1 : in.fd(), POLLIN, 0});
    }
    for (CarrierOut& out : outs) {
      if (out.is_blocked()) polled.push_back({out.fd(), POLLOUT, 0});
    }
    ::poll(polled.data(), polled.size(), has_moved ? 0 : timeout_ms);
    for (std::size_t i = 0; i < ins.size(); ++i) {
      if ((ins[i].is_stalled() || polled[i].revents != 0) && ins[i].pump()) has_moved = true;
    }
    return flush() || has_moved;
  }
};

Carriers& carriers() {
  static Carriers all;
  return all;
}

bool is_pipe() {
  const char* word = getenv("SLIPRING_BENCH_CARRIER");
  return word == nullptr || strcmp(word, "socket") != 0;
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  check(path.size() < sizeof address.sun_path, "a socket's name that fits");
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Descriptor open_pipe(const std::string& path) {
  check(mkfifo(path.c_str(), 0600) == 0 || errno == EEXIST, "a FIFO");
  Descriptor fifo(open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  check(fifo.is_open() && fcntl(fifo.get(), F_SETPIPE_SZ, kPipeBytes) >= kPipeBytes, "a large one");
  return fifo;
}

Descriptor listen_at(const std::string& path) {
  unlink(path.c_str());
  Descriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = address_of(path);
  check(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
            listen(listener.get(), 1) == 0,
        "a listening socket");
  return listener;
}

Descriptor connect_to(const std::string& path) {
  const sockaddr_un address = address_of(path);
  for (int tries = 0; tries < kConnectTries; ++tries) {
    Descriptor end(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(end.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      setsockopt(end.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBytes, sizeof kSocketBytes);
      fcntl(end.get(), F_SETFL, O_NONBLOCK);
      return end;
    }
    poll(nullptr, 0, 10);
  }
  check(false, "the other stage listens within ten seconds");
  return {};
}

Descriptor accept_from(const Descriptor& listener) {
  return Descriptor(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

std::uint32_t data_of_block_request(const std::byte* slot) {
  array::BlockRequest request;
  memcpy(&request, slot, sizeof request);
  return request.buffer_slot == kNoBufferSlot ? 0 : request.length;
}
std::uint32_t data_of_block_reply(const std::byte* slot) {
  array::BlockReply reply;
  memcpy(&reply, slot, sizeof reply);
  return reply.buffer_slot == kNoBufferSlot ? 0 : reply.length;
}
std::uint32_t data_of_disk_request(const std::byte* slot) {
  array::DiskRequest request;
  memcpy(&request, slot, sizeof request);
  return request.buffer_slot == kNoBufferSlot ? 0 : request.length_bytes;
}
// A disk's reply does not say how much it brings: as much as was asked for, in the same order.
std::uint32_t note_disk_request(const std::byte* slot) {
  array::DiskRequest request;
  memcpy(&request, slot, sizeof request);
  carriers().read_lengths.push_back(request.length_bytes);
  return 0;
}
std::uint32_t data_of_disk_reply(const std::byte* slot) {
  array::DiskReply reply;
  memcpy(&reply, slot, sizeof reply);
  const std::uint32_t length = carriers().read_lengths.front();
  carriers().read_lengths.pop_front();
  return reply.buffer_slot == kNoBufferSlot ? 0 : length;
}

bench::DataBytesOf data_bytes_of(std::string_view program, std::string_view port) {
  if (program == "disk") return data_of_disk_reply;
  if (program == "raid" && port.starts_with("disk")) return data_of_disk_request;
  if (port == "aborts") return [](const std::byte*) { return 0U; };
  const bool asks = port == "requests" || port == "array_reads" || port == "array_writes";
  return asks ? data_of_block_request : data_of_block_reply;
}

// One descriptor a link, in the ports' order.
struct Joined {
  std::deque<Descriptor> inputs;
  std::deque<Descriptor> outputs;
};
// Everybody listens before anybody waits for somebody to listen.
Joined join(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs) {
  Joined joined;
  if (is_pipe()) {
    for (const std::string& path : inputs) joined.inputs.push_back(open_pipe(path));
    for (const std::string& path : outputs) joined.outputs.push_back(open_pipe(path));
    return joined;
  }
  std::vector<Descriptor> listeners;
  for (const std::string& path : inputs) listeners.push_back(listen_at(path));
  for (const std::string& path : outputs) joined.outputs.push_back(connect_to(path));
  for (const Descriptor& listener : listeners) joined.inputs.push_back(accept_from(listener));
  return joined;
}

// A link of the segment's shape, both of whose ends are this process's.
struct BothEnds {
  LinkWriter writer;
  LinkReader reader;
};
std::optional<BothEnds> make_private(const SegmentDirectory& directory,
                                     const SegmentDirectory& folder, const std::string& segment) {
  Result<SegmentFile> file = SegmentFile::open(directory, segment);
  if (!file) return std::nullopt;
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return std::nullopt;
  Result<LinkShape> shape = shape_of(*header);
  if (!shape || !create_link(folder, segment, *shape)) return std::nullopt;
  Result<LinkWriter> writer =
      LinkWriter::attach(folder, segment, MemoryLock::kTry, BellOrder::kFence);
  Result<LinkReader> reader =
      LinkReader::attach(folder, segment, MemoryLock::kTry, BellOrder::kFence);
  if (!writer || !reader) return std::nullopt;
  return BothEnds{std::move(writer).value(), std::move(reader).value()};
}

}  // namespace

// The private rings' folder is beside the segments; whoever measures removes both.
bool Stage::attach(int& exit_status) {
  exit_status = 1;
  if (wanted_.empty() && board_segment_.empty()) {
    exit_status = 0;
    return true;
  }
  Result<SegmentDirectory> directory = SegmentDirectory::open();
  if (!directory) return false;
  if (!board_segment_.empty()) {
    Result<Board> board = Board::attach(*directory, board_segment_, memory_lock_);
    if (!board) return false;
    board_.emplace(std::move(board).value());
    sleep_count_ = board_->number("sleeps", BoardKind::kCounter);
  }
  const std::string own = directory->path() + "/own-" + std::to_string(getpid());
  check(mkdir(own.c_str(), 0700) == 0, "a folder of the stage's own");
  Result<SegmentDirectory> folder = SegmentDirectory::open_at(own);
  if (!folder) return false;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  for (const Wanted& wanted : wanted_) {
    const std::string path =
        directory->path() + "/" + wanted.segment + (is_pipe() ? ".fifo" : ".sock");
    if (wanted.kind == PortKind::kInput) inputs.push_back(path);
    if (wanted.kind == PortKind::kOutput) outputs.push_back(path);
  }
  Joined joined = join(inputs, outputs);
  for (const Wanted& wanted : wanted_) {
    if (wanted.kind == PortKind::kCommands) {
      Result<LinkReader> reader = LinkReader::attach(*directory, wanted.segment, memory_lock_);
      if (!reader) return false;
      commands_.push_back({wanted.port, std::move(reader).value()});
      continue;
    }
    std::optional<BothEnds> ends = make_private(*directory, *folder, wanted.segment);
    if (!ends) {
      complain(wanted.segment + " is no named segment, or cannot be copied");
      return false;
    }
    if (wanted.kind == PortKind::kOutput) {
      outputs_.push_back({wanted.port, std::move(ends->writer)});
      carriers().outs.emplace_back(std::move(ends->reader), std::move(joined.outputs.front()),
                                   data_bytes_of(description_.program, wanted.port));
      joined.outputs.pop_front();
      continue;
    }
    inputs_.push_back({wanted.port, std::move(ends->reader)});
    bench::DataBytesOf note;
    if (description_.program == "disk") note = note_disk_request;
    carriers().ins.emplace_back(std::move(ends->writer), std::move(joined.inputs.front()),
                                std::move(note));
    joined.inputs.pop_front();
  }
  bell_.reset();
  if (is_sandboxed_ && !shut_in(directory->fd())) return false;
  exit_status = 0;
  return true;
}

// Nobody rings here.
bool Stage::attach_bells() {
  return true;
}

void Stage::look_for_news() noexcept {
  Carriers& all = carriers();
  const bool may_sleep = !all.is_first_look && !all.sleeps_in_epoll;
  all.is_first_look = false;
  all.exchange(may_sleep ? kLookMs : 0);
}

void Stage::collect_points(std::initializer_list<LinkWriter*>) noexcept {
  carriers().is_first_look = true;
  carriers().sleeps_in_epoll = false;
  points_.clear();
}

void Stage::collect_points_of(LinkReader&) noexcept {
  collect_points({});
}

void Stage::collect_bell_points(std::initializer_list<LinkWriter*>) noexcept {
  carriers().sleeps_in_epoll = true;
  points_.clear();
}

int Stage::epoll_events(int epoll_fd, std::span<epoll_event> events, int bound_ms) noexcept {
  Carriers& all = carriers();
  if (all.epoll_fd != epoll_fd) {
    all.epoll_fd = epoll_fd;
    all.sleeps_in_epoll = true;
    for (CarrierIn& in : all.ins) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = kCarrierTag;
      epoll_ctl(epoll_fd, EPOLL_CTL_ADD, in.fd(), &event);
    }
    for (CarrierOut& out : all.outs) {
      epoll_event event{};
      event.events = EPOLLOUT | EPOLLET;
      event.data.u64 = kCarrierTag;
      epoll_ctl(epoll_fd, EPOLL_CTL_ADD, out.fd(), &event);
    }
  }
  const int count = epoll_wait(epoll_fd, events.data(), static_cast<int>(events.size()), bound_ms);
  check(count >= 0 || errno == EINTR, "epoll_wait with valid arguments");
  all.exchange(0);
  return std::max(count, 0);
}

int Stage::finish() noexcept {
  for (OutputEnd& end : outputs_) end.writer.close();
  while (carriers().flush()) {
  }
  for (InputEnd& end : inputs_) end.reader.close();
  return 0;
}

}  // namespace slipring
