#include "pipelines/adapter/client_messages.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "pipelines/adapter/descriptor_wait.h"
#include "pipelines/adapter/open_endpoint.h"

namespace slipring {
namespace {

constexpr int kBacklog = 1024;
constexpr std::size_t kPacketsBytes = 1U << 20;
// In one turn.
constexpr int kMaxAccepts = 64;
constexpr std::uint32_t kMaxPackets = 16;
// Who left and whose bytes are held, before these are finished.
constexpr std::size_t kMaxLeaving = 1024;

Error no_descriptor(const char* doing) noexcept {
  const bool is_limit = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
  return {is_limit ? ErrorCode::kNoSpace : ErrorCode::kSystem, errno, doing, 0, 0};
}

bool watch(int epoll_fd, int operation, int fd, std::uint32_t events, void* who) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = who;
  return epoll_ctl(epoll_fd, operation, fd, &event) == 0;
}

}  // namespace

ClientSource::ClientSource(Descriptor listener, Descriptor epoll, std::string path,
                           const ClientOptions& options) noexcept
    : listener_(std::move(listener)),
      epoll_(std::move(epoll)),
      path_(std::move(path)),
      options_(options) {}

ClientSource::~ClientSource() {
  if (!path_.empty()) unlink(path_.c_str());
}

Result<std::unique_ptr<ClientSource>> ClientSource::listen(const Endpoint& endpoint,
                                                           const ClientOptions& options) noexcept {
  Result<Descriptor> listener = listen_at(endpoint, kBacklog);
  if (!listener) return listener.error();
  const bool is_unix = endpoint.kind != Endpoint::Kind::kTcp;
  Descriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  const int listener_fd = listener->get();
  if (fcntl(listener_fd, F_SETFL, O_NONBLOCK) != 0) return no_descriptor("listen without waiting");
  std::unique_ptr<ClientSource> source(new ClientSource(
      std::move(listener).value(), std::move(epoll), is_unix ? endpoint.path : "", options));
  // The listener is the event without a client.
  if (!source->epoll_.is_open() ||
      !watch(source->epoll_.get(), EPOLL_CTL_ADD, listener_fd, EPOLLIN, nullptr)) {
    return no_descriptor("watch the clients");
  }
  return source;
}

void ClientSource::limit(std::uint64_t max_message_bytes) noexcept {
  options_.max_message_bytes = std::min(options_.max_message_bytes, max_message_bytes);
}

Result<Passage> ClientSource::try_take(std::span<const std::byte>& message) noexcept {
  for (;;) {
    if (current_ != nullptr) {
      if (take_from(*current_, message)) {
        is_held_ = true;
        return Passage::kDone;
      }
      current_ = nullptr;
    }
    Result<bool> found = next_client();
    if (!found) return found.error();
    if (*found) continue;
    const bool is_over = admitted_count_ != 0 && client_count() == 0 && !options_.stays;
    if (is_over && !is_held_) return end(PumpEnd::kEndOfInput);
    return Passage::kBlocked;
  }
}

// Whose turn it is now, read; false when it is nobody's, or the next one's messages are held.
Result<bool> ClientSource::next_client() noexcept {
  for (;;) {
    if (next_event_ == event_count_) {
      if (!is_held_) finish_taken();  // who came and went without a message
      if (leaving_.size() > kMaxLeaving) return false;
      const int count = epoll_wait(epoll_.get(), events_.data(), kMaxEvents, 0);
      next_event_ = 0;
      event_count_ = count > 0 ? static_cast<std::size_t>(count) : 0;
      if (event_count_ == 0) return false;
    }
    const epoll_event& event = events_[next_event_];
    auto* client = static_cast<Client*>(event.data.ptr);
    if (client == nullptr) {
      ++next_event_;
      if (Status accepted = accept_all(); !accepted) return accepted.error();
      continue;
    }
    // Its buffer must stay as it is until what it holds is finished.
    if (client->noted_in == round_ && is_held_) return false;
    ++next_event_;
    if (!read_from(*client)) continue;
    current_ = client;
    return true;
  }
}

