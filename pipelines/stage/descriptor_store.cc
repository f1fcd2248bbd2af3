#include "pipelines/stage/descriptor_store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <utility>

#include "core/error/check.h"

namespace slipring {
namespace {

// A client floods the listener: the stage's other events get their turn.
constexpr int kMaxAcceptsATurn = 16;

std::string_view name_in(const Packet& packet) {
  return {reinterpret_cast<const char*>(packet.body.data()), packet.body_bytes};
}

std::span<const std::byte> body_of(std::string_view name) {
  return std::as_bytes(std::span(name.data(), name.size()));
}

}  // namespace

Result<DescriptorStore> DescriptorStore::make() {
  Descriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.is_open()) return Error{ErrorCode::kSystem, errno, "make an epoll instance"};
  return DescriptorStore(std::move(epoll));
}

Status DescriptorStore::prepare(std::vector<std::string>& words, std::vector<int>& inherited) {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return Error{ErrorCode::kSystem, errno, "make a socket pair for a stage's descriptors"};
  }
  Descriptor ours(ends[0]);
  theirs_ = Descriptor(ends[1]);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = ours.get();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, ours.get(), &event) != 0) {
    return Error{ErrorCode::kSystem, errno, "watch a stage's descriptors"};
  }
  Result<Connection> connection = Connection::adopt(std::move(ours));
  if (!connection) return connection.error();
  ours_.emplace(std::move(connection).value());
  words.push_back("--keeper=" + std::to_string(theirs_.get()));
  inherited.push_back(theirs_.get());
  for (auto& [name, kept] : kept_) {
    words.push_back("--kept=" + name + ":" + std::to_string(kept.descriptor.get()));
    inherited.push_back(kept.descriptor.get());
    kept.is_told = true;
  }
  return {};
}

void DescriptorStore::ended() {
  take_packets();
  ours_.reset();
  theirs_.reset();
}

void DescriptorStore::hang_up(const char* why) {
  complaint_ = why;
  ours_.reset();
}

void DescriptorStore::take_packets() {
  Packet packet;
  while (ours_) {
    const Result<Arrival> received = ours_->receive(packet);
    if (!received) return hang_up("it sent its descriptor store what is no packet");
    if (received.value() != Arrival::kPacket) {
      // Its process has ended, or it will not speak any more: what is kept stays kept.
      if (received.value() == Arrival::kClosed) ours_.reset();
      return;
    }
    obey(packet);
  }
}

void DescriptorStore::obey(Packet& packet) {
  const std::string_view name = name_in(packet);
  if (!is_kept_name(name)) return hang_up("it named a descriptor as none may be named");
  const auto found = kept_.find(name);
  switch (static_cast<KeepKind>(packet.kind)) {
    case KeepKind::kKeep:
      if (packet.descriptor_count != 1) return hang_up("it handed in a name without a descriptor");
      if (found == kept_.end() && kept_.size() >= kMaxKeptDescriptors) {
        complaint_ = "it handed in more descriptors than are kept for a stage";
        return;
      }
      kept_.insert_or_assign(std::string(name), Kept{std::move(packet.descriptors[0])});
      return;
    case KeepKind::kDrop:
      // Closing takes it out of the epoll instance only once every duplicate is closed.
      if (found != kept_.end()) {
        if (found->second.accepts) {
          epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.descriptor.get(), nullptr);
        }
        kept_.erase(found);
      }
      return watch_listeners();
    case KeepKind::kAccept:
      if (found == kept_.end()) return hang_up("it wants connections of a listener not kept");
      return start_accepting(found->second);
    case KeepKind::kAccepted:
      break;
  }
  hang_up("it sent its descriptor store a packet of an unknown kind");
}

void DescriptorStore::start_accepting(Kept& listener) {
  if (listener.accepts) return;
  // accept4() must not wait for a client that has gone again.
  const int flags = fcntl(listener.descriptor.get(), F_GETFL);
  if (flags < 0 || fcntl(listener.descriptor.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return hang_up("it handed in a listener that cannot be set up");
  }
  listener.accepts = true;
  is_accepting_ = false;
  watch_listeners();
}

// Those that we accept on are in the epoll instance as long as there is room for a connection.
void DescriptorStore::watch_listeners() {
  const bool has_room = kept_.size() < kMaxKeptDescriptors;
  if (has_room == is_accepting_) return;
  is_accepting_ = has_room;
  for (const auto& [name, kept] : kept_) {
    if (!kept.accepts) continue;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = kept.descriptor.get();
    // Adding what is there, and removing what is not, are answered by errors that change nothing.
    epoll_ctl(epoll_.get(), has_room ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, kept.descriptor.get(),
              &event);
  }
}

void DescriptorStore::accept_all(const std::string& name) {
  for (int i = 0; i < kMaxAcceptsATurn && kept_.size() < kMaxKeptDescriptors; ++i) {
    const auto listener = kept_.find(name);
    Descriptor socket(
        accept4(listener->second.descriptor.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.is_open()) {
      const bool is_short = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
      if (is_short) complaint_ = std::string("a connection cannot be accepted: ") + strerror(errno);
      return;
    }
    kept_.emplace(name + "#" + std::to_string(++accepted_count_),
                  Kept{std::move(socket), false, false});
  }
}

// A stage that does not read its end is told at a later turn, or its successor at its start.
void DescriptorStore::tell() {
  if (!ours_) return;
  bool is_behind = false;
  for (auto& [name, kept] : kept_) {
    if (kept.is_told) continue;
    const int fd = kept.descriptor.get();
    const Status sent =
        ours_->send(static_cast<std::uint16_t>(KeepKind::kAccepted), body_of(name), {&fd, 1});
    kept.is_told = sent.ok();
    is_behind = is_behind || !sent.ok();
  }
  epoll_event event{};
  event.events = is_behind ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.fd = ours_->fd();
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, ours_->fd(), &event);
}

void DescriptorStore::turn() {
  std::array<epoll_event, 16> events;
  const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  // EINTR is answered by the next turn.
  for (int i = 0; i < count; ++i) {
    const int fd = events[static_cast<std::size_t>(i)].data.fd;
    if (ours_ && fd == ours_->fd()) {
      take_packets();
      continue;
    }
    std::string listener;
    for (const auto& [name, kept] : kept_) {
      if (kept.accepts && kept.descriptor.get() == fd) listener = name;
    }
    if (!listener.empty()) accept_all(listener);
  }
  watch_listeners();
  tell();
}

}  // namespace slipring
