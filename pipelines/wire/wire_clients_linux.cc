// The connections of a loop, from their acceptance to their end.
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

#include "pipelines/wire/wire_loop.h"

namespace slipring::wire {
namespace {

constexpr int kAcceptsATurn = 64;

}  // namespace

// The oldest client that has not said which link it means.
bool WireLoop::evict() noexcept {
  const auto oldest = std::find_if(clients_.begin(), clients_.end(), [](const Client& client) {
    return client.dial == nullptr && client.connection->session().port() == nullptr;
  });
  if (oldest == clients_.end()) return false;
  ++counts_.evicted_count;
  clients_.erase(oldest);
  counts_.open_count = clients_.size();
  return true;
}

void WireLoop::add(ByteChannel channel, std::unique_ptr<Session> session, Dial* dial) noexcept {
  tune_for_wire(channel.socket(), options_.session.silence_ns);
  Client& client = clients_.emplace_back();
  client.dial = dial;
  client.connection =
      std::make_unique<WireConnection>(std::move(channel), std::move(session), dial != nullptr);
  counts_.open_count = clients_.size();
  counts_.open_count_max = std::max(counts_.open_count_max, counts_.open_count);
  epoll_event event{};
  event.data.ptr = &client;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client.connection->socket().get(), &event) != 0) {
    client.connection->session().cut();
  }
  watch(client);
}

// No descriptor is left, and nobody can be closed for one: the socket would stay ready.
void WireLoop::pause_listening(bool pauses) noexcept {
  if (pauses == is_listening_paused_) return;
  epoll_event event{};
  event.events = pauses ? 0U : static_cast<std::uint32_t>(EPOLLIN);
  event.data.ptr = nullptr;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), &event) == 0) {
    is_listening_paused_ = pauses;
  }
}

void WireLoop::accept_all(std::uint64_t now_ns) noexcept {
  for (int turn = 0; turn < kAcceptsATurn; ++turn) {
    Descriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.is_open()) {
      const bool is_short = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
      if (is_short && evict()) continue;
      pause_listening(is_short);  // until the next tick
      return;
    }
    ++counts_.accepted_count;
    if (clients_.size() >= options_.clients_max && !evict()) continue;  // closed at once
    auto session =
        std::make_unique<Session>(static_cast<PortBook&>(*this), options_.session, now_ns);
    if (!tls_) {
      add(ByteChannel(std::move(socket)), std::move(session), nullptr);
      continue;
    }
    std::string fault;
    std::optional<TlsChannel> tls = TlsChannel::create(*tls_, socket.get(), tls_name_, fault);
    if (!tls) {
      report(WireEvent::Kind::kRefused, {}, fault);
      continue;
    }
    add(ByteChannel(std::move(socket), std::move(*tls)), std::move(session), nullptr);
  }
}

void WireLoop::watch(Client& client) noexcept {
  const WireConnection& connection = *client.connection;
  const std::uint32_t wanted =
      (connection.wants_read() ? EPOLLIN : 0U) | (connection.wants_write() ? EPOLLOUT : 0U);
  if (wanted == connection.watched_events) return;
  epoll_event event{};
  event.events = wanted;
  event.data.ptr = &client;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.socket().get(), &event) == 0) {
    client.connection->watched_events = wanted;
  }
}

void WireLoop::work(Client& client, std::uint64_t now_ns) noexcept {
  client.connection->work(*scratch_, now_ns);
  const Session& session = client.connection->session();
  if (client.link.empty() && session.port() != nullptr) client.link = session.port()->link();
  if (!client.is_told && session.was_running()) {
    client.is_told = true;
    if (client.dial != nullptr) {
      client.dial->wait_ns = 0;
      follow_lanes(*client.dial);
    }
    report(WireEvent::Kind::kCarrying, client.link, peer_name_of(client.connection->socket()));
  }
  if (!client.connection->is_over()) watch(client);
}

void WireLoop::sweep(std::uint64_t now_ns) noexcept {
  for (auto client = clients_.begin(); client != clients_.end();) {
    if (!client->connection->is_over()) {
      ++client;
      continue;
    }
    if (client->dial != nullptr) {
      end_dial(*client, now_ns);
    } else {
      end_offer(*client);
    }
    client = clients_.erase(client);
  }
  counts_.open_count = clients_.size();
}

}  // namespace slipring::wire
