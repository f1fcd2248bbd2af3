#include "pipelines/link/guarded_end.h"

#include <errno.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "pipelines/link/guard_asking.h"
#include "pipelines/link/guard_shape.h"
#include "pipelines/link/handover.h"
#include "platform/memory/page_size.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

using guard_asking::ask;
using guard_asking::hear;
using guard_asking::kNonsense;
using guard_asking::map_page;
using guard_asking::map_role;
using guard_asking::number_of;
using guard_asking::peer_of;
using guard_asking::refusal_in;

Result<std::uint64_t> bytes_of_role(const GuardGrant& grant, Role role) noexcept {
  Result<GuardShape> shape = guard_shape_of(grant);
  if (!shape) return shape.error();
  return role == Role::kWriter ? shape->parts.writer_bytes : shape->parts.reader_bytes;
}

}  // namespace

GuardedEnd::~GuardedEnd() {
  // A broker that is gone needs no word.
  static_cast<void>(connection_.send(number_of(GuardKind::kBye), {}));
}

Result<GuardedHold> GuardedEnd::take_role(const SegmentDirectory& directory, std::string_view name,
                                          Role role, MemoryLock memory_lock,
                                          std::uint32_t lane) noexcept {
  const std::uint64_t deadline_ns = deadline_after(kGuardAnswerNs);
  Result<Connection> connection = Connection::connect(directory, name, deadline_ns);
  if (!connection) return connection.error();
  GuardGrant grant{};
  Packet packet;
  const GuardAsk wanted{static_cast<std::uint32_t>(role), lane};
  if (Status asked = ask(*connection, wanted, grant, packet, deadline_ns); !asked) {
    return asked.error();
  }
  Result<GuardShape> shape = guard_shape_of(grant);
  if (!shape) return shape.error();
  const uid_t broker = connection->peer().user;
  const GuardOwner& owner = grant.owners[seat_of(role)];
  const GuardOwner& peer_owner = grant.owners[seat_of(other_role(role))];
  const bool has_predecessor = owner.generation != 0;
  const std::size_t peer_count = shape->is_solo ? 0 : 1;
  if (packet.descriptor_count != 1 + peer_count + (has_predecessor ? 1 : 0) ||
      grant.next_generation == 0) {
    return kNonsense;
  }
  Result<Mapping> page = map_page(packet.descriptors[0], shape->shape, broker);
  if (!page) return page.error();

  GuardedHold hold{shape->shape, shape->parts, grant.lane, nullptr, {}, {}};
  hold.end.reset(
      new GuardedEnd(std::move(connection).value(), std::move(page).value(), role, grant.lane));
  hold.end->generation_ = grant.next_generation;
  if (memory_lock == MemoryLock::kOff) hold.end->memory_lock_ = MemoryLock::kOff;
  hold.end->news_seen_ = grant.news_count;
  if (peer_count != 0) {
    const std::uint64_t peer_bytes =
        role == Role::kWriter ? shape->parts.reader_bytes : shape->parts.writer_bytes;
    Result<Mapping> peer =
        map_role(packet.descriptors[1], peer_owner, broker, peer_bytes, memory_lock);
    if (!peer) return peer.error();
    hold.peer = std::move(peer).value();
    hold.end->peer_ = peer_of(peer_owner, best_protection_level());
  }
  const Descriptor predecessor =
      has_predecessor ? std::move(packet.descriptors[1 + peer_count]) : Descriptor();
  if (Status handed =
          hold.end->hand_in(hold, grant, predecessor.get(), memory_lock, std::string(name));
      !handed) {
    return handed.error();
  }
  // Making and copying memory took its own time.
  const std::uint64_t answer_by_ns = deadline_after(kGuardAnswerNs);
  if (Status accepted = hold.end->await_accepted(packet, answer_by_ns); !accepted) {
    return accepted.error();
  }
  if (!shape->is_solo && hold.end->is_behind()) {
    if (!hold.end->take_news(hold.peer)) {
      return Error{ErrorCode::kNoSpace, 0, "map the other end's newer memory"};
    }
    // relaxed: as LinkEnd::take_news() has it.  Unsaid, the other end would sleep lightly for ever.
    end_page_of(hold.own.writable_bytes())
        .peer_generation.store(hold.end->peer_.incarnation, std::memory_order_relaxed);
  }
  return hold;
}

