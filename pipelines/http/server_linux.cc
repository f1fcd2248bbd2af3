#include "pipelines/http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/error/check.h"
#include "platform/wait/clock.h"

namespace slipring::http {
namespace {

constexpr int kBacklog = 512;
constexpr int kEventsATurn = 256;
constexpr std::uint64_t kRestPeriodNs = 250'000'000;
// A signal between a look at the flag and the sleep is noticed after so long.
constexpr std::uint64_t kLookAtStopNs = 500'000'000;
constexpr std::uint64_t kNoDescriptorsNs = 100'000'000;

struct FreeAddresses {
  void operator()(addrinfo* list) const noexcept { freeaddrinfo(list); }
};

Result<std::unique_ptr<addrinfo, FreeAddresses>> resolve(const ListenAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int fault = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &list);
  if (fault != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "look up the host and port to listen on"};
  }
  return std::unique_ptr<addrinfo, FreeAddresses>(list);
}

bool is_loopback_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& ip = reinterpret_cast<const sockaddr_in&>(address);
    return (ntohl(ip.sin_addr.s_addr) >> 24) == 127;
  }
  if (address.sa_family != AF_INET6) return false;
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
}

Error error_of(int os_errno, const char* doing) {
  switch (os_errno) {
    case EADDRINUSE:
      return {ErrorCode::kBusy, os_errno, doing};
    case EADDRNOTAVAIL:
      return {ErrorCode::kInvalidArgument, os_errno, doing};
    case EACCES:
    case EPERM:
      return {ErrorCode::kPermission, os_errno, doing};
    default:
      return {ErrorCode::kSystem, os_errno, doing};
  }
}

int milliseconds_until(std::uint64_t deadline_ns, std::uint64_t now_ns) {
  if (deadline_ns == UINT64_MAX) return -1;
  if (deadline_ns <= now_ns) return 0;
  return static_cast<int>(std::min<std::uint64_t>((deadline_ns - now_ns) / 1'000'000 + 1, 60'000));
}

}  // namespace

Server::Server(const SegmentDirectory& directory, ServerOptions options,
               std::function<Content(Resource)> content)
    : directory_(&directory),
      options_(std::move(options)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      waiter_({.strategy = WaitStrategy::kSleep}) {
  check(epoll_.is_open(), "no epoll");
  shared_.limits = options_.limits;
  shared_.access.token = options_.token;
  shared_.access.only_local = true;
  shared_.content = std::move(content);
  shared_.desk = [this](const std::string& name) {
    std::shared_ptr<LinkDesk>& desk = desks_[name];
    if (!desk) desk = std::make_shared<LinkDesk>(*directory_, name);
    return desk;
  };
}

Server::~Server() = default;

Result<bool> Server::is_loopback(const ListenAddress& address) {
  auto list = resolve(address);
  if (!list) return list.error();
  bool all = true;
  for (const addrinfo* one = list->get(); one != nullptr; one = one->ai_next) {
    all = all && is_loopback_address(*one->ai_addr);
  }
  return all;
}

Status Server::listen(const ListenAddress& address) {
  auto list = resolve(address);
  if (!list) return list.error();
  const addrinfo& where = **list;
  Descriptor socket(
      ::socket(where.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, where.ai_protocol));
  if (!socket.is_open()) return error_of(errno, "make a socket");
  const int yes = 1;
  // A port whose connections linger after a restart is free.
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(socket.get(), where.ai_addr, where.ai_addrlen) != 0) {
    return error_of(errno, "bind to the address");
  }
  if (::listen(socket.get(), kBacklog) != 0) return error_of(errno, "listen at the address");
  shared_.access.only_local = is_loopback_address(*where.ai_addr);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = socket.get();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.get(), &event) != 0) {
    return error_of(errno, "watch the listening socket");
  }
  listener_ = std::move(socket);
  return {};
}

