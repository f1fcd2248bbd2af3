#include "pipelines/link/guarded_broker.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <utility>

#include "platform/memory/mapping.h"
#include "platform/memory/page_size.h"
#include "platform/wait/clock.h"
#include "platform/wait/futex.h"

namespace slipring {
namespace {

[[nodiscard]] std::uint16_t number_of(GuardKind kind) noexcept {
  return static_cast<std::uint16_t>(kind);
}

[[nodiscard]] std::uint64_t realtime_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// relaxed: observers need no order, and the news have their own.
void show(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
  word.store(value, std::memory_order_relaxed);  // relaxed: as above
}

[[nodiscard]] Result<Peer> another_handle(const Peer& process) noexcept {
  Descriptor copy(::fcntl(process.poll_fd(), F_DUPFD_CLOEXEC, 0));
  if (!copy.is_open()) return Error{ErrorCode::kSystem, errno, "keep hold of a process"};
  return Peer::adopt(std::move(copy), process.pid());
}

// Cannot be said: alive.
[[nodiscard]] bool has_ended(const Peer& process) noexcept {
  Result<bool> ended = process.has_ended();
  return ended && *ended;
}

}  // namespace

GuardedBroker::GuardedBroker(std::string name, const GuardShape& shape, RendezvousServer server,
                             SealedMemory page) noexcept
    : name_(std::move(name)),
      shape_(shape),
      created_ns_(realtime_ns()),
      page_(std::move(page)),
      server_(std::move(server)) {}

Result<GuardedBroker> GuardedBroker::create(const SegmentDirectory& directory,
                                            std::string_view name, const LinkShape& shape,
                                            const GuardOptions& options) noexcept {
  Result<GuardShape> whole = guard_shape(shape, page_size_bytes());
  if (!whole) return whole.error();
  Result<SealedMemory> page = make_sealed_memory(guard_page_bytes(), MemoryLock::kTry);
  if (!page) return page.error();
  // The roles' memory before anybody has made some: zeros, which nobody can write.
  const std::string shown_name(name);
  // What is polled before is there; a pool's buffers are named by messages only.
  Result<Descriptor> writer =
      make_zero_memory(whole->parts.writer_bytes,
                       whole->is_board ? whole->parts.writer_bytes : whole->parts.buffers_offset,
                       shown_name.c_str());
  if (!writer) return writer.error();
  Result<Descriptor> reader =
      whole->is_board ? Result<Descriptor>(Descriptor())
                      : make_zero_memory(whole->parts.reader_bytes, UINT64_MAX, shown_name.c_str());
  if (!reader) return reader.error();
  // Ends would refuse what is protected less than this kernel can: say so now.
  const std::uint64_t reader_bytes = whole->is_board ? 0 : whole->parts.reader_bytes;
  for (const auto& [fd, size_bytes] : {std::pair(page->descriptor.get(), guard_page_bytes()),
                                       std::pair(writer->get(), whole->parts.writer_bytes),
                                       std::pair(reader->get(), reader_bytes)}) {
    if (size_bytes == 0) continue;
    if (Result<MemoryFacts> facts = verify_memory(fd, ::geteuid(), size_bytes); !facts) {
      Error error = facts.error();
      if (error.code == ErrorCode::kCorruptPeer) error.code = ErrorCode::kSystem;
      error.doing = "seal a link's memory";
      return error;
    }
  }
  Result<RendezvousServer> server = RendezvousServer::create(directory, name, options.rendezvous);
  if (!server) return server.error();
  GuardedBroker broker(std::string(name), *whole, std::move(server).value(),
                       std::move(page).value());
  GuardAccess ours;
  ours.user = ::geteuid();
  broker.observer_access_ = options.observer.value_or(ours);
  broker.commander_access_ = options.commander.value_or(ours);
  broker.seat(Role::kWriter).access = options.writer.value_or(ours);
  broker.seat(Role::kReader).access = options.reader.value_or(ours);
  broker.seat(Role::kWriter).memory = std::move(writer).value();
  broker.seat(Role::kReader).memory = std::move(reader).value();
  const auto best = static_cast<std::uint32_t>(best_protection_level());
  for (const Role role : {Role::kWriter, Role::kReader}) show(broker.shown(role).protection, best);
  return broker;
}

GuardSeat& GuardedBroker::shown(Role role) noexcept {
  return reinterpret_cast<GuardPage*>(page_.own.writable_bytes().data())->seats[seat_of(role)];
}

void GuardedBroker::expect(Role role, Peer process) noexcept {
  seat(role).expected.emplace(std::move(process));
}

bool GuardedBroker::may_take(const GuardAccess& access, const std::optional<Peer>& expected,
                             const PeerCredentials& who) const noexcept {
  if (access.user && who.user != *access.user) return false;
  if (access.group && who.group != *access.group) return false;
  return !access.only_process || (expected && expected->is_same_as(who.process));
}

std::optional<Role> GuardedBroker::role_of(Id id) const noexcept {
  for (const Role role : {Role::kWriter, Role::kReader}) {
    const Seat& held = seats_[seat_of(role)];
    if (held.hold != Hold::kFree && held.holder_id == id) return role;
  }
  return std::nullopt;
}

GuardGrant GuardedBroker::grant_now() const noexcept {
  GuardGrant grant = grant_of(shape_);
  grant.created_ns = created_ns_;
  grant.owners[0] = seats_[0].owner;
  grant.owners[1] = seats_[1].owner;
  return grant;
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
        if (const auto role = role_of(event->id)) tell_news(*role);
        break;
      case Kind::kWatched:
        look_for_death(static_cast<Role>(event->id));
        break;
    }
  }
}