Status GuardedEnd::hand_in(GuardedHold& hold, const GuardGrant& grant, int predecessor_fd,
                           MemoryLock memory_lock, const std::string& shown_name) noexcept {
  Result<std::uint64_t> size_bytes = bytes_of_role(grant, role_);
  if (!size_bytes) return size_bytes.error();
  Result<SealedMemory> memory = make_unsealed_memory(*size_bytes, memory_lock, shown_name.c_str());
  if (!memory) return memory.error();
  if (predecessor_fd >= 0) {
    Result<MemoryFacts> facts =
        verify_memory(predecessor_fd, grant.owners[seat_of(role_)].user, *size_bytes);
    if (!facts) return facts.error();
    Result<Mapping> predecessor =
        map_verified(predecessor_fd, *size_bytes, MemoryLock::kOff, false);
    if (!predecessor) return predecessor.error();
    if (hold.shape.kind == SegmentKind::kBoard) {
      hand_over_board(predecessor->bytes(), memory->own.writable_bytes());
    } else if (is_solo(hold.shape)) {
      hand_over_broadcast(hold.shape, hold.parts, generation_, predecessor->bytes(),
                          memory->own.writable_bytes());
    } else if (role_ == Role::kReader) {
      hand_over_reader(hold.shape, predecessor->bytes(), memory->own.writable_bytes());
    } else if (Status copied = hand_over_writer(hold.shape, hold.parts, predecessor->bytes(),
                                                hold.peer.bytes(), memory->own.writable_bytes());
               !copied) {
      return copied;
    }
  } else if (hold.shape.kind == SegmentKind::kBroadcastLink) {
    hand_over_broadcast(hold.shape, hold.parts, generation_, {}, memory->own.writable_bytes());
  } else if (!is_solo(hold.shape) && role_ == Role::kWriter) {
    begin_anew(hold.shape, generation_, hold.peer.bytes(), memory->own.writable_bytes());
  }
  if (!is_solo(hold.shape)) {
    // relaxed: nobody sees it yet.
    end_page_of(memory->own.writable_bytes())
        .peer_generation.store(peer_.incarnation, std::memory_order_relaxed);
  }
  if (Status sealed = seal_memory(*memory); !sealed) return sealed;
  protection_ = memory->protection;
  const std::array<int, 1> descriptors = {memory->descriptor.get()};
  const GuardGeneration body{static_cast<std::uint32_t>(role_), generation_};
  hold.own = std::move(memory->own);
  return connection_.send(number_of(GuardKind::kRegion), guard_bytes(body), descriptors);
}

Status GuardedEnd::await_accepted(Packet& packet, std::uint64_t deadline_ns) noexcept {
  for (;;) {
    if (Status heard = hear(connection_, packet, deadline_ns); !heard) return heard;
    if (packet.kind == number_of(GuardKind::kRefuse)) return refusal_in(packet);
    if (packet.kind == number_of(GuardKind::kAccepted)) return {};
    // The other role was replaced while we attached.
    if (packet.kind != number_of(GuardKind::kNews)) return kNonsense;
    keep_news(packet);
  }
}

void GuardedEnd::keep_news(Packet& packet) noexcept {
  const auto news = guard_body<GuardNews>(packet.bytes());
  if (packet.kind != number_of(GuardKind::kNews) || !news || packet.descriptor_count != 1) return;
  pending_ = *news;
  pending_memory_ = std::move(packet.descriptors[0]);
  const GuardGeneration got{news->role, news->owner.generation};
  // Unsaid, there is no further news: a broker that cannot be told is gone, or does not listen.
  static_cast<void>(connection_.send(number_of(GuardKind::kGot), guard_bytes(got)));
}