// Until this round ends its buffer stays as it is.
void ClientSource::note(Client& client) noexcept {
  if (client.noted_in == round_) return;
  client.noted_in = round_;
  noted_.push_back(&client);
}

// False when there is nothing to take from it.
bool ClientSource::read_from(Client& client) noexcept {
  note(client);
  packets_left_ = kMaxPackets;
  if (options_.framing == Framing::kBytes) return true;
  const std::size_t before = client.framer.buffer_bytes();
  const std::span<std::byte> room = client.framer.room();
  const std::size_t most = std::min(room.size(), kClientReadBytes);
  const ssize_t got = recv(client.socket.get(), room.data(), most, MSG_DONTWAIT);
  count_memory(client, before);
  if (got < 0) {
    if (is_worth_waiting(errno)) return false;
    client.framer.pending_bytes() != 0 ? send_away(client) : leave(client);
    return false;
  }
  client.framer.add(static_cast<std::size_t>(got));
  client.has_ended = got == 0;
  if (got > 0 && !client.has_sent) {
    client.has_sent = true;
    talking_.splice(talking_.end(), silent_, client.self);
  }
  return true;
}

// The next message of what was read; false when that is all, and the client may have gone.
bool ClientSource::take_from(Client& client, std::span<const std::byte>& message) noexcept {
  if (options_.framing == Framing::kBytes) return receive_packet(client, message);
  note(client);  // its turn may go on in a new round
  const Result<MessageFramer::Cut> cut = client.framer.next(message);
  if (!cut.ok()) {
    send_away(client);
    return false;
  }
  if (cut.value() == MessageFramer::Cut::kMessage) return true;
  if (!client.has_ended) {
    keep_bound();
    return false;
  }
  const Result<MessageFramer::Cut> last = client.framer.finish(message);
  if (last.ok() && last.value() == MessageFramer::Cut::kMessage) return true;
  last.ok() ? leave(client) : send_away(client);
  return false;
}

// One message of a socket that keeps boundaries.
bool ClientSource::receive_packet(Client& client, std::span<const std::byte>& message) noexcept {
  if (packets_left_ == 0) return false;
  --packets_left_;
  const int fd = client.socket.get();
  const ssize_t size = recv(fd, nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  if (size < 0) {
    if (!is_worth_waiting(errno)) leave(client);
    return false;
  }
  const auto wanted = static_cast<std::size_t>(size);
  if (wanted > options_.max_message_bytes) {
    send_away(client);
    return false;
  }
  if (packets_bytes_ - packets_used_ < wanted) {
    if (is_held_) return false;  // it is asked again when these are finished
    packets_bytes_ = std::max(kPacketsBytes, wanted);
    packets_ = std::make_unique_for_overwrite<std::byte[]>(packets_bytes_);
    packets_used_ = 0;
  }
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(ucred))> control;
  iovec place{packets_.get() + packets_used_, wanted};
  msghdr header{};
  header.msg_iov = &place;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t got = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  // The end comes without a sender, an empty message with one.
  if (got < 0 || (got == 0 && header.msg_controllen == 0)) {
    if (got == 0 || !is_worth_waiting(errno)) leave(client);
    return false;
  }
  if (!client.has_sent) {
    client.has_sent = true;
    talking_.splice(talking_.end(), silent_, client.self);
  }
  message = {packets_.get() + packets_used_, static_cast<std::size_t>(got)};
  packets_used_ += message.size();
  return true;
}

void ClientSource::count_memory(Client& client, std::size_t before) noexcept {
  memory_bytes_ += client.framer.buffer_bytes();
  memory_bytes_ -= before;
}

