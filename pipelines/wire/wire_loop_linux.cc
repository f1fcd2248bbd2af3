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
constexpr std::uint64_t kRestNs = 1'000'000'000;  // a lane whose doorbell had no place
constexpr std::size_t kEventsATurn = 256;

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
    if (!tls_) return Error{ErrorCode::kInvalidArgument, 0, "read the certificates"};
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

void WireLoop::report(WireEvent::Kind kind, const std::string& link, std::string words,
                      bool is_final) const {
  if (listener_function_) listener_function_({kind, link, std::move(words), is_final});
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
  for (Client& client : clients_) {
    WirePort* const port = client.connection->session().port();
    if (port != nullptr && port->is_lane_sent()) port->source().look_for_end();
    client.connection->tick(now_ns, options_.session.greeting_ns);
  }
}

bool WireLoop::is_finished() const noexcept {
  if (!clients_.empty()) {
    const bool is_anybody_carried = std::any_of(
        clients_.begin(), clients_.end(),
        [](const Client& client) { return client.connection->session().port() != nullptr; });
    if (is_anybody_carried) return false;
  }
  const bool are_dials_over = std::all_of(dials_.begin(), dials_.end(), [this](const Dial& dial) {
    return dial.is_over ||
           (options_.ends_with_offers && is_resting(dial) && are_lanes_quiet(dial.link));
  });
  if (!listener_.is_open()) return are_dials_over;
  return are_dials_over && options_.ends_with_offers &&
         std::all_of(offers_.begin(), offers_.end(), [this](const Offer& offer) {
           if (offer.is_lane) return offer.is_over || are_lanes_quiet(offer.link);
           return offer.is_over || (offer.is_seat && !offer.port && has_served(offer.wire_name));
         });
}

std::uint64_t WireLoop::next_due_ns(std::uint64_t now_ns) const noexcept {
  std::uint64_t due_ns = clients_.empty() && !is_listening_paused_ ? kNoDeadline : now_ns + kTickNs;
  for (const Dial& dial : dials_) {
    if (dial.is_over || dial.is_connected) continue;
    due_ns = std::min(due_ns, is_resting(dial) ? now_ns + kRestNs : dial.again_ns);
  }
  return due_ns;
}

void WireLoop::sleep(const std::atomic<bool>& stop) noexcept {
  std::vector<WaitPoint> points;
  std::vector<WaitPoint> news;
  std::vector<WireConnection*> carried;
  std::vector<Dial*> resting;
  for (const Client& client : clients_) {
    WirePort* const port = client.connection->session().port();
    if (port == nullptr || port->user() != &client.connection->session()) continue;
    carried.push_back(client.connection.get());
    if (points.size() < kWaitPointCountMax) points.push_back(port->wait_point());
    news.insert(news.end(), port->further_points().begin(), port->further_points().end());
    if (const std::optional<WaitPoint> point = port->news_point()) news.push_back(*point);
  }
  for (Dial& dial : dials_) {
    if (dial.is_over || dial.is_connected || !is_resting(dial)) continue;
    resting.push_back(&dial);
    if (points.size() < kWaitPointCountMax) points.push_back(dial.port->wait_point());
    if (const std::optional<WaitPoint> point = dial.port->news_point()) news.push_back(*point);
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
           std::any_of(carried.begin(), carried.end(),
                       [](WireConnection* one) {
                         one->session().port()->look_for_news();
                         return one->has_work();
                       }) ||
           std::any_of(resting.begin(), resting.end(), [](Dial* one) {
             one->port->look_for_news();
             return !is_resting(*one);
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
