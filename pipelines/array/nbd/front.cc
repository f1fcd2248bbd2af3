#include "pipelines/array/nbd/front.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/cpu/relax.h"
#include "pipelines/array/nbd/listeners.h"
#include "pipelines/array/nbd/surviving_word.h"
#include "pipelines/stage/error_text.h"
#include "platform/wait/clock.h"

namespace slipring::array {
namespace {

constexpr const char* kMemoryName = "memory";
constexpr const char* kSpillName = "spill";
constexpr const char* kUnixName = "unix";
constexpr const char* kTcpName = "tcp";
// Tags of epoll events that are no client's index.
constexpr std::uint64_t kBellTag = 1U << 20;
constexpr std::uint64_t kKeeperTag = kBellTag + 1;
// A client's turn: the others get theirs.
constexpr int kRoundsATurn = 8;
constexpr int kIdleBoundMs = 100;
constexpr int kStarvedBoundMs = 1;
constexpr std::uint64_t kDeadlineLookNs = 1'000'000'000;

std::optional<KeptDescriptor> take_named(std::vector<KeptDescriptor>& inherited,
                                         std::string_view name) {
  const auto found = std::find_if(inherited.begin(), inherited.end(),
                                  [name](const KeptDescriptor& one) { return one.name == name; });
  if (found == inherited.end()) return std::nullopt;
  KeptDescriptor taken = std::move(*found);
  inherited.erase(found);
  return taken;
}

}  // namespace

Front::Front(Stage& stage, FrontOptions options)
    : stage_(stage),
      options_(std::move(options)),
      requests_(*stage.output("requests")),
      replies_(*stage.input("replies")),
      port_(requests_, replies_),
      clients_number_(stage.gauge("clients")),
      requests_number_(stage.counter("requests")),
      refused_number_(stage.counter("refused_requests")),
      hang_ups_number_(stage.counter("protocol_errors")),
      dropped_number_(stage.counter("replies_for_nobody")),
      spilled_number_(stage.counter("replies_spilled")),
      under_way_number_(stage.gauge("under_way")),
      resumed_number_(stage.counter("connections_resumed")) {}

void Front::fail(const char* what) {
  stage_.log(Severity::kError, "%s", what);
  failed_ = true;
}

// --- Beginning -----------------------------------------------------------------------------------

bool Front::watch(int fd, std::uint32_t events, std::uint64_t tag) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return true;
  stage_.log(Severity::kError, "cannot watch a descriptor: %s", strerror(errno));
  return false;
}

// The predecessor's memory, or fresh memory, which is kept before anything happens in it.
bool Front::take_over(std::vector<KeptDescriptor>& inherited) {
  std::optional<KeptDescriptor> kept = take_named(inherited, kMemoryName);
  Result<FrontMemoryFile> file =
      kept ? FrontMemoryFile::adopt(std::move(kept->descriptor), MemoryLock::kTry)
           : FrontMemoryFile::make(MemoryLock::kTry);
  if (!file) {
    stage_.log(Severity::kError, "cannot have the memory that outlives a process: %s",
               describe_error(file.error()).c_str());
    return false;
  }
  file_.emplace(std::move(file).value());
  std::optional<KeptDescriptor> spilled = take_named(inherited, kSpillName);
  Result<SpillMemoryFile> spill =
      spilled ? SpillMemoryFile::adopt(std::move(spilled->descriptor)) : SpillMemoryFile::make();
  if (!spill) {
    stage_.log(Severity::kError, "cannot have memory for what clients do not read: %s",
               describe_error(spill.error()).c_str());
    return false;
  }
  spill_.emplace(std::move(spill).value());
  Status kept_now = stage_.keeper().keep(kMemoryName, file_->fd());
  if (kept_now) kept_now = stage_.keeper().keep(kSpillName, spill_->fd());
  if (!kept_now) {
    stage_.log(Severity::kError, "cannot have the front's memory kept: %s",
               describe_error(kept_now.error()).c_str());
    return false;
  }
  pieces_.emplace(file_->memory(), port_, spill_->bytes());
  context_.emplace(FrontContext{*pieces_, port_, {}});
  for (std::size_t i = 0; i < options_.exports.size(); ++i) {
    context_->exports.push_back({options_.exports[i], static_cast<std::uint16_t>(i), {}});
  }
  for (std::uint32_t i = 0; i < kConnectionCountMax; ++i) {
    clients_[i].connection =
        std::make_unique<Connection>(file_->memory().connections[i], i, *context_);
  }
  return true;
}

