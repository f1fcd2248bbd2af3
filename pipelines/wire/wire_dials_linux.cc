// The links that a loop carries to servers.
#include <errno.h>
#include <sys/random.h>

#include <algorithm>

#include "pipelines/link/link_observer.h"
#include "pipelines/wire/wire_loop.h"

namespace slipring::wire {
namespace {

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

bool draw_subscriber(std::uint64_t& subscriber) noexcept {
  ssize_t got = 0;
  do {
    got = getrandom(&subscriber, sizeof subscriber, 0);
  } while (got < 0 && errno == EINTR);
  subscriber |= 1;  // not none
  return got == sizeof subscriber;
}

}  // namespace

Status WireLoop::dial(const WireAddress& address, std::string_view link, std::string_view wire_name,
                      LinkSide side, const WirePortOptions& options) noexcept {
  Dial dial;
  dial.address = address;
  dial.link = link;
  dial.wire_name = wire_name;
  dial.side = side;
  dial.options = options;
  dial.options.seat = static_cast<std::uint32_t>(dials_.size());
  if (address.kind == WireAddress::Kind::kTls) {
    std::optional<TlsContext> tls = TlsContext::open(TlsSide::kClient, address.tls, tls_fault_);
    if (!tls) return Error{ErrorCode::kInvalidArgument, 0, "read the certificates"};
    dial.tls = std::make_shared<const TlsContext>(std::move(*tls));
  }
  if (!draw_subscriber(dial.options.subscriber)) {
    return Error{ErrorCode::kSystem, errno, "get random bits"};
  }
  Result<LinkObserver> found = LinkObserver::attach(directory_, link);
  const bool is_set = found && is_lane_set(found->shape());
  if (is_set && side == LinkSide::kSender) return dial_lanes(dial);
  dial.port = std::make_unique<WirePort>();
  const Status opened = dial.port->open(directory_, link, wire_name, side, dial.options);
  if (opened) dials_.push_back(std::move(dial));
  return opened;
}

Dropped WireLoop::dropped_there() const noexcept {
  if (dials_.empty() || dials_.front().side != LinkSide::kSender) return {};
  return dials_.front().port->source_session().dropped_there();
}

void WireLoop::connect(Dial& dial, std::uint64_t now_ns) noexcept {
  dial.wait_ns = std::clamp(dial.wait_ns * 2, options_.redial_min_ns, options_.redial_max_ns);
  dial.again_ns = now_ns + dial.wait_ns;
  if (!take_lane(dial)) return;
  Result<Descriptor> socket = begin_connecting(dial.address);
  if (!socket) {
    const bool is_hopeless = socket.error().code == ErrorCode::kInvalidArgument;
    if (is_hopeless) {
      dial.is_over = true;
      has_failed_ = true;
      report(WireEvent::Kind::kFailed, dial.link, socket.error().doing, true);
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
    return report(WireEvent::Kind::kFailed, dial.link, fault, true);
  }
  add(ByteChannel(std::move(socket).value(), std::move(*tls)), std::move(session), &dial);
}

void WireLoop::dial_due(std::uint64_t now_ns) noexcept {
  for (Dial& dial : dials_) {
    if (dial.is_over || dial.is_connected || is_resting(dial)) continue;
    if (now_ns >= dial.again_ns) connect(dial, now_ns);
  }
}

void WireLoop::end_dial(Client& client, std::uint64_t now_ns) noexcept {
  Dial& dial = *client.dial;
  const Session& session = client.connection->session();
  dial.is_connected = false;
  const std::string& fault = client.connection->fault();
  switch (session.outcome()) {
    case SessionEnd::kFinished:
    case SessionEnd::kNobodyReads:
      dial.is_over = session.outcome() != SessionEnd::kFinished || !session.may_be_followed();
      // The next writer's lane is taken anew: where it is read, and whichever is free.
      if (!dial.is_over && dial.side == LinkSide::kReceiver) dial.port.reset();
      dial.wait_ns = 0;
      dial.again_ns = now_ns;
      return report(WireEvent::Kind::kOver, client.link);
    case SessionEnd::kLinkFailed:
      report(WireEvent::Kind::kFailed, client.link, session.words());
      // A lane is left to its next writer; the others go on.
      if (dial.port->is_lane_sent()) break;
      dial.is_over = true;
      has_failed_ = true;
      return;
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

}  // namespace slipring::wire