std::string Server::address() const {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  std::array<char, 128> host{};
  std::array<char, 16> port{};
  if (getsockname(listener_.get(), address, &size) != 0 ||
      getnameinfo(address, size, host.data(), host.size(), port.data(), port.size(),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "";
  }
  const std::string shown = host.data();
  return (storage.ss_family == AF_INET6 ? "[" + shown + "]" : shown) + ":" + port.data();
}

void Server::adopt(Descriptor socket) {
  const std::uint64_t now_ns = monotonic_ns();
  if (clients_.size() >= options_.connection_count_max && !make_room()) {
    const std::string text =
        refusal_text({503, "too many connections", std::to_string(clients_.size()) + " of them",
                      "try again later"},
                     false, false, false);
    // At best: what does not fit into a fresh socket's buffer is not waited for.
    static_cast<void>(send(socket.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
    return;
  }
  std::optional<TlsChannel> tls;
  if (options_.tls != nullptr) {
    std::string fault;
    tls = TlsChannel::create(*options_.tls, socket.get(), "", fault);
    if (!tls) return;
  }
  const int fd = socket.get();
  Place place{
      std::make_unique<Client>(Transport(std::move(socket), std::move(tls)), shared_, now_ns), 0};
  epoll_event event{};
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return;
  place.client->advance(now_ns);
  ask_events(place);
  next_deadline_ns_ = std::min(next_deadline_ns_, place.client->deadline_ns());
  clients_.insert_or_assign(fd, std::move(place));
}

void Server::ask_events(Place& place) {
  const Client& client = *place.client;
  const std::uint32_t wanted = (client.wants_read() ? EPOLLIN : 0U) |
                               (client.wants_write() ? EPOLLOUT : 0U) |
                               (client.watches_leaving() ? EPOLLRDHUP : 0U);
  if (wanted == place.events || client.is_closed()) return;
  epoll_event event{};
  event.events = wanted;
  event.data.fd = client.fd();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.fd(), &event) == 0) place.events = wanted;
}

// Whoever has been silent for longest goes.
bool Server::make_room() {
  Place* oldest = nullptr;
  for (auto& [fd, place] : clients_) {
    if (!place.client->is_silent()) continue;
    if (oldest == nullptr || place.client->since_ns() < oldest->client->since_ns()) {
      oldest = &place;
    }
  }
  if (oldest == nullptr) return false;
  oldest->client->abandon();
  clients_.erase(oldest->client->fd());
  ++evicted_count_;
  return true;
}

void Server::accept_all(std::uint64_t now_ns) {
  if (now_ns < accepts_from_ns_) return;
  for (int i = 0; i < kEventsATurn; ++i) {
    Descriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.is_open()) {
      const int yes = 1;
      setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      adopt(std::move(socket));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    // Descriptors or memory have run out: a silent one goes, or everybody waits a moment.
    const bool ran_out = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    if (ran_out && make_room()) continue;
    if (ran_out) accepts_from_ns_ = now_ns + kNoDescriptorsNs;
    return;
  }
}

void Server::take_events(std::uint64_t now_ns) {
  std::array<epoll_event, kEventsATurn> events{};
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsATurn, 0);
  bool has_newcomers = false;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.fd == listener_.get()) {
      has_newcomers = true;
      continue;
    }
    const auto found = clients_.find(event.data.fd);
    if (found == clients_.end()) continue;
    if ((event.events & EPOLLERR) != 0) {
      found->second.client->abandon();
    } else {
      found->second.client->advance(now_ns);
    }
  }
  if (has_newcomers) accept_all(now_ns);
}

void Server::look_at_all(std::uint64_t now_ns) {
  waiting_.clear();
  has_ticks_ = false;
  next_deadline_ns_ = UINT64_MAX;
  for (auto it = clients_.begin(); it != clients_.end();) {
    Client& client = *it->second.client;
    if (client.wants_ticks()) client.advance(now_ns);
    if (client.deadline_ns() <= now_ns) client.expire(now_ns);
    if (client.is_closed()) {
      it = clients_.erase(it);
      continue;
    }
    if (client.desk() != nullptr) waiting_.push_back(&client);
    has_ticks_ = has_ticks_ || client.wants_ticks();
    next_deadline_ns_ = std::min(next_deadline_ns_, client.deadline_ns());
    ask_events(it->second);
    ++it;
  }
  std::sort(waiting_.begin(), waiting_.end(), [](const Client* one, const Client* other) {
    return one->since_ns() < other->since_ns();
  });
}

bool Server::has_news() const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [](const Client* client) { return client->has_news(); });
}

// Answers whether anybody was.
bool Server::serve_waiting(std::uint64_t now_ns) {
  bool any = false;
  for (Client* client : waiting_) {
    if (client->desk() == nullptr || !client->has_news()) continue;
    client->advance(now_ns);
    any = true;
  }
  return any;
}

void Server::rest_desks(std::uint64_t now_ns) {
  if (now_ns < rested_ns_ + kRestPeriodNs) return;
  rested_ns_ = now_ns;
  const std::uint64_t before_ns = now_ns > options_.hold_ns ? now_ns - options_.hold_ns : 0;
  std::erase_if(desks_, [&](auto& entry) {
    // Only we know it: no client is there.
    return entry.second.use_count() == 1 && entry.second->rest(before_ns);
  });
}

void Server::sleep(const std::atomic<bool>& stop, std::uint64_t deadline_ns) {
  const std::uint64_t now_ns = monotonic_ns();
  std::uint64_t until_ns = std::min({deadline_ns, next_deadline_ns_, now_ns + kLookAtStopNs});
  if (!desks_.empty()) until_ns = std::min(until_ns, rested_ns_ + kRestPeriodNs);
  if (accepts_from_ns_ > now_ns) until_ns = std::min(until_ns, accepts_from_ns_);
  if (has_ticks_) until_ns = std::min(until_ns, now_ns + 1'000'000);
  if (waiting_.empty()) {
    epoll_event event{};
    static_cast<void>(epoll_wait(epoll_.get(), &event, 1, milliseconds_until(until_ns, now_ns)));
    return;
  }
  std::array<WaitDescriptor, 1> descriptors{{{.fd = epoll_.get()}}};
  static_cast<void>(waiter_.wait({},
                                 [&] {
                                   // relaxed: nothing else is published with it.
                                   return stop.load(std::memory_order_relaxed) || has_news();
                                 },
                                 until_ns, {.descriptors = descriptors}));
}

void Server::turn(const std::atomic<bool>& stop, std::uint64_t deadline_ns) {
  sleep(stop, deadline_ns);
  const std::uint64_t now_ns = monotonic_ns();
  take_events(now_ns);
  look_at_all(now_ns);
  // Who was served may wait again, for the next thing.
  if (serve_waiting(now_ns)) look_at_all(now_ns);
  rest_desks(now_ns);
}

void Server::run(const std::atomic<bool>& stop, std::uint64_t deadline_ns) {
  // relaxed: nothing else is published with it.
  while (!stop.load(std::memory_order_relaxed) && monotonic_ns() < deadline_ns) {
    turn(stop, deadline_ns);
  }
}

}  // namespace slipring::http
