#include "pipelines/wire/wire_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "platform/wait/clock.h"

namespace slipring::wire {
namespace {

constexpr std::uint64_t kTickNs = 50'000'000;
constexpr std::size_t kEventsATurn = 256;
constexpr int kAcceptsATurn = 64;
constexpr Error kNoTls{ErrorCode::kInvalidArgument, 0, "read the certificates"};

bool is_fatal(ErrorReason reason) noexcept {
  switch (reason) {
    case ErrorReason::kUnknownLink:
    case ErrorReason::kMismatch:
    case ErrorReason::kForgotten:
    case ErrorReason::kForeignWriter:
    case ErrorReason::kOtherType:
    case ErrorReason::kByteOrder:
    case ErrorReason::kTooOld:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<std::unique_ptr<WireLoop>> WireLoop::create(const SegmentDirectory& directory,
                                                   const WireLoopOptions& options) noexcept {
  Descriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.is_open()) return Error{ErrorCode::kSystem, errno, "make an epoll set"};
  return std::unique_ptr<WireLoop>(new WireLoop(directory, options, std::move(epoll)));
}

WireLoop::WireLoop(const SegmentDirectory& directory, const WireLoopOptions& options,
                   Descriptor epoll) noexcept
    : directory_(directory),
      options_(options),
      epoll_(std::move(epoll)),
      scratch_(std::make_unique<WireScratch>()),
      waiter_(options.waiter) {}

// Sessions before the ports that they use.
WireLoop::~WireLoop() {
  clients_.clear();
}

Status WireLoop::listen(const WireAddress& address) noexcept {
  if (address.kind == WireAddress::Kind::kTls) {
    tls_ = TlsContext::open(TlsSide::kServer, address.tls, tls_fault_);
    if (!tls_) return kNoTls;
    tls_name_ = address.tls_name;
  }
  Result<Descriptor> listener = listen_at(address);
  if (!listener) return listener.error();
  listener_ = std::move(listener).value();
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.get(), &event) != 0) {
    return Error{ErrorCode::kSystem, errno, "watch the listening socket"};
  }
  return {};
}

void WireLoop::offer(std::string_view link, std::string_view wire_name, LinkSide side) {
  offers_.push_back({std::string(link), std::string(wire_name), side, nullptr, false, {}, false});
}

Status WireLoop::offer_now(std::string_view link, std::string_view wire_name, LinkSide side,
                           const WirePortOptions& options) noexcept {
  auto port = std::make_unique<WirePort>();
  if (Status opened = port->open(directory_, link, wire_name, side, options); !opened) {
    return opened;
  }
  offers_.push_back(
      {std::string(link), std::string(wire_name), side, std::move(port), false, options, false});
  return {};
}

Status WireLoop::dial(const WireAddress& address, std::string_view link, std::string_view wire_name,
                      LinkSide side, const WirePortOptions& options) noexcept {
  std::optional<TlsContext> tls;
  if (address.kind == WireAddress::Kind::kTls) {
    tls = TlsContext::open(TlsSide::kClient, address.tls, tls_fault_);
    if (!tls) return kNoTls;
  }
  WirePortOptions own = options;
  own.seat = static_cast<std::uint32_t>(dials_.size());
  auto port = std::make_unique<WirePort>();
  if (Status opened = port->open(directory_, link, wire_name, side, own); !opened) {
    return opened;
  }
  Dial& added = dials_.emplace_back();
  added.address = address;
  added.tls = std::move(tls);
  added.port = std::move(port);
  return {};
}

Dropped WireLoop::dropped_there() const noexcept {
  if (dials_.empty() || dials_.front().port->side() != LinkSide::kSender) return {};
  return dials_.front().port->source_session().dropped_there();
}

void WireLoop::report(WireEvent::Kind kind, const std::string& link, std::string words,
                      bool is_final) const {
  if (listener_function_) listener_function_({kind, link, std::move(words), is_final});
}

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

void WireLoop::connect(Dial& dial, std::uint64_t now_ns) noexcept {
  dial.wait_ns = std::clamp(dial.wait_ns * 2, options_.redial_min_ns, options_.redial_max_ns);
  dial.again_ns = now_ns + dial.wait_ns;
  Result<Descriptor> socket = begin_connecting(dial.address);
  if (!socket) {
    const bool is_hopeless = socket.error().code == ErrorCode::kInvalidArgument;
    if (is_hopeless) {
      dial.is_over = true;
      has_failed_ = true;
      report(WireEvent::Kind::kFailed, dial.port->link(), socket.error().doing, true);
    }
    return;
  }
  auto session = std::make_unique<Session>(*dial.port, options_.session, now_ns);
  dial.is_connected = true;
  if (!dial.tls) {
    return add(ByteChannel(std::move(socket).value()), std::move(session), &dial);
  }
  std::string fault;
  const std::string host = dial.address.host.empty() ? "127.0.0.1" : dial.address.host;
  const std::string& name = dial.address.tls_name.empty() ? host : dial.address.tls_name;
  std::optional<TlsChannel> tls = TlsChannel::create(*dial.tls, socket->get(), name, fault);
  if (!tls) {
    dial.is_connected = false;
    dial.is_over = true;
    has_failed_ = true;
    return report(WireEvent::Kind::kFailed, dial.port->link(), fault, true);
  }
  add(ByteChannel(std::move(socket).value(), std::move(*tls)), std::move(session), &dial);
}

void WireLoop::dial_due(std::uint64_t now_ns) noexcept {
  for (Dial& dial : dials_) {
    if (!dial.is_over && !dial.is_connected && now_ns >= dial.again_ns) connect(dial, now_ns);
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
    if (client.dial != nullptr) client.dial->wait_ns = 0;
    report(WireEvent::Kind::kCarrying, client.link, peer_name_of(client.connection->socket()));
  }
  if (!client.connection->is_over()) watch(client);
}

void WireLoop::look_at_sockets(std::uint64_t now_ns) noexcept {
  std::array<epoll_event, kEventsATurn> events;
  const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  bool has_callers = false;
  for (int i = 0; i < count; ++i) {
    if (events[static_cast<std::size_t>(i)].data.ptr == nullptr) {
      has_callers = true;
    } else {
      work(*static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr), now_ns);
    }
  }
  // Last: it may close some of those above.
  if (has_callers) accept_all(now_ns);
}