bool GuardedEnd::show(const GuardNews& news, const Descriptor& memory, Mapping& peer) noexcept {
  Result<Mapping> newer =
      map_role(memory, news.owner, connection_.peer().user, peer.size_bytes(), memory_lock_);
  if (!newer) return false;
  if (!peer.show_instead(*newer)) return false;
  peer_ = peer_of(news.owner, best_protection_level());
  return true;
}

bool GuardedEnd::take_news(Mapping& peer) noexcept {
  // The count is the broker's promise that the packets are there.
  const std::uint32_t told =
      seat().news_count.load(std::memory_order_acquire);  // guard.B pairs with guard.A
  Packet packet;
  for (;;) {
    Result<Arrival> got = connection_.receive(packet);
    if (!got || *got != Arrival::kPacket) break;
    keep_news(packet);
  }
  news_seen_ = told;
  if (!pending_memory_.is_open() || !peer.is_mapped()) return false;
  if (!show(pending_, pending_memory_, peer)) return false;
  pending_memory_.reset();
  return true;
}

std::optional<GuardedEnd::SubscriberPage> GuardedEnd::next_subscriber() noexcept {
  for (;;) {
    const std::uint32_t told =
        seat().news_count.load(std::memory_order_acquire);  // guard.B pairs with guard.A
    Packet packet;
    Result<Arrival> got = connection_.receive(packet);
    if (!got || *got != Arrival::kPacket) {
      news_seen_ = told;
      return std::nullopt;
    }
    const auto news = guard_body<GuardNews>(packet.bytes());
    if (packet.kind != number_of(GuardKind::kNews) || !news || packet.descriptor_count != 1 ||
        news->role - kSubscriberRole >= kSubscriberPlaces) {
      continue;
    }
    Result<Mapping> page = map_role(packet.descriptors[0], news->owner, connection_.peer().user,
                                    page_size_bytes(), memory_lock_);
    // Not acknowledged, it has us ring with every message.
    if (!page) continue;
    return SubscriberPage{news->role - kSubscriberRole, news->owner.generation,
                          std::move(page).value()};
  }
}

void GuardedEnd::acknowledge(const SubscriberPage& shown) noexcept {
  const GuardGeneration got{kSubscriberRole + shown.place, shown.generation};
  // Unsaid, we go on to ring with every message.
  static_cast<void>(connection_.send(number_of(GuardKind::kGot), guard_bytes(got)));
}

// ---- observers ----

namespace {

struct PacketFds {
  std::array<int, kMaxPacketDescriptors> fds{};
  std::size_t count = 0;
  [[nodiscard]] std::span<const int> all() const noexcept { return {fds.data(), count}; }
};

[[nodiscard]] PacketFds fds_in(const Packet& packet) noexcept {
  PacketFds found;
  for (; found.count < packet.descriptor_count; ++found.count) {
    found.fds[found.count] = packet.descriptors[found.count].get();
  }
  return found;
}

}  // namespace

Result<std::unique_ptr<GuardedView>> GuardedView::attach(const SegmentDirectory& directory,
                                                         std::string_view name) noexcept {
  Result<std::vector<std::unique_ptr<GuardedView>>> views = attach_lanes(directory, name);
  if (!views) return views.error();
  return std::move(views->front());
}

Result<std::vector<std::unique_ptr<GuardedView>>> GuardedView::attach_lanes(
    const SegmentDirectory& directory, std::string_view name, ViewDepth depth) noexcept {
  const std::uint64_t deadline_ns = deadline_after(kGuardAnswerNs);
  Result<Connection> connection = Connection::connect(directory, name, deadline_ns);
  if (!connection) return connection.error();
  std::vector<std::unique_ptr<GuardedView>> views;
  auto line = std::make_shared<Line>();
  do {
    const auto lane = static_cast<std::uint32_t>(views.size());
    GuardGrant grant{};
    Packet packet;
    if (Status asked = ask(*connection, {kObserverRole, lane}, grant, packet, deadline_ns);
        !asked) {
      return asked.error();
    }
    Result<std::unique_ptr<GuardedView>> view = make(grant, fds_in(packet).all(), depth);
    if (!view) return view.error();
    (*view)->line_ = line;
    views.push_back(std::move(view).value());
  } while (views.size() < views.front()->shape().lane_count);
  line->connection.emplace(std::move(connection).value());
  return views;
}

