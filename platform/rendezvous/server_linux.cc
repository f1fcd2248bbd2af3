#include "platform/rendezvous/server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/error/check.h"
#include "platform/memory/segment_name.h"
#include "platform/rendezvous/address.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

constexpr int kAcceptsATurn = 32;
constexpr std::uint64_t kLookAgainNs = 1'000'000;

// What an epoll event is about: one of these in the upper half, a slot's number or a tag below.
constexpr std::uint64_t kListener = 0;
constexpr std::uint64_t kSlot = 1;
constexpr std::uint64_t kWatch = 2;

constexpr std::uint64_t tag_of(std::uint64_t what, std::uint64_t number) noexcept {
  return what << 32 | number;
}

Error failed(const char* doing) noexcept {
  const ErrorCode code = errno == EACCES || errno == EPERM || errno == EROFS
                             ? ErrorCode::kPermission
                         : errno == ENOENT ? ErrorCode::kNotFound
                         : errno == ENOSPC ? ErrorCode::kNoSpace
                                           : ErrorCode::kSystem;
  return {code, errno, doing};
}

// Sleeps until the listener has gone, or might have: a connection that nobody takes ends with it.
void sleep_until_refused(const RendezvousAddress& where, std::uint64_t until_ns) noexcept {
  const Descriptor probe(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool is_queued =
      probe.is_open() && ::connect(probe.get(), where.get(), where.size_bytes) == 0;
  pollfd ended{is_queued ? probe.get() : -1, POLLRDHUP, 0};
  const std::uint64_t now_ns = monotonic_ns();
  if (now_ns >= until_ns) return;
  // A full queue says nothing of its owner's end.
  const std::uint64_t rest_ns = is_queued ? until_ns - now_ns : kLookAgainNs;
  const timespec rest{static_cast<time_t>(rest_ns / 1'000'000'000),
                      static_cast<long>(rest_ns % 1'000'000'000)};
  ::ppoll(&ended, 1, &rest, nullptr);
}

}  // namespace

RendezvousServer::RendezvousServer(std::string name, Descriptor directory, OwnedName owned,
                                   Descriptor epoll, const RendezvousOptions& options) noexcept
    : name_(std::move(name)),
      directory_(std::move(directory)),
      socket_(std::move(owned.socket)),
      epoll_(std::move(epoll)),
      spare_(::open("/dev/null", O_RDONLY | O_CLOEXEC)),
      inode_(owned.inode),
      options_(options),
      slots_(options.connection_count_max) {}

Result<RendezvousServer> RendezvousServer::create(const SegmentDirectory& directory,
                                                  std::string_view name,
                                                  const RendezvousOptions& options) noexcept {
  if (options.mode != 0600 && options.mode != 0660) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "make a rendezvous of a mode other than 0600, 0660", options.mode};
  }
  Descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  Descriptor own_directory(::fcntl(directory.fd(), F_DUPFD_CLOEXEC, 0));
  if (!epoll.is_open() || !own_directory.is_open()) return failed("make a rendezvous");
  Result<OwnedName> owned = claim_name(directory, name, {options.mode, options.group});
  if (!owned) return owned.error();
  RendezvousServer server(std::string(name), std::move(own_directory), std::move(*owned),
                          std::move(epoll), options);
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = tag_of(kListener, 0);
  if (::epoll_ctl(server.epoll_.get(), EPOLL_CTL_ADD, server.socket_.get(), &event) != 0) {
    return failed("watch a rendezvous");
  }
  return server;
}

RendezvousServer::~RendezvousServer() {
  if (!socket_.is_open()) return;
  // The name first, as long as it cannot be stale.
  give_up_name(directory_.get(), name_, inode_);
}

std::uint64_t RendezvousServer::next_deadline_ns() const noexcept {
  std::uint64_t deadline_ns = kNoDeadline;
  for (const Slot& slot : slots_) {
    if (slot.connection && slot.is_silent) {
      deadline_ns = std::min(deadline_ns, slot.since_ns + kSilenceNs);
    }
  }
  return deadline_ns;
}

std::size_t RendezvousServer::connection_count() const noexcept {
  return static_cast<std::size_t>(std::count_if(
      slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.connection.has_value(); }));
}