bool Front::make_listener(std::vector<KeptDescriptor>& inherited, const char* name,
                          const std::string& where, bool is_unix) {
  std::optional<KeptDescriptor> kept = take_named(inherited, name);
  if (where.empty()) return true;
  Descriptor socket;
  if (kept) {
    socket = std::move(kept->descriptor);
  } else {
    Result<Descriptor> made = is_unix ? listen_on_unix(where) : listen_on_tcp(where);
    if (!made) {
      stage_.log(Severity::kError, "cannot listen on %s: %s", where.c_str(),
                 describe_error(made.error()).c_str());
      return false;
    }
    socket = std::move(made).value();
    if (is_unix) {
      stage_.log(Severity::kInfo, "listening on nbd+unix:///?socket=%s", where.c_str());
    } else {
      stage_.log(Severity::kInfo, "listening on TCP port %u", port_of(socket.get()));
    }
  }
  Status asked = kept ? Status() : stage_.keeper().keep(name, socket.get());
  if (asked) asked = stage_.keeper().accept_on(name, socket.get());
  if (!asked) {
    stage_.log(Severity::kError, "cannot have connections accepted: %s",
               describe_error(asked.error()).c_str());
    return false;
  }
  listeners_.push_back(std::move(socket));
  return true;
}

// What the predecessor was serving goes on where it stood.
void Front::resume_clients(std::vector<KeptDescriptor>& inherited) {
  pieces_->resume();
  for (Client& client : clients_) client.connection->resume();
  for (std::uint32_t i = 0; i < kPieceCountMax; ++i) {
    PieceMemory& piece = pieces_->at(i);
    const PieceState state = settled(piece.state);
    if (state == PieceState::kFree) continue;
    if (piece.connection < kConnectionCountMax) {
      clients_[piece.connection].connection->adopt_piece(i);
    } else if (state != PieceState::kSubmitted) {
      pieces_->forget(i);
    }
  }
  for (std::uint32_t i = 0; i < kConnectionCountMax; ++i) {
    Connection& connection = *clients_[i].connection;
    if (connection.phase() == Phase::kFree) continue;
    std::optional<KeptDescriptor> kept = take_named(inherited, connection.name());
    connection.finish_resume();
    if (kept) {
      resumed_number_.add();
      attach_socket(i, std::move(kept->descriptor));
    }
    if (!kept || connection.phase() == Phase::kClosed) close_client(i);
  }
  // Those that nobody has greeted yet.
  for (KeptDescriptor& kept : inherited) admit(std::move(kept));
}

bool Front::ask_for(std::uint16_t export_number) {
  const std::uint32_t place = pieces_->take_place(BlockOperation::kDescribe);
  if (place == kNoIndex) return false;
  PieceMemory& piece = pieces_->at(place);
  piece.connection = kNoIndex;
  settle(piece.id, std::uint64_t{0});
  piece.offset = 0;
  piece.length = 0;
  piece.export_number = export_number;
  piece.flags = 0;
  settle(piece.out_item, kNoPosition);
  pieces_->make_ready(place);
  return true;
}

void Front::describe_exports() {
  for (const NbdExport& one : context_->exports) {
    if (!ask_for(one.number)) return fail("no place is left to ask what the exports are");
  }
}

// --- Clients -------------------------------------------------------------------------------------

