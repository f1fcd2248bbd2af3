// Lane sets that a loop sends, or receives from another lane set: each lane has a conversation of
// its own for each of its writers.
#include <algorithm>
#include <string>
#include <utility>

#include "pipelines/link/link_observer.h"
#include "pipelines/wire/wire_loop.h"

namespace slipring::wire {
namespace {

// Seats of one link whose dials follow lanes lie so far apart, whatever else is dialled.
constexpr std::uint32_t kSeatsALane = 4096;

}  // namespace

// Of a set that is sent: its reading role is taken when somebody asks first, and kept.  False if it
// is no set; why == kBusyLink: it is one, and somebody else reads it.
bool WireLoop::make_lane_offers(Offer& offer, ErrorReason& why) noexcept {
  if (offer.side != LinkSide::kSender || offer.port) return false;
  Result<LinkObserver> link = LinkObserver::attach(directory_, offer.link);
  if (!link || !is_lane_set(link->shape())) return false;
  Result<std::vector<std::unique_ptr<WirePort>>> ports =
      WirePort::open_lanes(directory_, offer.link, offer.wire_name, offer.options);
  if (!ports || ports->empty()) {
    why = ErrorReason::kBusyLink;
    const char* const doing = ports ? "no lane makes sense" : ports.error().doing;
    report(WireEvent::Kind::kFailed, offer.link, doing);
    return false;
  }
  Offer lane{offer.link, offer.wire_name, offer.side, nullptr, false, offer.options};
  lane.is_lane = true;
  offer.is_lane = true;
  offer.port = std::move(ports->front());
  // `offer` moves with what follows.
  for (std::size_t i = 1; i < ports->size(); ++i) {
    Offer& added = offers_.emplace_back();
    added.link = lane.link;
    added.wire_name = lane.wire_name;
    added.side = lane.side;
    added.options = lane.options;
    added.is_lane = true;
    added.port = std::move((*ports)[i]);
  }
  return true;
}

// The lane that is asked for; the first one, of who does not know yet that there are several.
WirePort* WireLoop::lane_for(const Hello& hello, ErrorReason& why) noexcept {
  const std::uint32_t wanted = hello.lane == 0 ? 0 : hello.lane - 1;
  why = ErrorReason::kBusyLink;
  for (Offer& offer : offers_) {
    const bool is_meant = offer.is_lane && offer.wire_name == hello.link && offer.port;
    if (is_meant && offer.port->lane() == wanted) return offer.port.get();
  }
  return nullptr;
}

WireLoop::Dial& WireLoop::add_dial_like(const Dial& other) {
  Dial& added = dials_.emplace_back();
  added.address = other.address;
  added.tls = other.tls;
  added.link = other.link;
  added.wire_name = other.wire_name;
  added.side = other.side;
  added.options = other.options;
  return added;
}

Status WireLoop::dial_lanes(const Dial& first) noexcept {
  Result<std::vector<std::unique_ptr<WirePort>>> ports =
      WirePort::open_lanes(directory_, first.link, first.wire_name, first.options);
  if (!ports) return ports.error();
  if (ports->empty())
    return Error{ErrorCode::kCorruptPeer, 0, "read a set no lane of which makes sense"};
  for (std::unique_ptr<WirePort>& port : *ports) {
    Dial& added = add_dial_like(first);
    added.port = std::move(port);
  }
  return {};
}

// Nothing is in the lane: it is not dialled for.
bool WireLoop::is_resting(const Dial& dial) noexcept {
  return dial.port && dial.port->is_lane_sent() && !dial.port->source().wants_carrying();
}

// What comes turned out to be a set's lane: the others are asked for, too.
void WireLoop::follow_lanes(Dial& dial) noexcept {
  if (dial.side != LinkSide::kReceiver || dial.has_lanes || dial.options.asked_lane != 0) return;
  const std::uint32_t lane_count = dial.port->lanes_there();
  if (lane_count == 0) return;
  dial.has_lanes = true;
  for (std::uint32_t lane = 1; lane < lane_count; ++lane) {
    Dial& added = add_dial_like(dial);
    added.options.seat = dial.options.seat + lane * kSeatsALane;
    added.options.asked_lane = lane + 1;
  }
}

// Of a set that is written: a lane for the next writer over there.  False if there is none now.
bool WireLoop::take_lane(Dial& dial) noexcept {
  if (dial.port) return true;
  auto port = std::make_unique<WirePort>();
  const Status opened = port->open(directory_, dial.link, dial.wire_name, dial.side, dial.options);
  if (opened) {
    dial.port = std::move(port);
    return true;
  }
  const ErrorCode code = opened.error().code;
  // Lanes come free again.
  if (code == ErrorCode::kBusy || code == ErrorCode::kNoSpace) return false;
  dial.is_over = true;
  has_failed_ = true;
  report(WireEvent::Kind::kFailed, dial.link,
         std::string(name_of(code)) + ": " + opened.error().doing, true);
  return false;
}

// There have been writers, all have closed, and all that they wrote is over there.
bool WireLoop::are_lanes_quiet(std::string_view link) const noexcept {
  bool had_writer = false;
  const auto is_quiet = [&](WirePort* port) {
    had_writer = had_writer || port->source().had_writer();
    return port->source().is_quiet();
  };
  for (const Dial& dial : dials_) {
    const bool is_meant = dial.link == link && dial.port && dial.port->is_lane_sent();
    if (is_meant && !is_quiet(dial.port.get())) return false;
  }
  for (const Offer& offer : offers_) {
    if (offer.link == link && offer.is_lane && !is_quiet(offer.port.get())) return false;
  }
  return had_writer;
}

}  // namespace slipring::wire
