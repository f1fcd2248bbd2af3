// The links that a loop offers: whose turn it is when a client asks for one.
#include <algorithm>
#include <string>
#include <utility>

#include "pipelines/link/broadcast_observer.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/wire/wire_loop.h"

namespace slipring::wire {
namespace {

// Of a topic that bounds its readers by nothing.
constexpr std::size_t kGuardedSeats = 64;

}  // namespace

void WireLoop::offer(std::string_view link, std::string_view wire_name, LinkSide side) {
  offers_.push_back({std::string(link), std::string(wire_name), side, nullptr, false, {}});
}

Status WireLoop::offer_now(std::string_view link, std::string_view wire_name, LinkSide side,
                           const WirePortOptions& options) noexcept {
  auto port = std::make_unique<WirePort>();
  if (Status opened = port->open(directory_, link, wire_name, side, options); !opened) {
    return opened;
  }
  offers_.push_back(
      {std::string(link), std::string(wire_name), side, std::move(port), false, options});
  return {};
}

WirePort* WireLoop::find(const Hello& hello, ErrorReason& why) noexcept {
  const std::string_view wire_name = hello.link;
  const LinkSide side = other(hello.side);
  make_seats(wire_name, side);
  for (Offer& offer : offers_) {
    if (offer.wire_name != wire_name || offer.side != side) continue;
    if (offer.is_lane || make_lane_offers(offer, why)) return lane_for(hello, why);
    if (why == ErrorReason::kBusyLink) return nullptr;
    if (!offer.is_seat) return offer.port ? offer.port.get() : open(offer, why);
    Offer* const seat = side == LinkSide::kSender ? place_for(wire_name, hello.session)
                                                  : seat_for(wire_name, hello.session);
    why = ErrorReason::kBusyLink;
    if (seat == nullptr) return nullptr;
    return seat->port ? seat->port.get() : open(*seat, why);
  }
  return nullptr;
}

// How many clients may have the link at once, each a seat; 1: it has none.
std::size_t WireLoop::count_seats(const Offer& offer) const noexcept {
  if (offer.side == LinkSide::kSender) {
    Result<LinkReport> topic = look_at_broadcast(directory_, offer.link);
    if (!topic) return 1;
    return topic->is_guarded ? kGuardedSeats : topic->places.size();
  }
  if (offer.port) return 1;
  Result<LinkObserver> link = LinkObserver::attach(directory_, offer.link);
  return link && is_lane_set(link->shape()) ? link->lane_count() : 1;
}

// Found out when somebody asks: the link may not be there before.
void WireLoop::make_seats(std::string_view wire_name, LinkSide side) {
  for (std::size_t i = 0; i < offers_.size(); ++i) {
    if (offers_[i].wire_name != wire_name || offers_[i].side != side) continue;
    if (offers_[i].is_seat || (offers_[i].port && !offers_[i].port->is_topic())) return;
    const std::size_t count = count_seats(offers_[i]);
    offers_[i].is_seat = count > 1;
    for (std::uint32_t number = 1; number < count; ++number) {
      const Offer& first = offers_[i];
      Offer seat{first.link, first.wire_name, first.side, nullptr, false, first.options, true};
      seat.options.seat = number;
      offers_.push_back(std::move(seat));
    }
    return;
  }
}

// Of a topic: the one of the same client's last connection, or any that nobody has.
WireLoop::Offer* WireLoop::place_for(std::string_view wire_name,
                                     const SessionId& session) noexcept {
  Offer* free = nullptr;
  for (Offer& offer : offers_) {
    if (!offer.is_seat || offer.wire_name != wire_name || offer.side != LinkSide::kSender) continue;
    const bool is_used = offer.port && offer.port->user() != nullptr;
    if (is_used && offer.port->is_called_by(session)) return &offer;
    // One that has a subscription already, from before anybody called, first.
    if (!is_used && (free == nullptr || (offer.port && !free->port))) free = &offer;
  }
  return free;
}

// The one that the session has, or had; a blank one; any that nobody has; and one whose sender is
// away, once all of its messages are read: it then begins in another lane.
WireLoop::Offer* WireLoop::seat_for(std::string_view wire_name, const SessionId& session) noexcept {
  Offer* blank = nullptr;
  Offer* free = nullptr;
  Offer* away = nullptr;
  for (Offer& offer : offers_) {
    if (!offer.is_seat || offer.wire_name != wire_name || offer.side != LinkSide::kReceiver) {
      continue;
    }
    if (offer.port) {
      if (!session.is_none() && offer.port->session_id() == session) return &offer;
      const LinkSink& sink = offer.port->sink();
      const bool is_away = offer.port->user() == nullptr && sink.position() == sink.done();
      // What had arrived of it is noted there, and nowhere else: once that one is done, it returns.
      if (offer.port->ledger().mentions(session)) {
        if (is_away) offer.port.reset();
        return is_away ? &offer : nullptr;
      }
      if (is_away) away = &offer;
      continue;
    }
    Result<ArrivalLedger> ledger = ArrivalLedger::find(directory_, offer.link, offer.options.seat);
    if (ledger && ledger->mentions(session)) return &offer;
    const bool is_blank = ledger ? ledger->is_blank() : true;
    Offer*& place = is_blank ? blank : free;
    if (place == nullptr) place = &offer;
  }
  if (blank != nullptr) return blank;
  if (free != nullptr) return free;
  if (away != nullptr) away->port.reset();
  return away;
}

bool WireLoop::has_served(std::string_view wire_name) const noexcept {
  return std::any_of(offers_.begin(), offers_.end(), [&](const Offer& offer) {
    return offer.wire_name == wire_name && offer.is_over;
  });
}

WirePort* WireLoop::open(Offer& offer, ErrorReason& why) noexcept {
  auto port = std::make_unique<WirePort>();
  const Status opened =
      port->open(directory_, offer.link, offer.wire_name, offer.side, offer.options);
  if (opened) {
    offer.port = std::move(port);
    return offer.port.get();
  }
  const ErrorCode code = opened.error().code;
  // Lanes come free again.
  const bool may_pass = offer.is_seat && (code == ErrorCode::kBusy || code == ErrorCode::kNoSpace);
  why = may_pass                          ? ErrorReason::kBusyLink
        : code == ErrorCode::kCorruptPeer ? ErrorReason::kForeignWriter
                                          : ErrorReason::kUnknownLink;
  report(WireEvent::Kind::kFailed, offer.link,
         std::string(name_of(code)) + ": " + opened.error().doing);
  return nullptr;
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
    if (offer.is_lane) offer.is_over = outcome == SessionEnd::kNobodyReads;
    // Its end is laid down for whoever comes next, here or there.
    // Who subscribes again begins where it had come to, whoever had its place meanwhile.
    const bool is_subscription = offer.port->is_topic() && offer.side == LinkSide::kSender;
    const bool is_laid_down = is_over || is_subscription || outcome == SessionEnd::kLinkFailed;
    if (is_laid_down && !offer.is_lane) offer.port.reset();
  }
}

}  // namespace slipring::wire