// No client can have so much under way that the others have nothing.
void Front::share_out() {
  std::uint32_t count = 0;
  for (const Client& client : clients_) count += client.socket.is_open() ? 1U : 0U;
  const std::uint32_t buffers =
      std::min({port_.reply_buffer_count(), requests_.shape().pool_buffer_count, kPieceCountMax});
  context_->piece_limit = std::max(4U, buffers * 3 / 4 / std::max(count, 1U));
  clients_number_.set(count);
}

void Front::attach_socket(std::uint32_t index, Descriptor socket) {
  Client& client = clients_[index];
  client.socket = std::move(socket);
  client.is_readable = true;
  client.is_writable = true;
  client.haggles_until_ns = deadline_after(kHagglingNs);
  set_up_client_socket(client.socket.get());
  const bool is_watched =
      watch(client.socket.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, index);
  if (!is_watched) close_client(index);
  share_out();
}

void Front::admit(KeptDescriptor accepted) {
  for (std::uint32_t i = 0; i < kConnectionCountMax; ++i) {
    if (clients_[i].connection->phase() != Phase::kFree) continue;
    clients_[i].connection->open(accepted.name);
    return attach_socket(i, std::move(accepted.descriptor));
  }
  stage_.log(Severity::kWarning, "a client is turned away: %u are connected", kConnectionCountMax);
  shutdown(accepted.descriptor.get(), SHUT_RDWR);
  static_cast<void>(stage_.keeper().drop(accepted.name));
}

void Front::take_accepted() {
  for (;;) {
    Result<std::optional<KeptDescriptor>> accepted = stage_.keeper().next_accepted();
    if (!accepted) {
      stage_.log(Severity::kError, "no more clients can come: %s",
                 describe_error(accepted.error()).c_str());
      failed_ = true;
      return;
    }
    if (!accepted->has_value()) return;
    admit(std::move(**accepted));
  }
}

void Front::close_client(std::uint32_t index) {
  Client& client = clients_[index];
  client.connection->shut();
  if (client.socket.is_open()) {
    // The store has a duplicate: only this tells the client.
    shutdown(client.socket.get(), SHUT_RDWR);
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, client.socket.get(), nullptr);
  }
  if (const Status dropped = stage_.keeper().drop(client.connection->name()); !dropped) {
    stage_.log(Severity::kWarning, "a closed connection stays in the store: %s",
               describe_error(dropped.error()).c_str());
  }
  client.socket.reset();
  client.is_readable = client.is_writable = client.waits = client.is_ending = false;
  share_out();
  release_if_over(index);
}

void Front::release_if_over(std::uint32_t index) {
  Connection& connection = *clients_[index].connection;
  if (connection.phase() == Phase::kClosed && connection.piece_count() == 0) connection.release();
}

void Front::look_at_deadlines() {
  const std::uint64_t now_ns = monotonic_ns();
  if (now_ns < next_deadline_look_ns_) return;
  next_deadline_look_ns_ = now_ns + kDeadlineLookNs;
  for (std::uint32_t i = 0; i < kConnectionCountMax; ++i) {
    const Client& client = clients_[i];
    const Phase phase = client.connection->phase();
    const bool haggles = phase == Phase::kClientFlags || phase == Phase::kOptions;
    if (client.socket.is_open() && haggles && now_ns > client.haggles_until_ns) close_client(i);
  }
}

// --- Work ----------------------------------------------------------------------------------------