RendezvousServer::Id RendezvousServer::id_of(const Slot& slot) const noexcept {
  return std::uint64_t{slot.serial} << 32 | static_cast<std::uint64_t>(&slot - slots_.data());
}

RendezvousServer::Slot* RendezvousServer::find(Id id) noexcept {
  const auto index = static_cast<std::size_t>(id & UINT32_MAX);
  if (index >= slots_.size() || !slots_[index].connection || slots_[index].serial != id >> 32) {
    return nullptr;
  }
  return &slots_[index];
}

void RendezvousServer::drop(Slot& slot) noexcept {
  // Closing alone would do, unless a forked child has a copy of the descriptor.
  static_cast<void>(::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, slot.connection->fd(), nullptr));
  slot.connection.reset();
}

RendezvousServer::Slot* RendezvousServer::place_for(uid_t user) noexcept {
  std::size_t user_count = 0;
  Slot* unused = nullptr;
  Slot* oldest_silent = nullptr;
  Slot* oldest_silent_of_user = nullptr;
  for (Slot& slot : slots_) {
    if (!slot.connection) {
      unused = &slot;
      continue;
    }
    const bool is_of_user = slot.connection->peer().user == user;
    if (is_of_user) ++user_count;
    if (!slot.is_silent) continue;
    const auto is_older = [&](const Slot* than) {
      return than == nullptr || slot.serial < than->serial;
    };
    if (is_older(oldest_silent)) oldest_silent = &slot;
    if (is_of_user && is_older(oldest_silent_of_user)) oldest_silent_of_user = &slot;
  }
  Slot* chosen = user_count >= options_.per_user_count_max ? oldest_silent_of_user
                 : unused != nullptr                       ? unused
                                                           : oldest_silent;
  if (chosen != nullptr && chosen->connection) drop(*chosen);
  return chosen;
}

void RendezvousServer::accept_without_descriptors() noexcept {
  // Otherwise the newcomer would make the listener readable for ever.
  spare_.reset();
  Descriptor refused(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  refused.reset();
  spare_ = Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

void RendezvousServer::accept_all() noexcept {
  for (int i = 0; i < kAcceptsATurn; ++i) {
    Descriptor socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.is_open()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE) accept_without_descriptors();
      return;
    }
    Result<Connection> connection = Connection::adopt(std::move(socket));
    // Somebody who cannot be identified is nobody to us.
    if (!connection) continue;
    Slot* slot = place_for(connection->peer().user);
    if (slot == nullptr) continue;
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u64 = tag_of(kSlot, static_cast<std::uint64_t>(slot - slots_.data()));
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection->fd(), &event) != 0) continue;
    slot->connection.emplace(std::move(connection).value());
    slot->serial = ++last_serial_;
    slot->is_silent = true;
    slot->since_ns = monotonic_ns();
  }
}

void RendezvousServer::begin_turn() noexcept {
  const std::uint64_t now_ns = monotonic_ns();
  for (Slot& slot : slots_) {
    if (slot.connection && slot.is_silent && now_ns - slot.since_ns >= kSilenceNs) drop(slot);
  }
  std::array<epoll_event, kEventsATurn> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsATurn, 0);
  ready_count_ = 0;
  ready_next_ = 0;
  has_newcomers_ = false;
  // EINTR is answered by the next turn.
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 >> 32 == kListener) {
      has_newcomers_ = true;
    } else {
      ready_[ready_count_++] = {event.data.u64, event.events};
    }
  }
}

std::optional<RendezvousServer::Event> RendezvousServer::read_from(Slot& slot) noexcept {
  const Id id = id_of(slot);
  Result<Arrival> got = slot.connection->receive(packet_);
  if (got && *got == Arrival::kNothing) return std::nullopt;
  if (got && *got == Arrival::kPacket) {
    slot.is_silent = false;
    return Event{Event::Kind::kPacket, id};
  }
  drop(slot);
  return Event{Event::Kind::kClosed, id};
}

