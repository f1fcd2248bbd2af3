#include "pipelines/link/guarded_broker.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "platform/memory/page_size.h"
#include "platform/wait/futex.h"

namespace slipring {
namespace {

[[nodiscard]] std::uint16_t number_of(GuardKind kind) noexcept {
  return static_cast<std::uint16_t>(kind);
}

[[nodiscard]] Result<Peer> another_handle(const Peer& process) noexcept {
  Descriptor copy(::fcntl(process.poll_fd(), F_DUPFD_CLOEXEC, 0));
  if (!copy.is_open()) return Error{ErrorCode::kSystem, errno, "keep hold of a process"};
  return Peer::adopt(std::move(copy), process.pid());
}

[[nodiscard]] SeatPlace other_end(const SeatPlace& place) noexcept {
  return {place.lane, other_role(place.role)};
}

// How a place is called in an event of the server.
[[nodiscard]] std::uint32_t tag_of(const SeatPlace& place) noexcept {
  return place.lane * kRoleCount + static_cast<std::uint32_t>(place.role);
}
[[nodiscard]] SeatPlace place_of(std::uint64_t tag) noexcept {
  return {static_cast<std::uint32_t>(tag / kRoleCount), static_cast<Role>(tag % kRoleCount)};
}

// A connection for each end, for subscribers, and for those that look on.
[[nodiscard]] RendezvousOptions with_lanes(RendezvousOptions options,
                                           const LinkShape& shape) noexcept {
  const bool is_broadcast = shape.kind == SegmentKind::kBroadcastLink;
  const std::size_t count =
      std::size_t{2} * shape.lane_count + (is_broadcast ? kSubscriberPlaces : 0);
  options.connection_count_max += count;
  options.per_user_count_max += count;
  return options;
}

}  // namespace

GuardedBroker::GuardedBroker(std::string name, GuardedSeats seats, RendezvousServer server) noexcept
    : name_(std::move(name)), seats_(std::move(seats)), server_(std::move(server)) {}

Result<GuardedBroker> GuardedBroker::create(const SegmentDirectory& directory,
                                            std::string_view name, const LinkShape& shape,
                                            const GuardOptions& options) noexcept {
  Result<GuardShape> whole = guard_shape(shape, page_size_bytes());
  if (!whole) return whole.error();
  Result<GuardedSeats> seats = GuardedSeats::make(*whole, std::string(name));
  if (!seats) return seats.error();
  Result<RendezvousServer> server =
      RendezvousServer::create(directory, name, with_lanes(options.rendezvous, shape));
  if (!server) return server.error();
  GuardedBroker broker(std::string(name), std::move(seats).value(), std::move(server).value());
  GuardAccess ours;
  ours.user = ::geteuid();
  broker.observers_.set_access(options.observer.value_or(ours));
  broker.commanders_.set_access(options.commander.value_or(ours));
  broker.rule(Role::kWriter).set_access(options.writer.value_or(ours));
  broker.rule(Role::kReader).set_access(options.reader.value_or(ours));
  broker.lane_share_ = {options.lanes_per_process, options.lanes_per_user};
  return broker;
}

void GuardedBroker::expect(Role role, Peer process) noexcept {
  rule(role).expect(std::move(process), role == Role::kReader || !is_lane_set(shape()));
}

void GuardedBroker::turn() noexcept {
  using Kind = RendezvousServer::Event::Kind;
  server_.begin_turn();
  while (const auto event = server_.next()) {
    switch (event->kind) {
      case Kind::kPacket:
        hear(event->id, server_.packet());
        break;
      case Kind::kClosed:
        lost(event->id);
        break;
      case Kind::kWritable:
        if (const auto place = seats_.find(event->id)) tell_news(*place);
        tell_places();
        break;
      case Kind::kWatched:
        look_for_death(place_of(event->id));
        break;
    }
  }
}

void GuardedBroker::hear(Id id, Packet& packet) noexcept {
  const auto place = seats_.find(id);
  switch (static_cast<GuardKind>(packet.kind)) {
    case GuardKind::kAsk:
      if (const auto ask = guard_body<GuardAsk>(packet.bytes())) return answer_ask(id, *ask);
      break;
    case GuardKind::kRegion:
      return take_region(id, packet);
    case GuardKind::kGot:
      if (place) {
        if (seats_.at(*place).untaken_count != 0) --seats_.at(*place).untaken_count;
        if (const auto got = guard_body<GuardGeneration>(packet.bytes())) places_.seen(*got);
        show_must_ring();
        tell_places();
        return tell_news(*place);
      }
      break;
    case GuardKind::kAbort:
      if (packet.body_bytes == 0 && !place) return answer_abort(id);
      break;
    case GuardKind::kBye:
      if (place) free_role(*place);
      break;
    default:
      break;
  }
  // Nothing more is expected of it, or it does not speak our language.
  server_.close(id);
  lost(id);
}

void GuardedBroker::refuse(Id id, const Error& why) noexcept {
  const GuardRefuse body{static_cast<std::uint32_t>(why.code), why.os_errno, why.found, why.wanted};
  // Who does not hear it sees its connection end.
  static_cast<void>(server_.send(id, number_of(GuardKind::kRefuse), guard_bytes(body)));
  server_.close(id);
}

void GuardedBroker::answer_ask(Id id, const GuardAsk& ask) noexcept {
  const PeerCredentials* who = server_.peer(id);
  if (who == nullptr) return;
  const bool has_role = seats_.find(id).has_value();
  if (ask.role == kObserverRole && !has_role && ask.lane < seats_.lane_count()) {
    if (observers_.allows(*who) || who->user == 0) return grant_look(id, ask.lane, kObserverRole);
    return refuse(id, {ErrorCode::kPermission, 0, ""});
  }
  if (ask.role == kSubscriberRole && !has_role && ask.lane == 0 &&
      shape().kind == SegmentKind::kBroadcastLink) {
    if (rule(Role::kReader).allows(*who)) return grant_look(id, 0, kSubscriberRole);
    return refuse(id, {ErrorCode::kPermission, 0, "", who->user});
  }
  const auto role = static_cast<Role>(ask.role);
  const bool is_role = role == Role::kWriter || (role == Role::kReader && !seats_.shape().is_solo);
  const bool is_lane =
      ask.lane < seats_.lane_count() || (ask.lane == kAnyLane && role == Role::kWriter);
  if (!is_role || !is_lane || has_role) {
    return refuse(id, {ErrorCode::kInvalidArgument, 0, "", is_role ? ask.lane : ask.role});
  }
  if (!rule(role).allows(*who)) return refuse(id, {ErrorCode::kPermission, 0, "", who->user});
  for (std::uint32_t lane = 0; lane < seats_.lane_count(); ++lane) look_for_death({lane, role});
  Result<SeatPlace> place = choose_seat(seats_, ask, *who, lane_share_);
  if (!place) return refuse(id, place.error());
  grant_role(id, *place, *who);
}

void GuardedBroker::grant_role(Id id, const SeatPlace& place, const PeerCredentials& who) noexcept {
  BrokerSeat& taken = seats_.at(place);
  Result<Peer> process = another_handle(who.process);
  if (!process) return refuse(id, process.error());
  if (is_lane_set(shape()) && place.role == Role::kWriter) {
    // The lane is read: it stays there until this one publishes.
    Result<std::uint64_t> done = seats_.done(place.lane);
    if (!done) return refuse(id, done.error());
    taken.begins_at = *done;
  }
  GuardGrant grant = seats_.grant(place.lane);
  grant.role = static_cast<std::uint32_t>(place.role);
  // relaxed: our own word.
  grant.news_count = seats_.shown(place).news_count.load(std::memory_order_relaxed);
  grant.next_generation = taken.owner.generation + 1;
  std::array<int, 3> descriptors{};
  std::size_t count = 0;
  descriptors[count++] = seats_.page_fd();
  if (!seats_.shape().is_solo) descriptors[count++] = seats_.at(other_end(place)).memory->get();
  bool has_predecessor = taken.owner.generation != 0;
  if (has_predecessor && place.role == Role::kWriter) {
    Result<bool> given_up = seats_.is_given_up(place.lane);
    if (!given_up) return refuse(id, given_up.error());
    // As the first one: nothing of the last writer's memory goes on.
    if (*given_up) grant.owners[seat_of(place.role)] = {};
    has_predecessor = !*given_up;
  }
  if (has_predecessor) descriptors[count++] = taken.memory->get();
  grant.descriptor_count = static_cast<std::uint32_t>(count);
  const Status sent = server_.send(id, number_of(GuardKind::kGrant), guard_bytes(grant),
                                   {descriptors.data(), count});
  if (!sent) return server_.close(id);
  taken.hold = SeatHold::kCopying;
  taken.holder_id = id;
  taken.holder = {static_cast<std::uint32_t>(who.user), static_cast<std::uint32_t>(who.group),
                  static_cast<std::uint32_t>(who.process.pid()), grant.next_generation};
  taken.process.emplace(std::move(process).value());
  taken.has_news = false;
  taken.untaken_count = 0;
}

void GuardedBroker::grant_look(Id id, std::uint32_t lane, std::uint32_t role) noexcept {
  GuardGrant grant = seats_.grant(lane);
  grant.role = role;
  // relaxed: our own word.
  grant.news_count = seats_.shown({lane, Role::kReader}).news_count.load(std::memory_order_relaxed);
  const GuardedSeats::Descriptors descriptors = seats_.descriptors(lane);
  grant.descriptor_count = static_cast<std::uint32_t>(descriptors.count);
  const Status sent =
      server_.send(id, number_of(GuardKind::kGrant), guard_bytes(grant), descriptors.all());
  if (!sent) server_.close(id);
}

void GuardedBroker::take_region(Id id, Packet& packet) noexcept {
  const auto place = seats_.find(id);
  if (!place && shape().kind == SegmentKind::kBroadcastLink) return take_subscriber(id, packet);
  const auto body = guard_body<GuardGeneration>(packet.bytes());
  if (!place || seats_.at(*place).hold != SeatHold::kCopying || !body ||
      packet.descriptor_count != 1 || body->generation != seats_.at(*place).holder.generation) {
    server_.close(id);
    return lost(id);
  }
  const LinkParts& parts = seats_.shape().parts;
  const std::uint64_t size_bytes =
      place->role == Role::kWriter ? parts.writer_bytes : parts.reader_bytes;
  Result<MemoryFacts> facts =
      verify_memory(packet.descriptors[0].get(), seats_.at(*place).holder.user, size_bytes);
  if (!facts) {
    // Nobody has seen it, so that nothing is lost with it.
    free_role(*place);
    return refuse(id, facts.error());
  }
  seats_.accept(*place, std::move(packet.descriptors[0]), facts->protection);
  // The other end first: what the newcomer publishes is then sure to be found.
  seats_.at(other_end(*place)).has_news = true;
  tell_news(other_end(*place));
  if (seats_.shape().is_solo) ring_all(seats_.shown(other_end(*place)));
  // Before it publishes: nobody has shown it anything yet.
  places_.forget_told();
  show_must_ring();
  const GuardGeneration accepted{body->role, body->generation};
  const Status sent = server_.send(id, number_of(GuardKind::kAccepted), guard_bytes(accepted));
  // An end that is not told it gives up, as by kBye; its memory is as good as its predecessor's.
  if (!sent) {
    free_role(*place);
    server_.close(id);
  }
  tell_places();
}

// A subscriber's page, which is looked at by the writer alone.
void GuardedBroker::take_subscriber(Id id, Packet& packet) noexcept {
  const PeerCredentials* who = server_.peer(id);
  const auto body = guard_body<GuardGeneration>(packet.bytes());
  if (who == nullptr || places_.has(id) || !body || body->role != kSubscriberRole ||
      packet.descriptor_count != 1 || !rule(Role::kReader).allows(*who)) {
    server_.close(id);
    return lost(id);
  }
  Result<MemoryFacts> facts =
      verify_memory(packet.descriptors[0].get(), who->user, page_size_bytes());
  if (!facts) return refuse(id, facts.error());
  const GuardOwner owner{static_cast<std::uint32_t>(who->user),
                         static_cast<std::uint32_t>(who->group),
                         static_cast<std::uint32_t>(who->process.pid()), 0};
  const bool has_place = places_.join(id, owner, std::move(packet.descriptors[0]));
  // Before it is told: it sleeps on the strength of that.
  show_must_ring();
  const GuardGeneration accepted{kSubscriberRole, 0};
  const Status sent = server_.send(id, number_of(GuardKind::kAccepted), guard_bytes(accepted));
  // Without a place it has nothing more to say to us.
  if (!sent || !has_place) {
    server_.close(id);
    lost(id);
  }
  tell_places();
}

void GuardedBroker::answer_abort(Id id) noexcept {
  const PeerCredentials* who = server_.peer(id);
  if (who == nullptr) return;
  if (!commanders_.allows(*who) && who->user != 0) {
    return refuse(id, {ErrorCode::kPermission, 0, "", who->user});
  }
  if (seats_.shape().is_solo) return refuse(id, {ErrorCode::kInvalidArgument, 0, ""});
  const auto process_id = static_cast<std::uint32_t>(who->process.pid());
  for (std::uint32_t lane = 0; lane < seats_.lane_count(); ++lane) {
    if (Status told = seats_.command(lane, process_id); !told) return refuse(id, told.error());
  }
  // Who does not hear it sees its connection end; the reader has been told.
  if (!server_.send(id, number_of(GuardKind::kAborted), {})) server_.close(id);
}

// Those who read a broadcast link have no connection: they come and ask.
void GuardedBroker::ring_all(GuardSeat& seat) noexcept {
  // relaxed load: our own word.
  seat.news_count.store(seat.news_count.load(std::memory_order_relaxed) + 1,
                        std::memory_order_release);  // guard.A pairs with guard.B
  futex_wake(seat.news_count, kAllSleepers);
}

void GuardedBroker::tell_news(const SeatPlace& place) noexcept {
  BrokerSeat& told = seats_.at(place);
  if (!told.has_news || told.untaken_count == kMaxUntakenNews || told.hold == SeatHold::kFree) {
    return;
  }
  const SeatPlace other = other_end(place);
  const BrokerSeat& about = seats_.at(other);
  const GuardNews body{static_cast<std::uint32_t>(other.role), 0, about.owner};
  if (send_news(place, body, about.memory->get())) told.has_news = false;
}

// Gives the writer the pages of subscribers that it has not been given.
void GuardedBroker::tell_places() noexcept {
  const SeatPlace writer{0, Role::kWriter};
  while (seats_.at(writer).hold == SeatHold::kAttached &&
         seats_.at(writer).untaken_count != kMaxUntakenNews) {
    const auto news = places_.next_news();
    if (!news || !send_news(writer, news->body, news->memory)) return;
    places_.told(news->body);
  }
}

void GuardedBroker::show_must_ring() noexcept {
  seats_.shown({0, Role::kWriter})
      .must_ring.store(places_.must_ring() ? 1 : 0,
                       std::memory_order_release);  // guard.E pairs with guard.F
}

Status GuardedBroker::send_news(const SeatPlace& place, const GuardNews& body,
                                int memory) noexcept {
  BrokerSeat& told = seats_.at(place);
  const std::array<int, 1> descriptors = {memory};
  Status sent =
      server_.send(told.holder_id, number_of(GuardKind::kNews), guard_bytes(body), descriptors);
  if (!sent) {
    // A connection that is gone hears nothing; its end goes on with what it has.
    if (sent.error().code != ErrorCode::kClosed) server_.want_writable(told.holder_id);
    return sent;
  }
  ++told.untaken_count;
  GuardSeat& page = seats_.shown(place);
  // relaxed load: our own word.
  page.news_count.store(page.news_count.load(std::memory_order_relaxed) + 1,
                        std::memory_order_release);  // guard.A pairs with guard.B
  futex_wake(page.news_count, 1);
  return {};
}

void GuardedBroker::lost(Id id) noexcept {
  if (places_.has(id)) {
    places_.leave(id);
    return show_must_ring();
  }
  const auto place = seats_.find(id);
  if (!place) return;
  if (seats_.at(*place).hold == SeatHold::kCopying) {
    // Its memory was never the role's: whatever it still does there, nobody sees it.
    return free_role(*place);
  }
  if (seats_.has_died(*place)) return free_role(*place);
  // The kernel closes a dying process's sockets before it says that the process has ended.  A
  // failure only delays what is shown: a claim looks for itself.
  static_cast<void>(server_.watch(seats_.at(*place).process->poll_fd(), tag_of(*place)));
}

void GuardedBroker::look_for_death(const SeatPlace& place) noexcept {
  if (seats_.has_died(place)) free_role(place);
}

void GuardedBroker::free_role(const SeatPlace& place) noexcept {
  server_.forget(seats_.at(place).process->poll_fd());
  seats_.free(place);
}

Result<std::unique_ptr<GuardedView>> GuardedBroker::view(std::uint32_t lane) const noexcept {
  return GuardedView::make(seats_.grant(lane), seats_.descriptors(lane).all());
}

void GuardedBroker::refresh(GuardedView& view) const noexcept {
  if (!view.is_old()) return;
  view.refresh(seats_.grant(view.lane()), seats_.descriptors(view.lane()).all());
}

}  // namespace slipring