// The largest unfinished message goes, while all together are too many.
void ClientSource::keep_bound() noexcept {
  while (memory_bytes_ > options_.memory_bytes && !talking_.empty()) {
    const auto largest =
        std::max_element(talking_.begin(), talking_.end(), [](const Client& a, const Client& b) {
          return a.framer.pending_bytes() < b.framer.pending_bytes();
        });
    if (largest->framer.pending_bytes() <= kClientReadBytes) return;  // finishing gives back more
    send_away(*largest);
  }
}

void ClientSource::leave(Client& client) noexcept {
  // Its descriptor goes now, and with it its place in the epoll set; its bytes may be held.
  client.socket = Descriptor();
  // What epoll said of it before is no longer true.
  for (std::size_t i = next_event_; i < event_count_; ++i) {
    if (events_[i].data.ptr == &client) events_[i--] = events_[--event_count_];
  }
  if (current_ == &client) current_ = nullptr;
  note(client);
  leaving_.splice(leaving_.end(), client.has_sent ? talking_ : silent_, client.self);
  listen_on(true);
}

void ClientSource::send_away(Client& client) noexcept {
  ++refused_count_;
  leave(client);
}

void ClientSource::finish_taken() noexcept {
  ++round_;
  is_held_ = false;
  packets_used_ = 0;
  for (Client* client : noted_) {
    const std::size_t before = client->framer.buffer_bytes();
    client->framer.shrink();
    count_memory(*client, before);
  }
  noted_.clear();
  for (const Client& client : leaving_) memory_bytes_ -= client.framer.buffer_bytes();
  leaving_.clear();
}

Status ClientSource::accept_all() noexcept {
  for (int count = 0; count != kMaxAccepts; ++count) {
    if (client_count() >= options_.client_count && silent_.empty()) {
      listen_on(false);
      return {};
    }
    // Only where somebody is there to be accepted does another give way.
    pollfd newcomer{listener_.get(), POLLIN, 0};
    if (poll(&newcomer, 1, 0) != 1) return {};
    Descriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.is_open()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return {};
      // Without a descriptor nobody can be let in until somebody leaves.
      if (client_count() == 0) return no_descriptor("accept a client");
      listen_on(false);
      return {};
    }
    if (Status admitted = admit(std::move(socket)); !admitted) return admitted;
  }
  return {};
}

Status ClientSource::admit(Descriptor socket) noexcept {
  if (client_count() >= options_.client_count) {
    ++displaced_count_;
    leave(silent_.front());
  }
  const int on = 1;
  if (options_.framing == Framing::kBytes) {
    static_cast<void>(setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  }
  const Framing framing = options_.framing == Framing::kBytes ? Framing::kFrames : options_.framing;
  silent_.push_back({std::move(socket),
                     MessageFramer(framing, options_.max_message_bytes, kClientReadBytes),
                     {}});
  Client& client = silent_.back();
  client.self = std::prev(silent_.end());
  if (!watch(epoll_.get(), EPOLL_CTL_ADD, client.socket.get(), EPOLLIN | EPOLLRDHUP, &client)) {
    silent_.pop_back();
    return no_descriptor("watch a client");
  }
  ++admitted_count_;
  return {};
}

void ClientSource::listen_on(bool wants_newcomers) noexcept {
  if (is_listening_ == wants_newcomers) return;
  is_listening_ = wants_newcomers;
  static_cast<void>(watch(epoll_.get(), EPOLL_CTL_MOD, listener_.get(),
                          wants_newcomers ? std::uint32_t{EPOLLIN} : 0, nullptr));
}

Result<Passage> ClientSource::wait(int alarm_fd) noexcept {
  finish_taken();  // clients that left without a message
  wait_for_descriptor(epoll_.get(), POLLIN, alarm_fd);
  return Passage::kDone;
}

void ClientSource::add_to(PumpReport& report) const noexcept {
  report.client_count += admitted_count_;
  report.refused_clients += refused_count_;
  report.displaced_clients += displaced_count_;
}

}  // namespace slipring