void WireLoop::tick(std::uint64_t now_ns) noexcept {
  if (now_ns - ticked_ns_ < kTickNs) return;
  ticked_ns_ = now_ns;
  pause_listening(false);
  for (Client& client : clients_) client.connection->tick(now_ns, options_.session.greeting_ns);
}

// A dialled connection has ended: again, or never.
void WireLoop::end_dial(Client& client, std::uint64_t now_ns) noexcept {
  Dial& dial = *client.dial;
  const Session& session = client.connection->session();
  dial.is_connected = false;
  const std::string& fault = client.connection->fault();
  switch (session.outcome()) {
    case SessionEnd::kFinished:
    case SessionEnd::kNobodyReads:
      dial.is_over = true;
      return report(WireEvent::Kind::kOver, client.link);
    case SessionEnd::kLinkFailed:
      dial.is_over = true;
      has_failed_ = true;
      return report(WireEvent::Kind::kFailed, client.link, session.words());
    case SessionEnd::kRefused:
      if (session.refusal() && is_fatal(*session.refusal())) {
        dial.is_over = true;
        has_failed_ = true;
      }
      report(WireEvent::Kind::kRefused, client.link, session.words(), dial.is_over);
      break;
    default:
      if (session.refusal() && is_fatal(*session.refusal())) {  // by us
        dial.is_over = true;
        has_failed_ = true;
        report(WireEvent::Kind::kRefused, client.link, session.words(), true);
        break;
      }
      // A server that is not there is said once, not with every try.
      if (client.is_told || dial.fault != fault) {
        report(WireEvent::Kind::kBroken, client.link, fault.empty() ? session.words() : fault);
      }
      dial.fault = fault;
      break;
  }
  dial.wait_ns = std::max(dial.wait_ns, options_.redial_min_ns);
  dial.again_ns = now_ns + dial.wait_ns;
}

