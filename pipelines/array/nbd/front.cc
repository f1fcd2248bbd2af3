#include "pipelines/array/nbd/front.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/cpu/relax.h"
#include "pipelines/array/nbd/socket_transfer.h"
#include "pipelines/stage/error_text.h"
#include "platform/wait/clock.h"

namespace slipring::array {
namespace {

// A client's turn: the others get theirs.
constexpr int kRoundsATurn = 8;
// Turns that only those get who have just said something.
constexpr int kRoundsWithoutEvents = 4;
constexpr int kIdleBoundMs = 100;
constexpr int kStarvedBoundMs = 1;

}  // namespace

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
  if (connection.wants_handshake() && !shake_hands(index)) {
    close_client(index);
    return true;
  }
  for (int round = 0; round < kRoundsATurn; ++round) {
    Progress progress = connection.work();
    if (progress != Progress::kEnded && client.is_readable) {
      const Progress received = connection.receive(client.socket.get(), client.stream.get());
      // What comes later is an event of its own; an end that has come already is none.
      const bool is_empty = received == Progress::kLast && !client.is_ending;
      if (received == Progress::kNone || is_empty) client.is_readable = false;
      client.has_just_come = is_empty;
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
  unread_count_ = 0;
  for (std::uint32_t i = 0; i < kConnectionCountMax; ++i) {
    Client& client = clients_[i];
    if (!client.socket.is_open()) continue;
    const std::uint64_t unsent_count = client.connection->unsent_count();
    if (unsent_count != 0 && client.unread_count != 0 && !has_unread_output(client.socket.get())) {
      client.unread_count = 0;
    }
    while (client.is_writable && client.connection->has_output()) {
      const Progress sent = client.connection->send(client.socket.get(), client.stream.get());
      if (sent == Progress::kEnded) {
        close_client(i);
        break;
      }
      if (sent != Progress::kSome) client.is_writable = false;
    }
    if (!client.socket.is_open()) continue;
    client.unread_count += unsent_count - client.connection->unsent_count();
    unread_count_ += client.unread_count;
    if (client.connection->is_finished()) close_client(i);
  }
}

void Front::note_numbers() {
  requests_number_.add(std::exchange(context_->request_count, 0));
  refused_number_.add(std::exchange(context_->refused_count, 0));
  hang_ups_number_.add(std::exchange(context_->hang_up_count, 0));
  dropped_number_.add(pieces_->take_dropped_count());
  spilled_number_.add(pieces_->take_spilled_count());
  under_way_number_.set(pieces_->living_count());
}

// Who has just said something often says more: a try to read it is what asking the kernel for
// events would cost.  False when there is nobody, or the others' turn has come.
bool Front::expect_more() {
  bool expects = false;
  if (++rounds_without_events_ < kRoundsWithoutEvents) {
    for (Client& client : clients_) {
      if (client.has_just_come) expects = client.is_readable = true;
      client.has_just_come = false;
    }
  }
  if (!expects) rounds_without_events_ = 0;
  return expects;
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
    if (expect_more()) return;
    count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  } else if (is_blocked) {
    count = stage_.wait_in_epoll(epoll_.get(), events, has_work, bound_ms, {&requests_});
  } else if (pieces_->living_count() != 0) {
    count = stage_.wait_with_epoll(epoll_.get(), events, has_work, bound_ms);
  } else {
    count = stage_.wait_in_epoll(epoll_.get(), events, has_work, bound_ms);
  }
  const std::uint64_t now_ns = count > 0 ? monotonic_ns() : 0;
  bool have_some_come = false;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kKeeperTag) have_some_come = true;
    if (event.data.u64 >= kConnectionCountMax) continue;
    Client& client = clients_[event.data.u64];
    if ((event.events & ~std::uint32_t{EPOLLOUT}) != 0) {
      client.is_readable = true;
      client.heard_ns = now_ns;
    }
    if ((event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) client.is_ending = true;
    if ((event.events & EPOLLOUT) != 0) client.is_writable = true;
    // TLS may have to write before it reads, or the other way round.
    if (client.stream) client.is_readable = client.is_writable = true;
  }
  // Last, so that whoever has said something is not taken for silent.
  if (have_some_come) take_accepted();
}

int Front::run() {
  if (!begin()) return 1;
  while (!failed_ && !stage_.stop_requested()) {
    while (const std::optional<Command> command = stage_.next_command()) obey(*command);
    const bool took = take_replies();
    // Before more is taken on: meanwhile the client makes its next requests.
    if (took) send_all();
    const bool served = serve_all();
    if (pieces_->submit_ready(unread_count_) == Transfer::kCorruptPeer) {
      stage_.log(Severity::kError, "the back end wrote impossible values into its page: %s",
                 offender_text(requests_.offender()).c_str());
      return 1;
    }
    send_all();
    if (!waiting_.empty()) admit_waiting();
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