void GuardedBroker::hear(Id id, Packet& packet) noexcept {
  switch (static_cast<GuardKind>(packet.kind)) {
    case GuardKind::kAsk:
      if (const auto ask = guard_body<GuardAsk>(packet.bytes())) return answer_ask(id, *ask);
      break;
    case GuardKind::kRegion:
      return take_region(id, packet);
    case GuardKind::kGot:
      if (const auto role = role_of(id)) {
        if (seat(*role).untaken_count != 0) --seat(*role).untaken_count;
        return tell_news(*role);
      }
      break;
    case GuardKind::kAbort:
      if (packet.body_bytes == 0 && !role_of(id)) return answer_abort(id);
      break;
    case GuardKind::kBye:
      if (const auto role = role_of(id)) free_role(*role);
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
  if (ask.role == kObserverRole && !role_of(id)) {
    if (may_take(observer_access_, std::nullopt, *who) || who->user == 0) return grant_look(id);
    return refuse(id, {ErrorCode::kPermission, 0, ""});
  }
  const auto role = static_cast<Role>(ask.role);
  const bool is_role = role == Role::kWriter || (role == Role::kReader && !shape_.is_board);
  if (!is_role || role_of(id)) return refuse(id, {ErrorCode::kInvalidArgument, 0, "", ask.role});
  if (!may_take(seat(role).access, seat(role).expected, *who)) {
    return refuse(id, {ErrorCode::kPermission, 0, "", who->user});
  }
  look_for_death(role);
  if (seat(role).hold != Hold::kFree) {
    return refuse(id, {ErrorCode::kBusy, 0, "", seat(role).holder.process_id});
  }
  grant_role(id, role, *who);
}

void GuardedBroker::grant_role(Id id, Role role, const PeerCredentials& who) noexcept {
  Seat& taken = seat(role);
  Result<Peer> process = another_handle(who.process);
  if (!process) return refuse(id, process.error());
  GuardGrant grant = grant_now();
  grant.role = static_cast<std::uint32_t>(role);
  // relaxed: our own word.
  grant.news_count = shown(role).news_count.load(std::memory_order_relaxed);
  grant.next_generation = taken.owner.generation + 1;
  std::array<int, 3> descriptors{};
  std::size_t count = 0;
  descriptors[count++] = page_.descriptor.get();
  if (!shape_.is_board) descriptors[count++] = seat(other_role(role)).memory.get();
  if (taken.owner.generation != 0) descriptors[count++] = taken.memory.get();
  grant.descriptor_count = static_cast<std::uint32_t>(count);
  const Status sent = server_.send(id, number_of(GuardKind::kGrant), guard_bytes(grant),
                                   {descriptors.data(), count});
  if (!sent) return server_.close(id);
  taken.hold = Hold::kCopying;
  taken.holder_id = id;
  taken.holder = {static_cast<std::uint32_t>(who.user), static_cast<std::uint32_t>(who.group),
                  static_cast<std::uint32_t>(who.process.pid()), grant.next_generation};
  taken.process.emplace(std::move(process).value());
  taken.has_news = false;
  taken.untaken_count = 0;
}

void GuardedBroker::grant_look(Id id) noexcept {
  GuardGrant grant = grant_now();
  grant.role = kObserverRole;
  const std::array<int, 3> descriptors = {page_.descriptor.get(), seats_[0].memory.get(),
                                          seats_[1].memory.get()};
  const std::size_t count = shape_.is_board ? 2 : 3;
  grant.descriptor_count = static_cast<std::uint32_t>(count);
  const Status sent = server_.send(id, number_of(GuardKind::kGrant), guard_bytes(grant),
                                   {descriptors.data(), count});
  if (!sent) server_.close(id);
}

void GuardedBroker::take_region(Id id, Packet& packet) noexcept {
  const auto role = role_of(id);
  const auto body = guard_body<GuardGeneration>(packet.bytes());
  if (!role || seat(*role).hold != Hold::kCopying || !body || packet.descriptor_count != 1 ||
      body->generation != seat(*role).holder.generation) {
    server_.close(id);
    return lost(id);
  }
  Seat& taken = seat(*role);
  const std::uint64_t size_bytes =
      *role == Role::kWriter ? shape_.parts.writer_bytes : shape_.parts.reader_bytes;
  Result<MemoryFacts> facts =
      verify_memory(packet.descriptors[0].get(), taken.holder.user, size_bytes);
  if (!facts) {
    // Nobody has seen it, so that nothing is lost with it.
    free_role(*role);
    return refuse(id, facts.error());
  }
  taken.memory = std::move(packet.descriptors[0]);
  taken.owner = taken.holder;
  taken.protection = facts->protection;
  taken.hold = Hold::kAttached;
  GuardSeat& page = shown(*role);
  show(page.process_id, taken.owner.process_id);
  show(page.user, taken.owner.user);
  show(page.group, taken.owner.group);
  show(page.protection, static_cast<std::uint32_t>(taken.protection));
  show(page.is_held, 1);
  show(page.generation, taken.owner.generation);
  // The other end first: what the newcomer publishes is then sure to be found.
  seat(other_role(*role)).has_news = true;
  tell_news(other_role(*role));
  const GuardGeneration accepted{body->role, body->generation};
  const Status sent = server_.send(id, number_of(GuardKind::kAccepted), guard_bytes(accepted));
  // An end that does not hear it gives up; its memory is as good as its predecessor's.
  if (!sent) {
    server_.close(id);
    lost(id);
  }
}

void GuardedBroker::answer_abort(Id id) noexcept {
  const PeerCredentials* who = server_.peer(id);
  if (who == nullptr) return;
  if (!may_take(commander_access_, std::nullopt, *who) && who->user != 0) {
    return refuse(id, {ErrorCode::kPermission, 0, "", who->user});
  }
  if (shape_.is_board) return refuse(id, {ErrorCode::kInvalidArgument, 0, ""});
  // Where to cut is not the commander's to say: a position inside a record would be taken for one.
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  Result<Mapping> writer =
      Mapping::map(seat(Role::kWriter).memory.get(), 0, shape_.parts.ring_offset, options);
  if (!writer) return refuse(id, writer.error());
  const LinkBoundary boundary = published_boundary(shape_.shape, writer->bytes());
  ControlPage& page = reinterpret_cast<GuardPage*>(page_.own.writable_bytes().data())->control;
  const std::uint32_t count =
      post_command(page, boundary, monotonic_ns(), static_cast<std::uint32_t>(who->process.pid()));
  futex_wake(page.count, kAllSleepers);
  const GuardAborted told{count, boundary.message_number, boundary.position};
  // Who does not hear it sees its connection end; the reader has been told.
  if (!server_.send(id, number_of(GuardKind::kAborted), guard_bytes(told))) server_.close(id);
}

void GuardedBroker::tell_news(Role role) noexcept {
  Seat& told = seat(role);
  if (!told.has_news || told.untaken_count == kMaxUntakenNews || told.hold == Hold::kFree) return;
  const Seat& about = seat(other_role(role));
  const GuardNews body{static_cast<std::uint32_t>(other_role(role)), 0, about.owner};
  const std::array<int, 1> descriptors = {about.memory.get()};
  const Status sent =
      server_.send(told.holder_id, number_of(GuardKind::kNews), guard_bytes(body), descriptors);
  if (!sent) {
    // A connection that is gone hears nothing; its end goes on with what it has.
    if (sent.error().code != ErrorCode::kClosed) server_.want_writable(told.holder_id);
    return;
  }
  told.has_news = false;
  ++told.untaken_count;
  GuardSeat& page = shown(role);
  // relaxed load: our own word.
  page.news_count.store(page.news_count.load(std::memory_order_relaxed) + 1,
                        std::memory_order_release);  // guard.A pairs with guard.B
  futex_wake(page.news_count, 1);
}

void GuardedBroker::lost(Id id) noexcept {
  const auto role = role_of(id);
  if (!role) return;
  if (seat(*role).hold == Hold::kCopying) {
    // Its memory was never the role's: whatever it still does there, nobody sees it.
    return free_role(*role);
  }
  if (has_ended(*seat(*role).process)) return free_role(*role);
  // The kernel closes a dying process's sockets before it says that the process has ended.  A
  // failure only delays what is shown: a claim looks for itself.
  static_cast<void>(
      server_.watch(seat(*role).process->poll_fd(), static_cast<std::uint32_t>(*role)));
}

void GuardedBroker::look_for_death(Role role) noexcept {
  Seat& held = seat(role);
  if (held.hold != Hold::kFree && has_ended(*held.process)) free_role(role);
}

void GuardedBroker::free_role(Role role) noexcept {
  Seat& held = seat(role);
  server_.forget(held.process->poll_fd());
  held.process.reset();
  held.hold = Hold::kFree;
  held.holder_id = 0;
  show(shown(role).is_held, 0);
}

Result<std::unique_ptr<GuardedView>> GuardedBroker::view() const noexcept {
  const std::array<int, 3> descriptors = {page_.descriptor.get(), seats_[0].memory.get(),
                                          seats_[1].memory.get()};
  return GuardedView::make(grant_now(), {descriptors.data(), shape_.is_board ? 2U : 3U});
}

void GuardedBroker::refresh(GuardedView& view) const noexcept {
  if (!view.is_old()) return;
  const std::array<int, 3> descriptors = {page_.descriptor.get(), seats_[0].memory.get(),
                                          seats_[1].memory.get()};
  view.refresh(grant_now(), {descriptors.data(), shape_.is_board ? 2U : 3U});
}

}  // namespace slipring