std::optional<RendezvousServer::Event> RendezvousServer::next() noexcept {
  while (ready_next_ != ready_count_) {
    const Ready ready = ready_[ready_next_++];
    const std::uint64_t number = ready.tag & UINT32_MAX;
    if (ready.tag >> 32 == kWatch) return Event{Event::Kind::kWatched, number};
    Slot& slot = slots_[static_cast<std::size_t>(number)];
    if (!slot.connection) continue;
    if ((ready.events & EPOLLOUT) != 0) {
      epoll_event event = {};
      event.events = EPOLLIN;
      event.data.u64 = ready.tag;
      static_cast<void>(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, slot.connection->fd(), &event));
      // What there is to read is reported again by the next turn.
      return Event{Event::Kind::kWritable, id_of(slot)};
    }
    if (auto event = read_from(slot)) return event;
  }
  // Last, so that nobody who has spoken counts as silent.
  if (std::exchange(has_newcomers_, false)) accept_all();
  return std::nullopt;
}

const PeerCredentials* RendezvousServer::peer(Id id) const noexcept {
  const Slot* slot = const_cast<RendezvousServer*>(this)->find(id);
  return slot == nullptr ? nullptr : &slot->connection->peer();
}

Status RendezvousServer::send(Id id, std::uint16_t kind, std::span<const std::byte> body,
                              std::span<const int> descriptors) noexcept {
  Slot* slot = find(id);
  if (slot == nullptr) return Error{ErrorCode::kClosed, 0, "send to a connection that is gone"};
  return slot->connection->send(kind, body, descriptors);
}

void RendezvousServer::want_writable(Id id) noexcept {
  Slot* slot = find(id);
  if (slot == nullptr) return;
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLOUT;
  event.data.u64 = tag_of(kSlot, id & UINT32_MAX);
  static_cast<void>(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, slot->connection->fd(), &event));
}

void RendezvousServer::close(Id id) noexcept {
  if (Slot* slot = find(id); slot != nullptr) drop(*slot);
}

Status RendezvousServer::watch(int fd, std::uint32_t tag) noexcept {
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.u64 = tag_of(kWatch, tag);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  if (errno == EEXIST && ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0) return {};
  return failed("watch a process");
}

void RendezvousServer::forget(int fd) noexcept {
  // It may not be watched at all.
  static_cast<void>(::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr));
}

Result<bool> is_rendezvous_alive(const SegmentDirectory& directory,
                                 std::string_view name) noexcept {
  Result<NameState> state = look_at_name(directory, name);
  if (!state) return state.error();
  return *state == NameState::kOwned;
}

Result<bool> wait_until_refused(const SegmentDirectory& directory, std::string_view name,
                                std::uint64_t deadline_ns) noexcept {
  Result<RendezvousAddress> where = rendezvous_address(directory, name);
  if (!where) return where.error();
  for (;;) {
    Result<NameState> state = look_at_name(directory, name);
    if (!state) return state.error();
    if (*state != NameState::kOwned) return true;
    if (monotonic_ns() >= deadline_ns) return false;
    sleep_until_refused(*where, deadline_ns);
  }
}

Result<std::vector<std::string>> list_rendezvous(const SegmentDirectory& directory) noexcept {
  const auto entries = read_directory_names(directory.fd());
  if (!entries) return failed("read the segment directory");
  std::vector<std::string> names;
  for (std::string_view name : *entries) {
    if (!name.ends_with(kRendezvousSuffix)) continue;
    struct stat found = {};
    if (::fstatat(directory.fd(), name.data(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
      // What has gone meanwhile is left out; what cannot be looked at must not look gone.
      if (errno == ENOENT) continue;
      return failed("look at a rendezvous");
    }
    if (!S_ISSOCK(found.st_mode)) continue;
    name.remove_suffix(kRendezvousSuffix.size());
    if (is_segment_name(name)) names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Status remove_stale_rendezvous(const SegmentDirectory& directory, std::string_view name) noexcept {
  Result<NameState> state = look_at_name(directory, name);
  if (!state) return state.error();
  if (*state == NameState::kMissing || *state == NameState::kOtherFile) {
    return Error{ErrorCode::kNotFound, ENOENT, "remove a rendezvous"};
  }
  constexpr Error kListens{ErrorCode::kBusy, 0, "remove a rendezvous at which somebody listens"};
  if (*state == NameState::kOwned) return kListens;
  // Only its owner may take a name away.
  Result<OwnedName> owned = claim_name(directory, name, {});
  if (!owned) return owned.error().code == ErrorCode::kExists ? kListens : owned.error();
  give_up_name(directory.fd(), name, owned->inode);
  return {};
}

}  // namespace slipring
