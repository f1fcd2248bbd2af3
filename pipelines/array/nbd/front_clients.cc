// Clients that come, begin TLS, and go.

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "pipelines/array/nbd/front.h"
#include "pipelines/array/nbd/listeners.h"
#include "pipelines/array/nbd/surviving_word.h"
#include "pipelines/stage/error_text.h"
#include "platform/wait/clock.h"

namespace slipring::array {
namespace {

constexpr std::uint64_t kDeadlineLookNs = 1'000'000'000;

}  // namespace

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
  client.unread_count = 0;
  client.came_ns = client.heard_ns = monotonic_ns();
  client.address = address_of(client.socket.get());
  client.haggles_until_ns = deadline_after(kHagglingNs);
  set_up_client_socket(client.socket.get());
  const bool is_watched =
      watch(client.socket.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, index);
  if (!is_watched) close_client(index);
  share_out();
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
    if (client.stream) client.stream->say_farewell();
    // The store has a duplicate: only this tells the client.
    shutdown(client.socket.get(), SHUT_RDWR);
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, client.socket.get(), nullptr);
  }
  if (const Status dropped = stage_.keeper().drop(client.connection->name()); !dropped) {
    stage_.log(Severity::kWarning, "a closed connection stays in the store: %s",
               describe_error(dropped.error()).c_str());
  }
  client.stream.reset();
  client.socket.reset();
  client.is_readable = client.is_writable = client.waits = client.is_ending = false;
  client.is_kept_out = false;
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
    const bool is_late = client.connection->is_choosing() && now_ns > client.haggles_until_ns;
    if (client.socket.is_open() && is_late) close_client(i);
  }
}

// TLS begins, or goes on; false when the client is to be hung up on.
bool Front::shake_hands(std::uint32_t index) {
  Client& client = clients_[index];
  std::string fault;
  if (!client.stream) {
    // The channel's calls are to return at once.
    const int flags = fcntl(client.socket.get(), F_GETFL);
    std::optional<TlsChannel> channel;
    if (flags >= 0 && fcntl(client.socket.get(), F_SETFL, flags | O_NONBLOCK) == 0) {
      channel = TlsChannel::create(*options_.tls_context, client.socket.get(), {}, fault);
    }
    if (!channel) {
      stage_.log(Severity::kWarning, "client %s: TLS cannot begin: %s",
                 std::string(client.connection->name()).c_str(), fault.c_str());
      return false;
    }
    client.stream = std::make_unique<TlsStream>(std::move(*channel));
  }
  switch (client.stream->handshake()) {
    case MoveOutcome::kMoved:
      client.connection->finish_handshake();
      client.is_readable = client.is_writable = true;
      encrypted_number_.add();
      return true;
    case MoveOutcome::kNothing:
      return true;
    case MoveOutcome::kEnded:
      break;
  }
  stage_.log(Severity::kWarning, "client %s: %s", std::string(client.connection->name()).c_str(),
             client.stream->fault().c_str());
  failed_handshakes_number_.add();
  return false;
}

// What it has asked and nobody has begun is answered with an error.  False: the back end cannot be
// told now.
bool Front::abort_client(std::uint32_t index) {
  Connection& connection = *clients_[index].connection;
  std::span<std::byte> place;
  const bool is_told =
      aborts_ != nullptr && aborts_->try_reserve(sizeof(BlockAbort), place) == Transfer::kDone;
  // All that is on the ring has at most this one.
  const BlockAbort abort{settled(file_->memory().sequence), index + 1, 0};
  if (is_told) {
    std::memcpy(place.data(), &abort, sizeof abort);
    aborts_->commit(sizeof abort);
  }
  const std::uint32_t here = connection.abort_queued();
  stage_.log(Severity::kInfo,
             "client %s: aborted up to sequence %llu; %u requests were not on their way, %u pieces "
             "are",
             std::string(connection.name()).c_str(),
             static_cast<unsigned long long>(abort.sequence), here, connection.piece_count());
  return is_told || aborts_ == nullptr;
}

bool Front::obey_for(std::string_view verb, std::uint32_t index) {
  const Connection& connection = *clients_[index].connection;
  if (verb == "abort") return abort_client(index);
  stage_.log(Severity::kInfo, "client %s: %u pieces under way%s",
             std::string(connection.name()).c_str(), connection.piece_count(),
             verb == "clients" ? "" : "; disconnected");
  if (verb == "disconnect") close_client(index);
  return true;
}

// Out of band.
void Front::obey(const Command& command) {
  const std::string_view text = command.text;
  const std::string_view verb = text.substr(0, text.find(' '));
  const bool is_list = text == "clients";
  const bool has_client = verb.size() + 1 < text.size();
  if (!is_list && !((verb == "disconnect" || verb == "abort") && has_client)) {
    stage_.log(Severity::kWarning,
               "unknown command '%s'; there are: clients, disconnect CLIENT|all, abort CLIENT|all",
               command.text.c_str());
    return;
  }
  const std::string_view wanted = is_list ? std::string_view("all") : text.substr(verb.size() + 1);
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < kConnectionCountMax; ++i) {
    if (!clients_[i].socket.is_open() ||
        (wanted != "all" && wanted != clients_[i].connection->name())) {
      continue;
    }
    ++count;
    if (!obey_for(verb, i)) {
      stage_.log(Severity::kWarning, "the back end has not read earlier aborts: give it again");
    }
  }
  if (count == 0) stage_.log(Severity::kInfo, "there is no such client");
}

}  // namespace slipring::array