void Front::take_description(std::uint32_t piece) {
  const PieceMemory& answered = pieces_->at(piece);
  const std::uint16_t number = answered.export_number;
  const auto data = port_.data_of(answered.buffer);
  BlockExport block{};
  const bool is_there =
      answered.error == 0 && answered.data_bytes == sizeof block && data.size() >= sizeof block;
  if (is_there) std::memcpy(&block, data.data(), sizeof block);
  const auto is_size = [](std::uint32_t bytes, std::uint32_t least) {
    return bytes >= least && (bytes & (bytes - 1)) == 0;
  };
  const bool is_sane = is_there && block.size_bytes >> 62 == 0 &&
                       is_size(block.block_bytes_min, 1) && block.block_bytes_min <= 65536 &&
                       is_size(block.block_bytes_preferred, block.block_bytes_min);
  const int error = static_cast<int>(answered.error);
  pieces_->free(piece);
  if (number >= context_->exports.size()) return;
  if (is_sane) {
    context_->exports[number].block = block;
    return;
  }
  stage_.log(Severity::kError, "export \"%s\" (number %u) cannot be offered: %s",
             context_->exports[number].name.c_str(), number,
             error != 0 ? strerror(error) : "the back end describes it with impossible values");
  failed_ = true;
}

bool Front::take_replies() {
  bool took = false;
  for (;;) {
    BlockReply reply;
    ReplyTicket ticket;
    const Transfer answer = port_.next_reply(reply, ticket);
    if (answer == Transfer::kBlocked) return took;
    if (answer == Transfer::kCorruptPeer) {
      stage_.log(Severity::kError, "the back end wrote impossible values into its page: %s",
                 offender_text(replies_.offender()).c_str());
      failed_ = true;
      return took;
    }
    took = true;
    const std::optional<std::uint32_t> piece = pieces_->take_reply(reply, ticket);
    if (!piece) continue;
    const std::uint32_t owner = pieces_->at(*piece).connection;
    if (owner >= kConnectionCountMax) {
      take_description(*piece);
      continue;
    }
    clients_[owner].connection->take_answer(*piece);
    release_if_over(owner);
  }
}

// One client's turn; whether anything was done.
bool Front::serve(std::uint32_t index) {
  Client& client = clients_[index];
  Connection& connection = *client.connection;
  bool all = false;
  client.waits = false;
  for (int round = 0; round < kRoundsATurn; ++round) {
    Progress progress = connection.work();
    if (progress != Progress::kEnded && client.is_readable) {
      const Progress received = connection.receive(client.socket.get());
      // What comes later is an event of its own; an end that has come already is none.
      const bool is_empty = received == Progress::kLast && !client.is_ending;
      if (received == Progress::kNone || is_empty) client.is_readable = false;
      if (received == Progress::kWaits) client.waits = true;
      if (received == Progress::kSome || received == Progress::kLast) progress = Progress::kSome;
      if (received == Progress::kEnded) progress = received;
    }
    if (progress == Progress::kEnded) {
      close_client(index);
      return true;
    }
    if (progress != Progress::kSome) break;
    all = true;
  }
  return all;
}

bool Front::serve_all() {
  bool all = false;
  is_starved_ = false;
  for (std::uint32_t i = 0; i < kConnectionCountMax; ++i) {
    if (!clients_[i].socket.is_open()) continue;
    if (serve(i)) all = true;
    is_starved_ = is_starved_ || clients_[i].waits;
  }
  return all;
}

void Front::send_all() {
  for (std::uint32_t i = 0; i < kConnectionCountMax; ++i) {
    Client& client = clients_[i];
    if (!client.socket.is_open()) continue;
    while (client.is_writable && client.connection->has_output()) {
      const Progress sent = client.connection->send(client.socket.get());
      if (sent == Progress::kEnded) {
        close_client(i);
        break;
      }
      if (sent != Progress::kSome) client.is_writable = false;
    }
    if (client.socket.is_open() && client.connection->is_finished()) close_client(i);
  }
}

