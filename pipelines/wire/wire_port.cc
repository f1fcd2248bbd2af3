#include "pipelines/wire/wire_port.h"

#include "pipelines/link/broadcast_observer.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/wire/lane_link_source.h"
#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {
namespace {

// What it is, and when it was made, which tells this ring from another of its name.
Result<LinkReport> look_at(const SegmentDirectory& directory, std::string_view link) noexcept {
  Result<LinkReport> topic = look_at_broadcast(directory, link);
  if (topic) return topic;
  Result<LinkObserver> observer = LinkObserver::attach(directory, link);
  if (!observer) return observer.error();
  return observer->report();
}

Status check_same(const SegmentDirectory& directory, std::string_view link,
                  const LinkReport& before) noexcept {
  Result<LinkReport> after = look_at(directory, link);
  if (!after) return after.error();
  if (before.created_ns == after->created_ns) return {};
  return Error{ErrorCode::kBusy, 0, "take a link that is being replaced"};
}

Status check_wire_name(std::string_view wire_name) noexcept {
  if (!wire_name.empty() && wire_name.size() <= kLinkNameBytesMax) return {};
  return Error{ErrorCode::kInvalidArgument, 0, "name a link by 1 to 80 bytes", wire_name.size(),
               kLinkNameBytesMax};
}

// Of a topic's ring: the same for all that subscribe to it, and whoever does so next.
std::uint64_t ring_id(std::uint64_t created_ns, std::uint32_t stream) noexcept {
  std::uint64_t word = created_ns + stream * 0x9e37'79b9'7f4a'7c15ULL;
  word = (word ^ word >> 30) * 0xbf58'476d'1ce4'e5b9ULL;
  word = (word ^ word >> 27) * 0x94d0'49bb'1331'11ebULL;
  return (word ^ word >> 31) | 1;
}

}  // namespace

SessionId WirePort::calling_id() const noexcept {
  if (!is_topic_ || side_ == LinkSide::kSender) return session_id();
  return {session_id().a, subscriber_};
}

bool WirePort::is_called_by(const SessionId& theirs) const noexcept {
  // Who subscribes need not know the ring yet.
  if (is_topic_ && side_ == LinkSide::kSender) {
    return theirs.b != 0 && theirs.b == session_id().b;
  }
  return !theirs.is_none() && theirs == session_id();
}

void WirePort::called_by(const SessionId& theirs) noexcept {
  if (!is_topic_ || side_ != LinkSide::kSender) return;
  source_session_.emplace(SourceSession::of_topic({session_id().a, theirs.b}));
}

Status WirePort::open(const SegmentDirectory& directory, std::string_view link,
                      std::string_view wire_name, LinkSide side,
                      const WirePortOptions& options) noexcept {
  link_ = link;
  wire_name_ = wire_name;
  side_ = side;
  asked_lane_ = options.asked_lane;
  if (Status named = check_wire_name(wire_name); !named) return named;
  Result<LinkReport> before = look_at(directory, link);
  if (!before) return before.error();
  is_topic_ = before->shape.kind == SegmentKind::kBroadcastLink;
  subscriber_ = options.subscriber;
  const Status opened = side == LinkSide::kSender ? open_source(directory, *before, options)
                                                  : open_sink(directory, *before, options);
  if (!opened) return opened;
  return check_same(directory, link, *before);
}

Result<std::vector<std::unique_ptr<WirePort>>> WirePort::open_lanes(
    const SegmentDirectory& directory, std::string_view link, std::string_view wire_name,
    const WirePortOptions& options) noexcept {
  if (Status named = check_wire_name(wire_name); !named) return named.error();
  Result<LinkReport> before = look_at(directory, link);
  if (!before) return before.error();
  if (Status fits = check_wire_shape(before->shape); !fits) return fits.error();
  Result<std::vector<LinkHold>> holds = take_lanes(directory, link, options.memory_lock);
  if (!holds) return holds.error();
  std::vector<std::unique_ptr<WirePort>> ports;
  for (LinkHold& hold : *holds) {
    auto port = std::make_unique<WirePort>();
    port->link_ = link;
    port->wire_name_ = wire_name;
    const Status opened = port->open_lane(directory, *before, std::move(hold), options);
    if (!opened && opened.error().code == ErrorCode::kCorruptPeer) continue;
    if (!opened) return opened.error();
    ports.push_back(std::move(port));
  }
  if (Status same = check_same(directory, link, *before); !same) return same.error();
  return ports;
}

Status WirePort::open_lane(const SegmentDirectory& directory, const LinkReport& link, LinkHold hold,
                           const WirePortOptions& options) noexcept {
  lane_ = hold.lane;
  Result<SourceSession> session = SourceSession::open(directory, link_, link.created_ns, lane_);
  if (!session) return session.error();
  source_session_.emplace(std::move(session).value());
  Result<LinkReader> lane =
      hold.guard ? LinkReader::attach_lane(std::move(hold)) : LinkReader::attach(std::move(hold));
  if (!lane) return lane.error();
  source_ = std::make_unique<LaneLinkSource>(std::move(lane).value(), *source_session_);
  if (options.peer_event_fd >= 0) source_->attach_event(options.peer_event_fd);
  return {};
}

Status WirePort::open_source(const SegmentDirectory& directory, const LinkReport& link,
                             const WirePortOptions& options) noexcept {
  Result<std::unique_ptr<LinkSource>> source =
      LinkSource::attach(directory, link_, link.shape.kind, options.memory_lock);
  if (!source) return source.error();
  source_ = std::move(source).value();
  if (options.peer_event_fd >= 0) source_->attach_event(options.peer_event_fd);
  if (is_topic_) {
    const std::uint64_t ring = ring_id(link.created_ns, source_->stream());
    source_session_.emplace(SourceSession::of_topic({ring, options.subscriber}));
    return {};
  }
  Result<SourceSession> session = SourceSession::open(directory, link_, link.created_ns);
  if (!session) return session.error();
  source_session_.emplace(std::move(session).value());
  return {};
}

Status WirePort::open_sink(const SegmentDirectory& directory, const LinkReport& link,
                           const WirePortOptions& options) noexcept {
  Result<std::unique_ptr<LinkSink>> sink =
      LinkSink::attach(directory, link_, link.shape.kind, options.memory_lock);
  if (!sink) return sink.error();
  sink_ = std::move(sink).value();
  if (options.peer_event_fd >= 0) sink_->attach_event(options.peer_event_fd);
  const std::optional<LinkSink::Lane> lane = sink_->lane();
  const auto seat = lane ? std::optional(options.seat) : std::nullopt;
  Result<ArrivalLedger> ledger = ArrivalLedger::open(directory, link_, seat);
  if (!ledger) return ledger.error();
  ledger_.emplace(std::move(ledger).value());
  if (lane) {
    Result<LinkObserver> set = LinkObserver::attach(directory, link_);
    if (!set) return set.error();
    return ledger_->bind_lane(*set, link.created_ns, *lane, sink_->position());
  }
  return ledger_->bind(link.created_ns, sink_->position());
}

}  // namespace slipring::wire