Status GuardedView::abort(const SegmentDirectory& directory, std::string_view name) noexcept {
  const std::uint64_t deadline_ns = deadline_after(kGuardAnswerNs);
  Result<Connection> connection = Connection::connect(directory, name, deadline_ns);
  if (!connection) return connection.error();
  if (Status sent = connection->send(number_of(GuardKind::kAbort), {}); !sent) return sent;
  Packet packet;
  if (Status heard = hear(*connection, packet, deadline_ns); !heard) return heard;
  if (packet.kind == number_of(GuardKind::kRefuse)) return refusal_in(packet);
  return packet.kind == number_of(GuardKind::kAborted) ? Status() : Status(kNonsense);
}

Result<std::unique_ptr<GuardedView>> GuardedView::make(const GuardGrant& grant,
                                                       std::span<const int> descriptors,
                                                       ViewDepth depth) noexcept {
  std::unique_ptr<GuardedView> view(new GuardedView());
  view->depth_ = depth;
  if (Status taken = view->take(grant, descriptors); !taken) return taken.error();
  return view;
}

Status GuardedView::take(const GuardGrant& grant, std::span<const int> descriptors) noexcept {
  Result<GuardShape> shape = guard_shape_of(grant);
  if (!shape) return shape.error();
  if (descriptors.size() != (shape->is_solo ? 2U : 3U)) return kNonsense;
  shape_ = shape->shape;
  parts_ = shape->parts;
  lane_ = grant.lane;
  created_ns_ = grant.created_ns;
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  if (!page_.is_mapped()) {
    Result<Mapping> page = Mapping::map(descriptors[0], 0, guard_page_bytes(shape_), options);
    if (!page) return page.error();
    page_ = std::move(page).value();
  }
  for (std::size_t i = 0; i + 1 < descriptors.size(); ++i) {
    if (regions_[i].is_mapped() && generations_[i] == grant.owners[i].generation) continue;
    // Up to the ring, but for who listens: no frame is mapped.
    const bool is_whole = is_board() || depth_ == ViewDepth::kRing;
    const std::uint64_t size_bytes = i == 1     ? parts_.reader_bytes
                                     : is_whole ? parts_.writer_bytes
                                                : parts_.ring_offset;
    Result<Mapping> region = Mapping::map(descriptors[i + 1], 0, size_bytes, options);
    if (!region) return region.error();
    regions_[i] = std::move(region).value();
    generations_[i] = grant.owners[i].generation;
  }
  return {};
}

bool GuardedView::is_old() const noexcept {
  for (const Role role : {Role::kWriter, Role::kReader}) {
    // relaxed: what it leads to is a question to the broker.
    if (seat(role).generation.load(std::memory_order_relaxed) != generations_[seat_of(role)]) {
      return true;
    }
  }
  return false;
}

void GuardedView::refresh(const GuardGrant& grant, std::span<const int> descriptors) noexcept {
  // What cannot be mapped now is old, and stays so until the next look.
  static_cast<void>(take(grant, descriptors));
}

void GuardedView::refresh() noexcept {
  if (!line_ || !line_->connection) return;
  if (!line_->asked_lane) {
    if (!is_old()) return;
    const GuardAsk body{kObserverRole, lane_};
    if (!line_->connection->send(number_of(GuardKind::kAsk), guard_bytes(body)).ok()) return;
    line_->asked_lane = lane_;
  }
  if (line_->asked_lane != lane_) return;
  Packet packet;
  Result<Arrival> got = line_->connection->receive(packet);
  if (!got || *got == Arrival::kClosed) {
    line_->connection.reset();
    return;
  }
  if (*got == Arrival::kNothing) return;
  line_->asked_lane.reset();
  const auto grant = guard_body<GuardGrant>(packet.bytes());
  if (packet.kind != number_of(GuardKind::kGrant) || !grant || grant->lane != lane_) return;
  refresh(*grant, fds_in(packet).all());
}

}  // namespace slipring