// Out of band: what a client has asked and nobody has begun is dropped with it.
void Front::obey(const Command& command) {
  static constexpr std::string_view kDisconnect = "disconnect ";
  const bool is_list = command.text == "clients";
  if (!is_list && !command.text.starts_with(kDisconnect)) {
    stage_.log(Severity::kWarning,
               "unknown command '%s'; there are: clients, disconnect CLIENT|all",
               command.text.c_str());
    return;
  }
  const std::string_view wanted =
      is_list ? std::string_view("all") : std::string_view(command.text).substr(kDisconnect.size());
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < kConnectionCountMax; ++i) {
    const Connection& connection = *clients_[i].connection;
    const std::string name(connection.name());
    if (!clients_[i].socket.is_open() || (wanted != "all" && wanted != name)) continue;
    ++count;
    stage_.log(Severity::kInfo, "client %s: %u pieces under way%s", name.c_str(),
               connection.piece_count(), is_list ? "" : "; disconnected");
    if (!is_list) close_client(i);
  }
  if (count == 0) stage_.log(Severity::kInfo, "there is no such client");
}

void Front::note_numbers() {
  requests_number_.add(std::exchange(context_->request_count, 0));
  refused_number_.add(std::exchange(context_->refused_count, 0));
  hang_ups_number_.add(std::exchange(context_->hang_up_count, 0));
  dropped_number_.add(pieces_->take_dropped_count());
  spilled_number_.add(pieces_->take_spilled_count());
  under_way_number_.set(pieces_->living_count());
}

void Front::wait(bool is_busy) {
  std::array<epoll_event, 64> events;
  const bool is_blocked = is_starved_ || pieces_->has_ready();
  const auto has_work = [&] {
    return replies_.has_message() || (pieces_->has_ready() && port_.has_space());
  };
  const int bound_ms = is_blocked ? kStarvedBoundMs : kIdleBoundMs;
  int count = 0;
  if (is_busy) {
    count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  } else if (is_blocked) {
    count = stage_.wait_in_epoll(epoll_.get(), events, has_work, bound_ms, {&requests_});
  } else if (pieces_->living_count() != 0) {
    count = stage_.wait_with_epoll(epoll_.get(), events, has_work, bound_ms);
  } else {
    count = stage_.wait_in_epoll(epoll_.get(), events, has_work, bound_ms);
  }
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kKeeperTag) take_accepted();
    if (event.data.u64 >= kConnectionCountMax) continue;
    Client& client = clients_[event.data.u64];
    if ((event.events & ~std::uint32_t{EPOLLOUT}) != 0) client.is_readable = true;
    if ((event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) client.is_ending = true;
    if ((event.events & EPOLLOUT) != 0) client.is_writable = true;
  }
}

int Front::run() {
  epoll_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.is_open()) {
    stage_.log(Severity::kError, "cannot make an epoll instance: %s", strerror(errno));
    return 1;
  }
  std::vector<KeptDescriptor> inherited = stage_.keeper().take_inherited();
  if (!take_over(inherited)) return 1;
  if (!make_listener(inherited, kUnixName, options_.unix_path, true)) return 1;
  if (!make_listener(inherited, kTcpName, options_.tcp_address, false)) return 1;
  if (stage_.bell_fd() >= 0 && !watch(stage_.bell_fd(), EPOLLIN, kBellTag)) return 1;
  for (const int fd : stage_.keeper().poll_fds()) {
    if (!watch(fd, EPOLLIN, kKeeperTag)) return 1;
  }
  resume_clients(inherited);
  describe_exports();
  while (!failed_ && !stage_.stop_requested()) {
    while (const std::optional<Command> command = stage_.next_command()) obey(*command);
    const bool took = take_replies();
    const bool served = serve_all();
    if (pieces_->submit_ready() == Transfer::kCorruptPeer) {
      stage_.log(Severity::kError, "the back end wrote impossible values into its page: %s",
                 offender_text(requests_.offender()).c_str());
      return 1;
    }
    send_all();
    pieces_->relieve_ring();
    note_numbers();
    look_at_deadlines();
    wait(took || served);
  }
  if (failed_) return 1;
  if (!options_.unix_path.empty()) unlink(options_.unix_path.c_str());
  return stage_.finish();
}

}  // namespace slipring::array