void WireLoop::end_offer(const Client& client) noexcept {
  const Session& session = client.connection->session();
  const SessionEnd outcome = session.outcome();
  const bool is_over = outcome == SessionEnd::kFinished || outcome == SessionEnd::kNobodyReads;
  if (client.is_told) {
    const std::string& fault = client.connection->fault();
    report(is_over ? WireEvent::Kind::kOver : WireEvent::Kind::kBroken, client.link,
           fault.empty() ? session.words() : fault);
  } else if (!session.words().empty() || !client.connection->fault().empty()) {
    report(WireEvent::Kind::kRefused, client.link,
           session.words().empty() ? client.connection->fault() : session.words());
  }
  if (session.port() == nullptr) return;
  for (Offer& offer : offers_) {
    if (offer.port.get() != session.port() || offer.port->user() != nullptr) continue;
    offer.is_over = offer.is_over || is_over;
    // Its end is laid down for whoever comes next, here or there.
    if (is_over || outcome == SessionEnd::kLinkFailed) offer.port.reset();
  }
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

bool WireLoop::is_finished() const noexcept {
  if (!clients_.empty()) {
    const bool is_anybody_carried = std::any_of(
        clients_.begin(), clients_.end(),
        [](const Client& client) { return client.connection->session().port() != nullptr; });
    if (is_anybody_carried) return false;
  }
  const bool are_dials_over =
      std::all_of(dials_.begin(), dials_.end(), [](const Dial& dial) { return dial.is_over; });
  if (!listener_.is_open()) return are_dials_over;
  return are_dials_over && options_.ends_with_offers &&
         std::all_of(offers_.begin(), offers_.end(), [this](const Offer& offer) {
           return offer.is_over || (offer.is_seat && !offer.port && has_served(offer.wire_name));
         });
}

std::uint64_t WireLoop::next_due_ns(std::uint64_t now_ns) const noexcept {
  std::uint64_t due_ns = clients_.empty() && !is_listening_paused_ ? kNoDeadline : now_ns + kTickNs;
  for (const Dial& dial : dials_) {
    if (!dial.is_over && !dial.is_connected) due_ns = std::min(due_ns, dial.again_ns);
  }
  return due_ns;
}

void WireLoop::sleep(const std::atomic<bool>& stop) noexcept {
  std::vector<WaitPoint> points;
  std::vector<WaitPoint> news;
  std::vector<WireConnection*> carried;
  for (const Client& client : clients_) {
    WirePort* const port = client.connection->session().port();
    if (port == nullptr || port->user() != &client.connection->session()) continue;
    carried.push_back(client.connection.get());
    if (points.size() < kWaitPointCountMax) points.push_back(port->wait_point());
    if (const std::optional<WaitPoint> point = port->news_point()) news.push_back(*point);
  }
  // Those for which there is no place are found when a sleep ends by its bound.
  for (const WaitPoint& point : news) {
    if (points.size() < kWaitPointCountMax) points.push_back(point);
  }
  std::array<WaitDescriptor, 1> sockets{WaitDescriptor{.fd = epoll_.get()}};
  WaitAids aids;
  aids.descriptors = sockets;
  const auto has_work = [&] {
    // relaxed: nothing else is published with it.
    return stop.load(std::memory_order_relaxed) ||
           std::any_of(carried.begin(), carried.end(), [](WireConnection* one) {
             one->session().port()->look_for_news();
             return one->has_work();
           });
  };
  // Why it woke is found by looking at everything.
  static_cast<void>(waiter_.wait(points, has_work, next_due_ns(monotonic_ns()), aids));
}

bool WireLoop::run(const std::atomic<bool>& stop) noexcept {
  // relaxed: nothing else is published with it.
  while (!stop.load(std::memory_order_relaxed)) {
    const std::uint64_t now_ns = monotonic_ns();
    dial_due(now_ns);
    look_at_sockets(now_ns);
    for (Client& client : clients_) {
      if (client.connection->has_work()) work(client, now_ns);
    }
    tick(now_ns);
    sweep(now_ns);
    if (is_finished()) break;
    sleep(stop);
  }
  return !has_failed_;
}

}  // namespace slipring::wire
