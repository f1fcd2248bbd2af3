// How the front begins, or goes on where its predecessor stopped.

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "pipelines/array/nbd/front.h"
#include "pipelines/array/nbd/listeners.h"
#include "pipelines/array/nbd/surviving_word.h"
#include "pipelines/stage/error_text.h"

namespace slipring::array {
namespace {

constexpr const char* kMemoryName = "memory";
constexpr const char* kSpillName = "spill";
constexpr const char* kUnixName = "unix";
constexpr const char* kTcpName = "tcp";

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
      aborts_(stage.output("aborts")),
      clients_number_(stage.gauge("clients")),
      requests_number_(stage.counter("requests")),
      refused_number_(stage.counter("refused_requests")),
      hang_ups_number_(stage.counter("protocol_errors")),
      dropped_number_(stage.counter("replies_for_nobody")),
      spilled_number_(stage.counter("replies_spilled")),
      under_way_number_(stage.gauge("under_way")),
      encrypted_number_(stage.counter("tls_connections")),
      failed_handshakes_number_(stage.counter("tls_refused")),
      resumed_number_(stage.counter("connections_resumed")),
      gave_way_number_(stage.counter("gave_way")),
      turned_away_number_(stage.counter("turned_away")),
      kept_out_number_(stage.counter("kept_out")),
      waiting_number_(stage.gauge("waiting_clients")) {
  // With requests under way it waits for whoever works on them; what takes long is slept through.
  stage_.set_lingering(true);
}

void Front::fail(const char* what) {
  stage_.log(Severity::kError, "%s", what);
  failed_ = true;
}

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
  context_.emplace(FrontContext{*pieces_, port_, {}, options_.tls});
  context_->gate = this;
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
      stage_.log(
          Severity::kError, "cannot listen on %s: %s", where.c_str(),
          (is_unix ? stage_.explain(made.error(), where) : describe_error(made.error())).c_str());
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

// False when it cannot.
bool Front::begin() {
  epoll_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.is_open()) {
    stage_.log(Severity::kError, "cannot make an epoll instance: %s", strerror(errno));
    return false;
  }
  std::vector<KeptDescriptor> inherited = stage_.keeper().take_inherited();
  if (!take_over(inherited)) return false;
  if (!make_listener(inherited, kUnixName, options_.unix_path, true)) return false;
  if (!make_listener(inherited, kTcpName, options_.tcp_address, false)) return false;
  if (stage_.bell_fd() >= 0 && !watch(stage_.bell_fd(), EPOLLIN, kBellTag)) return false;
  for (const int fd : stage_.keeper().poll_fds()) {
    if (!watch(fd, EPOLLIN, kKeeperTag)) return false;
  }
  resume_clients(inherited);
  describe_exports();
  return true;
}

}  // namespace slipring::array
